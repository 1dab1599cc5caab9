"""Distance of each row's windows to their nearest neighbours, channel by channel.

d²(w) = mean over the `n_neighbors` nearest windows m of mean_t (w_t - m_t)². A row has two distances: that of the
farthest window that contains it, and its own squared difference from the neighbours, averaged over its windows.

Training rows are scored by a self-join with an exclusion zone: a window is not compared with training windows that
overlap it or, where the training rows may hold anomalies, lie near it. All other rows are new rows. They are compared
with every training window and with earlier windows of their own series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .arrays import Array, double, library, maximum, rows_of
from .calibration import TailCalibration, root_mean_square
from .earlier_windows import EarlierWindows, Segment, StreamPast, window_keys
from .local_evidence import LargestChannel, LocalEvidence, local_columns
from .nearest import Differences, Zone, search_for
from .windows import MOST_KNOWN, OverlapAverage, OverlapMaximum, Series, WindowColumn, WindowSet

__all__ = ["ChannelDistances", "KnownDistances", "NeighborParts", "NeighborScorer", "TrainingWindows"]

FAR_MULTIPLIER = 3  # the far horizon is so many times as long as the near one


class ChannelDistances(NamedTuple):
    """Squared distances of one channel, in squared standard deviations, (n_rows,) each.

    Parameters
    ----------
    window : Array of shape (n_rows,), float32
        Largest distance of a window that contains the row.
    row : Array of shape (n_rows,), float32
        Squared difference of the row from the same position in its windows' neighbours, mean over its windows.
    deviation : Array of shape (n_rows,), float32, or None
        The same difference with its sign, in standard deviations.
    """

    window: Array
    row: Array
    deviation: Array | None = None


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
        Neighbours that a distance is the mean of; fewer if there are not so many training windows.
    max_windows : int
        Training windows, at most, and earlier windows, at most.
    keys : ndarray of shape (n_windows,), uint64
        Hashes of the windows.

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
    max_windows: int
    keys: NDArray[np.uint64]

    @classmethod
    def fit(cls, series: Series, *, window_size: int, n_neighbors: int, max_windows: int) -> TrainingWindows:
        """Keep at most `max_windows` evenly spaced windows of the training series."""
        kept = series.windows(window_size, stride=1).thinned(max_windows)
        covered = np.zeros(len(series), dtype=bool)
        covered[kept.starts[:, None] + np.arange(window_size)] = True
        compact = WindowSet(series.values[covered], (covered.cumsum() - 1)[kept.starts], window_size)
        return cls(compact, kept.starts, n_neighbors, max_windows, window_keys(compact))

    @property
    def leaves_neighbors(self) -> bool:
        """Whether every window of the training series has `n_neighbors` training windows that do not overlap it."""
        return self.zone_windows(1) > 0

    def zone_windows(self, at_most: int) -> int:
        """Widest exclusion zone that leaves `n_neighbors` training windows to every window of the training series.

        Parameters
        ----------
        at_most : int
            Largest half width to try, in window lengths.

        Returns
        -------
        half_width : int
            In window lengths, 0 if even the windows that overlap are too many to leave out.
        """
        for half_width in range(at_most, 0, -1):
            begin, end = self._near(self.positions, half_width)
            if len(self.positions) - (end - begin).max() >= self.n_neighbors:
                return half_width
        return 0

    def distances(
        self,
        windows: WindowSet,
        device: torch.device | str,
        *,
        earlier: EarlierWindows | None = None,
        n_far: int = 0,
        signed: bool = False,
    ) -> Iterator[ChannelDistances]:
        """Distances of new rows to all training windows and to earlier windows of their own series.

        Parameters
        ----------
        windows : WindowSet
            Windows that together contain every row.
        device : torch.device
            Where to compute.
        earlier : EarlierWindows, default=None
            Those among `windows` that may be neighbours of later ones. None compares with the training windows alone.
        n_far : int, default=0
            First rows that are not scored. Their windows may be neighbours of later ones.
        signed : bool, default=False
            Whether to average the deviation, too.

        Yields
        ------
        distances : ChannelDistances
            One channel after the other: memory is that of one channel.
        """
        segments = self._segments(windows, earlier, n_far)
        largest = OverlapMaximum(windows, n_far, device)
        for channel in range(windows.values.shape[1]):
            rows = RowDistances(windows, device, largest, n_far=n_far, signed=signed)
            for batch, differences in self._differences(windows.column(channel), channel, device, segments):
                rows.add(batch, differences)
            yield rows.distances()

    def stream_distances(
        self,
        windows: WindowSet,
        device: torch.device | str,
        known: KnownDistances,
        *,
        earlier: EarlierWindows | None,
        n_far: int,
        first_row: int,
    ) -> list[ChannelDistances]:
        """The same distances of a stream's rows, with deviations: only windows that are not known are searched.

        Parameters
        ----------
        windows, device, earlier, n_far
            As in `distances`.
        known : KnownDistances
            Of this stream.
        first_row : int
            Number of the windows' first row in the stream.

        Returns
        -------
        distances : list of ChannelDistances
        """
        n_windows_far = int(np.searchsorted(windows.starts, n_far))
        near = windows.part(np.arange(n_windows_far, len(windows)))
        is_new = np.zeros(len(windows), dtype=bool)
        is_new[n_windows_far:] = known.begin(near, first_row, device)
        segments = [part for one in self._segments(windows, earlier, n_far) for part in one.only(is_new)]
        for channel in range(windows.values.shape[1]):
            for batch, differences in self._differences(windows.column(channel), channel, device, segments):
                known.add(batch.start - n_windows_far, channel, differences)
        return known.distances(near, n_far)

    def _segments(self, windows: WindowSet, earlier: EarlierWindows | None, n_far: int) -> list[Segment]:
        """Segments of the windows that start at row `n_far` or later."""
        if earlier is None:
            segments = [Segment.without_candidates(len(windows))]
        else:
            segments = earlier.segments(self.max_windows)
        n_windows_far = int(np.searchsorted(windows.starts, n_far))
        return [segment.without_first(n_windows_far) for segment in segments]

    def self_join(
        self, windows: WindowSet, device: torch.device | str, half_width: int = 1
    ) -> Iterator[tuple[ChannelDistances, ChannelDistances]]:
        """Distances of training rows: outside of each window's exclusion zone, and to all training windows.

        The zone is the widest one up to `half_width` that leaves `n_neighbors` windows to every window. If there is
        none, both distances are to all training windows; see `leaves_neighbors`.

        Parameters
        ----------
        windows : WindowSet
            Windows of the training series that together contain every row.
        device : torch.device
            Where to compute.
        half_width : int, default=1
            Windows that start fewer than so many window lengths apart are not compared. With 1, those that overlap.

        Yields
        ------
        outside, all : ChannelDistances
            One channel after the other, with deviations.
        """
        half_width = self.zone_windows(half_width)
        largest = OverlapMaximum(windows, device=device)
        for channel in range(windows.values.shape[1]):
            rows = [RowDistances(windows, device, largest, signed=True) for _ in range(2 if half_width else 1)]
            for batch, found in self._self_differences(windows, channel, device, half_width):
                for one, differences in zip(rows, found, strict=True):
                    one.add(batch, differences)
            distances = [one.distances() for one in rows]
            yield distances[-1], distances[0]

    def _near(self, starts: NDArray[np.intp], half_width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and last + 1 number of the training windows that start within `half_width` windows of each start."""
        distance = half_width * self.windows.window_size
        begin = np.searchsorted(self.positions, starts - distance, side="right")
        end = np.searchsorted(self.positions, starts + distance)
        return begin, end

    def _self_differences(
        self, windows: WindowSet, channel: int, device: torch.device | str, half_width: int
    ) -> Iterator[tuple[slice, list[Differences]]]:
        """For each batch: its windows, and differences from the neighbours.

        The neighbours are those among all training windows and, unless `half_width` is 0, those outside of the zone.
        """
        candidates, column = self.windows.column(channel), windows.column(channel)
        search = search_for(candidates, min(self.n_neighbors, len(candidates)), column, device, len(column))
        for batch in Segment.without_candidates(len(column)).batches(search.batch_size):
            starts = windows.starts[batch]
            zones = [Zone.none(len(starts))]
            if half_width:
                zones.append(Zone(*self._near(starts, half_width)))
            yield batch, search.differences(column, batch, zones)

    def _differences(
        self, column: WindowColumn, channel: int, device: torch.device | str, segments: list[Segment]
    ) -> Iterator[tuple[slice, Differences]]:
        """For each batch: its windows, and differences from the neighbours."""
        of_training = self.windows.column(channel)
        n_training = len(of_training)
        for segment in segments:
            n_windows = segment.end - segment.begin
            if not n_windows:
                continue
            candidates = of_training.followed_by(column.part(segment.candidates))
            search = search_for(candidates, min(self.n_neighbors, n_training), column, device, n_windows)
            for batch in segment.batches(search.batch_size):
                begin = n_training + segment.counts(batch)  # the first one that does not end before the window
                [found] = search.differences(column, batch, [Zone(begin, np.full_like(begin, len(candidates)))])
                yield batch, found


