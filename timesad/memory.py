"""Association beyond the window: how near a window comes to anything that the training series holds.

The Anomaly Transformer argues that a normal row associates with the whole series and an anomaly with its neighbours
alone, but its associations end where the window ends. Here a window is compared with windows of the whole training
series: what has happened before is near to some of them, an anomaly to none.

A window that the training series holds value for value is taken for that very window, and neither it nor what overlaps
it counts: the rows that were learned from are judged by the rest, as any others are, and an anomaly among them does not
vouch for itself. Rows that come back rounded otherwise, as in another dtype, are new ones. Only where the unit of the
distance is learned does everything count (`MemoryScorer`).
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
from .nn.products import linear
from .windows import OverlapAverage, WindowSet

__all__ = ["ChannelDistance", "MemoryScorer", "WindowMemory", "fingerprints"]

NEIGHBOURS = 5  # windows that a distance is the mean of; one alone might be an anomaly of the training series
CHUNK_WINDOWS = 128  # compared with the memory at a time; twice as many leave the cache
FAR_TIMES = 3  # the far horizon of a row's own distance is so many times longer

# Any odd numbers have an inverse modulo 2^64; these have their bits well spread (Steele & Vigna, 2022).
ROW_MULTIPLIER = 0xD1342543DE82EF95
CHANNEL_MULTIPLIER = 0xF1357AEA2E62A9C5


class ChannelDistance(NamedTuple):
    """How far one channel of each row lies from the memory, in squared standard deviations, (n_rows,) each.

    Parameters
    ----------
    of_window : ndarray of shape (n_rows,), float32
        Of the strangest window that holds the row: mean squared difference from the nearest windows remembered.
    of_row : ndarray of shape (n_rows,), float32
        Squared difference of the row itself from its like in those windows, mean over the windows that hold it: where
        in a strange window the strangeness lies.
    """

    of_window: NDArray[np.float32]
    of_row: NDArray[np.float32]


@dataclass(frozen=True)
class WindowMemory:
    """Windows of the training series, and how far others lie from them.

    Parameters
    ----------
    windows : WindowSet
        The windows remembered.
    positions : ndarray of shape (n_remembered,)
        First row of each in the training series; increasing.
    known : ndarray of shape (n_known,), uint64
        Fingerprints of all windows of the training series, sorted.
    known_at : ndarray of shape (n_known,)
        First row in the training series of each of these.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.memory import WindowMemory
    >>> from timesad.windows import WindowSet
    >>> values = np.tile(np.array([0.0, 1.0], dtype=np.float32), 20)[:, None]
    >>> memory = WindowMemory.learn(WindowSet(values, np.arange(37), window_size=4), size=37)
    >>> strange = values[:8].copy()
    >>> strange[6:] += 4.0
    >>> (channel,) = memory.distances(WindowSet(strange, np.array([0, 4]), window_size=4), device="cpu")
    >>> channel.of_window.tolist()
    [0.0, 0.0, 0.0, 0.0, 8.0, 8.0, 8.0, 8.0]
    >>> channel.of_row.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 16.0, 16.0]
    """

    windows: WindowSet
    positions: NDArray[np.intp]
    known: NDArray[np.uint64]
    known_at: NDArray[np.intp]

    @classmethod
    def learn(cls, windows: WindowSet, size: int) -> WindowMemory:
        """Remember at most `size` of the windows, evenly spread, and of the series only the rows that they touch.

        All windows are known again by their fingerprints, the remembered ones and those between them, unless the
        series is so short that hardly a window would remain to compare some of them with: then none is.
        """
        kept = windows.thinned(size)
        held = np.zeros(len(kept.values), dtype=bool)
        held[kept.starts[:, None] + np.arange(kept.window_size)] = True
        remembered = WindowSet(kept.values[held], (held.cumsum() - 1)[kept.starts], kept.window_size)
        begin, end = overlapping(kept.starts, windows.starts, windows.window_size)
        if len(kept) - (end - begin).max() < NEIGHBOURS:
            return cls(remembered, kept.starts, np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.intp))
        known = fingerprints(windows)
        order = known.argsort(kind="stable")
        return cls(remembered, kept.starts, known[order], windows.starts[order])

    def distances(
        self, windows: WindowSet, device: torch.device | str, *, own_counts: bool = False
    ) -> Iterator[ChannelDistance]:
        """How far each row's windows, and the row in them, lie from the nearest windows remembered.

        Parameters
        ----------
        windows : WindowSet
            Windows that together hold every row.
        device : torch.device
            Where to compute.
        own_counts : bool, default=False
            Whether a window of the training series is compared with itself and with what overlaps it, too.

        Yields
        ------
        distance : ChannelDistance
            One channel after the other, so that memory is that of one.
        """
        own = None if own_counts else self._own(windows)
        for channel in range(windows.values.shape[1]):
            yield self._channel_distance(windows, channel, device, own)

    def _own(self, windows: WindowSet) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """For each chunk: which of its windows are known, (n, 1), and which remembered ones overlap each, (n, most).

        These follow one another; where they are fewer than the most, the last is named again.
        """
        prints = fingerprints(windows)
        place = np.searchsorted(self.known, prints)
        is_known = np.searchsorted(self.known, prints, side="right") > place
        found = []
        for chunk in chunks_of(windows):
            own = np.flatnonzero(is_known[chunk])
            begin, end = overlapping(self.positions, self.known_at[place[chunk][own]], windows.window_size)
            own, begin, end = (one[begin < end, None] for one in (own, begin, end))
            most = (end - begin).max(initial=0)
            found.append((own, np.minimum(begin + np.arange(most), end - 1)))
        return found

    def _channel_distance(
        self,
        windows: WindowSet,
        channel: int,
        device: torch.device | str,
        own: list[tuple[NDArray[np.intp], NDArray[np.intp]]] | None,
    ) -> ChannelDistance:
        n_rows = len(windows.values)
        of_row, of_window = OverlapAverage(n_rows, 1), np.zeros(n_rows, dtype=np.float32)
        for starts, squares in self._differences(windows, channel, device, own):
            of_row.add(starts, squares[..., None].cpu().numpy())
            raise_to(of_window, starts, windows.window_size, squares.mean(dim=1).cpu().numpy())
        return ChannelDistance(of_window, of_row.average()[:, 0])

    @torch.inference_mode()
    def _differences(
        self,
        windows: WindowSet,
        channel: int,
        device: torch.device | str,
        own: list[tuple[NDArray[np.intp], NDArray[np.intp]]] | None,
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """First rows of windows, and the mean squared difference of each of their rows from the nearest remembered.

        A chunk at a time, (chunk,) and (chunk, time).
        """
        remembered = self.windows.channel(channel).to(device)  # (kept, time)
        half_lengths = remembered.square().sum(dim=1) / 2
        n_neighbours = min(NEIGHBOURS, len(remembered))
        for number, chunk in enumerate(chunks_of(windows)):
            x = windows.channel(channel, chunk).to(device)  # (chunk, time)
            # Half of |x - m|² but for |x|², which every m has in common.
            half_squares = linear(x, -remembered, half_lengths)  # (chunk, kept)
            if own is not None:
                half_squares[own[number]] = torch.inf
            nearest = half_squares.topk(n_neighbours, largest=False)
            # What was found is measured again: the difference of large squares has lost its last digits.
            yield windows.starts[chunk], (x[:, None] - remembered[nearest.indices]).square().mean(dim=1)


@dataclass(frozen=True)
class MemoryScorer:
    """What the distance to the memory says of each row, calibrated per channel.

    The strangest window that holds a row tells of shapes that never were, and the row's own distance where they are:
    near, where they are short, and far, where they last; the larger of the two. Window and row count the same, and of
    all channels the farthest.

    Parameters
    ----------
    memory : WindowMemory
        What windows are compared with.
    smoothing : int
        Rows that the row's own distance is smoothed over at the near horizon; three times as many at the far one.
    channels : tuple of MemoryTails
        One a channel.
    weight : float
        What the memory should count in a score, in [0, 1]: how many windows the training rows hold, side by side,
        beyond five. Five are the neighbours of a distance, and from six on a training window, too, has as many that are
        neither itself nor one another. Fewer know too little of what may be.
    """

    memory: WindowMemory
    smoothing: int
    channels: tuple[MemoryTails, ...]
    weight: float

    @classmethod
    def learn(
        cls,
        memory: WindowMemory,
        windows: WindowSet,
        smoothing: int,
        borders: NDArray[np.intp],
        device: torch.device | str,
    ) -> tuple[MemoryScorer, NDArray[np.float64]]:
        """Calibrate on windows that hold all training rows; also returns what the scorer says of these rows.

        The unit is the tail of their distances with everything counted: a window to itself, to its surroundings and to
        its likes. It says how finely the memory knows what the series holds. An anomaly among the training rows lies
        near itself, so that it hardly sets the unit, and neither does what is normal but seldom. What is typical, and
        becomes 0, is read off the distances as they are scored.
        """
        channels = []
        farthest = np.full(len(windows.values), -np.inf)
        every = zip(memory.distances(windows, device), memory.distances(windows, device, own_counts=True), strict=True)
        for scored, with_own in every:
            evidence = memory_evidence(scored, smoothing, borders)
            tails = MemoryTails.learn(memory_evidence(with_own, smoothing, borders), evidence)
            channels.append(tails)
            np.maximum(farthest, tails(evidence), out=farthest)
        side_by_side = len(windows.values) / windows.window_size
        weight = float(np.clip(side_by_side - NEIGHBOURS, 0.0, 1.0))
        return cls(memory, smoothing, tuple(channels), weight), farthest

    def __call__(
        self, windows: WindowSet, borders: NDArray[np.intp], device: torch.device | str
    ) -> NDArray[np.float64]:
        """Calibrated distance of each row in the channel where it is largest, (n_rows,)."""
        farthest = np.full(len(windows.values), -np.inf)
        for tails, distance in zip(self.channels, self.memory.distances(windows, device), strict=True):
            evidence = memory_evidence(distance, self.smoothing, borders)
            np.maximum(farthest, tails(evidence), out=farthest)
        return farthest


class MemoryEvidence(NamedTuple):
    """One channel's distances to the memory in standard deviations, (n_rows,) each.

    Parameters
    ----------
    window : ndarray
        Of the strangest window that holds the row.
    near, far : ndarray
        Of the row itself, smoothed over either horizon.
    """

    window: NDArray[np.float64]
    near: NDArray[np.float64]
    far: NDArray[np.float64]


def memory_evidence(distance: ChannelDistance, smoothing: int, borders: NDArray[np.intp]) -> MemoryEvidence:
    """Roots of a channel's distances, those of the row smoothed."""
    of_window, of_row = (squares.astype(np.float64) for squares in distance)
    far_smoothing = 1 + FAR_TIMES * (smoothing - 1)  # 1 stays off
    near, far = (root_mean_square(of_row, width, borders) for width in (smoothing, far_smoothing))
    return MemoryEvidence(np.sqrt(of_window), near, far)


