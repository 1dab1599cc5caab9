"""Volume under the surface (VUS): mean of the areas under range-based PR and ROC curves over buffer lengths.

A buffer of length l extends each event by l // 2 rows on each side, with soft labels
√(1 - distance / l). Scores that rise a few rows early or late therefore still count. VUS is the
mean of the area over l = 0, …, buffer, so no single l is chosen.

Algorithm: a threshold flags the rows up to some rank of the sorted scores, so one cumulative
histogram of ranks gives the counts at all thresholds. Overlapping buffers sum to more than 1 and
are clipped at 1, so the soft label of a row depends on its two nearest events only. RAM is linear
in the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

from ._buffer import DEFAULT_BUFFER, resolve_buffer
from ._events import find_events, reduce_events
from ._validation import check_integer, check_labels_and_scores, warn_undefined

__all__ = ["range_auc_pr_score", "range_auc_roc_score", "vus_pr_score", "vus_roc_score"]

N_THRESHOLDS = 250  # default number of thresholds, as in TSB-AD


def vus_pr_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    buffer: int | Literal["auto"] = DEFAULT_BUFFER,
    X: ArrayLike | None = None,
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Volume under the precision-recall surface (VUS-PR), the main metric of TSB-AD.

    .. math:: \text{VUS-PR} = \frac{1}{b + 1} \sum_{l=0}^{b} \text{Range-AUC-PR}(l)

    b is the buffer. Equal to the value of TSB-AD (version 'opt'). The function of this name in aeon
    computes another quantity.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal. Only their order matters.
    buffer : int or "auto", default=100
        Longest buffer in rows. A buffer of l rows covers ``l // 2`` rows before and after each
        event. "auto" takes ``autocorrelation_period(X)``, as in TSB-AD's published tables. Values
        at different buffers are not comparable.
    X : array-like of shape (n_rows,) or (n_rows, n_channels), default=None
        The series. Required by ``buffer="auto"``, ignored otherwise.
    n_thresholds : int, default=250
        Number of thresholds, at least 2. They are evenly spaced in the ranks of the sorted scores.

    Returns
    -------
    score : float
        In [0, 1], larger is better. A random score gives about the share of rows in events and
        their buffers. 0.0 with an ``UndefinedMetricWarning`` if `y_true` has no anomaly, as in
        ``average_precision_score``.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `buffer` or `n_thresholds` is not an integer.

    See Also
    --------
    range_auc_pr_score : The area for one buffer.
    autocorrelation_period : The rule of ``buffer="auto"``.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore and M. J. Franklin, "Volume
       Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection",
       PVLDB 15(11), 2022, sections 4 and 5.
    .. [2] Q. Liu and J. Paparrizos, "The Elephant in the Room: Towards A Reliable Time-Series
       Anomaly Detection Benchmark", NeurIPS 2024.

    Examples
    --------
    >>> from timesad.metrics import vus_pr_score
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    >>> y_score = [0, 0, 0, 0, 0, 1, 1, 0, 0, 0]  # one row late
    >>> round(vus_pr_score(y_true, y_score, buffer=0), 3)
    0.35
    >>> vus_pr_score(y_true, y_score, buffer=4) > vus_pr_score(y_true, y_score, buffer=0)
    True
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    lengths = range(resolve_buffer(buffer, X) + 1)
    return _mean_pr_area("VUS-PR", is_anomalous, scores, lengths, n_thresholds)


def vus_roc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    buffer: int | Literal["auto"] = DEFAULT_BUFFER,
    X: ArrayLike | None = None,
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Volume under the ROC surface (VUS-ROC).

    .. math:: \text{VUS-ROC} = \frac{1}{b + 1} \sum_{l=0}^{b} \text{Range-AUC-ROC}(l)

    b is the buffer. If anomalies are rare, ROC areas are close to 1 even with many false alarms,
    since the false positive rate divides by many normal rows. Prefer `vus_pr_score`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal. Only their order matters.
    buffer : int or "auto", default=100
        Longest buffer in rows. A buffer of l rows covers ``l // 2`` rows before and after each
        event. "auto" takes ``autocorrelation_period(X)``, as in TSB-AD's published tables.
    X : array-like of shape (n_rows,) or (n_rows, n_channels), default=None
        The series. Required by ``buffer="auto"``, ignored otherwise.
    n_thresholds : int, default=250
        Number of thresholds, at least 2. They are evenly spaced in the ranks of the sorted scores.

    Returns
    -------
    score : float
        Larger is better. A random score gives 0.5 without a buffer and more with one. NaN with an
        ``UndefinedMetricWarning`` if `y_true` has one class only, as in ``roc_auc_score``.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `buffer` or `n_thresholds` is not an integer.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore and M. J. Franklin, "Volume
       Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection",
       PVLDB 15(11), 2022, sections 4 and 5.

    Examples
    --------
    >>> from timesad.metrics import vus_roc_score
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    >>> vus_roc_score(y_true, y_true, buffer=0)
    1.0
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    lengths = range(resolve_buffer(buffer, X) + 1)
    return _mean_roc_area("VUS-ROC", is_anomalous, scores, lengths, n_thresholds)


def range_auc_pr_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    buffer: int | Literal["auto"] = DEFAULT_BUFFER,
    X: ArrayLike | None = None,
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Area under the range-based precision-recall curve for one buffer length.

    `vus_pr_score` is its mean over buffer lengths. A threshold flags the rows F with a score of at
    least the threshold. The soft labels s are 1 inside events and √(1 - distance / l) in their
    buffers, at most 1 in sum:

    .. math::

        TP = \sum_{i \in F} s_i, \qquad
        P = \tfrac{1}{2} \Bigl( \sum_i y_i + \sum_{i \in F \cup \text{events}} s_i \Bigr), \\
        \text{precision} = \frac{TP}{|F|}, \qquad
        \text{recall} = \min\Bigl(\frac{TP}{P}, 1\Bigr) \cdot
        \frac{\text{buffered events with a flagged row}}{\text{buffered events}},

    Events whose buffers overlap count as one buffered event. The area is the sum of precision times
    the increase of recall.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal. Only their order matters.
    buffer : int or "auto", default=100
        Rows of the buffer, ``buffer // 2`` on each side of an event. "auto" takes
        ``autocorrelation_period(X)``.
    X : array-like of shape (n_rows,) or (n_rows, n_channels), default=None
        The series. Required by ``buffer="auto"``, ignored otherwise.
    n_thresholds : int, default=250
        Number of thresholds, at least 2. They are evenly spaced in the ranks of the sorted scores.

    Returns
    -------
    score : float
        Larger is better. 0.0 with an ``UndefinedMetricWarning`` if `y_true` has no anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `buffer` or `n_thresholds` is not an integer.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore and M. J. Franklin, "Volume
       Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection",
       PVLDB 15(11), 2022, section 4.

    Examples
    --------
    >>> from timesad.metrics import range_auc_pr_score
    >>> range_auc_pr_score([0, 0, 1, 1, 0], [0, 0, 1, 1, 0], buffer=0)
    1.0
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    return _mean_pr_area("Range-AUC-PR", is_anomalous, scores, [resolve_buffer(buffer, X)], n_thresholds)


def range_auc_roc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    buffer: int | Literal["auto"] = DEFAULT_BUFFER,
    X: ArrayLike | None = None,
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Area under the range-based ROC curve for one buffer length.

    `vus_roc_score` is its mean over buffer lengths. Recall, TP, P and F are those of
    `range_auc_pr_score`. The false positive rate is (abs(F) - TP) / (n_rows - P). The area is
    computed by the trapezoidal rule from (0, 0) to (1, 1).

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal. Only their order matters.
    buffer : int or "auto", default=100
        Rows of the buffer, ``buffer // 2`` on each side of an event. "auto" takes
        ``autocorrelation_period(X)``.
    X : array-like of shape (n_rows,) or (n_rows, n_channels), default=None
        The series. Required by ``buffer="auto"``, ignored otherwise.
    n_thresholds : int, default=250
        Number of thresholds, at least 2. They are evenly spaced in the ranks of the sorted scores.

    Returns
    -------
    score : float
        Larger is better. NaN with an ``UndefinedMetricWarning`` if `y_true` has one class only.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `buffer` or `n_thresholds` is not an integer.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore and M. J. Franklin, "Volume
       Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection",
       PVLDB 15(11), 2022, section 4.

    Examples
    --------
    >>> from timesad.metrics import range_auc_roc_score
    >>> range_auc_roc_score([0, 0, 1, 1, 0], [0, 0, 1, 1, 0], buffer=0)
    1.0
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    return _mean_roc_area("Range-AUC-ROC", is_anomalous, scores, [resolve_buffer(buffer, X)], n_thresholds)


def _mean_pr_area(
    metric: str,
    is_anomalous: NDArray[np.bool_],
    scores: NDArray[np.float64],
    lengths: Sequence[int],
    n_thresholds: int,
) -> float:
    if not is_anomalous.any():
        return warn_undefined(metric, "y_true has no anomaly", 0.0)
    counts = _range_counts(is_anomalous, scores, lengths, n_thresholds)
    precision = counts.true_positives / counts.flagged  # (length, threshold)
    gain = np.diff(counts.recall, axis=1, prepend=0.0)
    return float((precision * gain).sum(axis=1).mean())


def _mean_roc_area(
    metric: str,
    is_anomalous: NDArray[np.bool_],
    scores: NDArray[np.float64],
    lengths: Sequence[int],
    n_thresholds: int,
) -> float:
    if is_anomalous.all() or not is_anomalous.any():
        return warn_undefined(metric, "y_true has one class only", np.nan)
    counts = _range_counts(is_anomalous, scores, lengths, n_thresholds)
    fall_out = (counts.flagged - counts.true_positives) / (len(scores) - counts.positives)  # (length, threshold)
    nothing, everything = np.zeros((len(lengths), 1)), np.ones((len(lengths), 1))
    areas = trapezoid(
        y=np.hstack([nothing, counts.recall, everything]), x=np.hstack([nothing, fall_out, everything]), axis=1
    )
    return float(areas.mean())


@dataclass(frozen=True)
class _RangeCounts:
    """Counts of rows at each threshold, for several buffer lengths; rows in buffers have soft weights."""

    flagged: NDArray[np.float64]  # (threshold,)
    true_positives: NDArray[np.float64]  # (length, threshold)
    positives: NDArray[np.float64]  # (length, threshold)
    recall: NDArray[np.float64]  # (length, threshold)


def _range_counts(
    is_anomalous: NDArray[np.bool_], scores: NDArray[np.float64], lengths: Sequence[int], n_thresholds: int
) -> _RangeCounts:
    ranks = _first_flagging_threshold(scores, check_integer(n_thresholds, "n_thresholds", minimum=2))
    events = find_events(is_anomalous)
    rows, nearest, second = _rows_around(events, is_anomalous, reach=max(lengths) // 2)
    ranks_around = ranks[rows]

    credit = np.zeros((len(lengths), n_thresholds))
    share_found = np.empty((len(lengths), n_thresholds))
    for reach, of_one_reach in groupby(enumerate(lengths), key=lambda numbered: numbered[1] // 2):
        near = slice(0, int(np.searchsorted(nearest, reach, side="right")))
        share = _share_of_events_found(events, ranks, reach, n_thresholds)
        for index, length in of_one_reach:
            share_found[index] = share
            if near.stop > 0:
                soft = np.sqrt(1.0 - nearest[near] / length)
                # In the overlap of two buffers each label is at least √½, so their clipped sum is 1.
                soft[second[near] <= reach] = 1.0
                credit[index] = _cumulative_count(ranks_around[near], n_thresholds, soft)

    true_positives = _cumulative_count(ranks[is_anomalous], n_thresholds) + credit
    positives = is_anomalous.sum() + credit / 2
    return _RangeCounts(
        flagged=_cumulative_count(ranks, n_thresholds),
        true_positives=true_positives,
        positives=positives,
        recall=np.minimum(true_positives / positives, 1.0) * share_found,
    )


def _first_flagging_threshold(scores: NDArray[np.float64], n_thresholds: int) -> NDArray[np.intp]:
    """Index of the highest threshold that flags each row; the last threshold flags every row."""
    descending = np.sort(scores)[::-1]
    thresholds = descending[np.linspace(0, len(scores) - 1, n_thresholds).astype(np.intp)]
    return np.searchsorted(-thresholds, -scores, side="left")


def _cumulative_count(
    ranks: NDArray[np.intp], n_thresholds: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Sum of the weights (1 by default) of the rows that each threshold flags."""
    return np.cumsum(np.bincount(ranks, weights, minlength=n_thresholds), dtype=np.float64)


