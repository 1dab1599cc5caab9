"""Differences of windows from their nearest neighbours among some candidates, in one channel.

Two classes have the same method: `TorchSearch` runs anywhere; `CompiledSearch` is C code for a processor, if the
package was built with a compiler. Their results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import c_code
from .accelerator import send
from .windows import WindowColumn

__all__ = ["CompiledSearch", "Differences", "Search", "TorchSearch", "Zone", "search_for", "smallest"]

BATCH = 64  # windows compared at a time; the distances of twice as many leave the processor's cache
ACCELERATOR_BATCH = 4096  # the same on an accelerator, which has memory for more and is slow to start
COMPILED_BATCH = 512  # the same in C, which stores no distances; each batch copies the candidates once
WHOLE = 512  # columns of products in torch are multiples of it: few different shapes
FEW_SEARCHES = 4  # batches
N_GROUPS = 64  # groups of candidates whose smallest distances are compared first


class Zone(NamedTuple):
    """Candidates that are left out of each window's neighbours: those with the numbers [begin, end).

    Parameters
    ----------
    begin, end : ndarray of shape (batch,), int64
        Both increase from window to window.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def none(cls, n_windows: int) -> Zone:
        """No candidate is left out."""
        return cls(np.zeros(n_windows, dtype=np.int64), np.zeros(n_windows, dtype=np.int64))


class Differences(NamedTuple):
    """Means over the neighbours m of each window x, (batch, time) each.

    Parameters
    ----------
    squares : Tensor, float32
        Of (x - m)².
    signed : Tensor, float32
        Of x - m.
    """

    squares: Tensor
    signed: Tensor


class Search(Protocol):
    """Searches the candidates of one channel."""

    batch_size: int

    def differences(self, windows: WindowColumn, batch: slice, zones: Sequence[Zone]) -> list[Differences]:
        """Differences of a batch's windows from their neighbours.

        Parameters
        ----------
        windows : WindowColumn
            New windows of the same channel.
        batch : slice
            Those to compare.
        zones : sequence of Zone
            Each contains the ones before it.

        Returns
        -------
        differences : list of Differences
            One for each zone.
        """
        ...


def search_for(
    candidates: WindowColumn, n_neighbors: int, windows: WindowColumn, device: torch.device | str, n_windows: int
) -> Search:
    """The faster search of these candidates for so many of the windows.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.nearest import Zone, search_for
    >>> from timesad.windows import WindowColumn
    >>> values = np.array([0, 0, 0, 1, 1, 5], dtype=np.float32)
    >>> candidates = WindowColumn(values, starts=np.arange(4), window_size=3)
    >>> new = WindowColumn(np.array([0, 0, 2], dtype=np.float32), starts=np.array([0]), window_size=3)
    >>> search = search_for(candidates, n_neighbors=1, windows=new, device="cpu", n_windows=1)
    >>> [found] = search.differences(new, slice(0, 1), [Zone.none(1)])
    >>> found.signed.tolist()
    [[0.0, 0.0, 1.0]]
    """
    device = torch.device(device)
    if windows.missing is None and c_code.usable(torch.empty(0, dtype=torch.float32, device=device)):
        return CompiledSearch(candidates, n_neighbors)
    return TorchSearch(candidates, n_neighbors, device, n_windows)


class CompiledSearch:
    """C code. It stores neither the candidates' windows nor distances, and takes no missing rows.

    Parameters
    ----------
    candidates : WindowColumn
        Windows that may be neighbours.
    n_neighbors : int
        At most the number of candidates.
    lanes : int or None, default=None
        Floats in a vector; None is the most of this processor.
    """

    batch_size = COMPILED_BATCH

    def __init__(self, candidates: WindowColumn, n_neighbors: int, lanes: int | None = None) -> None:
        self._values = np.ascontiguousarray(candidates.values, dtype=np.float32)
        self._starts = np.ascontiguousarray(candidates.starts, dtype=np.int64)
        self._window_size = candidates.window_size
        self._n_neighbors = n_neighbors
        self._lanes = c_code.widest(lanes)

    def differences(self, windows: WindowColumn, batch: slice, zones: Sequence[Zone]) -> list[Differences]:
        """See `Search.differences`."""
        values = np.ascontiguousarray(windows.values, dtype=np.float32)
        starts = np.ascontiguousarray(windows.starts[batch], dtype=np.int64)
        begin, end = (np.stack(ones).astype(np.int64) for ones in zip(*zones, strict=True))  # (zone, batch) each
        if not begin.shape == end.shape == (len(zones), len(starts)):
            raise ValueError(f"zones have {begin.shape[1]} and {end.shape[1]} numbers for {len(starts)} windows")
        squares, signed = torch.empty((2, *begin.shape, self._window_size), dtype=torch.float32, device="cpu")
        if len(starts):
            arrays = (self._values, self._starts, values, starts, begin, end)
            c_code.code.nearest(
                self._lanes,
                torch.get_num_threads(),
                self._window_size,
                self._n_neighbors,
                *(len(one) for one in arrays[:4]),
                len(zones),
                *(one.ctypes.data for one in arrays),
                squares.data_ptr(),
                signed.data_ptr(),
            )
        return [Differences(*pair) for pair in zip(squares, signed, strict=True)]


