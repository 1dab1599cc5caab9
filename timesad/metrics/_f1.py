"""F1 of flagged rows: plain, by event, and point-adjusted in the controlled form of PA%K."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from sklearn.metrics import precision_recall_curve

from ._events import find_events, reduce_events
from ._thresholds import N_THRESHOLDS, candidate_thresholds, count_above, f1_from_counts, harmonic_mean
from ._validation import check_labels_and_scores, check_number, warn_undefined

__all__ = ["best_f1_score", "event_f1_score", "pa_k_auc_score", "pa_k_f1_score"]

DENOMINATOR_OFFSET = 1e-5  # TSB-AD's guard against 0 / 0, kept because published values contain it
PERCENTS = np.linspace(0.0, 100.0, 101)


def best_f1_score(y_true: ArrayLike, y_score: ArrayLike) -> float:
    r"""Highest row-wise F1 that any threshold reaches ("Standard-F1" in TSB-AD).

    .. math:: \max_\delta \frac{2 \, p_\delta \, r_\delta}{p_\delta + r_\delta + 10^{-5}}

    over all thresholds, with precision p and recall r from scikit-learn's
    ``precision_recall_curve``. The small constant is TSB-AD's, kept so that values equal the
    published ones; a perfect score therefore gets 0.999995.

    The threshold is chosen with the labels, so this is what a detector *could* reach, not what it
    does. For its own threshold use ``sklearn.metrics.f1_score(y_true, detector.predict(X))``.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal. Only their order matters.

    Returns
    -------
    score : float
        In [0, 1), larger is better. 0.0 with an ``UndefinedMetricWarning`` where `y_true` has no
        anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite or lengths differ.

    Examples
    --------
    >>> from timesad.metrics import best_f1_score
    >>> round(best_f1_score([0, 0, 1, 1], [0.1, 0.9, 0.8, 0.7]), 3)
    0.8
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    return _best_f1(is_anomalous, scores)


def _best_f1(is_anomalous: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    if not is_anomalous.any():
        return warn_undefined("Best F1", "y_true has no anomaly", 0.0)
    precision, recall, _ = precision_recall_curve(is_anomalous, scores)
    return float(np.max(2 * precision * recall / (precision + recall + DENOMINATOR_OFFSET)))


def event_f1_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    """Event-based F1: recall counts events, precision counts rows ("Event-based-F1" in TSB-AD).

    An event (a run of anomalous rows) is found if any of its rows is flagged; precision is the
    share of flagged rows that are anomalous; the result is their harmonic mean. Unlike point
    adjustment it gives no precision for rows that were not flagged, but one lucky row still finds a
    long event.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels, 0 (normal) or 1 (anomalous), of one series in time order.
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    threshold : float or "best", default="best"
        Rows with a score above it are flagged. "best" takes the best value over a grid: an upper
        bound, chosen with the labels. For labels in place of scores pass 0.5.
    n_thresholds : int, default=100
        Thresholds of that grid, evenly spaced from the lowest score to the highest; at least 2.

    Returns
    -------
    score : float
        In [0, 1], larger is better. 0.0 with an ``UndefinedMetricWarning`` where `y_true` has no
        anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `threshold` is no number, or `n_thresholds` no integer.

    References
    ----------
    .. [1] A. Garg, W. Zhang, J. Samaran, R. Savitha and C.-S. Foo, "An Evaluation of Anomaly
       Detection and Diagnosis in Multivariate Time Series", IEEE TNNLS 33(6), 2022 (there
       "composite F-score").

    Examples
    --------
    >>> from timesad.metrics import event_f1_score
    >>> y_true = [0, 1, 1, 1, 0, 1]
    >>> y_pred = [0, 0, 1, 0, 0, 0]
    >>> round(event_f1_score(y_true, y_pred, threshold=0.5), 3)  # precision 1, one of two events
    0.667
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    return _event_f1(is_anomalous, scores, candidate_thresholds(scores, threshold, n_thresholds))


def _event_f1(is_anomalous: NDArray[np.bool_], scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> float:
    if not is_anomalous.any():
        return warn_undefined("Event-based F1", "y_true has no anomaly", 0.0)
    peaks = reduce_events(np.maximum, scores, find_events(is_anomalous)).astype(np.float64)
    recall = count_above(peaks, thresholds) / len(peaks)
    precision = count_above(scores[is_anomalous], thresholds) / np.maximum(count_above(scores, thresholds), 1)
    return float(harmonic_mean(precision, recall).max())


def pa_k_f1_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    k: float = 20.0,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    r"""Row-wise F1 after point adjustment of the events of which more than k percent was flagged (PA%K).

    .. math:: \hat y_t = 1 \text{ if } s_t > \delta, \text{ or if } t \in E \text{ and }
        \frac{|\{t' \in E : s_{t'} > \delta\}|}{|E|} > \frac{k}{100}

    with E an event; then F1 as usual. The very first row of the series is never adjusted, as in
    TSB-AD. ``k=100`` adjusts nothing (plain F1). **``k=0`` is plain point adjustment (PA), and it
    inflates**: one flagged row makes a whole event found, so that
    *random scores look state of the art* on common benchmarks. It is here to reproduce published
    tables ("PA-F1" in TSB-AD), never to compare detectors by; take `pa_k_auc_score`, or better a
    metric without adjustment such as `vus_pr_score`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels, 0 (normal) or 1 (anomalous), of one series in time order.
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    k : float, default=20.0
        Percent of an event, in [0, 100], that must be exceeded for the whole event to count as
        flagged.
    threshold : float or "best", default="best"
        Rows with a score above it are flagged. "best" takes the best value over a grid: an upper
        bound, chosen with the labels. For labels in place of scores pass 0.5.
    n_thresholds : int, default=100
        Thresholds of that grid, evenly spaced from the lowest score to the highest; at least 2.

    Returns
    -------
    score : float
        In [0, 1], larger is better; never rises with `k`. 0.0 with an ``UndefinedMetricWarning``
        where `y_true` has no anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `k` or `threshold` is no number, or `n_thresholds` no integer.

    See Also
    --------
    pa_k_auc_score : The same, averaged over k.

    References
    ----------
    .. [1] S. Kim, K. Choi, H.-S. Choi, B. Lee and S. Yoon, "Towards a Rigorous Evaluation of
       Time-Series Anomaly Detection", AAAI 2022, section 4.

    Examples
    --------
    >>> from timesad.metrics import pa_k_f1_score
    >>> y_true = [0, 1, 1, 1, 1, 0, 0, 0]
    >>> y_pred = [0, 0, 1, 0, 0, 0, 0, 0]  # a quarter of the event
    >>> [round(pa_k_f1_score(y_true, y_pred, k=k, threshold=0.5), 3) for k in (0, 20, 25, 100)]
    [1.0, 1.0, 0.4, 0.4]
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    percent = np.array([check_number(k, "k", low=0.0, high=100.0)])
    thresholds = candidate_thresholds(scores, threshold, n_thresholds)
    return float(_pa_k_f1("PA%K F1", is_anomalous, scores, percent, thresholds)[0])


