"""Events: the runs of flagged rows, as half-open pairs of row numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_events", "reduce_events"]


def find_events(is_flagged: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Runs of True.

    Parameters
    ----------
    is_flagged : ndarray of shape (n_rows,), bool
        Which rows are anomalous or flagged.

    Returns
    -------
    events : ndarray of shape (n_events, 2), int
        First row and the row after the last of each run, in time order; no two runs touch.

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
    """Reduce `values` over the rows of each event.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Such as ``np.maximum`` or ``np.add``.
    values : ndarray of shape (n_rows,)
        One value a row.
    events : ndarray of shape (n_events, 2), int
        Disjoint half-open runs in time order, at least one, none of them empty; they may touch.

    Returns
    -------
    reduced : ndarray of shape (n_events,)
        One value an event.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics._events import reduce_events
    >>> reduce_events(np.maximum, np.array([3, 1, 2, 9]), np.array([[0, 2], [2, 4]])).tolist()
    [3, 9]
    """
    # One value more than rows, so that an event that ends with the series ends inside the array; every second result is
    # the stretch between two events.
    reduced: NDArray[np.generic] = ufunc.reduceat(np.append(values, values[-1]), events.ravel())[::2]
    return reduced
