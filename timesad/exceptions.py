"""The warnings and errors that are timesad's own, so that users can filter and catch them by class."""

from __future__ import annotations

__all__ = ["PeriodFallbackWarning", "TimesadWarning", "TrainingError"]


class TimesadWarning(UserWarning):
    """Base of every warning this library gives."""


class PeriodFallbackWarning(TimesadWarning):
    """The training series shows too few periods of its own; evenly spaced ones stand in."""


class TrainingError(RuntimeError):
    """Training could not be completed (its loss became NaN or infinite)."""
