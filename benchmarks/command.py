"""The command line that the studies share: options, progress, run, report."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import joblib
from sklearn.utils import Bunch

from .cell_table import Row, read_rows, restore
from .contract import (
    DEFAULT_SMOOTHING,
    DEFAULT_WINDOW,
    PERIOD_WINDOW,
    PROTOCOLS,
    SCALINGS,
    STANDARD_SCALING,
    Method,
    Record,
    Settings,
)
from .harness import (
    DEFAULT_TIMEOUT,
    ISOLATIONS,
    PROCESS_ISOLATION,
    Cell,
    collect,
    plan,
    run_cells,
)
from .isolation import FAILED, OK, TIMEOUT
from .measure import HEAD_METRIC, RAW, SMOOTHED
from .series import REPOSITORY
from .summary import SCORE, all_table_rows, table_rows

DEFAULT_SEEDS = (0, 1, 2)
RESUME_FROM = "--resume-from"
REPORT_ONLY = "--report-only"
SHOWN_SCORES = 5  # of a cell, in its line of progress
DEFAULT_CELLS = REPOSITORY / "benchmarks" / "cells"
DEFAULT_RESULTS = REPOSITORY / "docs" / "results"


def _window(text: str) -> int | str:
    return text if text == PERIOD_WINDOW else int(text)


def _table(text: str) -> dict[str, list[Row]]:
    try:
        return read_rows(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where, how often and how fast."""
    where = parser.add_argument_group("where")
    where.add_argument("--data", type=Path, help="folder of the development series (default: TIMESAD_DATA)")
    where.add_argument("--cells", type=Path, default=DEFAULT_CELLS, help="folder of finished cells (benchmarks/cells)")
    where.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the tables (docs/results)")
    how = parser.add_argument_group("how")
    how.add_argument("--seeds", type=int, nargs="+", default=list(DEFAULT_SEEDS), metavar="SEED")
    how.add_argument("--n-jobs", type=int, default=1, help="cells at a time")
    how.add_argument("--dask", metavar="SCHEDULER", help="address of a Dask cluster that runs the cells")
    how.add_argument("--isolation", choices=ISOLATIONS, default=PROCESS_ISOLATION)
    how.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a cell (default: %(default)g)")
    how.add_argument("--threads", type=int, default=1, help="threads of each cell")
    how.add_argument("--retry", nargs="+", choices=(FAILED, TIMEOUT), default=[], help="run such cells again")
    how.add_argument("--redo", nargs="+", default=[], metavar="METHOD", help="run finished cells of these again")
    how.add_argument(
        RESUME_FROM,
        type=_table,
        nargs="+",
        default=[],
        metavar="CSV",
        help="tables of earlier runs, for instance docs/results/peers.csv: their cells are finished here, too",
    )
    how.add_argument(REPORT_ONLY, action="store_true", help="run nothing; report the finished cells")


def add_study_options(parser: argparse.ArgumentParser, groups: Sequence[str], methods: Sequence[str]) -> None:
    """Add the options that say what is compared."""
    what = parser.add_argument_group("what")
    what.add_argument("--methods", nargs="+", default=list(methods), metavar="METHOD", help="methods or families")
    what.add_argument("--groups", nargs="+", default=list(groups), metavar="GROUP", help=", ".join(groups))
    what.add_argument("--first-series", type=int, metavar="N", help="only the first N series of each group")
    what.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    what.add_argument("--window", type=_window, default=DEFAULT_WINDOW, help='rows, or "period" (default: %(default)s)')
    what.add_argument("--smoothing", type=int, default=DEFAULT_SMOOTHING, help="rows (default: %(default)s)")
    what.add_argument("--scaling", choices=SCALINGS, default=STANDARD_SCALING)


def study_settings(options: argparse.Namespace) -> Settings:
    """Return the settings that the options ask for."""
    return Settings(
        window=options.window, smoothing=options.smoothing, scaling=options.scaling, threads=options.threads
    )


def command_text(module: str, arguments: Sequence[str]) -> str:
    """Return the command as a reader types it in the repository's root, who has no finished cells to go on from."""
    kept, option = ["python", "-m", module], ""
    for argument in arguments:
        option = argument if argument.startswith("--") else option
        if option not in (REPORT_ONLY, RESUME_FROM):
            kept.append(argument)
    return shlex.join(kept)


def show_progress(record: Record, done: int, total: int) -> None:
    """Print one line a cell."""
    words = [f"[{done}/{total}]", record["protocol"], record["group"], record["series"], record["method"]]
    words.append(f"seed {record['seed']}:")
    if record["status"] == OK:
        rows = table_rows(record)
        for row in rows[:SHOWN_SCORES]:
            score = f"{row[SCORE]} " if SCORE in row else ""
            words.append(f"{score}VUS-PR {row[RAW][HEAD_METRIC]:.3f}, smoothed {row[SMOOTHED][HEAD_METRIC]:.3f},")
        if len(rows) > SHOWN_SCORES:
            words.append(f"and {len(rows) - SHOWN_SCORES} more scores,")
        words.append(f"{record['fit_seconds'] + record['score_seconds']:.1f} s")
    else:
        words.append(f"{record['status']}: {record['error']}")
    print(*words, flush=True)


def remove_finished(cells: Sequence[Cell], cells_dir: Path) -> None:
    """Delete the files of these cells, so that they run again."""
    for cell in cells:
        cell.path(cells_dir).unlink(missing_ok=True)


def run_study(
    options: argparse.Namespace,
    methods: Sequence[Method],
    groups: Mapping[str, Sequence[Bunch]],
    *,
    protocols: Sequence[str],
    settings: Settings,
) -> tuple[list[Record], int]:
    """Run what the options ask for.

    Parameters
    ----------
    options : argparse.Namespace
        With the options of :func:`add_run_options`.
    methods, groups, protocols, settings
        See :func:`benchmarks.harness.plan`.

    Returns
    -------
    records : list of dict
        One for each cell and, of a method with several scores, each score.
    n_missing : int
        Cells that have not run (with ``--report-only``).
    """
    cells = plan(methods, groups, protocols=protocols, seeds=options.seeds, settings=settings)
    restore(cells, dict(ChainMap(*options.resume_from)), options.cells)
    if options.report_only:
        records, missing = collect(cells, options.cells)
        return all_table_rows(records), len(missing)
    redone = [cell for cell in cells if {cell.method.name, cell.method.family} & set(options.redo)]
    remove_finished(redone, options.cells)
    with _place(options.dask):
        records = run_cells(
            cells,
            options.cells,
            n_jobs=options.n_jobs,
            isolation=options.isolation,
            timeout=options.timeout,
            retry=options.retry,
            on_record=show_progress,
        )
    return all_table_rows(records), 0


@contextmanager
def _place(scheduler: str | None) -> Iterator[None]:
    """Where cells run: on this machine, or on the workers of a Dask cluster."""
    if scheduler is None:
        yield
        return
    from distributed import Client

    with Client(scheduler), joblib.parallel_config("dask"):
        yield


def arguments_of(argv: Sequence[str] | None) -> list[str]:
    """Return the arguments given, or the process's own."""
    return list(sys.argv[1:] if argv is None else argv)


def fail(parser: argparse.ArgumentParser, error: Exception) -> NoReturn:
    """End the command with a message instead of a traceback."""
    parser.exit(2, f"{parser.prog}: {error}\n")