class TorchSearch:
    """Torch's operations: |x - m|² / 2 of all candidates by a product, and the differences from the smallest anew.

    Parameters
    ----------
    candidates : WindowColumn
        Windows that may be neighbours.
    n_neighbors : int
        At most the number of candidates.
    device : torch.device
        Where to compute.
    n_windows : int
        Windows that will be compared.
    """

    def __init__(self, candidates: WindowColumn, n_neighbors: int, device: torch.device, n_windows: int) -> None:
        self.batch_size = BATCH if device.type == "cpu" else ACCELERATOR_BATCH
        self._n_neighbors = n_neighbors
        self._n_candidates = len(candidates)
        self._device = device
        padded = -(-len(candidates) // N_GROUPS) * N_GROUPS
        numbers = np.arange(padded) % len(candidates)
        self._windows = send(candidates[numbers], device)  # (candidate, time)
        self._half_lengths = torch.linalg.vector_norm(self._windows, dim=1).square_() / 2  # (candidate,)
        self._half_lengths[len(candidates) :] = torch.inf  # no neighbours: they make the groups whole
        # The order in memory that a product reads faster; for a few products, to make it takes longer.
        by_time = self._windows.T  # (time, candidate)
        self._by_time = by_time.contiguous() if n_windows > FEW_SEARCHES * self.batch_size else by_time

    @torch.inference_mode()
    def differences(self, windows: WindowColumn, batch: slice, zones: Sequence[Zone]) -> list[Differences]:
        """See `Search.differences`."""
        x, observed = send(windows[batch], self._device), windows.observed(batch)  # (batch, time) both
        if observed is not None:
            observed = send(observed, self._device)
        half_squares = self._half_squares(x, observed, self._n_wanted(zones))
        found = []
        for zone in zones:
            self._leave_out(half_squares, zone)
            differences = x[:, None] - self._windows[smallest(half_squares, self._n_neighbors)]
            if observed is not None:
                differences *= observed[:, None]  # (batch, neighbour, time)
            found.append(Differences(differences.square().mean(dim=1), differences.mean(dim=1)))
        return found

    def _n_wanted(self, zones: Sequence[Zone]) -> int:
        """How many of the first candidates to compare: those after them are left out of every window."""
        wanted = max(
            int(np.where(zone.end < self._n_candidates, self._n_candidates, zone.begin).max(initial=0))
            for zone in zones
        )
        return min(max(-(-wanted // WHOLE) * WHOLE, WHOLE), len(self._windows))

    def _half_squares(self, x: Tensor, observed: Tensor | None, number: int) -> Tensor:
        """|x - m|² / 2 without |x|² / 2, which is the same for every m: (batch, time) -> (batch, candidate).

        Of the first so many candidates. With `observed`, (batch, time), the sum is over the rows where it is 1 and
        not 0.
        """
        half_lengths, by_time = self._half_lengths[:number], self._by_time[:, :number]
        if observed is None:
            return torch.addmm(half_lengths, x, by_time, alpha=-1)
        padding = half_lengths.where(half_lengths.isinf(), 0.0)
        lengths = torch.addmm(padding, observed, by_time.square(), alpha=0.5)
        return lengths.addmm_(x * observed, by_time, alpha=-1)

    def _leave_out(self, half_squares: Tensor, zone: Zone) -> None:
        """Make the distances of a zone's candidates infinite."""
        first, last = int(zone.begin.min(initial=0)), int(zone.end.max(initial=0))
        last = min(last, half_squares.shape[1])
        if first >= last:
            return
        numbers = torch.arange(first, last, device=half_squares.device)
        begin, end = (send(torch.from_numpy(one), self._device)[:, None] for one in zone)
        half_squares[:, first:last].masked_fill_((begin <= numbers) & (numbers < end), torch.inf)


def smallest(values: Tensor, number: int) -> Tensor:
    """Numbers of the columns with the smallest values of each row, the smallest first, (row, column) -> (row, number).

    The columns are dealt out to `N_GROUPS` groups. The smallest values are in the groups with the smallest minima, so
    only these few groups are sorted.

    Examples
    --------
    >>> import torch
    >>> from timesad.nearest import smallest
    >>> values = torch.arange(256.0).roll(100)[None]
    >>> smallest(values, 3)[0].tolist()
    [100, 101, 102]
    """
    n_rows, n_columns = values.shape
    if n_columns % N_GROUPS or number > N_GROUPS:
        return values.topk(number, largest=False).indices
    grouped = values.view(n_rows, -1, N_GROUPS)  # (row, member, group)
    groups = grouped.amin(dim=1).topk(number, largest=False, sorted=False).indices  # (row, number)
    members = grouped.gather(2, groups[:, None].expand(-1, grouped.shape[1], -1)).flatten(1)
    found = members.topk(number, largest=False).indices
    return found // number * N_GROUPS + groups.gather(1, found % number)
