"""Earlier windows of the series that is scored: further candidates for nearest neighbours, beside the training windows.

A window that starts at row s is compared with windows of its own series that end before s, and never with a later one.
At most `max_windows` of the m earlier windows are candidates: every f-th, where f is the smallest power of two with
m / f <= max_windows. Time and memory for each row are therefore bounded, however long the series grows.

A window that equals a training window is no candidate: it would count twice. Rows that the detector was fitted on may
thus stand before the new ones.

In a stream, candidates are the last ones, whatever rows the stream still holds; see `StreamPast`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .windows import WindowSet, runs

__all__ = ["EarlierWindows", "KnownCandidates", "Segment", "StreamPast", "window_keys"]

BLOCKS = 8  # of a stream's past; the oldest block is left out as a whole
KEY_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it is 0 modulo 2^64


def window_keys(windows: WindowSet) -> NDArray[np.uint64]:
    """Hash of each window's values, (n_windows,): Σ_t hash(row t) · multiplier^t modulo 2^64."""
    rows = pd.util.hash_pandas_object(pd.DataFrame(windows.values), index=False).to_numpy()
    keys = np.zeros(len(windows), dtype=np.uint64)
    for offset in range(windows.window_size):
        keys *= KEY_MULTIPLIER
        keys += rows[windows.starts + offset]
    return keys


@dataclass(frozen=True)
class Segment:
    """Consecutive windows that choose among the same earlier windows.

    Parameters
    ----------
    begin, end : int
        Numbers of the first window, and after the last.
    candidates : ndarray of shape (n_candidates,)
        Numbers of earlier windows, in time order.
    n_earlier : ndarray of shape (end - begin,)
        How many of the candidates end before each window starts.
    """

    begin: int
    end: int
    candidates: NDArray[np.intp]
    n_earlier: NDArray[np.intp]

    @classmethod
    def without_candidates(cls, n_windows: int) -> Segment:
        """All windows, compared with the training windows alone."""
        return cls(0, n_windows, np.empty(0, dtype=np.intp), np.zeros(n_windows, dtype=np.intp))

    def without_first(self, n_windows: int) -> Segment:
        """The segment without those of its windows that are among the first so many of all windows."""
        begin = min(max(self.begin, n_windows), self.end)
        return Segment(begin, self.end, self.candidates, self.n_earlier[begin - self.begin :])

    def only(self, wanted: NDArray[np.bool_]) -> list[Segment]:
        """Segments of those of its windows that are wanted, (n_windows,) of all windows."""
        return [
            Segment(self.begin + first, self.begin + last, self.candidates, self.n_earlier[first:last])
            for first, last in runs(wanted[self.begin : self.end]).tolist()
        ]

    def batches(self, size: int) -> list[slice]:
        """Slices of at most `size` windows."""
        return [slice(begin, min(begin + size, self.end)) for begin in range(self.begin, self.end, size)]

    def counts(self, batch: slice) -> NDArray[np.intp]:
        """`n_earlier` of a batch's windows."""
        return self.n_earlier[batch.start - self.begin : batch.stop - self.begin]


