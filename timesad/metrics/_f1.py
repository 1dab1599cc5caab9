"""F1 of flagged rows: by row, by event, and with point adjustment above k percent (PA%K)."""

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

DENOMINATOR_OFFSET = 1e-5  # avoids 0 / 0; TSB-AD's published values contain it
PERCENTS = np.linspace(0.0, 100.0, 101)  # k of PA%K, in percent


def best_f1_score(y_true: ArrayLike, y_score: ArrayLike) -> float:
    r"""Maximum row-wise F1 over all thresholds ("Standard-F1" in TSB-AD).

    .. math:: \max_\delta \frac{2 \, p_\delta \, r_\delta}{p_\delta + r_\delta + 10^{-5}}

    Precision p and recall r are those of scikit-learn's ``precision_recall_curve``. The constant is
    TSB-AD's, so that values equal the published ones; a perfect score gives 0.999995.

    The choice of the threshold uses the labels, so the value is an upper bound. For a detector's
    own threshold use ``sklearn.metrics.f1_score(y_true, detector.predict(X))``.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal. Only their order matters.

    Returns
    -------
    score : float
        In [0, 1), larger is better. 0.0 with an ``UndefinedMetricWarning`` if `y_true` has no
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
    """Event-based F1: recall over events, precision over rows ("Event-based-F1" in TSB-AD).

    Recall is the share of events (runs of anomalous rows) with at least one flagged row. Precision
    is the share of flagged rows that are anomalous. F1 is their harmonic mean.

    Unlike point adjustment, unflagged rows do not raise precision. One flagged row still finds a
    long event.

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
    r"""Row-wise F1 after point adjustment of events with more than k percent flagged rows (PA%K).

    .. math:: \widehat{y_t} = 1 \text{ if } s_t > \delta, \text{ or if } t \in E \text{ and }
        \frac{|\{t' \in E : s_{t'} > \delta\}|}{|E|} > \frac{k}{100}

    E is an event; F1 is computed from the adjusted flags. The first row of the series is not
    adjusted, as in TSB-AD. ``k=100`` adjusts no event (row-wise F1).

    **k = 0 is plain point adjustment (PA; "PA-F1" in TSB-AD) and inflates F1**: one flagged row
    marks the whole event as flagged, so random scores reach values near 1 on common benchmarks. Use
    it to reproduce published tables only. To compare detectors use `pa_k_auc_score`, or better a
    metric without adjustment such as `vus_pr_score`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels of one series in time order, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Scores, larger = more abnormal.
    k : float, default=20.0
        Percent of the rows of an event, in [0, 100]. If more of them are flagged, all rows of the
        event count as flagged.
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
        In [0, 1], larger is better; non-increasing in `k`. 0.0 with an ``UndefinedMetricWarning``
        if `y_true` has no anomaly.

    Raises
    ------
    ValueError
        If labels are not 0 and 1, scores are not finite, lengths differ or a parameter is out of
        range.
    TypeError
        If `k` or `threshold` is not a number, or `n_thresholds` not an integer.

    See Also
    --------
    pa_k_auc_score : Area under this F1 over k.

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
    """Area under `pa_k_f1_score` as a function of k, by the trapezoidal rule, divided by 100.

    k takes the values 0, 1, …, 100 percent. With ``threshold="best"`` each k has its own best
    threshold.

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
    """Maximum F1 over the thresholds, for each percent: shape (n_percents,).

    More than k percent of an event of m rows are above a threshold if and only if its
    (⌊k·m/100⌋ + 1)-th highest score is. Adjustment therefore equals raising every row of the event
    to at least that score, and one count serves all thresholds.
    """
    if not is_anomalous.any():
        return np.full(len(percents), warn_undefined(metric, "y_true has no anomaly", 0.0))
    sizes = np.diff(find_events(is_anomalous), axis=1).ravel()
    ends = np.cumsum(sizes)
    inside = scores[is_anomalous]
    ascending = inside[np.lexsort((inside, np.repeat(np.arange(len(sizes)), sizes)))]  # sorted within each event
    false_positives = count_above(scores[~is_anomalous], thresholds)

    best = np.empty(len(percents))
    for index, percent in enumerate(percents):
        needed = np.floor(percent * sizes / 100.0).astype(np.intp) + 1
        lifted_to = np.where(needed <= sizes, ascending[ends - np.minimum(needed, sizes)], -np.inf)
        adjusted = np.maximum(inside, np.repeat(lifted_to, sizes))
        if is_anomalous[0]:
            adjusted[0] = scores[0]  # TSB-AD does not adjust row 0, and its published values contain that
        true_positives = count_above(adjusted, thresholds)
        best[index] = f1_from_counts(true_positives, true_positives + false_positives, len(inside)).max()
    return best
