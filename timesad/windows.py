"""From rows to windows and back to one value per row.

No window is stored. A `WindowSet` holds the series and the first row of each window; a batch is one gather. Memory is
therefore linear in the number of rows, whatever the window's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .arrays import Array, library, on_device, rows_of

if TYPE_CHECKING:
    from .streams import KnownWindows

__all__ = [
    "MOST_KNOWN",
    "OverlapAverage",
    "OverlapMaximum",
    "Series",
    "WindowColumn",
    "WindowSet",
    "chronological_split",
    "held_out_rows",
    "runs",
    "series_borders",
    "window_starts",
]

MOST_KNOWN = 4096  # windows whose results a stream keeps; of more, as of a long first update, it keeps none


def series_borders(n_rows: int, groups: NDArray[np.generic] | pd.Series | None) -> NDArray[np.intp]:
    """Row numbers where one series ends and the next begins, with 0 and `n_rows` at the ends.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    groups : ndarray or Series of shape (n_rows,), or None
        Name of each row's series, of any hashable type; the rows of one series are contiguous. None means one series.

    Returns
    -------
    borders : ndarray of shape (n_series + 1,)
        Increasing row numbers.

    Raises
    ------
    ValueError
        If a series appears in two places, or a name cannot be compared.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import series_borders
    >>> series_borders(5, np.array(["a", "a", "b", "b", "b"])).tolist()
    [0, 2, 5]
    """
    if groups is None:
        return np.array([0, n_rows], dtype=np.intp)
    try:
        codes, names = pd.factorize(groups)
    except TypeError as error:  # of a list, for example
        raise ValueError(f"groups has names that cannot be compared ({error}). Use numbers or strings.") from error
    borders = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [n_rows]]).astype(np.intp)
    places = np.bincount(codes[borders[:-1]])
    if places.max() > 1:
        scattered = names[int(np.argmax(places > 1))]
        scattered = scattered.item() if isinstance(scattered, np.generic) else scattered
        raise ValueError(
            f"groups has the series {scattered!r} in {places.max()} separate places; the rows of one series must stand "
            "together, in time order. Sort X and groups by series first."
        )
    return borders


def runs(flags: NDArray[np.bool_], merge: int = 0) -> NDArray[np.intp]:
    """Runs of flagged rows, as half-open intervals.

    Parameters
    ----------
    flags : ndarray of shape (n_rows,)
        True in flagged rows.
    merge : int, default=0
        Runs with at most so many rows between them become one.

    Returns
    -------
    runs : ndarray of shape (n_runs, 2)
        First row of each run and the row after its last, in time order.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import runs
    >>> runs(np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool), merge=1).tolist()
    [[0, 4], [6, 7]]
    """
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    if not len(edges):
        return edges
    apart = edges[1:, 0] - edges[:-1, 1] > merge
    return np.column_stack([edges[np.append(True, apart), 0], edges[np.append(apart, True), 1]])


def window_starts(
    borders: Sequence[int] | NDArray[np.intp], window_size: int, stride: int, first_row: int = 0
) -> NDArray[np.intp]:
    """First rows of all windows: one every `stride` rows of each series, one at its first row, one up to its last row.

    Parameters
    ----------
    borders : array-like of shape (n_series + 1,)
        Output of `series_borders`.
    window_size : int
        Rows in a window.
    stride : int
        Rows between the starts of consecutive windows.
    first_row : int, default=0
        Number of a series' first row in a longer series that it is a part of. Windows then start at the rows where
        those of the longer series do.

    Returns
    -------
    starts : ndarray of shape (n_windows,)
        Increasing row numbers. No window crosses a border; a series shorter than a window has none.

    Examples
    --------
    >>> from timesad.windows import window_starts
    >>> window_starts([0, 11], window_size=4, stride=3).tolist()
    [0, 3, 6, 7]
    >>> window_starts([0, 11], window_size=4, stride=3, first_row=100).tolist()
    [0, 2, 5, 7]
    """
    pieces = []
    for begin, end in pairwise(borders):
        last = end - window_size
        if last >= begin:
            regular = np.arange(begin + (-first_row) % stride, last + 1, stride, dtype=np.intp)
            pieces.append(np.unique(np.concatenate([[begin], regular, [last]])))
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.intp)


def chronological_split(
    borders: NDArray[np.intp], window_size: int, fraction: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split each series into an early training part and a late validation part, one window apart.

    Parameters
    ----------
    borders : ndarray of shape (n_series + 1,)
        Output of `series_borders`.
    window_size : int
        Rows in a window. Windows that overlap both parts belong to neither.
    fraction : float
        Share of each series' rows in its late part, in [0, 1).

    Returns
    -------
    train, valid : ndarray
        First rows of the windows of each part, at stride 1. A series that cannot hold one window in each part belongs
        to the training part; `valid` may therefore be empty.
    """
    train, valid = [], []
    for begin, end in pairwise(borders):
        cut = split_row(begin, end, window_size, fraction)
        train.append(window_starts([begin, end if cut is None else cut], window_size, 1))
        if cut is not None:
            valid.append(window_starts([cut, end], window_size, 1))
    empty = np.empty(0, dtype=np.intp)
    return np.concatenate([empty, *train]), np.concatenate([empty, *valid])