class MemoryTails(NamedTuple):
    """Calibration of one channel's `MemoryEvidence`."""

    window: TailCalibration
    near: TailCalibration
    far: TailCalibration

    @classmethod
    def learn(cls, with_own: MemoryEvidence, scored: MemoryEvidence) -> MemoryTails:
        """Units from training rows with everything counted, what is typical from the same rows as they are scored."""
        pairs = zip(with_own, scored, strict=True)
        return cls(*(TailCalibration.learn(unit, n_blocks=1).centered_on(one) for unit, one in pairs))

    def __call__(self, evidence: MemoryEvidence) -> NDArray[np.float64]:
        """Half the window's calibrated distance and half the row's, (n_rows,)."""
        row = np.maximum(self.near(evidence.near), self.far(evidence.far))
        return (self.window(evidence.window) + row) / 2


def raise_to(
    rows: NDArray[np.float32], starts: NDArray[np.intp], window_size: int, floors: NDArray[np.float32]
) -> None:
    """Let no row of a window be below the window's floor; `starts` are without repeats."""
    for held in starts + np.arange(window_size)[:, None]:
        rows[held] = np.maximum(rows[held], floors)


def chunks_of(windows: WindowSet) -> list[slice]:
    """All windows, so many at a time as are compared with the memory at once."""
    return [slice(begin, begin + CHUNK_WINDOWS) for begin in range(0, len(windows), CHUNK_WINDOWS)]


