"""Evidence of a row itself, over horizons much shorter than those of the score.

A score is smoothed over many rows, so a strong fault of a few rows lifts hundreds. The same errors over a short horizon
locate its first and last row. Each channel is calibrated as in the score; the largest channel counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .calibration import root_mean_square

__all__ = ["LargestChannel", "LocalEvidence", "horizons", "local_columns"]

HORIZON_DIVISORS = (2, 4, 8)  # a horizon is smoothing // divisor rows


class LocalEvidence(NamedTuple):
    """Calibrated errors over short horizons.

    Parameters
    ----------
    largest : ndarray of shape (n_rows, n_horizons)
        Of the channel where it is largest; the longest horizon comes first.
    channel : ndarray of shape (n_rows,)
        The channel with the largest error over the shortest horizon.
    deviation : ndarray of shape (n_rows,)
        Row minus what was expected in this channel, in standard deviations of the training series.
    """

    largest: NDArray[np.float64]
    channel: NDArray[np.intp]
    deviation: NDArray[np.float32]


def horizons(smoothing: int) -> tuple[int, ...]:
    """Rows of each moving average, at least 1.

    Examples
    --------
    >>> from timesad.local_evidence import horizons
    >>> horizons(64)
    (32, 16, 8)
    """
    return tuple(max(1, smoothing // divisor) for divisor in HORIZON_DIVISORS)


def local_columns(
    squares: NDArray[np.floating], smoothing: int, borders: NDArray[np.intp]
) -> list[NDArray[np.float64]]:
    """Root mean square of one channel over each horizon, (n_rows,) each."""
    double = squares.astype(np.float64)
    return [root_mean_square(double, width, borders) for width in horizons(smoothing)]


class LargestChannel:
    """Collects the largest calibrated error over channels, one channel after the other.

    Parameters
    ----------
    n_rows : int
        Rows of the series.
    """

    def __init__(self, n_rows: int) -> None:
        self._largest = np.full((n_rows, len(HORIZON_DIVISORS)), -np.inf)
        self._channel = np.zeros(n_rows, dtype=np.intp)
        self._deviation = np.zeros(n_rows, dtype=np.float32)

    def add(self, channel: int, columns: list[NDArray[np.float64]], deviation: NDArray[np.float32]) -> None:
        """Add the calibrated errors of a channel over each horizon, and its deviation, (n_rows,) each."""
        larger = columns[-1] > self._largest[:, -1]
        self._channel[larger], self._deviation[larger] = channel, deviation[larger]
        for largest, column in zip(self._largest.T, columns, strict=True):
            np.maximum(largest, column, out=largest)

    def evidence(self) -> LocalEvidence:
        """The evidence of all channels that were added."""
        return LocalEvidence(self._largest, self._channel, self._deviation)
