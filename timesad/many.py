"""Many series: one detector for each, fitted and scored side by side through joblib."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import clone

from .exceptions import SeriesFailedWarning, warn

__all__ = ["fit_many", "score_many"]

ManySeries = Mapping[Hashable, ArrayLike] | Iterable[ArrayLike] | Any
FIRST_NAMED = 3  # failures in a message


def fit_many(
    detector: Any, series: ManySeries, *, n_jobs: int | None = None, errors: Literal["raise", "skip"] = "raise"
) -> dict[Hashable, Any]:
    """Fit a clone of a detector on each of many series.

    The fits run side by side as joblib is configured: in processes of this machine, or on a cluster inside
    ``with joblib.parallel_config("dask")``. Each fit is the one that ``clone(detector).fit(X)`` gives; with one
    `random_state` the result does not depend on the number of jobs.

    Parameters
    ----------
    detector : estimator
        Not fitted, and not changed.
    series : mapping, iterable or DataFrame.groupby
        Series of shape (n_rows, n_channels) by name; those of an iterable have the names 0, 1, 2, …
    n_jobs : int, default=None
        As in `joblib.Parallel`; None is 1 unless `joblib.parallel_config` says otherwise, and -1 is all cores.
    errors : {"raise", "skip"}, default="raise"
        What to do if a fit fails: raise once all are done, or leave the series out with a `SeriesFailedWarning`.

    Returns
    -------
    detectors : dict
        Fitted detectors by name of the series.

    Raises
    ------
    ValueError
        If a fit fails. The message names the series and their errors.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import NearestWindowsDetector
    >>> from timesad.many import fit_many, score_many
    >>> rng = np.random.default_rng(0)
    >>> series = {name: rng.normal(size=(300, 1)) for name in ("pump", "valve")}
    >>> detectors = fit_many(NearestWindowsDetector(window_size=16), series)
    >>> {name: scores.shape for name, scores in score_many(detectors, series).items()}
    {'pump': (300,), 'valve': (300,)}
    """
    named = _by_name(series)
    return _outcomes(_fit, {name: (detector, X) for name, X in named.items()}, n_jobs, errors)


def score_many(
    detectors: Any,
    series: ManySeries,
    *,
    method: str = "decision_function",
    n_jobs: int | None = None,
    errors: Literal["raise", "skip"] = "raise",
) -> dict[Hashable, Any]:
    """Call a method of fitted detectors on many series.

    Parameters
    ----------
    detectors : dict or estimator
        Fitted, by name of the series; or one for all series.
    series, n_jobs, errors
        As in `fit_many`.
    method : str, default="decision_function"
        Any method that takes rows, such as "predict" or "detect".

    Returns
    -------
    results : dict
        Results by name of the series.

    Raises
    ------
    ValueError
        If a series has no detector, or a call fails.
    """
    named = _by_name(series)
    if not isinstance(detectors, Mapping):
        detectors = dict.fromkeys(named, detectors)
    absent = [name for name in named if name not in detectors]
    if absent:
        raise ValueError(f"the series {absent[:FIRST_NAMED]} have no detector. Fit them, or leave them out.")
    return _outcomes(_call, {name: (detectors[name], X, method) for name, X in named.items()}, n_jobs, errors)


def _by_name(series: ManySeries) -> dict[Hashable, Any]:
    if isinstance(series, pd.api.typing.DataFrameGroupBy):
        keys = series.keys if isinstance(series.keys, list) else [series.keys]
        columns = [key for key in keys if isinstance(key, Hashable)]
        return {name: group.drop(columns=columns, errors="ignore") for name, group in series}
    if isinstance(series, Mapping):
        return dict(series)
    if isinstance(series, (np.ndarray, pd.DataFrame)):
        raise TypeError(
            f"series is a {type(series).__name__}, which is one series; expected a dict, a list or frame.groupby(name)."
        )
    return dict(enumerate(series))


def _outcomes(
    work: Callable[..., Any], arguments: dict[Hashable, tuple[Any, ...]], n_jobs: int | None, errors: str
) -> dict[Hashable, Any]:
    """Results of the calls that succeed, by name."""
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors={errors!r} is not one of 'raise' and 'skip'.")
    results = Parallel(n_jobs=n_jobs)(delayed(_attempt)(_Task(work, one)) for one in arguments.values())
    found = dict(zip(arguments, results, strict=True))
    failed = {name: result for name, result in found.items() if isinstance(result, Exception)}
    if failed:
        named = [f"{name!r}: {error}" for name, error in list(failed.items())[:FIRST_NAMED]]
        more = f"\n... and {len(failed) - FIRST_NAMED} more" if len(failed) > FIRST_NAMED else ""
        message = f"{len(failed)} of {len(found)} series failed.\n" + "\n".join(named) + more
        if errors == "raise":
            raise ValueError(message) from next(iter(failed.values()))
        warn(message, SeriesFailedWarning)
    return {name: result for name, result in found.items() if name not in failed}


class _Task:
    """A call with its data in one object.

    joblib would put large arguments of its own on one Dask worker, and they would be lost with it. As a part of the
    task they are sent once, and again if the task must be repeated.
    """

    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.work = work
        self.arguments = arguments


def _attempt(task: _Task) -> Any:
    """The result, or the error: one series that fails must not cost the others."""
    try:
        return task.work(*task.arguments)
    except Exception as error:
        return error


def _fit(detector: Any, X: Any) -> Any:
    return clone(detector).fit(X)


def _call(detector: Any, X: Any, method: str) -> Any:
    return getattr(detector, method)(X)