class StreamPast(NamedTuple):
    """Which earlier windows are candidates in a stream: those that start in its last seven or eight blocks.

    Parameters
    ----------
    first_row : int
        Number of the first row held in the stream.
    n_rows : int
        Rows of eight blocks. Nothing is left out of a stream that is not longer.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.earlier_windows import StreamPast
    >>> StreamPast(first_row=0, n_rows=80).oldest(np.array([70, 79, 80, 89, 90])).tolist()
    [0, 0, 10, 10, 20]
    """

    first_row: int
    n_rows: int

    def oldest(self, starts: NDArray[np.intp]) -> NDArray[np.intp]:
        """First row that a candidate for each window may start at, both counted from the first row held."""
        block = max(1, self.n_rows // BLOCKS)
        numbers = starts + self.first_row - self.n_rows + block
        return np.maximum(numbers // block * block - self.first_row, 0)


class KnownCandidates:
    """Which windows of a stream equal no training window, by row number: only new windows are hashed."""

    def __init__(self) -> None:
        self._starts: NDArray[np.intp] = np.empty(0, dtype=np.intp)  # row numbers
        self._differs: NDArray[np.bool_] = np.empty(0, dtype=bool)

    def numbers(self, windows: WindowSet, first_row: int, training_keys: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Numbers of the windows but the last that equal no training window; forgets those that are not asked for.

        Parameters
        ----------
        windows : WindowSet
            All windows, by first row.
        first_row : int
            Number of the windows' first row in the stream.
        training_keys : ndarray of shape (n_training_windows,)
            The same in each call.
        """
        starts = windows.starts[:-1] + first_row  # the last window is no candidate: no window begins after it
        differs = np.ones(len(starts), dtype=bool)
        _, places, old_places = np.intersect1d(starts, self._starts, assume_unique=True, return_indices=True)
        differs[places] = self._differs[old_places]
        new = np.setdiff1d(np.arange(len(starts)), places, assume_unique=True)
        if len(new):
            first = windows.starts[new[0]]
            rows = windows.values[first : windows.starts[new[-1]] + windows.window_size]
            keys = window_keys(WindowSet(rows, windows.starts[new] - first, windows.window_size))
            differs[new] = ~np.isin(keys, training_keys)
        self._starts, self._differs = starts, differs
        return np.flatnonzero(differs)


@dataclass(frozen=True)
class EarlierWindows:
    """Windows of one or several series that may be neighbours of later ones.

    Parameters
    ----------
    windows : WindowSet
        All windows, by first row.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end. The windows of one series are no candidates for another.
    numbers : ndarray of shape (n_candidates,)
        Numbers of the windows that equal no training window.
    stream : StreamPast or None, default=None
        Of a stream, whose windows are those of one series.

    Examples
    --------
    Of 12 windows side by side, the last has 11 earlier ones. Every second makes 6:

    >>> import numpy as np
    >>> from timesad.earlier_windows import EarlierWindows
    >>> from timesad.windows import Series
    >>> series = Series(np.arange(48, dtype=np.float32)[:, None], np.array([0, 48]))
    >>> windows = series.windows(window_size=4, stride=4)
    >>> earlier = EarlierWindows.of(windows, series.borders, training_keys=np.array([], dtype=np.uint64))
    >>> for segment in earlier.segments(max_windows=8):
    ...     print(segment.begin, segment.end, segment.candidates.tolist(), segment.n_earlier.tolist())
    0 9 [0, 1, 2, 3, 4, 5, 6, 7] [0, 1, 2, 3, 4, 5, 6, 7, 8]
    9 12 [0, 2, 4, 6, 8, 10] [5, 5, 6]
    """

    windows: WindowSet
    borders: NDArray[np.intp]
    numbers: NDArray[np.intp]
    stream: StreamPast | None = None

    @classmethod
    def of(cls, windows: WindowSet, borders: NDArray[np.intp], training_keys: NDArray[np.uint64]) -> EarlierWindows:
        """Leave out the windows that equal a training window, by their `window_keys`."""
        return cls(windows, borders, np.flatnonzero(~np.isin(window_keys(windows), training_keys)))

    def segments(self, max_windows: int) -> list[Segment]:
        """Divide all windows into segments, in order, each with at most `max_windows` candidates a window."""
        if self.stream is not None:
            return self._stream_segments(self.stream)
        segments = []
        starts = self.windows.starts
        limits = zip(np.searchsorted(starts, self.borders), self._numbers_at(self.borders), strict=True)
        for (first, first_candidate), (last, last_candidate) in pairwise(limits):
            numbers = self.numbers[first_candidate:last_candidate]
            n_before = self._numbers_at(starts[first:last] - self.windows.window_size + 1) - first_candidate
            n_before = n_before.clip(0)  # windows that end before
            exponent = np.ceil(np.log2(np.maximum(n_before / max_windows, 1.0))).astype(np.intp)
            changes = np.flatnonzero(np.diff(exponent)) + 1
            for begin, end in pairwise([0, *changes.tolist(), int(last - first)]):
                if begin < end:
                    factor = 2 ** int(exponent[begin])
                    n_earlier = -(-n_before[begin:end] // factor)
                    candidates = numbers[::factor][: n_earlier[-1]]
                    segments.append(Segment(int(first + begin), int(first + end), candidates, n_earlier))
        return segments

    def _stream_segments(self, stream: StreamPast) -> list[Segment]:
        starts = self.windows.starts
        n_before = self._numbers_at(starts - self.windows.window_size + 1)
        n_left_out = self._numbers_at(stream.oldest(starts))
        changes = np.flatnonzero(np.diff(n_left_out)) + 1
        segments = []
        for begin, end in pairwise([0, *changes.tolist(), len(starts)]):
            left_out = n_left_out[begin]
            n_earlier = np.maximum(n_before[begin:end] - left_out, 0)
            segments.append(Segment(begin, end, self.numbers[left_out:][: n_earlier[-1]], n_earlier))
        return segments

    def n_before_rows(self) -> NDArray[np.intp]:
        """Candidates of its series that end at or before each row, (n_rows,)."""
        rows = np.arange(self.borders[-1])
        counts = self._numbers_at(rows - self.windows.window_size + 1)
        firsts = np.repeat(self._numbers_at(self.borders[:-1]), np.diff(self.borders))
        return np.maximum(counts - firsts, 0)

    def _numbers_at(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """How many candidates start before each row."""
        return np.searchsorted(self.windows.starts[self.numbers], rows)
