"""Scorers: the metrics as ``scorer(estimator, X, y)``, for GridSearchCV and cross_val_score."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

from sklearn.metrics import average_precision_score, make_scorer, roc_auc_score
from sklearn.utils.validation import check_scalar

from ._affiliation import affiliation_f1_score
from ._f1 import best_f1_score, event_f1_score, pa_k_auc_score, pa_k_f1_score
from ._range_f1 import range_f1_score
from ._vus import range_auc_pr_score, range_auc_roc_score, vus_pr_score, vus_roc_score

__all__ = ["get_scorer", "get_scorer_names"]

METRICS: dict[str, Callable[..., float]] = {
    "affiliation_f1": affiliation_f1_score,
    "auc_pr": average_precision_score,
    "auc_roc": roc_auc_score,
    "best_f1": best_f1_score,
    "event_f1": event_f1_score,
    "pa_k_auc": pa_k_auc_score,
    "pa_k_f1": pa_k_f1_score,
    "range_auc_pr": range_auc_pr_score,
    "range_auc_roc": range_auc_roc_score,
    "range_f1": range_f1_score,
    "vus_pr": vus_pr_score,
    "vus_roc": vus_roc_score,
}


def get_scorer_names() -> list[str]:
    """Names that `get_scorer` accepts.

    Returns
    -------
    names : list of str
        In alphabetical order.

    Examples
    --------
    >>> from timesad.metrics import get_scorer_names
    >>> get_scorer_names()[:3]
    ['affiliation_f1', 'auc_pr', 'auc_roc']
    """
    return sorted(METRICS)


def get_scorer(name: str, *, context: int = 0) -> Callable[..., float]:
    """Scorer of ``estimator.decision_function(X)`` against the labels, by name.

    The scorer is built by scikit-learn's ``make_scorer`` with the default parameters of the metric.
    For other parameters use ``make_scorer(vus_pr_score, response_method="decision_function",
    buffer=50)``.

    For cross-validation use splits that keep rows contiguous and in time order
    (``TimeSeriesSplit``). Every test fold needs an anomaly: without one the metrics warn and return
    0.0 or NaN.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`. "auc_pr" and "auc_roc" are scikit-learn's
        ``average_precision_score`` and ``roc_auc_score``.
    context : int, default=0
        First rows of X that are scored with the others and not evaluated: rows before a test fold, as
        `timesad.model_selection.ContextTimeSeriesSplit` passes them.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y_true)``, larger is better. Each call returns a new object.

    Raises
    ------
    ValueError
        If `name` is not one of `get_scorer_names`, or `context` is no number of rows. The scorer raises
        it if X has no further row.

    Examples
    --------
    >>> import numpy as np
    >>> from pyod.models.pca import PCA
    >>> from timesad.metrics import get_scorer
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> y = np.zeros(300, dtype=int)
    >>> y[[120, 220]] = 1
    >>> X[y == 1] += 9
    >>> get_scorer("auc_pr")(PCA().fit(X[:100]), X, y)
    1.0
    """
    if name not in METRICS:
        raise ValueError(f"{name!r} is no scorer of timesad; expected one of {get_scorer_names()}.")
    check_scalar(context, "context", Integral, min_val=0)
    function, options = METRICS[name], {}
    if context:
        function, options = _of_later_rows, {"metric": function, "context": int(context)}
    scorer: Callable[..., float] = make_scorer(function, response_method="decision_function", **options)
    return scorer


def _of_later_rows(y_true: Any, y_score: Any, *, metric: Callable[..., float], context: int) -> float:
    """The metric without the first `context` rows."""
    if len(y_true) <= context:
        raise ValueError(f"context={context} but X has {len(y_true)} rows: none is left to evaluate.")
    return metric(y_true[context:], y_score[context:])
