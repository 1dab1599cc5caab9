"""The command line of a study that is one table on one page."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from .series import REPOSITORY


def write_page(
    name: str, description: str | None, table: Callable[[], str], arguments: Sequence[str] | None = None
) -> None:
    """Write the table to ``docs/results/name``, or where ``--out`` says."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "results" / name)
    parser.parse_args(arguments).out.write_text(table())
