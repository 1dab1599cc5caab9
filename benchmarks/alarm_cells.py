"""The cells of the alarms: methods, what is measured of each, and their files."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import Bunch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector

from .alarm_measures import (
    FAR_ROWS,
    MERGE_ROWS,
    ORACLE_LARGEST_SHARE,
    ORACLE_NORMAL_SHARE,
    ORACLE_THRESHOLDS,
    far_rows,
    measure_alarms,
    oracle_threshold,
    ranges_after,
    runs,
    share_of,
)
from .cell_table import DIGITS
from .command import remove_finished
from .contract import PROTOCOLS, SEMI_SUPERVISED, UNSUPERVISED, Method, Record, Settings, Setup, index_methods
from .harness import (
    DIGEST_CHARACTERS,
    PRELOAD,
    PROCESS_ISOLATION,
    Cell,
    collect,
    environment,
    plan,
    write_record,
)
from .isolation import OK, call_here, call_isolated
from .measure import check_scores, first_lines, limit_torch, make_setup, n_fit_rows, scaled, seed_globals
from .methods import FLAGSHIP, FLOOR_METHOD, METHODS, OURS, select_methods

DETECT, PREDICT, MERGED, ORACLE = "detect", "predict", "predict, merged", "oracle"  # kinds of alarms
CONTAMINATION = 0.01
ASKED_SHARES = (0.001, CONTAMINATION, 0.05)  # of the normal rows above a threshold

# What decides a cell's values beside its method and settings.
RULES = {
    "format": 1,  # raise it when the meaning of a stored value changes
    "contamination": CONTAMINATION,
    "asked": ASKED_SHARES,
    "far": FAR_ROWS,
    "merge": MERGE_ROWS,
    "oracle": (ORACLE_THRESHOLDS, ORACLE_LARGEST_SHARE, ORACLE_NORMAL_SHARE),
}

CSV_IDENTITY = ("protocol", "group", "series", "method", "family", "seed", "n_channels", "train_size")
CSV_COUNTS = (
    *("n_rows", "alarms", "true_alarms", "events", "hit"),
    *("far_rows", "far_share", "flagged_share", "alarms_per_10000"),
)
CSV_COLUMNS = (
    *CSV_IDENTITY,
    *("status", "kind", *CSV_COUNTS, "mean_iou", "median_delay"),
    *(f"far_above_{share:g}" for share in ASKED_SHARES),
    *("window", "seconds", "error", "digest"),
)

# Methods


def timesnet_discrepancy(setup: Setup, *, clean_training: bool) -> TimesNetDiscrepancyDetector:
    """Build the flagship with its defaults; `discrepancy_weight=0` gives the same scores in less time."""
    return TimesNetDiscrepancyDetector(
        window_size=setup.window,
        discrepancy_weight=0,
        clean_training=clean_training,
        contamination=CONTAMINATION,
        random_state=setup.seed,
    )


def nearest_windows(setup: Setup, *, clean_training: bool) -> NearestWindowsDetector:
    """Build the nearest training windows with their defaults."""
    return NearestWindowsDetector(window_size=setup.window, clean_training=clean_training, contamination=CONTAMINATION)


def alarm_methods(protocol: str) -> dict[str, Method]:
    """Return the methods of a protocol: ours presume normal training rows in the semi-supervised one only."""
    clean = protocol == SEMI_SUPERVISED
    ours = (
        Method(FLAGSHIP, OURS, partial(timesnet_discrepancy, clean_training=clean)),
        Method("nearest-windows", OURS, partial(nearest_windows, clean_training=clean), stochastic=False),
    )
    names = ("pyod-windows-knn", "pyod-windows-iforest", FLOOR_METHOD)
    return index_methods((*ours, *(METHODS[name] for name in names)))


METHODS_BY_PROTOCOL = {protocol: alarm_methods(protocol) for protocol in PROTOCOLS}


# One cell


def share_threshold(detector: Any, family: str, share: float) -> float:
    """Return the threshold that such a share of normal rows should exceed.

    Ours have an extrapolated tail of normal scores. A peer's threshold is the quantile of its training scores, which is
    PyOD's `threshold_` for a contamination.
    """
    if family == OURS:
        return float(detector.score_tail_.threshold(share))
    return float(np.quantile(detector.decision_scores_, 1 - share))


def measure_series(method: Method, series: Bunch, protocol: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Run one method on one series and measure its alarms; sets the global generators' seeds, too.

    Returns
    -------
    dict
        ``kinds`` (kind of alarms to the values of `measure_alarms`), ``curve`` (asked share to the share of far rows
        above its threshold), ``window`` in rows, ``seconds`` of fit and scores, and ``warnings``.

    Raises
    ------
    ValueError
        If no row is left to evaluate, or the scores are not one finite number per row.
    """
    n_fit = n_fit_rows(series, protocol)
    first = n_fit if protocol == SEMI_SUPERVISED else 0
    if first == len(series.data):
        raise ValueError(f"Series {series.name!r} has no row after the {n_fit} rows to fit.")
    setup = make_setup(series, protocol, seed, settings)
    rows = scaled(series.data, n_fit, settings.scaling)
    seed_globals(seed)
    limit_torch(settings.threads)
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(settings.threads):
        warnings.simplefilter("always")
        detector: Any = method.build(setup)
        start = time.perf_counter()
        detector.fit(rows[:n_fit])
        raw = detector.decision_scores_ if protocol == UNSUPERVISED else detector.decision_function(rows)
        seconds = time.perf_counter() - start
        thresholds = {share: share_threshold(detector, method.family, share) for share in ASKED_SHARES}
        predicted, found = thresholds[CONTAMINATION], None
        if method.family == OURS:
            predicted = float(detector.threshold_)
            found = detector.detect(None if protocol == UNSUPERVISED else rows)
    scores = check_scores(raw, len(rows))[first:]
    events, far = runs(series.target[first:] == 1), far_rows(series.target)[first:]
    above = scores > predicted
    alarms = {PREDICT: runs(above), MERGED: runs(above, MERGE_ROWS)}
    alarms[ORACLE] = runs(scores > oracle_threshold(scores, events), MERGE_ROWS)
    if found is not None:
        detected = found[["start", "end"]].to_numpy(dtype=np.intp)
        alarms = {DETECT: ranges_after(detected, first)} | alarms
    return {
        "kinds": {kind: measure_alarms(ranges, events, far) for kind, ranges in alarms.items()},
        "curve": {f"{share:g}": share_of(scores > threshold, far) for share, threshold in thresholds.items()},
        "window": setup.window,
        "seconds": seconds,
        "warnings": first_lines(caught),
    }


