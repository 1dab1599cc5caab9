"""From a pipeline to the detector at its end."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

__all__ = ["last_step", "through_pipeline"]


def last_step(estimator: Any) -> Any:
    """The last step of a pipeline, or the estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def through_pipeline(estimator: Any, X: ArrayLike) -> tuple[Any, ArrayLike]:
    """The last step of a pipeline, and X after the steps before it."""
    several = isinstance(estimator, Pipeline) and len(estimator) > 1
    return last_step(estimator), estimator[:-1].transform(X) if several else X