def pa_k_auc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    threshold: float | Literal["best"] = "best",
    n_thresholds: int = N_THRESHOLDS,
) -> float:
    """Area under `pa_k_f1_score` over k from 0 to 100 percent, so that no k has to be chosen.

    The best threshold is looked for anew at each k = 0, 1, …, 100; the area is that of the
    trapezoids, divided by 100.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels, 0 (normal) or 1 (anomalous), of one series in time order.
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    threshold : float or "best", default="best"
        Rows with a score above it are flagged. "best" takes the best value over a grid: an upper
        bound, chosen with the labels. For labels in place of scores pass 0.5.
    n_thresholds : int, default=100
        Thresholds of that grid, evenly spaced from the lowest score to the highest; at least 2.

    Returns
    -------
    score : float
        In [0, 1], larger is better. 0.0 with an ``UndefinedMetricWarning`` where `y_true` has no
        anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `threshold` is no number, or `n_thresholds` no integer.

    References
    ----------
    .. [1] S. Kim, K. Choi, H.-S. Choi, B. Lee and S. Yoon, "Towards a Rigorous Evaluation of
       Time-Series Anomaly Detection", AAAI 2022, section 4.

    Examples
    --------
    >>> from timesad.metrics import pa_k_auc_score
    >>> y_true = [0, 1, 1, 1, 1, 0, 0, 0]
    >>> pa_k_auc_score(y_true, y_true)
    1.0
    >>> round(pa_k_auc_score(y_true, [0, 0, 1, 0, 0, 0, 0, 0], threshold=0.5), 3)  # adjusted below k = 25 only
    0.547
    """
    is_anomalous, scores = check_labels_and_scores(y_true, y_score)
    thresholds = candidate_thresholds(scores, threshold, n_thresholds)
    curve = _pa_k_f1("Area under PA%K F1", is_anomalous, scores, PERCENTS, thresholds)
    return float(trapezoid(y=curve, x=PERCENTS) / PERCENTS[-1])


def _pa_k_f1(
    metric: str,
    is_anomalous: NDArray[np.bool_],
    scores: NDArray[np.float64],
    percents: NDArray[np.float64],
    thresholds: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Best F1 over the thresholds, for each percent.

    More than k percent of an event of m rows lie above a threshold just if its (⌊k·m/100⌋ + 1)-th
    highest score does. So adjustment is the same as lifting every row of the event to that score,
    and all thresholds are counted as without it.
    """
    if not is_anomalous.any():
        return np.full(len(percents), warn_undefined(metric, "y_true has no anomaly", 0.0))
    sizes = np.diff(find_events(is_anomalous), axis=1).ravel()
    ends = np.cumsum(sizes)
    inside = scores[is_anomalous]
    ascending = inside[np.lexsort((inside, np.repeat(np.arange(len(sizes)), sizes)))]  # event by event
    false_positives = count_above(scores[~is_anomalous], thresholds)

    best = np.empty(len(percents))
    for index, percent in enumerate(percents):
        needed = np.floor(percent * sizes / 100.0).astype(np.intp) + 1
        lifted_to = np.where(needed <= sizes, ascending[ends - np.minimum(needed, sizes)], -np.inf)
        adjusted = np.maximum(inside, np.repeat(lifted_to, sizes))
        if is_anomalous[0]:
            adjusted[0] = scores[0]  # TSB-AD fills back to row 1 only, and its published values contain that
        true_positives = count_above(adjusted, thresholds)
        best[index] = f1_from_counts(true_positives, true_positives + false_positives, len(inside)).max()
    return best
