"""Results as arrays, or with the index of X where scikit-learn's configuration says so."""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._set_output import _get_output_config

from ._input import index_of

__all__ = ["OUTPUTS", "in_output"]

OUTPUTS = ("default", "pandas")


def in_output(detector: Any, X: ArrayLike, values: NDArray[Any], name: Any) -> Any:
    """Values of the rows of X in the container that `set_output` or ``sklearn.set_config`` asks for.

    Parameters
    ----------
    detector : estimator
        Whose configuration counts; without one, the global one does.
    X : array-like of shape (n_rows, n_channels)
        Its index is taken, if it has one.
    values : ndarray of shape (n_rows,) or (n_rows, n_columns)
        One result a row.
    name : str or sequence of str
        Name of the Series, or of each column.

    Returns
    -------
    values : ndarray, Series or DataFrame
    """
    if _get_output_config("transform", detector)["dense"] != "pandas":
        return values
    index = index_of(X)
    if values.ndim == 1:
        return pd.Series(values, index=index, name=name)
    return pd.DataFrame(values, index=index, columns=name)
