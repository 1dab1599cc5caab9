"""Distance of each row's windows to their nearest neighbours among the training windows, channel by channel.

d²(w) = mean over the `n_neighbors` nearest training windows m of mean_t (w_t - m_t)². A row has two distances: that of
the farthest window that contains it, and its own squared difference from the neighbours, averaged over its windows.

Training rows are scored by a self-join with an exclusion zone: a window is not compared with training windows that
overlap it. All other rows are new rows and are compared with every training window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .calibration import TailCalibration, root_mean_square
from .local_evidence import LargestChannel, LocalEvidence, local_columns
from .nn.products import linear
from .windows import OverlapAverage, Series, WindowSet

__all__ = ["ChannelDistances", "NeighborParts", "NeighborScorer", "TrainingWindows"]

SEARCH_BATCH = 128  # windows compared with the training windows at a time; twice as many leave the processor's cache
FAR_MULTIPLIER = 3  # the far horizon is so many times as long as the near one

Zone = list[tuple[NDArray[np.intp], NDArray[np.intp]]]  # for each search batch; see `TrainingWindows.exclusion_zone`


class ChannelDistances(NamedTuple):
    """Squared distances of one channel, in squared standard deviations, (n_rows,) each.

    Parameters
    ----------
    window : ndarray of shape (n_rows,), float32
        Largest distance of a window that contains the row.
    row : ndarray of shape (n_rows,), float32
        Squared difference of the row from the same position in its windows' neighbours, mean over its windows.
    deviation : ndarray of shape (n_rows,), float32, or None
        The same difference with its sign, in standard deviations.
    """

    window: NDArray[np.float32]
    row: NDArray[np.float32]
    deviation: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TrainingWindows:
    """Training windows to search for nearest neighbours.

    Parameters
    ----------
    windows : WindowSet
        The windows, and of the training series only the rows that they contain.
    positions : ndarray of shape (n_windows,)
        First row of each window in the training series, increasing.
    n_neighbors : int
        Neighbours that a distance is the mean of; fewer if there are not so many windows.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.neighbors import TrainingWindows
    >>> from timesad.windows import Series
    >>> values = np.tile(np.array([0.0, 1.0], dtype=np.float32), 20)[:, None]
    >>> training = TrainingWindows.fit(Series(values, np.array([0, 40])), window_size=4, n_neighbors=5, max_windows=37)
    >>> new = values[:8].copy()
    >>> new[6:] += 4.0
    >>> windows = Series(new, np.array([0, 8])).windows(window_size=4, stride=4)
    >>> (channel,) = training.distances(windows, device="cpu")
    >>> channel.window.tolist()
    [0.0, 0.0, 0.0, 0.0, 8.0, 8.0, 8.0, 8.0]
    >>> channel.row.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 16.0, 16.0]
    """

    windows: WindowSet
    positions: NDArray[np.intp]
    n_neighbors: int

    @classmethod
    def fit(cls, series: Series, *, window_size: int, n_neighbors: int, max_windows: int) -> TrainingWindows:
        """Keep at most `max_windows` evenly spaced windows of the training series."""
        kept = series.windows(window_size, stride=1).thinned(max_windows)
        covered = np.zeros(len(series), dtype=bool)
        covered[kept.starts[:, None] + np.arange(window_size)] = True
        compact = WindowSet(series.values[covered], (covered.cumsum() - 1)[kept.starts], window_size)
        return cls(compact, kept.starts, n_neighbors)

    @property
    def leaves_neighbors(self) -> bool:
        """Whether every window of the training series has `n_neighbors` windows outside of its exclusion zone."""
        begin, end = self._overlapping(self.positions)
        return bool(len(self.positions) - (end - begin).max() >= self.n_neighbors)

    def distances(
        self, windows: WindowSet, device: torch.device | str, *, signed: bool = False
    ) -> Iterator[ChannelDistances]:
        """Distances of new rows to all training windows.

        Parameters
        ----------
        windows : WindowSet
            Windows that together contain every row.
        device : torch.device
            Where to compute.
        signed : bool, default=False
            Whether to average the deviation, too.

        Yields
        ------
        distances : ChannelDistances
            One channel after the other: memory is that of one channel.
        """
        for channel in range(windows.values.shape[1]):
            (found,) = self._search(windows, channel, device, zone=None, signed=signed)
            yield found

    def self_join(
        self, windows: WindowSet, device: torch.device | str
    ) -> Iterator[tuple[ChannelDistances, ChannelDistances]]:
        """Distances of training rows: outside of each window's exclusion zone, and to all training windows.

        A training series that does not leave `n_neighbors` windows outside of every exclusion zone has none: both
        distances are then to all training windows; see `leaves_neighbors`.

        Parameters
        ----------
        windows : WindowSet
            Windows of the training series that together contain every row.
        device : torch.device
            Where to compute.

        Yields
        ------
        outside, all : ChannelDistances
            One channel after the other, with deviations.
        """
        zone = self.exclusion_zone(windows) if self.leaves_neighbors else None
        for channel in range(windows.values.shape[1]):
            found = self._search(windows, channel, device, zone, signed=True)
            yield found[-1], found[0]

    def exclusion_zone(self, windows: WindowSet) -> Zone:
        """Pairs to leave out of a self-join, for each search batch.

        Returns
        -------
        zone : list of tuple
            Numbers of windows in the batch, (n, 1), and of the training windows that overlap each, (n, k). These are
            consecutive; a window that overlaps fewer than k repeats the last.
        """
        zones = []
        for batch in search_batches(windows):
            begin, end = self._overlapping(windows.starts[batch])
            some = np.flatnonzero(begin < end)
            begin, end = begin[some, None], end[some, None]
            zones.append((some[:, None], np.minimum(begin + np.arange((end - begin).max(initial=0)), end - 1)))
        return zones

    def _overlapping(self, starts: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and last + 1 number of the training windows that overlap a window starting at each of `starts`."""
        size = self.windows.window_size
        begin = np.searchsorted(self.positions, starts - size, side="right")
        end = np.searchsorted(self.positions, starts + size)
        return begin, end

    def _search(
        self, windows: WindowSet, channel: int, device: torch.device | str, zone: Zone | None, *, signed: bool
    ) -> list[ChannelDistances]:
        """Distances to all training windows and, with a zone, those outside of it."""
        accumulators = [RowDistances(windows, signed=signed) for _ in range(1 if zone is None else 2)]
        for starts, found in self._nearest_differences(windows, channel, device, zone):
            for accumulator, differences in zip(accumulators, found, strict=True):
                accumulator.add(starts, differences)
        return [accumulator.distances() for accumulator in accumulators]

    @torch.inference_mode()
    def _nearest_differences(
        self, windows: WindowSet, channel: int, device: torch.device | str, zone: Zone | None
    ) -> Iterator[tuple[NDArray[np.intp], list[Tensor]]]:
        """For each batch: first rows, (batch,), and differences from the neighbours, (batch, neighbour, time)."""
        training = self.windows.channel(channel).to(device)  # (training window, time)
        half_lengths = training.square().sum(dim=1) / 2
        n_neighbors = min(self.n_neighbors, len(training))
        for number, batch in enumerate(search_batches(windows)):
            x = windows.channel(channel, batch).to(device)  # (batch, time)
            # |x - m|² / 2 without |x|² / 2, which is the same for every m.
            half_squares = linear(x, -training, half_lengths)  # (batch, training window)
            nearest = [half_squares.topk(n_neighbors, largest=False).indices]
            if zone is not None:
                half_squares[zone[number]] = torch.inf
                nearest.append(half_squares.topk(n_neighbors, largest=False).indices)
            # Distances anew, from the differences: the expanded square has lost digits.
            yield windows.starts[batch], [x[:, None] - training[one] for one in nearest]