def _rows_around(
    events: NDArray[np.intp], is_anomalous: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Normal rows within `reach` rows of an event, nearest first, and distances to their two nearest events."""
    last_before = np.concatenate([[-np.inf, -np.inf], events[:, 1] - 1.0])
    first_after = np.concatenate([events[:, 0], [np.inf, np.inf]])
    rows = np.flatnonzero(~is_anomalous)
    n_before = np.searchsorted(events[:, 0], rows)
    left, next_left = rows - last_before[n_before + 1], rows - last_before[n_before]
    right, next_right = first_after[n_before] - rows, first_after[n_before + 1] - rows
    nearest = np.minimum(left, right)
    second = np.minimum(np.maximum(left, right), np.minimum(next_left, next_right))
    order = np.argsort(nearest, kind="stable")
    within = order[: np.searchsorted(nearest[order], reach, side="right")]
    return rows[within], nearest[within], second[within]


def _share_of_events_found(
    events: NDArray[np.intp], ranks: NDArray[np.intp], reach: int, n_thresholds: int
) -> NDArray[np.float64]:
    """Share of buffered events with a flagged row, at each threshold; overlapping buffered events count as one."""
    apart = events[1:, 0] - reach >= events[:-1, 1] + reach
    starts = np.maximum(events[np.concatenate([[True], apart]), 0] - reach, 0)
    stops = np.minimum(events[np.concatenate([apart, [True]]), 1] + reach, len(ranks))
    first_ranks = reduce_events(np.minimum, ranks, np.column_stack([starts, stops]))
    return _cumulative_count(first_ranks.astype(np.intp), n_thresholds) / len(starts)
