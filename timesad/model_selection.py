"""Folds in time order whose test rows have rows before them."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import TimeSeriesSplit
from sklearn.utils.validation import check_scalar

__all__ = ["ContextTimeSeriesSplit"]


class ContextTimeSeriesSplit(TimeSeriesSplit):
    """`sklearn.model_selection.TimeSeriesSplit` with rows before each test fold.

    A score depends on the rows before it, so the first rows of a test fold are scored without their past. Here each
    test fold begins `context` rows earlier. ``get_scorer(name, context=context)`` does not evaluate these rows. They
    are the last training rows: take no other scorer, which would evaluate them.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.
    context : int, default=0
        Rows before each test fold that are passed with it. ``window_size + 4 * smoothing`` rows give the first row
        all of its windows and averages; with ``use_past=True`` more rows have an effect, too.
    max_train_size, test_size, gap
        As in `sklearn.model_selection.TimeSeriesSplit`.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.model_selection import ContextTimeSeriesSplit
    >>> folds = ContextTimeSeriesSplit(n_splits=2, context=2)
    >>> [(train.tolist(), test.tolist()) for train, test in folds.split(np.zeros((9, 1)))]
    [([0, 1, 2], [1, 2, 3, 4, 5]), ([0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8])]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        context: int = 0,
        max_train_size: int | None = None,
        test_size: int | None = None,
        gap: int = 0,
    ) -> None:
        super().__init__(n_splits, max_train_size=max_train_size, test_size=test_size, gap=gap)
        self.context = context

    def split(self, X: ArrayLike, y: Any = None, groups: Any = None) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Row numbers of each fold.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_channels)
            Rows in time order.
        y, groups : Ignored
            Present for API consistency.

        Yields
        ------
        train : ndarray
            Row numbers to fit on.
        test : ndarray
            Row numbers to score; the first `context` of them are not to be evaluated.

        Raises
        ------
        ValueError
            If there are fewer than `context` rows before the first test fold.
        """
        context = check_scalar(self.context, "context", Integral, min_val=0)
        for train, test in super().split(X):
            if test[0] < context:
                raise ValueError(
                    f"context={context} but only {test[0]} rows are before the first test fold. Use a smaller context, "
                    "fewer splits or a smaller test_size."
                )
            yield train, np.arange(test[0] - context, test[-1] + 1)