def overlapping(
    positions: NDArray[np.intp], starts: NDArray[np.intp], window_size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """From where to where the windows at `positions`, which increase, overlap each of those at `starts`."""
    begin = np.searchsorted(positions, starts - window_size, side="right")
    end = np.searchsorted(positions, starts + window_size)
    return begin, end


def fingerprints(windows: WindowSet) -> NDArray[np.uint64]:
    """A number for every window that says whether two hold the same values, bit for bit.

    It is the polynomial of the values' bits modulo 2^64, rows before channels; overlapping windows share the work, so
    that all windows of a series cost a few operations a value, whatever their length. Windows that differ have the
    same number by a chance of about 2^-64.

    Parameters
    ----------
    windows : WindowSet

    Returns
    -------
    fingerprints : ndarray of shape (n_windows,), uint64

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.memory import fingerprints
    >>> from timesad.windows import WindowSet
    >>> values = np.array([0.5, 1.5, 0.5, 1.5, 2.5], dtype=np.float32)[:, None]
    >>> first, second, third, fourth = fingerprints(WindowSet(values, np.arange(4), window_size=2))
    >>> bool(first == third), bool(first == second), bool(first == fourth)
    (True, False, False)
    """
    n_rows, starts = len(windows.values), windows.starts
    rows = np.zeros(n_rows, dtype=np.uint64)
    for bits in windows.values.view(np.uint32).T:
        rows = (rows + bits) * np.uint64(CHANNEL_MULTIPLIER)
        rows ^= rows >> np.uint64(32)  # to where the next product carries them on
    sums = np.zeros(n_rows + 1, dtype=np.uint64)
    np.cumsum(rows * powers(ROW_MULTIPLIER, n_rows), out=sums[1:])
    # A window's sum has the power of its first row in common, and that is divided out.
    inverses = powers(pow(ROW_MULTIPLIER, -1, 1 << 64), n_rows)
    return (sums[starts + windows.window_size] - sums[starts]) * inverses[starts]


def powers(base: int, n: int) -> NDArray[np.uint64]:
    """The first `n` powers of the base, from 0 on, modulo 2^64."""
    factors = np.full(n, base, dtype=np.uint64)
    factors[:1] = 1
    return factors.cumprod()
