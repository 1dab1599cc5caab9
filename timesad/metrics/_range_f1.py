"""F1 of range-based precision and recall (Tatbul et al., NeurIPS 2018)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._events import find_events
from ._thresholds import N_THRESHOLDS, candidate_thresholds, harmonic_mean
from ._validation import check_labels_and_scores, warn_undefined

__all__ = ["range_f1_score"]

EXISTENCE_WEIGHT = 0.2  # α of recall, a fraction; precision has no existence term


def range_f1_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Harmonic mean of range-based precision and recall ("R-based-F1" in TSB-AD).

    R are the true events, P the flagged runs, and x(r) is the number of runs that overlap r:

    .. math::

        \text{recall} = \frac{1}{|R|} \sum_{r \in R} \Bigl(
        0.2 \cdot [r \text{ is touched}] + 0.8 \cdot \frac{|r \cap P|}{|r|} \cdot \frac{1}{\max(x(r), 1)}
        \Bigr), \\
        \text{precision} = \frac{1}{|P|} \sum_{p \in P} \frac{|p \cap R|}{|p|} \cdot \frac{1}{\max(x(p), 1)}

    The settings are those of TSB-AD: flat positional bias, reciprocal cardinality, existence weight
    α = 0.2. An event found in several pieces adds less than an event found in one.

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
        anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `threshold` is not a number, or `n_thresholds` not an integer.

    References
    ----------
    .. [1] N. Tatbul, T. J. Lee, S. Zdonik, M. Alam and J. Gottschlich, "Precision and Recall for
       Time Series", NeurIPS 2018, equations 1 to 7.

    Examples
    --------
    >>> from timesad.metrics import range_f1_score
    >>> y_true = [0, 1, 1, 1, 1, 0]
    >>> range_f1_score(y_true, [0, 1, 1, 1, 1, 0], threshold=0.5)
    1.0
    >>> round(range_f1_score(y_true, [0, 1, 0, 0, 1, 0], threshold=0.5), 3)  # half of the event, in two pieces
    0.571
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    return _range_f1(is_anomalous, scores, candidate_thresholds(scores, threshold, n_thresholds))


def _range_f1(is_anomalous: NDArray[np.bool_], scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> float:
    if not is_anomalous.any():
        return warn_undefined("Range-based F1", "y_true has no anomaly", 0.0)
    events = find_events(is_anomalous)
    recall, precision = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for index, threshold in enumerate(thresholds):
        is_flagged = scores > threshold
        if is_flagged.any():
            recall[index] = _mean_reward(events, is_flagged, EXISTENCE_WEIGHT)
            precision[index] = _mean_reward(find_events(is_flagged), is_anomalous, existence_weight=0.0)
    return float(harmonic_mean(precision, recall).max())


def _mean_reward(events: NDArray[np.intp], is_covered: NDArray[np.bool_], existence_weight: float) -> float:
    """Mean over the events: weighted sum of existence and overlap / number of covered pieces."""
    starts, stops = events.T
    n_covered = np.concatenate([[0], np.cumsum(is_covered)])
    begins_piece = np.concatenate([[False], is_covered[1:] & ~is_covered[:-1]])
    n_begun = np.concatenate([[0], np.cumsum(begins_piece)])
    covered = n_covered[stops] - n_covered[starts]
    pieces = is_covered[starts] + n_begun[stops] - n_begun[starts + 1]
    overlap = covered / (stops - starts) / np.maximum(pieces, 1)
    return float(np.mean(existence_weight * (covered > 0) + (1.0 - existence_weight) * overlap))
