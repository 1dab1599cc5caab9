"""Validation of labels, scores and parameters, shared by all metrics."""

from __future__ import annotations

import warnings
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning

__all__ = ["check_integer", "check_labels_and_scores", "check_number", "warn_undefined"]


def check_labels_and_scores(y_true: ArrayLike, y_score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Convert labels to booleans and scores to float64.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Labels, 0 (normal) or 1 (anomalous).
    y_score : array-like of shape (n_rows,)
        Finite scores, larger = more abnormal.

    Returns
    -------
    is_anomalous : ndarray of shape (n_rows,), bool
        True in anomalous rows.
    scores : ndarray of shape (n_rows,), float64
        The scores.

    Raises
    ------
    ValueError
        If the arrays are empty, not 1-D or of different lengths, if a label is neither 0 nor 1, or
        if a score is not finite.
    TypeError
        If the scores are not numbers.

    Examples
    --------
    >>> from timesad.metrics._validation import check_labels_and_scores
    >>> check_labels_and_scores([0, 1], [3, 4])[0].tolist()
    [False, True]
    """
    labels = _check_one_value_a_row(np.asarray(y_true), "y_true")
    scores = _check_one_value_a_row(np.asarray(y_score), "y_score")
    if len(labels) != len(scores):
        raise ValueError(
            f"y_true has {len(labels)} rows but y_score has {len(scores)}; pass one label and one score a row."
        )
    return _check_labels(labels), _check_scores(scores)


def _check_one_value_a_row(values: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    if values.ndim != 1:
        raise ValueError(
            f"{name} has shape {values.shape}; expected one value a row, shape (n_rows,). Try np.ravel({name})."
        )
    if len(values) == 0:
        raise ValueError(f"{name} is empty; a metric needs at least one row.")
    return values


def _check_labels(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    is_anomalous = np.asarray(labels == 1, dtype=bool)
    unknown = np.flatnonzero(~is_anomalous & np.asarray(labels != 0, dtype=bool))
    if len(unknown) > 0:
        raise ValueError(
            f"y_true has the label {labels[unknown[0]]!r} (first at row {unknown[0]}); labels are 0 (normal) and 1 "
            "(anomalous). Convert them first: (y_true == -1).astype(int) where anomalies are marked -1."
        )
    return is_anomalous


def _check_scores(scores: NDArray[np.generic]) -> NDArray[np.float64]:
    if scores.dtype.kind not in "biufO":
        raise TypeError(f"y_score has dtype {scores.dtype}; expected real numbers, one score a row.")
    as_float = scores.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(as_float))
    if len(bad) > 0:
        raise ValueError(
            f"y_score has {len(bad)} NaN or infinite values (first at row {bad[0]}); every row needs a finite score. "
            "Find out why the detector gave none there, or leave these rows out of y_true and y_score alike."
        )
    return as_float


def check_integer(value: object, name: str, minimum: int) -> int:
    """Return `value` as an int of at least `minimum`.

    Parameters
    ----------
    value : object
        Value of a parameter.
    name : str
        Name of the parameter, for the error message.
    minimum : int
        Smallest valid value.

    Returns
    -------
    value : int
        The value.

    Raises
    ------
    TypeError
        If `value` is not an integer (a bool is not one).
    ValueError
        If `value` is below `minimum`.

    Examples
    --------
    >>> from timesad.metrics._validation import check_integer
    >>> check_integer(3, "buffer", minimum=0)
    3
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}; expected an integer of at least {minimum}.")
    if value < minimum:
        raise ValueError(f"{name} is {value}; expected an integer of at least {minimum}.")
    return int(value)


def check_number(value: object, name: str, low: float = -np.inf, high: float = np.inf) -> float:
    """Return `value` as a finite float in [low, high].

    Parameters
    ----------
    value : object
        Value of a parameter.
    name : str
        Name of the parameter, for the error message.
    low, high : float, default=-inf, inf
        Closed interval of the valid values.

    Returns
    -------
    value : float
        The value.

    Raises
    ------
    TypeError
        If `value` is not a real number (a bool is not one).
    ValueError
        If `value` is NaN, infinite or outside the interval.

    Examples
    --------
    >>> from timesad.metrics._validation import check_number
    >>> check_number(20, "k", low=0, high=100)
    20.0
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; expected a number.")
    number = float(value)
    if not np.isfinite(number) or not low <= number <= high:
        raise ValueError(f"{name} is {value}; expected a finite number in [{low:g}, {high:g}].")
    return number


def warn_undefined(metric: str, reason: str, value: float) -> float:
    """Warn that a metric is undefined on this input, as scikit-learn does, and return its substitute.

    Parameters
    ----------
    metric : str
        Name of the metric, for the message.
    reason : str
        Property of the input that leaves the metric undefined, for the message.
    value : float
        The substitute: the value of scikit-learn's metric of the same family.

    Returns
    -------
    value : float
        The substitute.

    Warns
    -----
    UndefinedMetricWarning
        Always, attributed to the caller of the public metric.

    Examples
    --------
    >>> import warnings
    >>> from timesad.metrics._validation import warn_undefined
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     warn_undefined("VUS-PR", "y_true has no anomaly", 0.0)
    0.0
    """
    # Four frames: this function, the private function of the metric, the public metric, its caller.
    warnings.warn(f"{metric} is ill-defined and set to {value}: {reason}.", UndefinedMetricWarning, stacklevel=4)
    return value
