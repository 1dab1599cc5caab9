"""Association beyond the window: how near a window comes to anything that the training series holds.

The Anomaly Transformer argues that a normal row associates with the whole series and an anomaly with its neighbours
alone, but its associations end where the window ends. Here a window is compared with windows of the whole training
series: what has happened before is near to some of them, an anomaly to none.

Where a window is found first does not count, nor what overlaps it there: a window of the training series finds itself.
So the rows that were learned from are judged as any others are, and an anomaly among them does not vouch for itself.
Only where the unit of the distance is learned does everything count (`scoring.calibrate_memory`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .windows import OverlapAverage, WindowSet

__all__ = ["WindowMemory"]

NEIGHBOURS = 5  # windows that a distance is the mean of; one alone might be an anomaly of the training series
CHUNK_WINDOWS = 256  # compared with the memory at a time


@dataclass(frozen=True)
class WindowMemory:
    """Windows of the training series, and how far others lie from them.

    Parameters
    ----------
    windows : WindowSet
        The windows remembered.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.memory import WindowMemory
    >>> from timesad.windows import WindowSet
    >>> values = np.tile(np.array([0.0, 1.0], dtype=np.float32), 20)[:, None]
    >>> memory = WindowMemory.learn(WindowSet(values, np.arange(37), window_size=4), size=37)
    >>> strange = WindowSet(values[:8] + 3.0, np.array([0, 4]), window_size=4)
    >>> memory.distance(strange, device="cpu").ravel().tolist()
    [9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]
    """

    windows: WindowSet

    @classmethod
    def learn(cls, windows: WindowSet, size: int) -> WindowMemory:
        """Remember at most `size` of the windows, evenly spread, and of the series only the rows that they touch."""
        kept = windows.thinned(size)
        held = np.zeros(len(kept.values), dtype=bool)
        held[kept.starts[:, None] + np.arange(kept.window_size)] = True
        return cls(WindowSet(kept.values[held], (held.cumsum() - 1)[kept.starts], kept.window_size))

    def distance(
        self, windows: WindowSet, device: torch.device | str, *, first_counts: bool = False
    ) -> NDArray[np.float32]:
        """Squared distance of each row's windows to the nearest ones remembered, channel by channel.

        Parameters
        ----------
        windows : WindowSet
            Windows that together hold every row.
        device : torch.device
            Where to compute.
        first_counts : bool, default=False
            Whether the very nearest window and those that overlap it count. For a window of the training series they
            are itself and its surroundings. In a memory of so short a series that there are hardly others, they do
            anyway.

        Returns
        -------
        distance : ndarray of shape (n_rows, n_channels)
            In squared standard deviations: mean over a window's rows, over the nearest windows in the memory (unless
            the first counts, of those that do not overlap it), and over the windows that hold the row.
        """
        n_rows, n_channels = windows.values.shape
        beside = None if first_counts else self._overlapping(device)
        distances = np.empty((len(windows), n_channels), dtype=np.float32)
        for channel in range(n_channels):
            distances[:, channel] = self._nearest(windows, channel, device, beside)
        rows = OverlapAverage(n_rows, n_channels)
        for begin in range(0, len(windows), CHUNK_WINDOWS):
            chunk = slice(begin, begin + CHUNK_WINDOWS)
            every_position = (len(distances[chunk]), windows.window_size, n_channels)
            rows.add(windows.starts[chunk], np.broadcast_to(distances[chunk, None], every_position))
        return rows.average()

    def _overlapping(self, device: torch.device | str) -> Tensor | None:
        """Which of the windows remembered overlap each of them, (kept, most); None where that leaves too few others.

        They follow one another. Where they are fewer than the most, the last is named again.
        """
        starts = self.windows.starts
        begin = np.searchsorted(starts, starts - self.windows.window_size, side="right")
        end = np.searchsorted(starts, starts + self.windows.window_size)
        most = int((end - begin).max())
        if len(starts) - most < NEIGHBOURS:
            return None
        return torch.from_numpy(np.minimum(begin[:, None] + np.arange(most), end[:, None] - 1)).to(device)

    @torch.inference_mode()
    def _nearest(
        self, windows: WindowSet, channel: int, device: torch.device | str, beside: Tensor | None
    ) -> NDArray[np.float32]:
        """Mean squared distance of every window to its nearest ones in one channel, (n_windows,)."""
        remembered = self.windows.channel(channel).to(device)  # (kept, time)
        half_lengths = remembered.square().sum(dim=1) / 2
        n_neighbours = min(NEIGHBOURS, len(remembered))
        found = []
        for begin in range(0, len(windows), CHUNK_WINDOWS):
            x = windows.channel(channel, slice(begin, begin + CHUNK_WINDOWS)).to(device)  # (chunk, time)
            # Half of |x - m|² but for |x|², which every m has in common.
            half_squares = torch.addmm(half_lengths, x, remembered.T, alpha=-1)  # (chunk, kept)
            if beside is not None:
                half_squares.scatter_(1, beside[half_squares.argmin(dim=1)], torch.inf)
            nearest = half_squares.topk(n_neighbours, largest=False)
            # What was found is measured again: the difference of large squares has lost its last digits.
            found.append((x[:, None] - remembered[nearest.indices]).square().mean(dim=(1, 2)))
        return torch.cat(found).cpu().numpy()