def held_out_rows(borders: NDArray[np.intp], window_size: int, fraction: float) -> NDArray[np.bool_]:
    """Whether a row is in the late part of `chronological_split`, (n_rows,).

    Parameters
    ----------
    borders, window_size, fraction
        As in `chronological_split`.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import held_out_rows
    >>> held_out_rows(np.array([0, 8, 10]), window_size=2, fraction=0.25).nonzero()[0].tolist()
    [6, 7]
    """
    held_out = np.zeros(borders[-1], dtype=bool)
    for begin, end in pairwise(borders):
        cut = split_row(begin, end, window_size, fraction)
        if cut is not None:
            held_out[cut:end] = True
    return held_out


def split_row(begin: int, end: int, window_size: int, fraction: float) -> int | None:
    """First row of a series' late part; None if the series cannot hold one window in each part."""
    cut = end - max(round(fraction * (end - begin)), window_size)
    return int(cut) if fraction > 0 and cut - begin >= window_size else None


class WindowSet(Dataset[tuple[Tensor, Tensor]]):
    """Windows of a series as a torch dataset. It copies values only when a batch is read.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels), float32
        The scaled series, kept by reference.
    starts : ndarray of shape (n_windows,)
        First row of each window.
    window_size : int
        Rows in a window.
    missing : ndarray of bool, shape (n_rows, n_channels), or None, default=None
        Cells whose errors do not count.

    Notes
    -----
    `__getitems__` lets a data loader read a batch with one gather. skorch expects a second item per sample: a zero that
    nothing reads.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import WindowSet
    >>> windows = WindowSet(np.zeros((50, 3), dtype=np.float32), starts=np.arange(41), window_size=10)
    >>> windows.batch([0, 40]).shape
    torch.Size([2, 10, 3])
    """

    def __init__(
        self,
        values: NDArray[np.float32],
        starts: NDArray[np.intp],
        window_size: int,
        missing: NDArray[np.bool_] | None = None,
    ) -> None:
        self.values = values
        self.starts = starts
        self.window_size = window_size
        self.missing = missing
        self._offsets = np.arange(window_size)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Sequence[int] | NDArray[np.intp]) -> Tensor:
        """The windows at `indices`, as a tensor of shape (len(indices), window_size, n_channels)."""
        rows = self.starts[np.asarray(indices)][:, None] + self._offsets
        return torch.from_numpy(self.values[rows])  # (batch, time, channel)

    def column(self, channel: int) -> WindowColumn:
        """One channel of the windows."""
        missing = None if self.missing is None or not self.missing[:, channel].any() else self.missing[:, channel]
        return WindowColumn(np.ascontiguousarray(self.values[:, channel]), self.starts, self.window_size, missing)

    def batch_missing(self, starts: NDArray[np.intp]) -> Tensor | None:
        """Missing cells of the windows that begin at `starts`, (n_starts, window_size, n_channels), or None."""
        if self.missing is None:
            return None
        return torch.from_numpy(self.missing[starts[:, None] + self._offsets])

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.batch([index])[0], torch.zeros(())

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.batch(indices), torch.zeros(len(indices))

    def part(self, indices: NDArray[np.intp] | NDArray[np.bool_]) -> WindowSet:
        """The windows at `indices`."""
        return WindowSet(self.values, self.starts[indices], self.window_size, self.missing)

    def thinned(self, at_most: int) -> WindowSet:
        """At most `at_most` of these windows, evenly spaced."""
        return self.part(np.linspace(0, len(self) - 1, min(len(self), at_most)).round().astype(np.intp))

    def batches(self, batch_size: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Yield the first rows and the windows of each batch, in order."""
        for begin in range(0, len(self), batch_size):
            indices = np.arange(begin, min(begin + batch_size, len(self)))
            yield self.starts[indices], self.batch(indices)


@dataclass(frozen=True)
class WindowColumn:
    """One channel of windows. Its rows are contiguous, so a window is one copy.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), float32
        The channel.
    starts : ndarray of shape (n_windows,)
        First row of each window.
    window_size : int
        Rows in a window.
    missing : ndarray of bool, shape (n_rows,), or None, default=None
        Rows whose values do not count; None if there are none.
    """

    values: NDArray[np.float32]
    starts: NDArray[np.intp]
    window_size: int
    missing: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, indices: NDArray[np.intp]) -> WindowColumn:
        """The windows at `indices`."""
        return replace(self, starts=self.starts[indices])

    def followed_by(self, others: WindowColumn) -> WindowColumn:
        """These windows and others of the same size, none of them with missing rows."""
        if not len(others):
            return replace(self, missing=None)
        values, starts = [self.values, others.values], [self.starts, others.starts + len(self.values)]
        return WindowColumn(np.concatenate(values), np.concatenate(starts), self.window_size)

    def __getitem__(self, indices: slice | NDArray[np.intp]) -> Tensor:
        """The windows at `indices`, (n_indices, window_size)."""
        return torch.from_numpy(sliding_window_view(self.values, self.window_size)[self.starts[indices]])

    def observed(self, indices: slice) -> Tensor | None:
        """1 where a row of the windows at `indices` is not missing, (n_indices, window_size), or None."""
        if self.missing is None:
            return None
        return torch.from_numpy(~sliding_window_view(self.missing, self.window_size)[self.starts[indices]]).float()


@dataclass(frozen=True)
class Series:
    """Scaled rows of one or several series, one after the other.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels), float32
        The scaled rows.
    borders : ndarray of shape (n_series + 1,)
        Output of `series_borders`.
    missing : ndarray of bool, shape (n_rows, n_channels), or None, default=None
        Cells whose values are interpolated and whose errors do not count.
    first_row : int, default=0
        Number of the first row in a longer series that this is a part of; see `window_starts`.
    known : KnownWindows or None, default=None
        Of a stream: what earlier updates computed for the same windows.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import Series
    >>> series = Series(np.zeros((10, 2), dtype=np.float32), borders=np.array([0, 4, 10]))
    >>> series.windows(window_size=4, stride=1).starts.tolist()
    [0, 4, 5, 6]
    """

    values: NDArray[np.float32]
    borders: NDArray[np.intp]
    missing: NDArray[np.bool_] | None = None
    first_row: int = 0
    known: KnownWindows | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_channels(self) -> int:
        """Columns of `values`."""
        return self.values.shape[1]

    def from_row(self, row: int) -> Series:
        """The rows from `row` on, of one series."""
        if row == 0:
            return self
        missing = None if self.missing is None else self.missing[row:]
        return Series(self.values[row:], np.array([0, len(self) - row]), missing, self.first_row + row, self.known)

    def windows(self, window_size: int, stride: int) -> WindowSet:
        """Windows that together contain every row; see `window_starts`."""
        starts = window_starts(self.borders, window_size, stride, self.first_row)
        return WindowSet(self.values, starts, window_size, self.missing)


class OverlapMaximum:
    """Largest value of the windows that contain a row.

    Parameters
    ----------
    windows : WindowSet
        Windows that together contain every row from `n_far` on.
    n_far : int, default=0
        First rows, which are left out; no window that starts before counts.
    device : torch.device, default="cpu"
        Where the values are.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import OverlapMaximum, WindowSet
    >>> windows = WindowSet(np.zeros((6, 1), dtype=np.float32), starts=np.array([0, 2, 3]), window_size=3)
    >>> OverlapMaximum(windows)(np.array([5, 1, 2], dtype=np.float32)).tolist()
    [5.0, 5.0, 5.0, 2.0, 2.0, 2.0]
    """

    def __init__(self, windows: WindowSet, n_far: int = 0, device: torch.device | str = "cpu") -> None:
        first = int(np.searchsorted(windows.starts, n_far))
        starts = windows.starts[first:]
        # Between two neighbouring edges, the same windows contain every row.
        edges = np.unique(np.concatenate([starts, starts + windows.window_size]))
        begin = np.searchsorted(starts, edges[:-1] - windows.window_size, side="right")
        end = np.searchsorted(starts, edges[:-1], side="right")
        # Two runs of 2^level windows contain all windows from begin to end, and no others.
        level = np.log2(end - begin).astype(np.intp)
        self._steps = [2**one for one in range(level.max(initial=0))]
        self._windows = slice(first, first + len(starts))
        self._first = on_device(level * len(starts) + begin, device)  # (block,)
        self._second = on_device(level * len(starts) + end - 2**level, device)
        self._block = on_device(np.repeat(np.arange(len(level)), np.diff(edges)), device)  # (n_rows,)

    def __call__(self, values: Array) -> Array:
        """(n_windows, ...) -> (n_rows - n_far, ...)."""
        xp = library(values)
        runs = [values[self._windows]]  # the largest of each window and the 2^level - 1 after it
        for step in self._steps:
            shorter = runs[-1]
            runs.append(xp.concatenate([xp.maximum(shorter[:-step], shorter[step:]), shorter[-step:]]))
        table = xp.concatenate(runs)
        return xp.maximum(table[self._first], table[self._second])[self._block]


class OverlapAverage:
    """Mean of a row's values over all windows that contain the row.

    Parameters
    ----------
    n_rows : int
        Rows of the series.
    n_columns : int
        Values per row.
    device : torch.device, default="cpu"
        Where to add: that of the values.

    Notes
    -----
    Memory is one float32 per row and column, whatever the overlap. Each row adds its windows in the order of time, so
    rounding does not depend on the batch size.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from timesad.windows import OverlapAverage
    >>> average = OverlapAverage(n_rows=3, n_columns=1)
    >>> average.add(np.array([0, 1]), torch.tensor([[[1.0], [2.0]], [[4.0], [5.0]]]))
    >>> average.average()[:, 0].tolist()
    [1.0, 3.0, 5.0]
    """

    def __init__(self, n_rows: int, n_columns: int, device: torch.device | str = "cpu") -> None:
        self._sums = torch.zeros(n_rows, n_columns, dtype=torch.float32, device=device)
        self._changes = np.zeros(n_rows + 1, dtype=np.int32)  # in the number of windows, from row to row

    def add(self, starts: NDArray[np.intp], values: Tensor) -> None:
        """Add a batch of windows: `starts` (batch,), `values` (batch, time, column)."""
        ends = starts + values.shape[1]
        n_added = self._add_evenly_spaced(starts, values)
        rest = slice(n_added, None)
        for start, end, window in zip(starts[rest].tolist(), ends[rest].tolist(), values[rest], strict=True):
            self._sums[start:end] += window
        np.add.at(self._changes, starts, 1)
        np.add.at(self._changes, ends, -1)

    def _add_evenly_spaced(self, starts: NDArray[np.intp], values: Tensor) -> int:
        """Add the first windows, up to where they are not evenly spaced any more, and return how many they are.

        A window is divided into blocks as long as the step. One sum adds the last block of all windows, the next one
        the block before it: each row still adds its windows in the order of time.
        """
        steps = np.diff(starts)
        n_windows = 1 + int((steps == steps[:1]).cumprod().sum())
        step = int(steps[0]) if len(steps) else 0
        n_blocks, remainder = divmod(values.shape[1], max(step, 1))
        if step < 1 or remainder or n_blocks > n_windows:  # then a loop over windows is shorter
            return 0
        first, n_rows = int(starts[0]), (n_windows + n_blocks - 1) * step
        sums = self._sums[first : first + n_rows].view(n_windows + n_blocks - 1, step, -1)
        blocks = values[:n_windows].unflatten(1, (n_blocks, step))  # (window, block, step, column)
        for block in reversed(range(n_blocks)):
            sums[block : block + n_windows] += blocks[:, block]
        return n_windows

    def average(self) -> Array:
        """Return the averages where the values are, (n_rows, n_columns). Call it once, after the last `add`.

        Raises
        ------
        ValueError
            If a row is in no window.
        """
        counts = self._changes[:-1].cumsum(dtype=np.float32)
        if not counts.all():
            raise ValueError(f"row {int(np.argmin(counts))} is in no window; every row needs at least one")
        self._sums /= torch.from_numpy(counts).to(self._sums.device)[:, None]
        return rows_of(self._sums)