class KnownDistances:
    """Differences of a stream's windows from their neighbours, by row number: only new windows are searched.

    The rows and the candidates of a window must stay the same from call to call.
    """

    def __init__(self) -> None:
        self._starts: NDArray[np.intp] = np.empty(0, dtype=np.intp)  # row numbers
        self._differences = torch.empty(0)  # (window, channel, 2, time): the columns of `Differences`

    def begin(self, windows: WindowSet, first_row: int, device: torch.device | str) -> NDArray[np.bool_]:
        """Whether each window is new, (n_windows,); forgets the windows that are not asked for.

        Parameters
        ----------
        windows : WindowSet
            All windows whose distances will be asked for.
        first_row : int
            Number of the windows' first row in the stream.
        device : torch.device
            Where the differences are.
        """
        starts = windows.starts + first_row
        _, places, old_places = np.intersect1d(starts, self._starts, assume_unique=True, return_indices=True)
        shape = len(starts), windows.values.shape[1], 2, windows.window_size
        differences = torch.empty(shape, dtype=torch.float32, device=device)
        if len(places):
            differences[torch.from_numpy(places)] = self._differences[torch.from_numpy(old_places)]
        self._starts, self._differences = starts, differences
        is_new = np.ones(len(starts), dtype=bool)
        is_new[places] = False
        return is_new

    def add(self, place: int, channel: int, new: Differences) -> None:
        """Add differences of consecutive windows of `begin` in one channel, the first of them at `place`."""
        self._differences[place : place + len(new.squares), channel] = torch.stack(new, dim=1)

    def distances(self, windows: WindowSet, n_far: int) -> list[ChannelDistances]:
        """Distances of each channel, with deviations, when all new windows are added.

        Parameters
        ----------
        windows : WindowSet
            Those of `begin`.
        n_far : int
            First rows, which no window contains.
        """
        differences = self._differences.permute(0, 3, 1, 2)  # (window, time, channel, 2)
        device, n_channels = differences.device, differences.shape[2]
        average = OverlapAverage(len(windows.values) - n_far, 2 * n_channels, device)
        average.add(windows.starts - n_far, differences.flatten(2))
        rows = average.average().reshape(-1, n_channels, 2)
        window = OverlapMaximum(windows, n_far, device)(rows_of(differences[..., 0].mean(dim=1)))
        return [ChannelDistances(window[:, i], rows[:, i, 0], rows[:, i, 1]) for i in range(n_channels)]


