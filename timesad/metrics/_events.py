"""Events: runs of anomalous or flagged rows, as half-open intervals of row numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_events", "reduce_events"]


def find_events(is_flagged: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Find the maximal runs of True.

    Parameters
    ----------
    is_flagged : ndarray of shape (n_rows,), bool
        True in anomalous or flagged rows.

    Returns
    -------
    events : ndarray of shape (n_events, 2), int
        First row of each run and the row after its last, in time order.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._events import find_events
    >>> find_events(np.array([True, True, False, False, True])).tolist()
    [[0, 2], [4, 5]]
    """
    padded = np.concatenate([[False], is_flagged, [False]])
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def reduce_events(ufunc: np.ufunc, values: NDArray[np.generic], events: NDArray[np.intp]) -> NDArray[np.generic]:
    """Apply a ufunc's reduction to the rows of each event.

    Parameters
    ----------
    ufunc : numpy.ufunc
        For example ``np.maximum`` or ``np.add``.
    values : ndarray of shape (n_rows,)
        One value per row.
    events : ndarray of shape (n_events, 2), int
        At least one half-open interval of rows, in time order. Intervals are disjoint and not
        empty; they may touch.

    Returns
    -------
    reduced : ndarray of shape (n_events,)
        One value per event.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._events import reduce_events
    >>> reduce_events(np.maximum, np.array([3, 1, 2, 9]), np.array([[0, 2], [2, 4]])).tolist()
    [3, 9]
    """
    # One value is appended because reduceat needs every end inside the array.
    # Every second result covers the rows between two events and is dropped.
    reduced: NDArray[np.generic] = ufunc.reduceat(np.append(values, values[-1]), events.ravel())[::2]
    return reduced
