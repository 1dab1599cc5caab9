"""Channels of any unit to comparable numbers, and extreme values to large but harmless ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChannelScaling"]

CALM_LIMIT = 8.0  # standard deviations up to which scaling is linear
ALONE_LIMIT = 1000.0  # the same where there is only one channel; squares stay far from the largest float32
RELATIVE_ROUNDING = 1e-13  # a spread below this share of the channel's level is rounding: the channel is constant
CHUNK_ROWS = 65_536
LARGEST = np.finfo(np.float64).max  # what overflows counts as this


@dataclass(frozen=True)
class ChannelScaling:
    """Standardise each channel by its training rows; compress what lies far outside.

    Up to 8 standard deviations the map is linear. Beyond, it grows as the logarithm: a sensor that jumps to 10⁶
    standard deviations is still the most abnormal row, but does not swamp the other channels. Where there are none, how
    far the only one jumps is all there is to know, and the map is linear up to 1000. A channel that is constant in
    training keeps its unit (a scale of 1): if it wakes up later it is neither ignored nor divided by zero.

    Parameters
    ----------
    center, scale : ndarray of shape (n_channels,)
        Mean and standard deviation of the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.scaling import ChannelScaling
    >>> scaling = ChannelScaling.learn(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> scaling(np.array([[2.0, 8.0]])).tolist()
    [[0.0, 1.0]]
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def learn(cls, X: NDArray[np.floating]) -> ChannelScaling:
        """Read center and scale off training rows, chunk by chunk, so that a memory map is never copied whole.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_channels)

        Raises
        ------
        ValueError
            If a channel's values are too large for their variance to be a finite number.
        """
        # Counted from the first row, so that the mean of a constant channel is that constant to the last bit.
        first = X[0].astype(np.float64)
        center, variance = first.copy(), np.zeros(X.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
            for rows in _chunks(X):
                center += (rows - first).sum(axis=0) / len(X)
            for rows in _chunks(X):
                variance += ((rows - center) ** 2).sum(axis=0) / len(X)
        if not np.isfinite(variance).all():
            channel = int(np.flatnonzero(~np.isfinite(variance))[0])
            raise ValueError(
                f"channel {channel} of X has values up to {np.abs(X[:, channel]).max():.3g}, too large for a "
                "variance in double precision. Rescale the channel, for example by its unit."
            )
        deviation = np.sqrt(variance)
        constant = deviation <= RELATIVE_ROUNDING * np.abs(center)
        return cls(center, np.where(constant, 1.0, deviation))

    @property
    def calm_limit(self) -> float:
        """Standard deviations up to which the map is linear."""
        return ALONE_LIMIT if len(self.center) == 1 else CALM_LIMIT

    def __call__(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scaled rows, of shape (n_rows, n_channels); a new array."""
        scaled = np.empty(X.shape, dtype=np.float32)
        begin = 0
        for rows in _chunks(X):
            with np.errstate(over="ignore"):
                deviations = (rows - self.center) / self.scale
            excess = np.clip(np.abs(deviations) - self.calm_limit, 0.0, LARGEST)
            calm = np.clip(deviations, -self.calm_limit, self.calm_limit)
            scaled[begin : begin + len(rows)] = calm + np.sign(deviations) * np.log1p(excess)
            begin += len(rows)
        return scaled


def _chunks(X: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    for begin in range(0, len(X), CHUNK_ROWS):
        yield X[begin : begin + CHUNK_ROWS]
