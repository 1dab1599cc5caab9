"""Evidence of a row itself, over horizons much shorter than those of the score.

A score is smoothed over many rows, so a strong fault of a few rows lifts hundreds. The same errors over a short horizon
locate its first and last row. Each channel is calibrated as in the score; the largest channel counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arrays import Array, double, library
from .calibration import root_mean_square

__all__ = ["LargestChannel", "LocalEvidence", "horizons", "local_columns"]

HORIZON_DIVISORS = (2, 4, 8)  # a horizon is smoothing // divisor rows


class LocalEvidence(NamedTuple):
    """Calibrated errors over short horizons.

    Parameters
    ----------
    largest : Array of shape (n_rows, n_horizons)
        Of the channel where it is largest; the longest horizon comes first.
    channel : Array of shape (n_rows,)
        The channel with the largest error over the shortest horizon.
    deviation : Array of shape (n_rows,)
        Row minus what was expected in this channel, in standard deviations of the training series.
    """

    largest: Array
    channel: Array
    deviation: Array


def horizons(smoothing: int) -> tuple[int, ...]:
    """Rows of each moving average, at least 1.

    Examples
    --------
    >>> from timesad.local_evidence import horizons
    >>> horizons(64)
    (32, 16, 8)
    """
    return tuple(max(1, smoothing // divisor) for divisor in HORIZON_DIVISORS)


def local_columns(squares: Array, smoothing: int, borders: NDArray[np.intp]) -> list[Array]:
    """Root mean square of one channel over each horizon, (n_rows,) each."""
    squares = double(squares)
    return [root_mean_square(squares, width, borders) for width in horizons(smoothing)]


class LargestChannel:
    """Collects the largest calibrated error over channels, one channel after the other."""

    def __init__(self) -> None:
        self._columns: list[Array] = []
        self._channel: Array = None
        self._deviation: Array = None

    def add(self, channel: int, columns: list[Array], deviation: Array) -> None:
        """Add the calibrated errors of a channel over each horizon, and its deviation, (n_rows,) each."""
        xp = library(deviation)
        if not self._columns:
            self._columns, self._deviation = list(columns), deviation
            self._channel = xp.full_like(deviation, channel, dtype=xp.int64)
            return
        larger = columns[-1] > self._columns[-1]
        self._channel = xp.where(larger, channel, self._channel)
        self._deviation = xp.where(larger, deviation, self._deviation)
        self._columns = [xp.maximum(largest, column) for largest, column in zip(self._columns, columns, strict=True)]

    def evidence(self) -> LocalEvidence:
        """The evidence of all channels that were added."""
        return LocalEvidence(library(self._deviation).column_stack(self._columns), self._channel, self._deviation)