class RowDistances:
    """Collects the window distances of one channel row by row.

    Parameters
    ----------
    windows : WindowSet
        The windows, without repeats.
    signed : bool
        Whether to average the differences with their signs, too.
    """

    def __init__(self, windows: WindowSet, *, signed: bool) -> None:
        self._offsets = np.arange(windows.window_size)[:, None]
        self._signed = signed
        self._row = OverlapAverage(len(windows.values), 2 if signed else 1)
        self._window = np.zeros(len(windows.values), dtype=np.float32)

    def add(self, starts: NDArray[np.intp], differences: Tensor) -> None:
        """Add a batch: first rows, (batch,), and differences from the neighbours, (batch, neighbour, time)."""
        squares = differences.square().mean(dim=1)  # (batch, time)
        columns = [squares, differences.mean(dim=1)] if self._signed else [squares]
        self._row.add(starts, torch.stack(columns, dim=-1).cpu().numpy())
        distances = squares.mean(dim=1).cpu().numpy()  # (batch,)
        for rows in starts + self._offsets:  # one position of all windows at a time: no row twice
            self._window[rows] = np.maximum(self._window[rows], distances)

    def distances(self) -> ChannelDistances:
        """The distances of all rows."""
        average = self._row.average()
        return ChannelDistances(self._window, average[:, 0], average[:, 1] if self._signed else None)


