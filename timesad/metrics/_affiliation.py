"""Affiliation precision and recall: distances between flagged rows and events, against a random guess.

The affiliation zone of an event is the set of points nearer to it than to any other event.
Precision of a flagged point: the probability that a random point of the zone is at least as far
from the event. Recall of an anomalous point: the probability that a random point of the zone is at
least as far from it as the nearest flagged point.

Both probabilities are piecewise linear in time, and their kinks are multiples of a quarter row
(borders between zones are multiples of half a row). The mean over one linear piece therefore equals
the value at its midpoint, so no integral is evaluated.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._events import find_events
from ._thresholds import N_THRESHOLDS, candidate_thresholds, harmonic_mean
from ._validation import check_labels_and_scores, warn_undefined

__all__ = ["affiliation_f1_score", "affiliation_precision_score", "affiliation_recall_score"]

QUARTERS = np.array([0.125, 0.375, 0.625, 0.875])  # midpoints of the quarters of a row, in rows


def affiliation_precision_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Affiliation precision: distance of flagged rows to events, against random rows of the zone.

    .. math:: P = \frac{1}{|\{z : F_z \neq \emptyset\}|} \sum_{z : F_z \neq \emptyset} \frac{1}{|F_z|} \int_{F_z}
        \Pr\bigl[\operatorname{dist}(U_z, E_z) \ge \operatorname{dist}(x, E_z)\bigr] \, dx

    Sum over the zones z; E is the event of the zone, F its flagged part, U uniform on the zone.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    threshold : float or "best", default="best"
        Rows with a score above it are flagged. "best" takes the threshold of a grid with the
        largest affiliation *F1*, as `affiliation_recall_score` does; the choice uses the labels.
        If `y_score` holds predicted labels, pass 0.5.
    n_thresholds : int, default=100
        Size of the grid, at least 2. Its thresholds are evenly spaced from the lowest to the
        highest score.

    Returns
    -------
    score : float
        In [0, 1], larger is better. Flagging every row or random rows gives about 0.5, not 0. 0.0
        with an ``UndefinedMetricWarning`` if `y_true` has no anomaly or no row is flagged, as in
        ``precision_score``.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `threshold` is not a number, or `n_thresholds` not an integer.

    References
    ----------
    .. [1] A. Huet, J. M. Navarro and D. Rossi, "Local Evaluation of Time Series Anomaly Detection
       Algorithms", KDD 2022, section 3.

    Examples
    --------
    >>> from timesad.metrics import affiliation_precision_score
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    >>> affiliation_precision_score(y_true, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0], threshold=0.5)
    1.0
    >>> round(affiliation_precision_score(y_true, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0], threshold=0.5), 3)  # one row early
    0.7
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    thresholds = candidate_thresholds(scores, threshold, n_thresholds)
    precision, _, _ = _at_best_threshold("Affiliation precision", is_anomalous, scores, thresholds)
    return precision


def affiliation_recall_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Affiliation recall: distance of events to flagged rows, against random rows of the zone.

    .. math:: R = \frac{1}{|\text{events}|} \sum_z \frac{1}{|E_z|} \int_{E_z}
        \Pr\bigl[|x - U_z| \ge \operatorname{dist}(x, F_z)\bigr] \, dx

    Sum over the zones z; E is the event of the zone, F its flagged part, U uniform on the zone. A
    zone without flagged rows adds 0.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    threshold : float or "best", default="best"
        Rows with a score above it are flagged. "best" takes the threshold of a grid with the
        largest affiliation *F1*, as `affiliation_precision_score` does; the choice uses the
        labels. If `y_score` holds predicted labels, pass 0.5.
    n_thresholds : int, default=100
        Size of the grid, at least 2. Its thresholds are evenly spaced from the lowest to the
        highest score.

    Returns
    -------
    score : float
        In [0, 1], larger is better. 0.0 with an ``UndefinedMetricWarning`` if `y_true` has no
        anomaly or no row is flagged.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `threshold` is not a number, or `n_thresholds` not an integer.

    References
    ----------
    .. [1] A. Huet, J. M. Navarro and D. Rossi, "Local Evaluation of Time Series Anomaly Detection
       Algorithms", KDD 2022, section 3.

    Examples
    --------
    >>> from timesad.metrics import affiliation_recall_score
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    >>> affiliation_recall_score(y_true, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0], threshold=0.5)
    1.0
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    thresholds = candidate_thresholds(scores, threshold, n_thresholds)
    _, recall, _ = _at_best_threshold("Affiliation recall", is_anomalous, scores, thresholds)
    return recall


def affiliation_f1_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    """Affiliation F1: harmonic mean of affiliation precision and recall ("Affiliation-F" in TSB-AD).

    A random score often reaches 0.67 and more. Compare the value with that of a random score on the
    same labels.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    threshold : float or "best", default="best"
        Rows with a score above it are flagged. "best" takes the maximum over a grid of
        thresholds: an upper bound, since the choice uses the labels. If `y_score` holds predicted
        labels, pass 0.5.
    n_thresholds : int, default=100
        Size of the grid, at least 2. Its thresholds are evenly spaced from the lowest to the
        highest score.

    Returns
    -------
    score : float
        In [0, 1], larger is better. 0.0 with an ``UndefinedMetricWarning`` if `y_true` has no
        anomaly or no row is flagged.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `threshold` is not a number, or `n_thresholds` not an integer.

    References
    ----------
    .. [1] A. Huet, J. M. Navarro and D. Rossi, "Local Evaluation of Time Series Anomaly Detection
       Algorithms", KDD 2022, section 3.

    Examples
    --------
    >>> from timesad.metrics import affiliation_f1_score
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    >>> affiliation_f1_score(y_true, y_true, threshold=0.5)
    1.0
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    thresholds = candidate_thresholds(scores, threshold, n_thresholds)
    _, _, f1 = _at_best_threshold("Affiliation F1", is_anomalous, scores, thresholds)
    return f1