class RowDistances:
    """Collects the window distances of one channel row by row.

    Parameters
    ----------
    windows : WindowSet
        The windows, without repeats.
    device : torch.device
        Where the differences are.
    largest : OverlapMaximum
        Of the windows that contain each row.
    n_far : int, default=0
        First rows, which no window contains.
    signed : bool, default=False
        Whether to average the differences with their signs, too.
    """

    def __init__(
        self,
        windows: WindowSet,
        device: torch.device | str,
        largest: OverlapMaximum,
        *,
        n_far: int = 0,
        signed: bool = False,
    ) -> None:
        self._windows = windows
        self._largest = largest
        self._n_far = n_far
        self._signed = signed
        self._row = OverlapAverage(len(windows.values) - n_far, 2 if signed else 1, device)
        self._window = torch.zeros(len(windows), dtype=torch.float32, device=device)

    def add(self, batch: slice, differences: Differences) -> None:
        """Add a batch of windows, with their differences from the neighbours."""
        columns = differences if self._signed else differences[:1]
        self._row.add(self._windows.starts[batch] - self._n_far, torch.stack(columns, dim=-1))
        self._window[batch] = differences.squares.mean(dim=1)

    def distances(self) -> ChannelDistances:
        """The distances of all rows."""
        average = self._row.average()
        window = self._largest(rows_of(self._window))
        return ChannelDistances(window, average[:, 0], average[:, 1] if self._signed else None)


