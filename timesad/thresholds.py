"""From scores to labels."""

from __future__ import annotations

from copy import deepcopy
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_threshold"]


def fit_threshold(scores: NDArray[np.float64], contamination: Any) -> tuple[float, NDArray[np.int_], Any]:
    """Threshold and labels of training scores.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Training scores, larger is more abnormal.
    contamination : float or thresholder
        Share of rows above the threshold, in (0, 0.5]; or an object with ``fit(scores)`` that sets ``labels_`` and
        ``thresh_``, as PyThresh's have. The object is copied before it is fitted.

    Returns
    -------
    threshold : float
        Rows with a larger score are anomalies.
    labels : ndarray of shape (n_rows,), int
        1 where anomalous.
    thresholder : object or None
        The fitted copy, where `contamination` was an object.

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
    # Some thresholders label without a number; PyOD then takes the share of anomalies, and so do we.
    threshold = float(thresholder.thresh_) if thresholder.thresh_ else float(labels.mean())
    return threshold, labels, thresholder