def _at_best_threshold(
    metric: str, is_anomalous: NDArray[np.bool_], scores: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Precision, recall and F1 at the threshold with the largest F1."""
    if not is_anomalous.any():
        undefined = warn_undefined(metric, "y_true has no anomaly", 0.0)
        return undefined, undefined, undefined
    if not (scores > thresholds[0]).any():
        undefined = warn_undefined(metric, f"no score lies above {thresholds[0]:g}, nothing is flagged", 0.0)
        return undefined, undefined, undefined
    events = find_events(is_anomalous)
    borders = _zone_borders(events, len(scores))
    chances = _chances_of_being_farther(events, borders)
    precision, recall = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for index, threshold in enumerate(thresholds):
        is_flagged = scores > threshold
        if is_flagged.any():
            precision[index] = _precision(is_flagged, chances, borders)
            recall[index] = _recall(is_flagged, is_anomalous, events, borders)
    f1 = harmonic_mean(precision, recall)
    best = int(np.argmax(f1))
    return float(precision[best]), float(recall[best]), float(f1[best])


def _zone_borders(events: NDArray[np.intp], n_rows: int) -> NDArray[np.intp]:
    """Borders of the zones in half rows, midway between neighbouring events: shape (n_events + 1,)."""
    return np.concatenate([[0], events[:-1, 1] + events[1:, 0], [2 * n_rows]])


def _chances_of_being_farther(events: NDArray[np.intp], borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """For each half row, the probability that a random point of its zone is at least as far from the event."""
    zone_sizes = np.diff(borders)  # in half rows
    zone = np.repeat(np.arange(len(events)), zone_sizes)  # (half row,)
    start, stop = events[zone].T
    left, right = borders[zone] / 2, borders[zone + 1] / 2
    middle = np.arange(len(zone)) / 2 + 0.25
    distance = np.maximum(start - middle, middle - stop)
    nearer = (stop - start) + np.minimum(distance, start - left) + np.minimum(distance, right - stop)
    return np.where(distance < 0, 1.0, 1.0 - nearer / (right - left))


def _precision(is_flagged: NDArray[np.bool_], chances: NDArray[np.float64], borders: NDArray[np.intp]) -> float:
    weights = np.repeat(is_flagged, 2).astype(np.float64)  # (half row,)
    flagged = np.add.reduceat(weights, borders[:-1])  # (zone,)
    credit = np.add.reduceat(weights * chances, borders[:-1])
    return float(np.mean(credit[flagged > 0] / flagged[flagged > 0]))


def _recall(
    is_flagged: NDArray[np.bool_],
    is_anomalous: NDArray[np.bool_],
    events: NDArray[np.intp],
    borders: NDArray[np.intp],
) -> float:
    sizes = np.diff(events, axis=1).ravel()
    zone = np.repeat(np.arange(len(events)), sizes)  # (anomalous row,)
    left, right = borders[zone] / 2, borders[zone + 1] / 2

    rows, flagged_rows = np.flatnonzero(is_anomalous), np.flatnonzero(is_flagged)
    n_before = np.searchsorted(flagged_rows, rows)
    before = np.concatenate([[-np.inf], flagged_rows + 1.0])[n_before]
    after = np.concatenate([flagged_rows, [np.inf]])[n_before]
    # Flagged rows outside the zone belong to another event.
    before = np.where(before > left, before, -np.inf)
    after = np.where(after < right, after, np.inf)

    time = rows[:, None] + QUARTERS  # (anomalous row, quarter)
    distance = np.minimum(time - before[:, None], after[:, None] - time)
    nearer = np.minimum(distance, time - left[:, None]) + np.minimum(distance, right[:, None] - time)
    chances = np.where(is_flagged[rows], 1.0, 1.0 - nearer.mean(axis=1) / (right - left))
    return float(np.mean(np.add.reduceat(chances, np.cumsum(sizes) - sizes) / sizes))
