"""Score without labels: how well an estimator ranks injected anomalies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score

from timesad.datasets._generator import choose_channels, place
from timesad.metrics._validation import check_integer

__all__ = ["injected_anomaly_scorer"]

# Rows whose values an anomaly gets, (length,), from its start, its length, the number of rows and a generator.
SOURCES: dict[str, Callable[[int, int, int, np.random.Generator], NDArray[np.int64]]] = {
    "frequency": lambda start, length, n_rows, rng: start - length // 2 + 2 * np.arange(length),
    "pattern_swap": lambda start, length, n_rows, rng: start + np.arange(length)[::-1],
    "phase_skip": lambda start, length, n_rows, rng: rng.integers(n_rows - length + 1) + np.arange(length),
}
ROWS_PER_ANOMALY = 6  # anomaly lengths; an anomaly is rare in its copy


def injected_anomaly_scorer(
    estimator: Any,
    X: ArrayLike,
    y: Any = None,
    *,
    anomaly_length: int = 32,
    n_repeats: int = 3,
    random_state: int | np.random.Generator = 0,
) -> float:
    """Score without labels: average precision of an estimator on normal rows with one injected anomaly.

    The score is a mean over copies of X. Each copy has one anomaly, at a random place in random channels. It consists
    of values of X, so that no channel leaves its usual range:

    ================ ==========================================
    ``frequency``    the rows at this place at twice the speed
    ``pattern_swap`` the rows at this place in reverse order
    ``phase_skip``   the rows of another place
    ================ ==========================================

    Not part of timesad: the defaults detect better than what it chooses. ``docs/selection.md`` has the numbers.

    It is a scorer: pass it as ``scoring`` to scikit-learn's searches, with ``TimeSeriesSplit`` and without y.
    ``functools.partial(injected_anomaly_scorer, anomaly_length=20)`` sets other parameters.

    Parameters
    ----------
    estimator : estimator
        Fitted. Its ``decision_function`` is larger for abnormal rows, as in PyOD.
    X : array-like of shape (n_rows, n_channels)
        Rows in time order that the estimator was not fitted on, presumed normal.
    y : Ignored
        Present for scikit-learn's searches.
    anomaly_length : int, default=32
        Rows of each anomaly, from 2 to a sixth of the rows of X.
    n_repeats : int, default=3
        Copies of X for each of the three kinds.
    random_state : int or numpy.random.Generator, default=0
        An int injects the same anomalies for every estimator, which a comparison needs.

    Returns
    -------
    score : float
        In [0, 1], larger is better.

    Raises
    ------
    TypeError
        If `anomaly_length` or `n_repeats` is not an integer.
    ValueError
        If a number is out of range, X has too few rows, or no channel of X changes.

    References
    ----------
    .. [1] M. Goswami, C. Challu, L. Callot, L. Minorics and A. Kan, "Unsupervised Model Selection for Time-series
       Anomaly Detection", ICLR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from pyod.models.ecod import ECOD
    >>> from timesad import NearestWindowsDetector
    >>> from benchmarks.injection import injected_anomaly_scorer
    >>> X = np.sin(np.arange(900) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(900, 1))
    >>> for detector in (ECOD(), NearestWindowsDetector(window_size=32, smoothing=16)):
    ...     print(f"{injected_anomaly_scorer(detector.fit(X[:600]), X[600:]):.2f}")
    0.13
    0.67
    """
    length = check_integer(anomaly_length, "anomaly_length", minimum=2)
    n_copies = check_integer(n_repeats, "n_repeats", minimum=1)
    table = X if isinstance(X, pd.DataFrame) else np.asarray(X).reshape(len(np.asarray(X)), -1)
    n_rows, n_channels = table.shape
    if n_rows < ROWS_PER_ANOMALY * length:
        raise ValueError(
            f"X has {n_rows} rows, but anomaly_length={length} needs at least {ROWS_PER_ANOMALY * length}. Pass more "
            f"rows, or an anomaly_length of at most {n_rows // ROWS_PER_ANOMALY}."
        )
    values = np.asarray(table)
    changing = np.flatnonzero((values[1:] != values[:-1]).any(axis=0))
    if not changing.size:
        raise ValueError("No channel of X changes, so no anomaly can be injected. Pass rows in which a channel varies.")
    rng = np.random.default_rng(random_state)
    scores = []
    for kind in [*SOURCES] * n_copies:
        [(_, start, stop)] = place([kind], 0, n_rows, length, 1, rng)
        channels = changing[choose_channels(kind, len(changing), rng)]
        rows = np.tile(np.arange(n_rows)[:, None], n_channels)  # (row, channel): where each value comes from
        rows[start:stop, channels] = SOURCES[kind](start, length, n_rows, rng)[:, None]
        target = (np.arange(n_rows) >= start) & (np.arange(n_rows) < stop)
        scores.append(average_precision_score(target, estimator.decision_function(_taken(table, rows))))
    return float(np.mean(scores))


def _taken(table: Any, rows: NDArray[np.int64]) -> Any:
    """The table with each value taken from the given row of its channel; a DataFrame keeps index and types."""
    if not isinstance(table, pd.DataFrame):
        return np.take_along_axis(table, rows, axis=0)
    changed = table.copy()
    for number in range(table.shape[1]):
        changed.isetitem(number, table.iloc[:, number].array.take(rows[:, number]))
    return changed
