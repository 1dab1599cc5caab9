"""Which thresholds a metric of flagged rows looks at, and how it counts what they flag."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ._validation import check_integer, check_number

__all__ = ["N_THRESHOLDS", "candidate_thresholds", "count_above", "f1_from_counts", "harmonic_mean"]

N_THRESHOLDS = 100  # of the default grid, as in TSB-AD


def candidate_thresholds(
    scores: NDArray[np.float64], threshold: float | Literal["best"], n_thresholds: int
) -> NDArray[np.float64]:
    """The one threshold that was asked for, or a grid to find the best on.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Scores.
    threshold : float or "best"
        Rows with a score above it are flagged. "best" gives a grid.
    n_thresholds : int
        Thresholds in the grid, evenly spaced from the lowest score to the highest; at least 2.

    Returns
    -------
    thresholds : ndarray of shape (1,) or (n_thresholds,)
        Increasing thresholds.

    Raises
    ------
    ValueError
        If `threshold` is another string or not finite, or `n_thresholds` is too small.
    TypeError
        If `threshold` is no number, or `n_thresholds` no integer.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._thresholds import candidate_thresholds
    >>> candidate_thresholds(np.array([0.0, 4.0]), "best", 3).tolist()
    [0.0, 2.0, 4.0]
    """
    n_thresholds = check_integer(n_thresholds, "n_thresholds", minimum=2)
    if isinstance(threshold, str):
        if threshold != "best":
            raise ValueError(f'threshold is {threshold!r}; expected a number or "best".')
        return np.linspace(scores.min(), scores.max(), n_thresholds)
    return np.array([check_number(threshold, "threshold")])


def count_above(values: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many values lie above each threshold.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Values in any order.
    thresholds : ndarray of shape (n_thresholds,)
        Thresholds.

    Returns
    -------
    counts : ndarray of shape (n_thresholds,), int
        Values strictly above each.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._thresholds import count_above
    >>> count_above(np.array([1.0, 3.0, 2.0]), np.array([0.0, 2.0])).tolist()
    [3, 1]
    """
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="right")


def harmonic_mean(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall, 0 where both are 0.

    Parameters
    ----------
    first, second : ndarray of one shape
        Values of at least 0.

    Returns
    -------
    mean : ndarray of that shape
        The harmonic mean.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._thresholds import harmonic_mean
    >>> harmonic_mean(np.array([0.0, 0.5]), np.array([0.0, 1.0])).round(3).tolist()
    [0.0, 0.667]
    """
    total = first + second
    return np.divide(2 * first * second, total, out=np.zeros_like(total), where=total > 0)


def f1_from_counts(true_positives: NDArray[np.intp], flagged: NDArray[np.intp], positives: int) -> NDArray[np.float64]:
    """F1 = 2 TP / (flagged + positives), the harmonic mean of precision and recall.

    Parameters
    ----------
    true_positives : ndarray of shape (n_thresholds,), int
        Anomalous rows flagged.
    flagged : ndarray of shape (n_thresholds,), int
        Rows flagged.
    positives : int
        Anomalous rows, at least 1.

    Returns
    -------
    f1 : ndarray of shape (n_thresholds,)
        In [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._thresholds import f1_from_counts
    >>> f1_from_counts(np.array([1]), np.array([1]), 3).tolist()
    [0.5]
    """
    return 2 * true_positives / (flagged + positives)
