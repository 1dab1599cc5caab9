"""Evidence of any kind on one scale: smoothed over time, in units of what training rows show at their most unusual."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

__all__ = ["MIXED_BLOCKS", "TailCalibration", "root_mean_square", "smooth", "smooth_level"]

TAIL_SHARE = 0.01  # of the training rows make up a channel's tail
SMALLEST_TAIL = 5  # rows
MIXED_BLOCKS = 4  # parts of training rows that hold anomalies; the median of their tails is calibrated by
SMALLEST_HEIGHT = 0.1  # standard deviations of the series


def smooth(values: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Moving average over time with a triangular kernel that ends where a series ends.

    Parameters
    ----------
    values : ndarray of shape (n_rows,) or (n_rows, n_columns)
    width : int
        Half the kernel's foot, in rows; 1 leaves the values as they are.
    borders : ndarray of shape (n_series + 1,)
        Nothing is averaged across a border; at a series' ends its rows are mirrored.

    Returns
    -------
    smoothed : ndarray of the same shape

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.calibration import smooth
    >>> smooth(np.array([0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]), width=3, borders=np.array([0, 7])).tolist()
    [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]
    """
    if width <= 1:
        return values
    smoothed = np.empty_like(values)
    for begin, end in pairwise(borders):
        once = uniform_filter1d(values[begin:end], width, axis=0, mode="reflect")
        # The second pass is shifted back for even widths, so that the kernel stays centred.
        smoothed[begin:end] = uniform_filter1d(once, width, axis=0, mode="reflect", origin=-1 if width % 2 == 0 else 0)
    return smoothed


def root_mean_square(error: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Root of the smoothed squared error: in standard deviations of the series, as its level is."""
    # A running sum of squares can end a rounding below zero.
    return np.sqrt(np.maximum(smooth(error, width, borders), 0.0))


def smooth_level(values: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """How far the smoothed rows lie from the training mean, in standard deviations."""
    return np.abs(smooth(values, width, borders))


@dataclass(frozen=True)
class TailCalibration:
    """How unusual a channel's evidence is, in units of what training rows show at their most unusual.

    Evidence z becomes (z - m) / h: m is the median of the training rows, and h the height above it of the mean of
    their largest percent. 0 is typical and 1 is as unusual as training rows ever get, in every channel: a heavy-tailed
    channel must do more to stand out than a calm one.

    Parameters
    ----------
    center, height : float
        m and h.
    """

    center: float
    height: float

    @classmethod
    def learn(cls, evidence: NDArray[np.float64], n_blocks: int) -> TailCalibration:
        """Read m and h off training rows, (n_rows,), in so many blocks: h is the median of theirs.

        h is at least 0.1 standard deviations of the series: a channel that stood still in training is heard when it
        wakes up, but its first twitch does not outweigh all others.
        """
        tail = float(np.median([mean_of_tail(block) for block in np.array_split(evidence, n_blocks)]))
        center = float(np.median(evidence))
        return cls(center, max(tail - center, SMALLEST_HEIGHT))

    def centered_on(self, evidence: NDArray[np.float64]) -> TailCalibration:
        """Calibration with the same unit, to which these training rows are typical."""
        return TailCalibration(float(np.median(evidence)), self.height)

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated evidence, of the same shape."""
        return (evidence - self.center) / self.height


def mean_of_tail(evidence: NDArray[np.float64]) -> float:
    """Mean of the largest percent, (n_rows,) -> number."""
    n_tail = min(max(round(TAIL_SHARE * len(evidence)), SMALLEST_TAIL), len(evidence))
    return float(np.partition(evidence, len(evidence) - n_tail)[-n_tail:].mean())
