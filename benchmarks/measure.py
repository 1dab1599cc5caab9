"""One cell: scale, fit, score, evaluate, and what that cost."""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from threadpoolctl import threadpool_limits

from timesad.metrics import autocorrelation_period, best_f1_score, vus_pr_score, vus_roc_score

from .contract import (
    PERIOD_WINDOW,
    SEMI_SUPERVISED,
    STANDARD_SCALING,
    UNSUPERVISED,
    FloatArray,
    Method,
    Settings,
    Setup,
)

METRICS = ("vus_pr", "auc_pr", "auc_roc", "vus_roc", "best_f1")
HEAD_METRIC = "vus_pr"
RAW = "raw"
SMOOTHED = "smoothed"
VARIANTS = (RAW, SMOOTHED)
SCORE_NAMES, BY_SCORE = "score_names", "by_score"  # of a method with several scores

WINDOWS_TO_FIT = 4  # a series to fit on holds at least so many windows side by side
MAX_WARNINGS, WARNING_CHARACTERS = 10, 200
BYTES_PER_MEGABYTE = 1e6


def peak_memory_megabytes() -> float:
    """Return the largest resident memory of this process so far, in MB (NaN where the system does not tell)."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / BYTES_PER_MEGABYTE


def seed_globals(seed: int) -> None:
    """Seed the global generators: PyOD's deep detectors have no random_state and draw from torch's."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def limit_torch(threads: int) -> None:
    """Bound torch's own thread pool, which threadpoolctl does not know."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def n_fit_rows(series: Bunch, protocol: str) -> int:
    """Return how many of the first rows a method may be fitted on."""
    return int(series.train_size) if protocol == SEMI_SUPERVISED else len(series.data)


def window_length(rule: int | str, fit_rows: FloatArray) -> int:
    """Return the window in rows: the number or the period of channel 0, at most a quarter of the rows to fit."""
    wanted = autocorrelation_period(fit_rows[:, 0]) if rule == PERIOD_WINDOW else int(rule)
    return min(int(wanted), len(fit_rows) // WINDOWS_TO_FIT)


def scaled(data: FloatArray, n_fit: int, scaling: str) -> FloatArray:
    """Return all rows in the units of the first ``n_fit`` rows (n_timestamps, n_channels)."""
    if scaling != STANDARD_SCALING:
        return data
    rows: FloatArray = StandardScaler().fit(data[:n_fit]).transform(data)
    return rows


def make_setup(series: Bunch, protocol: str, seed: int, settings: Settings) -> Setup:
    """Return what the method may know before it sees the rows."""
    n_fit = n_fit_rows(series, protocol)
    return Setup(
        window=window_length(settings.window, series.data[:n_fit]),
        n_channels=series.data.shape[1],
        seed=seed,
        clean_training=protocol == SEMI_SUPERVISED,
    )


def moving_average(scores: FloatArray, length: int) -> FloatArray:
    """Return the centred moving average over ``length`` rows; at the ends over the rows there are.

    Each row is a sum of its own, not a running one: scores span thirty orders of magnitude in some detectors.
    """
    length = min(length, len(scores))
    ones = np.ones(length)
    return np.convolve(scores, ones, mode="same") / np.convolve(np.ones(len(scores)), ones, mode="same")


def check_scores(scores: Any, n_rows: int, names: Sequence[str] = ()) -> FloatArray:
    """Return scores as floats, or raise ValueError unless there is one finite score a row (and name, if any)."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != ((n_rows, len(names)) if names else (n_rows,)):
        named = f" and the scores {list(names)}" if names else ""
        raise ValueError(f"The method returned scores of shape {values.shape} for {n_rows} rows{named}.")
    n_bad = int(np.count_nonzero(~np.isfinite(values)))
    if n_bad:
        raise ValueError(f"The method returned {n_bad} of {values.size} scores that are not finite.")
    return values


def evaluate(y_true: np.ndarray, scores: FloatArray, buffer: int) -> dict[str, float]:
    """Return every metric of ``METRICS``."""
    return {
        "vus_pr": float(vus_pr_score(y_true, scores, buffer=buffer)),
        "auc_pr": float(average_precision_score(y_true, scores)),
        "auc_roc": float(roc_auc_score(y_true, scores)),
        "vus_roc": float(vus_roc_score(y_true, scores, buffer=buffer)),
        "best_f1": float(best_f1_score(y_true, scores)),
    }


def evaluate_variants(y_true: np.ndarray, scores: FloatArray, buffer: int, smoothing: int) -> dict[str, Any]:
    """Return every metric of the scores as they are and of their moving average."""
    return {
        RAW: evaluate(y_true, scores, buffer),
        SMOOTHED: evaluate(y_true, moving_average(scores, smoothing), buffer),
    }


def first_lines(caught: list[warnings.WarningMessage]) -> list[str]:
    """Return category and first line of each warning, each once."""
    lines = (f"{w.category.__name__}: " + str(w.message).partition("\n")[0][:WARNING_CHARACTERS] for w in caught)
    return list(dict.fromkeys(lines))[:MAX_WARNINGS]


def measure(method: Method, series: Bunch, protocol: str, seed: int, settings: Settings) -> dict[str, Any]:
    """Run one method on one series; sets the global generators' seeds, too.

    Returns
    -------
    dict
        ``raw`` and ``smoothed`` (metric to value), or ``by_score`` with both for each score of the method; ``buffer``
        and ``window`` in rows, ``fit_seconds``, ``score_seconds`` (wall), ``cpu_seconds`` (both, all threads),
        ``memory_before_mb``, ``memory_peak_mb`` and ``warnings`` (first line of each).

    Raises
    ------
    ValueError
        If the scores are not one finite number per row.
    """
    n_fit = n_fit_rows(series, protocol)
    setup = make_setup(series, protocol, seed, settings)
    rows = scaled(series.data, n_fit, settings.scaling)
    seed_globals(seed)
    limit_torch(settings.threads)
    memory_before = peak_memory_megabytes()
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(settings.threads):
        warnings.simplefilter("always")
        detector = method.build(setup)
        cpu_start, start = time.process_time(), time.perf_counter()
        detector.fit(rows[:n_fit])
        fitted = time.perf_counter()
        if protocol == UNSUPERVISED:
            raw = detector.decision_scores_
        else:
            raw = detector.decision_function(rows)
            if method.novelty:
                raw = np.concatenate([detector.decision_scores_, raw[n_fit:]])
        scored, cpu_end = time.perf_counter(), time.process_time()
    memory_peak = peak_memory_megabytes()

    scores = check_scores(raw, len(rows), method.scores)
    # TSB-AD's rule, so that values can be compared with published ones.
    buffer = int(autocorrelation_period(series.data[:, 0]))
    evaluated = [
        evaluate_variants(series.target, column, buffer, settings.smoothing)
        for column in scores.reshape(len(rows), -1).T
    ]
    values = {BY_SCORE: dict(zip(method.scores, evaluated, strict=True))} if method.scores else evaluated[0]
    return values | {
        "buffer": buffer,
        "window": setup.window,
        "fit_seconds": fitted - start,
        "score_seconds": scored - fitted,
        "cpu_seconds": cpu_end - cpu_start,
        "memory_before_mb": memory_before,
        "memory_peak_mb": memory_peak,
        "warnings": first_lines(caught),
    }
