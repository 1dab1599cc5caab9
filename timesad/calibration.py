"""Moving averages and medians, and one scale for window errors, levels and distances of any channel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

__all__ = [
    "CONTAMINATED_BLOCKS",
    "TailCalibration",
    "absolute_level",
    "root_mean_square",
    "smooth",
    "trailing_median",
]

TAIL_FRACTION = 0.01  # of the training rows; their mean sets a channel's scale
MIN_TAIL_ROWS = 5  # rows
CONTAMINATED_BLOCKS = 4  # blocks of training rows that may hold anomalies; the scale is the median of theirs
MIN_HEIGHT = 0.1  # standard deviations of the training series


def smooth(values: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Moving average, applied twice: a triangular kernel within each series.

    Parameters
    ----------
    values : ndarray of shape (n_rows,) or (n_rows, n_columns)
        One value per row, or several.
    width : int
        Rows of each moving average, half the width of the triangle; 1 returns the values unchanged.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end. The kernel mirrors a series at its ends and never crosses a border.

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
        # An even width is off centre by half a row; the second pass shifts back.
        smoothed[begin:end] = uniform_filter1d(once, width, axis=0, mode="reflect", origin=-1 if width % 2 == 0 else 0)
    return smoothed


def root_mean_square(squares: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Square root of smoothed squares, (n_rows,), in standard deviations of the training series."""
    # The running sum inside `smooth` can round to slightly below zero.
    return np.sqrt(np.maximum(smooth(squares, width, borders), 0.0))


def trailing_median(
    values: NDArray[np.float64], width: int, step: int, borders: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Median of the last `width` rows of each row's series, read every `step` rows and kept until the next.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Calibrated values: 0 is typical. Rows before the first of a series count as 0.
    width, step : int
        Rows; both at least 1.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end.

    Returns
    -------
    median : ndarray of shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.calibration import trailing_median
    >>> trailing_median(np.array([9.0, 9.0, 9.0, 9.0, 1.0]), width=3, step=1, borders=np.array([0, 5])).tolist()
    [0.0, 9.0, 9.0, 9.0, 9.0]
    """
    n_read = max(1, width // step)
    medians = []
    for begin, end in pairwise(borders):
        read = np.concatenate([np.zeros(n_read - 1), values[begin:end:step]])
        median = pd.Series(read).rolling(n_read).median().to_numpy()[n_read - 1 :]
        medians.append(np.repeat(median, step)[: end - begin])
    return np.concatenate(medians)


def absolute_level(values: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Distance of the smoothed rows from the training mean, (n_rows,), in standard deviations."""
    return np.abs(smooth(values, width, borders))


@dataclass(frozen=True)
class TailCalibration:
    """The map z -> (z - center) / height, fitted on training rows.

    `center` is the median of the training rows. `height` is the mean of their largest 1 %, minus the median. A
    calibrated value of 0 is typical, and 1 is as large as the top 1 % of the training rows: a heavy-tailed channel
    needs a larger z than a calm one.

    Parameters
    ----------
    center, height : float
        In the unit of z.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.calibration import TailCalibration
    >>> calibration = TailCalibration.fit(np.arange(1001.0))
    >>> calibration.center, calibration.height
    (500.0, 495.5)
    >>> float(calibration(np.array([995.5]))[0])
    1.0
    """

    center: float
    height: float

    @classmethod
    def fit(cls, rows: NDArray[np.float64], n_blocks: int = 1) -> TailCalibration:
        """Fit on training rows.

        Parameters
        ----------
        rows : ndarray of shape (n_rows,)
            Values of training rows, in standard deviations of the training series.
        n_blocks : int, default=1
            Number of consecutive blocks of equal length. The tail is the median of the blocks' tails, so an anomaly in
            one of four blocks does not set the scale.

        Returns
        -------
        calibration : TailCalibration
            Its height is at least 0.1. A channel that is constant in training thus keeps a finite scale.
        """
        tail = float(np.median([tail_mean(block) for block in np.array_split(rows, n_blocks)]))
        center = float(np.median(rows))
        return cls(center, max(tail - center, MIN_HEIGHT))

    def centered_on(self, rows: NDArray[np.float64]) -> TailCalibration:
        """Same height, with the median of these rows as center."""
        return TailCalibration(float(np.median(rows)), self.height)

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated values, of the same shape."""
        return (rows - self.center) / self.height


def tail_mean(rows: NDArray[np.float64]) -> float:
    """Mean of the largest 1 % of the rows, at least five rows."""
    n_tail = min(max(round(TAIL_FRACTION * len(rows)), MIN_TAIL_ROWS), len(rows))
    return float(np.partition(rows, len(rows) - n_tail)[-n_tail:].mean())
