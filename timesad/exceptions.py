"""Warnings and errors of timesad, so that users can filter and catch them by class."""

from __future__ import annotations

__all__ = [
    "ExtrapolationWarning",
    "IncompatiblePickleError",
    "PeriodFallbackWarning",
    "ShortSeriesWarning",
    "TimesadWarning",
    "TrainingError",
]


class TimesadWarning(UserWarning):
    """Base class of all warnings of this library."""


class PeriodFallbackWarning(TimesadWarning):
    """The spectrum of the training series has too few peaks; evenly spaced periods replace the missing ones."""


class ShortSeriesWarning(TimesadWarning):
    """The training series is too short for a self-join with an exclusion zone."""


class ExtrapolationWarning(TimesadWarning):
    """A threshold lies far beyond the training scores; few independent scores support it."""


class TrainingError(RuntimeError):
    """Training failed: a loss or a reconstruction became NaN or infinite."""


class IncompatiblePickleError(RuntimeError):
    """The pickle was written by a version of timesad with another layout."""
