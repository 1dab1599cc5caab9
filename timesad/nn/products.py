"""Refuses detectors that version 0.1 fitted and pickled: their pickles import this module first."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from .._compatibility import raise_incompatible

    if name == "RowLinear":  # in every fitted detector of version 0.1
        raise_incompatible("a fitted detector", None)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
