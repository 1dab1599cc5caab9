"""Association between channels: with which others a channel goes, against with which it went in training.

The discrepancy of the Anomaly Transformer turned by a quarter: S is a row for each channel of a window, the softmax
over the other channels of their correlations, and its prior P the mean of S over the training windows. Here a large D
is abnormal: a channel that goes with others than it did. It was tried and is not in the library, see
`docs/results/discrepancy-log.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timesad.calibration import TailCalibration, smooth
from timesad.memory import raise_to
from timesad.nn.divergence import log_ratio
from timesad.windows import WindowSet

from .contract import FloatArray

__all__ = ["ChannelAssociation", "channel_association"]

TEMPERATURE = 0.2  # of the softmax over correlations
SMALLEST_SPREAD = 1e-3  # standard deviations of the series; a channel that varies less in a window goes with none
BATCH_WINDOWS = 256


def channel_association(windows: Tensor) -> Tensor:
    """S of each window, rows summing to 1 over the other channels: (batch, time, channel) -> (batch, channel, channel).

    Examples
    --------
    >>> import torch
    >>> from benchmarks.channel_association import channel_association
    >>> time = torch.arange(8.0)
    >>> together = torch.stack([time.sin(), time.sin(), time.cos()], dim=-1)
    >>> channel_association(together[None])[0, 0].round(decimals=1).tolist()
    [0.0, 1.0, 0.0]
    """
    centered = windows - windows.mean(dim=1, keepdim=True)
    spread = centered.square().mean(dim=1, keepdim=True).sqrt()  # (batch, 1, channel)
    standard = torch.where(spread > SMALLEST_SPREAD, centered / spread.clamp_min(SMALLEST_SPREAD), 0.0)
    correlation = standard.mT @ standard / windows.shape[1]  # (batch, channel, channel)
    itself = torch.eye(windows.shape[2], dtype=torch.bool)
    return torch.softmax((correlation / TEMPERATURE).masked_fill(itself, -torch.inf), dim=-1)


@dataclass(frozen=True)
class ChannelAssociation:
    """How far each row's windows associate their channels otherwise than the training windows did.

    Parameters
    ----------
    prior : Tensor of shape (channel, channel)
        P, the mean of S over the training windows; empty where a channel has no other.
    smoothing : int
        Rows that a channel's discrepancy is smoothed over.
    tails : tuple of TailCalibration
        One a channel.
    seed : int or None
        Of the placebo, in which the channels of every window are shuffled; None leaves them in place.
    """

    prior: Tensor
    smoothing: int
    tails: tuple[TailCalibration, ...]
    seed: int | None

    @classmethod
    def learn(
        cls, windows: WindowSet, borders: NDArray[np.intp], smoothing: int, seed: int | None = None
    ) -> ChannelAssociation:
        """Learn P and each channel's unit from training windows."""
        n_channels = windows.values.shape[1]
        if n_channels == 1:
            return cls(torch.empty(0, 0), smoothing, (), seed)
        total = sum((channel_association(x).sum(dim=0) for _, x in windows.batches(BATCH_WINDOWS)), torch.zeros(()))
        untold = cls(total / len(windows), smoothing, (), seed)
        tails = tuple(TailCalibration.learn(column, n_blocks=1) for column in untold.by_channel(windows, borders))
        return cls(untold.prior, smoothing, tails, seed)

    def __call__(self, windows: WindowSet, borders: NDArray[np.intp]) -> FloatArray:
        """Calibrated discrepancy of each row in the channel where it is largest, (n_rows,); 0 with a single channel."""
        rows = np.zeros(len(windows.values))
        if self.tails:
            columns = self.by_channel(windows, borders)
            rows = np.max([tail(column) for tail, column in zip(self.tails, columns, strict=True)], axis=0)
        return rows

    def by_channel(self, windows: WindowSet, borders: NDArray[np.intp]) -> Iterator[FloatArray]:
        """Smoothed discrepancy of each row in its strangest window, a channel at a time, (n_rows,)."""
        n_rows, n_channels = windows.values.shape
        generator = None if self.seed is None else np.random.default_rng(self.seed)
        largest = np.zeros((n_channels, n_rows), dtype=np.float32)
        for starts, x in windows.batches(BATCH_WINDOWS):
            if generator is not None:
                order = generator.permuted(np.tile(np.arange(n_channels), (len(x), 1)), axis=1)
                x = x.gather(2, torch.from_numpy(order)[:, None].expand(x.shape))
            series = channel_association(x)
            discrepancy = ((series - self.prior) * log_ratio(series, self.prior)).sum(dim=-1)  # (batch, channel)
            for rows, of_channel in zip(largest, discrepancy.numpy().T, strict=True):
                raise_to(rows, starts, windows.window_size, of_channel)
        for rows in largest:
            yield smooth(rows.astype(np.float64), self.smoothing, borders)