# Cells and their files


class AlarmCell(Cell):
    """A cell whose digest covers the rules of the measures, too."""

    def digest(self) -> str:
        """Return a short hash of all that decides the cell's values, the library's source aside."""
        text = json.dumps([super().digest(), RULES], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def plan_cells(
    names: Sequence[str],
    groups: Mapping[str, Sequence[Bunch]],
    *,
    protocols: Sequence[str],
    seeds: Sequence[int],
    settings: Settings,
) -> list[AlarmCell]:
    """Return the cells of the methods or families named; see `harness.plan`."""
    return [
        AlarmCell(**vars(cell))
        for protocol in protocols
        for cell in plan(
            select_methods(list(names), METHODS_BY_PROTOCOL[protocol]),
            groups,
            protocols=[protocol],
            seeds=seeds,
            settings=settings,
        )
    ]


def finish(cell: Cell, cells_dir: Path, isolation: str, timeout: float) -> Record:
    """Run one cell, write its record and return it. A method's exception becomes the record's error."""
    arguments = (cell.method, cell.series, cell.protocol, cell.seed, cell.settings)
    if isolation == PROCESS_ISOLATION:
        outcome = call_isolated(measure_series, arguments, timeout, PRELOAD)
    else:
        outcome = call_here(measure_series, arguments)
    record = cell.identity() | {
        "status": outcome.status,
        "error": outcome.error,
        "trace": outcome.trace,
        "environment": environment(),
        "digest": cell.digest(),
    }
    if outcome.status == OK:
        record |= outcome.value
    write_record(record, cell.path(cells_dir))
    return record


def run_missing(
    cells: Sequence[Cell],
    cells_dir: Path,
    options: argparse.Namespace,
    on_record: Callable[[Record, int, int], None],
) -> tuple[list[Record], int]:
    """Run the cells that are not finished, unless ``--report-only``.

    Parameters
    ----------
    cells, cells_dir
        See `harness.run_cells`.
    options : argparse.Namespace
        With `isolation`, `n_jobs`, `timeout`, `report_only`, `redo` and `retry`.
    on_record : callable
        ``on_record(record, done, total)`` after each cell that ran.

    Returns
    -------
    records : list of dict
        Of the finished cells.
    n_missing : int
        Cells that have not run.
    """
    if not options.report_only:
        redone = [cell for cell in cells if {cell.method.name, cell.method.family} & set(options.redo)]
        remove_finished(redone, cells_dir)
        retried = {record["digest"] for record in collect(cells, cells_dir)[0] if record["status"] in options.retry}
        remove_finished([cell for cell in cells if cell.digest() in retried], cells_dir)
        missing = collect(cells, cells_dir)[1]
        parallel = Parallel(n_jobs=options.n_jobs, backend="threading", return_as="generator_unordered")
        jobs = (delayed(finish)(cell, cells_dir, options.isolation, options.timeout) for cell in missing)
        for done, record in enumerate(parallel(jobs), start=1):
            on_record(record, done, len(missing))
    records, missing = collect(cells, cells_dir)  # in the order of the plan
    return records, len(missing)


def csv_rows(record: Record) -> list[Record]:
    """Return the record's rows of the CSV: one a kind of alarms, or one without values."""
    rows = []
    for kind, one in record.get("kinds", {"": {}}).items():
        row = record | {name: one.get(name) for name in CSV_COUNTS} | {"kind": kind}
        if one:
            row["mean_iou"] = fmean(one["iou"]) if one["iou"] else None
            row["median_delay"] = median(one["delay"]) if one["delay"] else None
            row |= {f"far_above_{share}": seen for share, seen in record["curve"].items()}
        rows.append({name: round(v, DIGITS) if isinstance(v, float) else v for name, v in row.items()})
    return rows


def write_cells(records: Sequence[Record], path: Path) -> None:
    """Write the CSV with every cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for record in sorted(records, key=lambda r: tuple(r[name] for name in CSV_IDENTITY)):
            writer.writerows(csv_rows(record))