def search_batches(windows: WindowSet) -> list[slice]:
    """Consecutive slices of all windows."""
    return [slice(begin, begin + SEARCH_BATCH) for begin in range(0, len(windows), SEARCH_BATCH)]


class NeighborParts(NamedTuple):
    """The neighbours' score, and its channels."""

    score: NDArray[np.float64]  # (n_rows,)
    by_channel: NDArray[np.float64]  # (n_rows, n_channels): the score, in the column of the channel that set it


class RootDistances(NamedTuple):
    """Distances of one channel in standard deviations, (n_rows,) each.

    Parameters
    ----------
    window : ndarray
        Of the farthest window that contains the row.
    near, far : ndarray
        Of the row itself: moving averages over the near and the far horizon.
    """

    window: NDArray[np.float64]
    near: NDArray[np.float64]
    far: NDArray[np.float64]

    @classmethod
    def of(cls, distances: ChannelDistances, smoothing: int, borders: NDArray[np.intp]) -> RootDistances:
        """Square roots of a channel's distances, those of the row after the moving averages."""
        window, row = distances.window.astype(np.float64), distances.row.astype(np.float64)
        far = 1 + FAR_MULTIPLIER * (smoothing - 1)  # a smoothing of 1 stays without effect
        return cls(np.sqrt(window), root_mean_square(row, smoothing, borders), root_mean_square(row, far, borders))


class ChannelCalibration(NamedTuple):
    """Calibration of one channel's `RootDistances`, and of the distance of the row itself over short horizons.

    Heights come from distances with self-matches, so a single anomaly among the training rows hardly changes them: it
    is near itself. Centers come from the distances that score the training rows, so a typical training row has a score
    of 0.
    """

    window: TailCalibration
    near: TailCalibration
    far: TailCalibration
    local: tuple[TailCalibration, ...]

    @classmethod
    def fit(
        cls, outside: ChannelDistances, everything: ChannelDistances, smoothing: int, borders: NDArray[np.intp]
    ) -> ChannelCalibration:
        """Fit on the distances of training rows outside of the exclusion zone and to all training windows."""
        scored, every = (
            [*RootDistances.of(one, smoothing, borders), *local_columns(one.row, smoothing, borders)]
            for one in (outside, everything)
        )
        pairs = zip(scored, every, strict=True)
        window, near, far, *local = (TailCalibration.fit(all_).centered_on(some) for some, all_ in pairs)
        return cls(window, near, far, tuple(local))

    def __call__(self, distances: RootDistances) -> NDArray[np.float64]:
        """(window + max(near, far)) / 2 of the calibrated distances, (n_rows,)."""
        row = np.maximum(self.near(distances.near), self.far(distances.far))
        return (self.window(distances.window) + row) / 2

    def add_local(
        self,
        local: LargestChannel,
        channel: int,
        distances: ChannelDistances,
        smoothing: int,
        borders: NDArray[np.intp],
    ) -> None:
        """Add the calibrated distance of the row itself over each short horizon."""
        columns = local_columns(distances.row, smoothing, borders)
        assert distances.deviation is not None, "local evidence needs distances with their deviation"
        calibrated = [calibration(column) for calibration, column in zip(self.local, columns, strict=True)]
        local.add(channel, calibrated, distances.deviation)


