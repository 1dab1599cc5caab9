"""From scores to labels, probabilities and confidences."""

from __future__ import annotations

from copy import deepcopy
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf
from scipy.stats import binom

__all__ = ["anomaly_probability", "fit_threshold", "label_confidence"]


def fit_threshold(scores: NDArray[np.float64], contamination: Any) -> tuple[float, NDArray[np.int_], Any]:
    """Threshold and labels of training scores.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Training scores; larger is more abnormal.
    contamination : float or thresholder
        Share of rows above the threshold, in (0, 0.5]: the threshold is the ``1 - contamination`` quantile. Or an
        object with ``fit(scores)`` that sets ``labels_`` and ``thresh_``, as PyThresh's; it is copied first.

    Returns
    -------
    threshold : float
        Rows with a larger score are anomalies.
    labels : ndarray of shape (n_rows,), int
        1 for anomalies.
    thresholder : object or None
        The fitted copy, if `contamination` is an object.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import fit_threshold
    >>> threshold, labels, _ = fit_threshold(np.arange(10.0), 0.2)
    >>> labels.tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    """
    if isinstance(contamination, Real):
        threshold = float(np.percentile(scores, 100 * (1 - float(contamination))))
        return threshold, (scores > threshold).astype(int), None
    thresholder = deepcopy(contamination)
    thresholder.fit(scores)
    labels = np.asarray(thresholder.labels_).astype(int).ravel()
    # Some thresholders give labels and no number. PyOD then stores the share of anomalies; so do we.
    threshold = float(thresholder.thresh_) if thresholder.thresh_ else float(labels.mean())
    return threshold, labels, thresholder


def anomaly_probability(
    scores: NDArray[np.float64], training_scores: NDArray[np.float64], method: str
) -> NDArray[np.float64]:
    """Probability of each score to be an anomaly, in [0, 1].

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Scores of any rows.
    training_scores : ndarray of shape (n_training_rows,)
        Scores of the training rows.
    method : {"linear", "unify"}
        "linear": 0 at the smallest training score and 1 at the largest. "unify": erf(z / √2) of the standardised score
        z, and 0 below the mean (Kriegel et al., "Interpreting and unifying outlier scores", SDM 2011).

    Returns
    -------
    probability : ndarray of shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import anomaly_probability
    >>> anomaly_probability(np.array([-1.0, 1.0, 9.0]), np.array([0.0, 4.0]), "linear").tolist()
    [0.0, 0.25, 1.0]
    """
    # A constant score has no width; 1.0 keeps the quotient finite.
    if method == "linear":
        lowest, highest = training_scores.min(), training_scores.max()
        probability = (scores - lowest) / ((highest - lowest) or 1.0)
    else:
        probability = erf((scores - training_scores.mean()) / ((training_scores.std() or 1.0) * np.sqrt(2)))
    return probability.clip(0, 1)


def label_confidence(
    scores: NDArray[np.float64],
    labels: NDArray[np.int_],
    training_scores: NDArray[np.float64],
    contamination: float,
) -> NDArray[np.float64]:
    """Probability that each row keeps its label if the training rows are drawn again.

    Perini, Vercruyssen and Davis, ECML PKDD 2020. The numbers equal PyOD's, in O(n log n) in place of O(n²).

    Parameters
    ----------
    scores, labels : ndarray of shape (n_rows,)
        Scores of any rows, and their labels.
    training_scores : ndarray of shape (n_training_rows,)
        Scores of the training rows.
    contamination : float
        Share of training rows labelled as anomalies.

    Returns
    -------
    confidence : ndarray of shape (n_rows,)
        In [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import label_confidence
    >>> label_confidence(np.array([0.0, 5.0]), np.array([0, 1]), np.arange(4.0), 0.5)
    array([0.88888889, 0.86805556])
    """
    n_training = len(training_scores)
    below = np.searchsorted(np.sort(training_scores), scores, side="right")
    probability = (1 + below) / (2 + n_training)
    anomalous = 1 - binom.cdf(n_training - int(n_training * contamination), n_training, probability)
    confidence: NDArray[np.float64] = np.where(labels == 0, 1 - anomalous, anomalous)
    return confidence
