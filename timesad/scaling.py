"""Standardisation by the training rows, with logarithmic compression of extreme values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChannelScaling"]

LINEAR_LIMIT = 8.0  # standard deviations; up to here the map is linear
SINGLE_CHANNEL_LIMIT = 1000.0  # the same for a single channel; squares stay far below the largest float32
RELATIVE_ROUNDING = 1e-13  # a channel is constant if its standard deviation is below this share of its mean
CHUNK_ROWS = 65_536
LARGEST = np.finfo(np.float64).max  # replaces an overflow


@dataclass(frozen=True)
class ChannelScaling:
    """Map each channel to z = (x - mean) / standard deviation of the training rows, and compress large z.

    The map is linear up to |z| = 8 and logarithmic beyond: sign(z) · (8 + log(1 + |z| - 8)). A value of 10⁶ standard
    deviations stays the largest and does not dominate the other channels. A single channel has none to dominate: its
    map is linear up to 1000. A channel that is constant in training has a scale of 1, so a later change counts and
    nothing is divided by zero.

    Parameters
    ----------
    center, scale : ndarray of shape (n_channels,)
        Mean and standard deviation of the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.scaling import ChannelScaling
    >>> scaling = ChannelScaling.fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> scaling(np.array([[2.0, 8.0]])).tolist()
    [[0.0, 1.0]]
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, X: NDArray[np.floating]) -> ChannelScaling:
        """Fit on training rows, in chunks: a memory map is never copied as a whole.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_channels)

        Raises
        ------
        ValueError
            If the sum of a channel overflows.
        """
        # Relative to the first row, so that the mean of a constant channel is exact.
        first = X[0].astype(np.float64)
        largest = np.zeros(X.shape[1])
        with np.errstate(over="ignore"):  # an overflow raises below
            for rows in _chunks(X):
                np.maximum(largest, np.abs(rows - first).max(axis=0), out=largest)
            overflows = ~np.isfinite(largest * len(X))
        if overflows.any():
            channel = int(np.argmax(overflows))
            raise ValueError(
                f"channel {channel} of X has values up to {np.abs(X[:, channel]).max():.3g}, too large for a "
                "mean in double precision. Rescale the channel, for example by its unit."
            )
        # In a unit in which squares neither overflow nor vanish. A power of two rounds nothing.
        unit = np.exp2(np.frexp(largest)[1].clip(-1022, 1023))
        center, variance = first.copy(), np.zeros(X.shape[1])
        for rows in _chunks(X):
            center += (rows - first).sum(axis=0) / len(X)
        for rows in _chunks(X):
            variance += (((rows - center) / unit) ** 2).sum(axis=0) / len(X)
        deviation = unit * np.sqrt(variance)
        constant = deviation <= RELATIVE_ROUNDING * np.abs(center)
        return cls(center, np.where(constant, 1.0, deviation))

    @property
    def linear_limit(self) -> float:
        """Standard deviations up to which the map is linear."""
        return SINGLE_CHANNEL_LIMIT if len(self.center) == 1 else LINEAR_LIMIT

    def __call__(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scaled rows, of shape (n_rows, n_channels); a new array."""
        scaled = np.empty(X.shape, dtype=np.float32)
        begin = 0
        for rows in _chunks(X):
            with np.errstate(over="ignore"):
                deviations = (rows - self.center) / self.scale
            excess = np.clip(np.abs(deviations) - self.linear_limit, 0.0, LARGEST)
            linear = np.clip(deviations, -self.linear_limit, self.linear_limit)
            scaled[begin : begin + len(rows)] = linear + np.sign(deviations) * np.log1p(excess)
            begin += len(rows)
        return scaled


def _chunks(X: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    for begin in range(0, len(X), CHUNK_ROWS):
        yield X[begin : begin + CHUNK_ROWS]
