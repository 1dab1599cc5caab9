"""Moving averages and medians, and one scale for window errors, levels and distances of any channel.

An `Array` is a numpy array on a processor and a tensor on an accelerator; see `timesad.arrays`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from torch import Tensor
from torch.nn import functional as F

from .arrays import Array, library, on_host

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


def smooth(values: Array, width: int, borders: NDArray[np.intp]) -> Array:
    """Moving average, applied twice: a triangular kernel within each series.

    Parameters
    ----------
    values : Array of shape (n_rows,) or (n_rows, n_columns)
        One value per row, or several, in double precision.
    width : int
        Rows of each moving average, half the width of the triangle; 1 returns the values unchanged.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end. The kernel mirrors a series at its ends and never crosses a border.

    Returns
    -------
    smoothed : Array of the same shape

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.calibration import smooth
    >>> smooth(np.array([0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]), width=3, borders=np.array([0, 7])).tolist()
    [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]
    """
    if width <= 1:
        return values
    smoothed = library(values).empty_like(values)
    for begin, end in pairwise(borders):
        once = moving_average(values[begin:end], width)
        # An even width is off centre by half a row; the second pass shifts back.
        smoothed[begin:end] = moving_average(once, width, origin=-1 if width % 2 == 0 else 0)
    return smoothed


def moving_average(values: Array, width: int, origin: int = 0) -> Array:
    """Scipy's `uniform_filter1d` along the first axis, with mirrored ends, also of a tensor."""
    if not isinstance(values, Tensor):
        return uniform_filter1d(values, width, axis=0, mode="reflect", origin=origin)
    n_rows, first = len(values), -(width // 2 + origin)
    row = torch.arange(first, first + n_rows + width - 1, device=values.device) % (2 * n_rows)
    mirrored = values[torch.minimum(row, 2 * n_rows - 1 - row)]
    # A sum for each row: a running sum would round differently behind a large value.
    return F.avg_pool1d(mirrored.view(len(mirrored), -1).T[:, None], width, stride=1)[:, 0].T.reshape(values.shape)


def root_mean_square(squares: Array, width: int, borders: NDArray[np.intp]) -> Array:
    """Square root of smoothed squares, (n_rows,), in standard deviations of the training series."""
    # The running sum inside `smooth` can round to slightly below zero.
    return library(squares).sqrt(smooth(squares, width, borders).clip(min=0.0))


def trailing_median(values: Array, width: int, step: int, borders: NDArray[np.intp]) -> Array:
    """Median of the last `width` rows of each row's series, read every `step` rows and kept until the next.

    Parameters
    ----------
    values : Array of shape (n_rows,)
        Calibrated values: 0 is typical. Rows before the first of a series count as 0.
    width, step : int
        Rows; both at least 1.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end.

    Returns
    -------
    median : Array of shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.calibration import trailing_median
    >>> trailing_median(np.array([9.0, 9.0, 9.0, 9.0, 1.0]), width=3, step=1, borders=np.array([0, 5])).tolist()
    [0.0, 9.0, 9.0, 9.0, 9.0]
    """
    n_read, xp = max(1, width // step), library(values)
    median = xp.empty_like(values)
    for begin, end in pairwise(borders):
        read = moving_median(values[begin:end:step], n_read)[:, None]
        median[begin:end] = xp.broadcast_to(read, (len(read), step)).reshape(-1)[: end - begin]
    return median


def moving_median(values: Array, n_values: int) -> Array:
    """Median of each value and those before it, `n_values` in all; values before the first count as 0."""
    if not isinstance(values, Tensor):
        padded = np.concatenate([np.zeros(n_values - 1), values])
        return pd.Series(padded).rolling(n_values).median().to_numpy()[n_values - 1 :]
    of_time = torch.cat([values.new_zeros(n_values - 1), values]).unfold(0, n_values, 1)  # (time, value)
    ordered = of_time.sort(dim=1).values
    return (ordered[:, (n_values - 1) // 2] + ordered[:, n_values // 2]) / 2


def absolute_level(values: Array, width: int, borders: NDArray[np.intp]) -> Array:
    """Distance of the smoothed rows from the training mean, (n_rows,), in standard deviations."""
    return abs(smooth(values, width, borders))


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
    def fit(cls, rows: Array, n_blocks: int = 1) -> TailCalibration:
        """Fit on training rows.

        Parameters
        ----------
        rows : Array of shape (n_rows,)
            Values of training rows, in standard deviations of the training series.
        n_blocks : int, default=1
            Number of consecutive blocks of equal length. The tail is the median of the blocks' tails, so an anomaly in
            one of four blocks does not set the scale.

        Returns
        -------
        calibration : TailCalibration
            Its height is at least 0.1. A channel that is constant in training thus keeps a finite scale.
        """
        rows = on_host(rows)
        tail = float(np.median([tail_mean(block) for block in np.array_split(rows, n_blocks)]))
        center = float(np.median(rows))
        return cls(center, max(tail - center, MIN_HEIGHT))

    def centered_on(self, rows: Array) -> TailCalibration:
        """Same height, with the median of these rows as center."""
        return TailCalibration(float(np.median(on_host(rows))), self.height)

    def __call__(self, rows: Array) -> Array:
        """Calibrated values, of the same shape."""
        return (rows - self.center) / self.height


def tail_mean(rows: NDArray[np.float64]) -> float:
    """Mean of the largest 1 % of the rows, at least five rows."""
    n_tail = min(max(round(TAIL_FRACTION * len(rows)), MIN_TAIL_ROWS), len(rows))
    return float(np.partition(rows, len(rows) - n_tail)[-n_tail:].mean())
