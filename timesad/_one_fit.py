"""Methods that read the state of one fit, while another thread may fit the detector anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["of_one_fit", "twin"]

Detector = TypeVar("Detector")
Method = TypeVar("Method", bound=Callable[..., Any])


def twin(detector: Detector) -> Detector:
    """Another object with the same attributes. Neither gets attributes that are set on the other later."""
    other = object.__new__(type(detector))
    other.__dict__ = detector.__dict__.copy()
    return other


def of_one_fit(method: Method) -> Method:
    """Run a method on a twin of the detector: what it reads comes from one fit.

    Examples
    --------
    >>> from timesad._one_fit import of_one_fit
    >>> class Pair:
    ...     def set(self, value):
    ...         self.__dict__ = {"first": value, "second": value}
    ...
    ...     @of_one_fit
    ...     def read(self, meanwhile):
    ...         first = self.first
    ...         meanwhile()
    ...         return first, self.second
    >>> pair = Pair()
    >>> pair.set(1)
    >>> pair.read(meanwhile=lambda: pair.set(2))
    (1, 1)
    """

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(twin(self), *args, **kwargs)

    return call  # type: ignore[return-value]