class NeighborParts(NamedTuple):
    """The neighbours' score, and its channels."""

    score: Array  # (n_rows,)
    by_channel: Array  # (n_rows, n_channels): the score, in the column of the channel that set it


class RootDistances(NamedTuple):
    """Distances of one channel in standard deviations, (n_rows,) each.

    Parameters
    ----------
    window : Array
        Of the farthest window that contains the row.
    near, far : Array
        Of the row itself: moving averages over the near and the far horizon.
    """

    window: Array
    near: Array
    far: Array

    @classmethod
    def of(cls, distances: ChannelDistances, smoothing: int, borders: NDArray[np.intp]) -> RootDistances:
        """Square roots of a channel's distances, those of the row after the moving averages."""
        window, row = double(distances.window), double(distances.row)
        widths = smoothing, 1 + FAR_MULTIPLIER * (smoothing - 1)  # a smoothing of 1 stays without effect
        near, far = (root_mean_square(row, width, borders) for width in widths)
        return cls(library(window).sqrt(window), near, far)


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

    def __call__(self, distances: RootDistances) -> Array:
        """(window + max(near, far)) / 2 of the calibrated distances, (n_rows,)."""
        row = maximum(self.near(distances.near), self.far(distances.far))
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
    """Calibrated distance to the nearest windows, in the channel where it is largest.

    Parameters
    ----------
    training : TrainingWindows
        Windows to search.
    stride : int
        Rows between the starts of consecutive windows that are scored.
    smoothing : int
        Rows of the near moving average; the far one has three times as many.
    uses_past : bool
        Whether new rows are compared with earlier windows of their own series, too.
    channels : tuple of ChannelCalibration
        One per channel.
    """

    training: TrainingWindows
    stride: int
    smoothing: int
    uses_past: bool
    channels: tuple[ChannelCalibration, ...]

    @classmethod
    def fit(
        cls,
        training: TrainingWindows,
        series: Series,
        *,
        stride: int,
        smoothing: int,
        device: torch.device | str,
        half_width: int = 1,
        uses_past: bool = True,
    ) -> tuple[NeighborScorer, Array, LocalEvidence]:
        """Calibrate on the training rows by a self-join, and score them.

        Parameters
        ----------
        half_width : int, default=1
            Of the exclusion zone; see `TrainingWindows.self_join`.

        Returns
        -------
        scorer : NeighborScorer
        training_scores : Array of shape (n_rows,)
        local : LocalEvidence
            Of the training rows.
        """
        channels = []
        score, local = None, LargestChannel()
        windows = series.windows(training.windows.window_size, stride)
        for channel, (outside, everything) in enumerate(training.self_join(windows, device, half_width)):
            calibration = ChannelCalibration.fit(outside, everything, smoothing, series.borders)
            score = maximum(score, calibration(RootDistances.of(outside, smoothing, series.borders)))
            calibration.add_local(local, channel, outside, smoothing, series.borders)
            channels.append(calibration)
        return cls(training, stride, smoothing, uses_past, tuple(channels)), score, local.evidence()

    def __call__(
        self, series: Series, device: torch.device | str, past: EarlierWindows | None, n_far: int = 0
    ) -> Array:
        """Score of new rows, (n_rows - n_far,).

        Parameters
        ----------
        past : EarlierWindows or None
            Output of the method `past`.
        n_far : int, default=0
            First rows, which may be neighbours and are not scored.
        """
        near, score = series.from_row(n_far), None
        for calibration, distances in self._channels(series, device, past, n_far=n_far):
            score = maximum(score, self._score(calibration, distances, near))
        return score

    def with_local(
        self, series: Series, device: torch.device | str, past: EarlierWindows | None, n_far: int = 0
    ) -> tuple[Array, LocalEvidence]:
        """Score of new rows, (n_rows - n_far,), and their local evidence; parameters as in a call."""
        near, score, local = series.from_row(n_far), None, LargestChannel()
        channels = self._channels(series, device, past, n_far=n_far, signed=True)
        for channel, (calibration, distances) in enumerate(channels):
            score = maximum(score, self._score(calibration, distances, near))
            calibration.add_local(local, channel, distances, self.smoothing, near.borders)
        return score, local.evidence()

    def explain(self, series: Series, device: torch.device | str, past: EarlierWindows | None) -> NeighborParts:
        """Score of new rows, and the channel that set it; parameters as in a call."""
        of_channel = [self._score(*pair, series) for pair in self._channels(series, device, past)]
        xp = library(of_channel[0])
        columns = xp.column_stack(of_channel)  # (n_rows, n_channels)
        largest = columns.argmax(axis=1)
        split = [xp.where(largest == channel, score, 0.0) for channel, score in enumerate(of_channel)]
        return NeighborParts(xp.amax(columns, -1), xp.column_stack(split))

    def _channels(
        self,
        series: Series,
        device: torch.device | str,
        past: EarlierWindows | None,
        *,
        n_far: int = 0,
        signed: bool = False,
    ) -> Iterator[tuple[ChannelCalibration, ChannelDistances]]:
        windows = series.windows(self.training.windows.window_size, self.stride)
        distances: Iterable[ChannelDistances]
        n_near = len(windows) - int(np.searchsorted(windows.starts, n_far))
        if series.known is None or n_near > MOST_KNOWN:
            distances = self.training.distances(windows, device, earlier=past, n_far=n_far, signed=signed)
        else:
            distances = self.training.stream_distances(
                windows, device, series.known.distances, earlier=past, n_far=n_far, first_row=series.first_row
            )
        yield from zip(self.channels, distances, strict=True)

    def past(self, series: Series) -> EarlierWindows | None:
        """Windows of a new series that may be neighbours of later ones; None if the past is not used."""
        if not self.uses_past:
            return None
        windows = series.windows(self.training.windows.window_size, self.stride)
        if series.known is None:
            return EarlierWindows.of(windows, series.borders, self.training.keys)
        numbers = series.known.candidates.numbers(windows, series.first_row, self.training.keys)
        stream = StreamPast(series.first_row, self.training.max_windows * self.stride)
        return EarlierWindows(windows, series.borders, numbers, stream)

    def _score(self, calibration: ChannelCalibration, distances: ChannelDistances, series: Series) -> Array:
        return calibration(RootDistances.of(distances, self.smoothing, series.borders))
