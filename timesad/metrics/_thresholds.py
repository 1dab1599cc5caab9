"""Thresholds of the metrics of flagged rows, and counts of flagged rows."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ._validation import check_integer, check_number

__all__ = ["N_THRESHOLDS", "candidate_thresholds", "count_above", "f1_from_counts", "harmonic_mean"]

N_THRESHOLDS = 100  # default size of the grid, as in TSB-AD


def candidate_thresholds(
    scores: NDArray[np.float64], threshold: float | Literal["best"], n_thresholds: int
) -> NDArray[np.float64]:
    """Thresholds to evaluate: the given one, or a grid over the range of the scores.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Scores.
    threshold : float or "best"
        The threshold, or "best" for the grid.
    n_thresholds : int
        Size of the grid, at least 2. Its thresholds are evenly spaced from the lowest to the
        highest score.

    Returns
    -------
    thresholds : ndarray of shape (1,) or (n_thresholds,)
        Thresholds, non-decreasing.

    Raises
    ------
    ValueError
        If `threshold` is another string or not finite, or `n_thresholds` is too small.
    TypeError
        If `threshold` is not a number, or `n_thresholds` not an integer.

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
    """Count the values strictly above each threshold.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Values in any order.
    thresholds : ndarray of shape (n_thresholds,)
        Thresholds.

    Returns
    -------
    counts : ndarray of shape (n_thresholds,), int
        Number of values above each threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._thresholds import count_above
    >>> count_above(np.array([1.0, 3.0, 2.0]), np.array([0.0, 2.0])).tolist()
    [3, 1]
    """
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="right")


def harmonic_mean(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonic mean 2ab / (a + b), 0 where both are 0.

    Parameters
    ----------
    first, second : ndarray of the same shape
        Non-negative values.

    Returns
    -------
    mean : ndarray of the same shape
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
        Number of flagged anomalous rows.
    flagged : ndarray of shape (n_thresholds,), int
        Number of flagged rows.
    positives : int
        Number of anomalous rows, at least 1.

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
