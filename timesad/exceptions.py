"""Warnings and errors of timesad, so that users can filter and catch them by class."""

from __future__ import annotations

import sys
import warnings

__all__ = [
    "ExtrapolationWarning",
    "FileFormatError",
    "IgnoredGroupsWarning",
    "IncompatiblePickleError",
    "PeriodFallbackWarning",
    "SeriesFailedWarning",
    "ShortSeriesWarning",
    "SlowDeviceWarning",
    "TimeGapWarning",
    "TimesadWarning",
    "TrainingError",
    "TrainingWarning",
    "warn",
]


class TimesadWarning(UserWarning):
    """Base class of all warnings of this library."""


class PeriodFallbackWarning(TimesadWarning):
    """The spectrum of the training series has too few peaks; evenly spaced periods replace the missing ones."""


class ShortSeriesWarning(TimesadWarning):
    """The training series is too short for a self-join with an exclusion zone."""


class ExtrapolationWarning(TimesadWarning):
    """A threshold lies far beyond the training scores; few independent scores support it."""


class IgnoredGroupsWarning(TimesadWarning):
    """The argument y, which is ignored, looks like names of series."""


class SeriesFailedWarning(TimesadWarning):
    """Some of many series could not be fitted or scored; they are left out."""


class TimeGapWarning(TimesadWarning):
    """The rows are not evenly spaced in time."""


class SlowDeviceWarning(TimesadWarning):
    """``device="auto"`` found an accelerator that cannot be used; the processor computes."""


class TrainingWarning(TimesadWarning):
    """Training ended with a network that hardly describes the series."""


class TrainingError(RuntimeError):
    """Training failed: a loss or a reconstruction became NaN or infinite."""


class IncompatiblePickleError(RuntimeError):
    """The pickle was written by a version of timesad with another layout."""


class FileFormatError(ValueError):
    """The file is no detector that this version can load."""


def warn(message: str, category: type[TimesadWarning]) -> None:
    """Issue a warning at the line that called this package."""
    package, level = __name__.partition(".")[0], 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
