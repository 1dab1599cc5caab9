"""The last rows of an array that grows at its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["HeldRows"]

ROOM = 2  # new memory is so many times as long as the rows


@dataclass(frozen=True)
class HeldRows:
    """Rows in a memory with room behind them: to add and to drop rows takes no time that grows with the rows held.

    Parameters
    ----------
    memory : ndarray of shape (n_places, ...)
        Rows may be written behind the last one. Two objects share a memory if one follows from the other, so only the
        later one, or only the earlier one, may be followed by further rows.
    begin, end : int
        Places of the first row, and after the last.
    order : {"C", "F"}, default="C"
        Of the memory, as numpy names it. With "F" each column is contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.held_rows import HeldRows
    >>> held = HeldRows.of(np.array([1, 2])).followed_by(np.array([3])).without_first(1)
    >>> held.rows.tolist()
    [2, 3]
    """

    memory: NDArray[Any]
    begin: int
    end: int
    order: Literal["C", "F"] = "C"

    @classmethod
    def of(cls, rows: NDArray[Any], order: Literal["C", "F"] = "C") -> HeldRows:
        """A copy of the rows."""
        return cls(rows.copy(order), 0, len(rows), order)

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def rows(self) -> NDArray[Any]:
        """A view of the rows."""
        return self.memory[self.begin : self.end]

    def followed_by(self, new: NDArray[Any]) -> HeldRows:
        """These rows and the new ones."""
        memory, begin, end = self.memory, self.begin, self.end
        if end + len(new) > len(memory):
            begin, end = 0, len(self)
            memory = np.empty((ROOM * (end + len(new)), *memory.shape[1:]), memory.dtype, self.order)
            memory[:end] = self.rows
        memory[end : end + len(new)] = new
        return HeldRows(memory, begin, end + len(new), self.order)

    def without_first(self, number: int) -> HeldRows:
        """The rows but the first so many; in a new memory, if the old one is much too long."""
        rest = replace(self, begin=self.begin + number)
        return HeldRows.of(rest.rows, self.order) if len(self.memory) > 2 * ROOM * len(rest) else rest
