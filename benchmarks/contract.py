"""Method, setting and protocol: the terms that all benchmark commands share.

A benchmark runs a registry of `Method` on series. A new study is another registry, given to `run_study`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Record = dict[str, Any]  # what is stored of one cell

SEMI_SUPERVISED = "semi-supervised"
UNSUPERVISED = "unsupervised"
PROTOCOLS = (SEMI_SUPERVISED, UNSUPERVISED)
PROTOCOL_SENTENCES = {
    SEMI_SUPERVISED: "fit on the first `train_size` rows, evaluate **all** rows (as TSB-AD does). Our detectors give "
    "`decision_scores_` for the rows fitted and `decision_function` for the others; peers score all rows with "
    "`decision_function`",
    UNSUPERVISED: "fit on all rows, evaluate `decision_scores_` of the same rows; no method sees labels. Ours have "
    "`clean_training=False`, as their documentation says for such rows",
}

# Families of methods that do not change with timesad's source.
PYOD_SERIES = "pyod-series"
PYOD_ROWS = "pyod-rows"
PUBLISHED = "published"  # written here from the paper
SIMPLE = "simple"
PEER_FAMILIES = (PYOD_SERIES, PYOD_ROWS, PUBLISHED, SIMPLE)

PERIOD_WINDOW = "period"
STANDARD_SCALING = "standard"
NO_SCALING = "none"
SCALINGS = (STANDARD_SCALING, NO_SCALING)

DEFAULT_WINDOW = 96  # rows; the default of our detectors
DEFAULT_SMOOTHING = 64  # rows


class Detector(Protocol):
    """The part of PyOD's contract that the harness calls.

    Where ``Method.scores`` names several scores, both of them have a column for each.
    """

    decision_scores_: FloatArray

    def fit(self, X: FloatArray) -> Any:
        """Fit on rows (n_timestamps, n_channels) and set ``decision_scores_`` to their scores."""

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return one score a row, larger = more abnormal."""


@dataclass(frozen=True)
class Setup:
    """What a method may use of a cell before it reads a row.

    Parameters
    ----------
    window : int
        Window length in rows, the same for every windowed method.
    n_channels : int
        Channels of the series.
    seed : int
        Seed of this repetition.
    clean_training : bool, default=True
        Whether the rows to fit are presumed normal: in the semi-supervised protocol.
    """

    window: int
    n_channels: int
    seed: int
    clean_training: bool = True


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Parameters
    ----------
    name : str
        Unique in its registry; names files, so letters, digits, dots and dashes only.
    family : str
        Group of methods that the command line can select as a whole.
    build : callable
        ``build(setup)`` returns an unfitted detector. A function at module level, or a
        :func:`functools.partial` of one, because it travels to another process.
    stochastic : bool, default=True
        Whether the seed matters. Other methods run for the first seed only.
    max_seeds : int or None, default=None
        Seeds that it runs for, at most: the first ones of a run.
    transductive : bool, default=False
        Scores only the rows it was fitted on, so it has no semi-supervised cell.
    novelty : bool, default=False
        Whether ``decision_function`` presumes new rows. The semi-supervised protocol then takes ``decision_scores_``
        for the rows fitted. Part of a cell's digest only if True.
    note : str, default=""
        For the reader of the table, for instance a size other than the method's default.
    scores : tuple of str, default=()
        Names of the columns, where one fit gives several scores per row, (n_timestamps, n_scores). Each is then a row
        of the tables, "NAME / SCORE", and all share the cell's seconds.
    """

    name: str
    family: str
    build: Callable[[Setup], Detector]
    stochastic: bool = True
    max_seeds: int | None = None
    transductive: bool = False
    novelty: bool = False
    note: str = ""
    scores: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Settings that all methods of a run share.

    Parameters
    ----------
    window : int or "period", default=96
        Window length in rows, at most a quarter of the rows to fit. ``"period"`` takes the
        autocorrelation period of channel 0 over the rows to fit.
    smoothing : int, default=64
        Length in rows of the centred moving average that gives the smoothed columns.
    scaling : {"standard", "none"}, default="standard"
        ``"standard"``: every channel standardised with mean and deviation of the rows to fit.
    threads : int, default=1
        Threads of each cell.
    """

    window: int | str = DEFAULT_WINDOW
    smoothing: int = DEFAULT_SMOOTHING
    scaling: str = STANDARD_SCALING
    threads: int = 1

    def __post_init__(self) -> None:
        if self.window != PERIOD_WINDOW and not (isinstance(self.window, int) and self.window >= 2):
            raise ValueError(f"window must be an int of at least 2 or {PERIOD_WINDOW!r}, got {self.window!r}.")
        if self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 1 row (1 = none), got {self.smoothing!r}.")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {SCALINGS}, got {self.scaling!r}.")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads!r}.")


def index_methods(methods: Sequence[Method]) -> dict[str, Method]:
    """Return the methods by name; raise ValueError if two share one, because their cells would overwrite each other."""
    registry = {method.name: method for method in methods}
    if len(registry) != len(methods):
        names = [method.name for method in methods]
        raise ValueError(f"Method names must be unique, got twice: {sorted({n for n in names if names.count(n) > 1})}.")
    return registry
