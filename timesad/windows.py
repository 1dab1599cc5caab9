"""Rows to windows and back: views in, one value a row out.

A window is never stored: a set of windows is the series itself plus the row at which each window starts, and a batch is
one gather. Memory is therefore linear in the rows, whatever the window's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

__all__ = ["OverlapAverage", "WindowSet", "chronological_split", "series_borders", "window_starts"]


def series_borders(n_rows: int, groups: NDArray[np.generic] | None) -> NDArray[np.intp]:
    """Row numbers at which one series ends and the next begins, with 0 and `n_rows` at the ends.

    Parameters
    ----------
    n_rows : int
        Rows in all.
    groups : ndarray of shape (n_rows,) or None
        Which series each row belongs to; rows of one series stand together. None means one series.

    Returns
    -------
    borders : ndarray of shape (n_series + 1,)
        Increasing row numbers.

    Raises
    ------
    ValueError
        If a series appears in two places.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import series_borders
    >>> series_borders(5, np.array(["a", "a", "b", "b", "b"])).tolist()
    [0, 2, 5]
    """
    if groups is None:
        return np.array([0, n_rows], dtype=np.intp)
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    borders = np.concatenate([[0], changes, [n_rows]]).astype(np.intp)
    firsts = groups[borders[:-1]]
    names, counts = np.unique(firsts, return_counts=True)
    if len(names) < len(firsts):
        scattered = names[counts > 1].tolist()[0]
        raise ValueError(
            f"groups has the series {scattered!r} in {counts.max()} separate places; the rows of one series must stand "
            "together, in time order. Sort X and groups by series first."
        )
    return borders


def window_starts(borders: Sequence[int] | NDArray[np.intp], window_size: int, stride: int) -> NDArray[np.intp]:
    """First rows of all windows: every `stride` rows within each series, and one that ends at each series' last row.

    Parameters
    ----------
    borders : array-like of shape (n_series + 1,)
        As given by `series_borders`.
    window_size : int
        Rows in a window.
    stride : int
        Rows between the starts of two windows.

    Returns
    -------
    starts : ndarray of shape (n_windows,)
        Increasing row numbers. No window crosses a border; a series shorter than a window has none.

    Examples
    --------
    >>> from timesad.windows import window_starts
    >>> window_starts([0, 11], window_size=4, stride=3).tolist()
    [0, 3, 6, 7]
    """
    pieces = []
    for begin, end in pairwise(borders):
        last = end - window_size
        if last >= begin:
            regular = np.arange(begin, last + 1, stride, dtype=np.intp)
            pieces.append(regular if regular[-1] == last else np.append(regular, last))
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.intp)


def chronological_split(
    borders: NDArray[np.intp], window_size: int, fraction: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split each series into an early part to train on and a late part to validate on, with a gap between them.

    Parameters
    ----------
    borders : ndarray of shape (n_series + 1,)
        As given by `series_borders`.
    window_size : int
        Rows in a window. The windows that would touch both parts belong to neither: `window_size - 1` starts.
    fraction : float
        Share of each series' rows in its late part, in [0, 1).

    Returns
    -------
    train, valid : ndarray
        First rows of the windows of each part, at stride 1. A series too short to hold one window in each part is all
        training; `valid` may therefore be empty.
    """
    train, valid = [], []
    for begin, end in pairwise(borders):
        cut = end - max(round(fraction * (end - begin)), window_size)
        divided = fraction > 0 and cut - begin >= window_size
        train.append(window_starts([begin, cut if divided else end], window_size, 1))
        if divided:
            valid.append(window_starts([cut, end], window_size, 1))
    empty = np.empty(0, dtype=np.intp)
    return np.concatenate([empty, *train]), np.concatenate([empty, *valid])


class WindowSet(Dataset[tuple[Tensor, Tensor]]):
    """Windows of a series as a torch dataset that copies a window only when its batch is asked for.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels), float32
        The scaled series. Kept by reference.
    starts : ndarray of shape (n_windows,)
        First row of each window.
    window_size : int
        Rows in a window.

    Notes
    -----
    `__getitems__` lets a data loader fetch a batch by one gather. The second item of a sample, which skorch expects and
    nothing reads, is a zero per window.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.windows import WindowSet
    >>> windows = WindowSet(np.zeros((50, 3), dtype=np.float32), starts=np.arange(41), window_size=10)
    >>> windows.batch([0, 40]).shape
    torch.Size([2, 10, 3])
    """

    def __init__(self, values: NDArray[np.float32], starts: NDArray[np.intp], window_size: int) -> None:
        self.values = values
        self.starts = starts
        self.window_size = window_size
        self._offsets = np.arange(window_size)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Sequence[int] | NDArray[np.intp]) -> Tensor:
        """The windows at `indices`, as a tensor of shape (len(indices), window_size, n_channels)."""
        rows = self.starts[np.asarray(indices)][:, None] + self._offsets
        return torch.from_numpy(self.values[rows])  # (batch, time, channel)

    def channel(self, channel: int, indices: slice = slice(None)) -> Tensor:
        """One channel of the windows at `indices`, as a tensor of shape (n_indices, window_size)."""
        rows = self.starts[indices, None] + self._offsets
        return torch.from_numpy(self.values[rows, channel])  # (batch, time)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.batch([index])[0], torch.zeros(())

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.batch(indices), torch.zeros(len(indices))

    def thinned(self, at_most: int) -> WindowSet:
        """`at_most` of these windows, evenly spread over them."""
        kept = np.linspace(0, len(self) - 1, min(len(self), at_most)).round().astype(np.intp)
        return WindowSet(self.values, self.starts[kept], self.window_size)

    def batches(self, batch_size: int) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all windows in order; yields the first rows and the windows of each batch."""
        for begin in range(0, len(self), batch_size):
            indices = np.arange(begin, min(begin + batch_size, len(self)))
            yield self.starts[indices], self.batch(indices)


@dataclass
class OverlapAverage:
    """Average of what every window says about a row, over all the windows that hold the row.

    Parameters
    ----------
    n_rows : int
        Rows of the series.
    n_columns : int
        Values per row.

    Notes
    -----
    Windows come batch by batch; memory is one float32 per row and column, whatever the overlap. A window's rows lie
    side by side in memory and are added in one go, one window after the other: that takes a fraction of the time that a
    position of all windows after the other takes, and the rounding does not depend on how windows come in batches.
    """

    n_rows: int
    n_columns: int

    def __post_init__(self) -> None:
        self._sums = np.zeros((self.n_rows, self.n_columns), dtype=np.float32)
        self._changes = np.zeros(self.n_rows + 1, dtype=np.int32)  # of the number of windows, from row to row

    def add(self, starts: NDArray[np.intp], values: NDArray[np.floating]) -> None:
        """Add a batch of windows: `starts` (batch,), `values` (batch, time, column)."""
        ends = starts + values.shape[1]
        for start, end, window in zip(starts.tolist(), ends.tolist(), values, strict=True):
            self._sums[start:end] += window
        np.add.at(self._changes, starts, 1)
        np.add.at(self._changes, ends, -1)

    def average(self) -> NDArray[np.float32]:
        """The averages so far, of shape (n_rows, n_columns).

        Raises
        ------
        ValueError
            If some row is in no window.
        """
        counts = self._changes[:-1].cumsum(dtype=np.float32)
        if not counts.all():
            raise ValueError(f"row {int(np.argmin(counts))} is in no window; every row needs at least one")
        self._sums /= counts[:, None]
        self._changes[:] = 0
        self._changes[0] = 1  # a sum is one value now
        return self._sums