@dataclass(frozen=True)
class NeighborScorer:
    """Calibrated distance to the nearest training windows, in the channel where it is largest.

    Parameters
    ----------
    training : TrainingWindows
        Windows to search.
    stride : int
        Rows between the starts of consecutive windows that are scored.
    smoothing : int
        Rows of the near moving average; the far one has three times as many.
    channels : tuple of ChannelCalibration
        One per channel.
    """

    training: TrainingWindows
    stride: int
    smoothing: int
    channels: tuple[ChannelCalibration, ...]

    @classmethod
    def fit(
        cls, training: TrainingWindows, series: Series, *, stride: int, smoothing: int, device: torch.device | str
    ) -> tuple[NeighborScorer, NDArray[np.float64], LocalEvidence]:
        """Calibrate on the training rows by a self-join, and score them.

        Returns
        -------
        scorer : NeighborScorer
        training_scores : ndarray of shape (n_rows,)
        local : LocalEvidence
            Of the training rows.
        """
        channels = []
        score, local = np.full(len(series), -np.inf), LargestChannel(len(series))
        windows = series.windows(training.windows.window_size, stride)
        for channel, (outside, everything) in enumerate(training.self_join(windows, device)):
            calibration = ChannelCalibration.fit(outside, everything, smoothing, series.borders)
            np.maximum(score, calibration(RootDistances.of(outside, smoothing, series.borders)), out=score)
            calibration.add_local(local, channel, outside, smoothing, series.borders)
            channels.append(calibration)
        return cls(training, stride, smoothing, tuple(channels)), score, local.evidence()

    def __call__(self, series: Series, device: torch.device | str) -> NDArray[np.float64]:
        """Score of new rows, (n_rows,)."""
        score = np.full(len(series), -np.inf)
        for calibration, distances in self._channels(series, device):
            np.maximum(score, self._score(calibration, distances, series), out=score)
        return score

    def with_local(self, series: Series, device: torch.device | str) -> tuple[NDArray[np.float64], LocalEvidence]:
        """Score of new rows, (n_rows,), and their local evidence."""
        score, local = np.full(len(series), -np.inf), LargestChannel(len(series))
        for channel, (calibration, distances) in enumerate(self._channels(series, device, signed=True)):
            np.maximum(score, self._score(calibration, distances, series), out=score)
            calibration.add_local(local, channel, distances, self.smoothing, series.borders)
        return score, local.evidence()

    def explain(self, series: Series, device: torch.device | str) -> NeighborParts:
        """Score of new rows, and the channel that set it."""
        columns = np.column_stack([self._score(*pair, series) for pair in self._channels(series, device)])
        largest = columns.argmax(axis=1)[:, None]  # of (n_rows, n_channels)
        score = np.take_along_axis(columns, largest, axis=1)
        by_channel = np.zeros_like(columns)
        np.put_along_axis(by_channel, largest, score, axis=1)
        return NeighborParts(score[:, 0], by_channel)

    def _channels(
        self, series: Series, device: torch.device | str, *, signed: bool = False
    ) -> Iterator[tuple[ChannelCalibration, ChannelDistances]]:
        windows = series.windows(self.training.windows.window_size, self.stride)
        yield from zip(self.channels, self.training.distances(windows, device, signed=signed), strict=True)

    def _score(
        self, calibration: ChannelCalibration, distances: ChannelDistances, series: Series
    ) -> NDArray[np.float64]:
        return calibration(RootDistances.of(distances, self.smoothing, series.borders))
