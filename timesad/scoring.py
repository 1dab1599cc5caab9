"""The score of each row: one fitted object, from a trained network, training windows or both to a number per row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .arrays import Array, beside, library, on_host
from .earlier_windows import EarlierWindows
from .local_evidence import LocalEvidence
from .neighbors import NeighborScorer, TrainingWindows
from .nn.networks import ReconstructionNetwork
from .reconstruction import ReconstructionParts, ReconstructionScorer
from .windows import Series

__all__ = [
    "NEIGHBORS",
    "RECONSTRUCTION",
    "RECONSTRUCTION_AND_NEIGHBORS",
    "RECONSTRUCTION_PLUS_DISCREPANCY",
    "RowEvidence",
    "ScoreSettings",
    "SeriesScorer",
    "geometric_mean",
    "joined_mean",
]

RECONSTRUCTION = "reconstruction"
NEIGHBORS = "neighbors"
RECONSTRUCTION_AND_NEIGHBORS = "reconstruction*neighbors"
RECONSTRUCTION_PLUS_DISCREPANCY = "reconstruction+discrepancy"

STRIDE_DIVISOR = 8  # a scoring window starts every window_size // STRIDE_DIVISOR rows
MIN_FACTOR = 0.05  # of both means; keeps it positive for rows that are calmer than typical
CONTAMINATED_WEIGHT = 3.0  # of the neighbours; a network also learns to reconstruct the anomalies it was trained on
CONTAMINATED_ZONE = 5  # half width of the exclusion zone, in window lengths; a long anomaly is not its own neighbour
MAX_WINDOWS = 4096  # training windows to search, evenly spaced
N_NEIGHBORS = 5


@dataclass(frozen=True)
class ScoreSettings:
    """How a score is computed.

    Parameters
    ----------
    score : {"reconstruction", "neighbors", "reconstruction*neighbors", "reconstruction+discrepancy"}
        Parts of the score and how they are joined.
    window_size : int
        Rows in a window.
    smoothing : int
        Rows of the moving averages.
    clean_training : bool, default=True
        Whether the training rows are presumed normal.
    n_neighbors : int, default=5
        Neighbours that a distance is the mean of.
    max_windows : int, default=4096
        Training windows to search, and earlier windows of the scored series, at most.
    uses_past : bool, default=True
        Whether a score depends on all earlier rows of the series: windows are compared with earlier ones, too, and the
        reconstruction score is what exceeds its median over the last rows. False is for ablations.
    """

    score: str
    window_size: int
    smoothing: int
    clean_training: bool = True
    n_neighbors: int = N_NEIGHBORS
    max_windows: int = MAX_WINDOWS
    uses_past: bool = True

    @property
    def stride(self) -> int:
        """Rows between the starts of consecutive windows that are scored."""
        return max(1, self.window_size // STRIDE_DIVISOR)

    @property
    def uses_network(self) -> bool:
        """Whether the score has a reconstruction."""
        return self.score != NEIGHBORS

    @property
    def uses_neighbors(self) -> bool:
        """Whether the score has a distance to the nearest windows."""
        return self.score in (NEIGHBORS, RECONSTRUCTION_AND_NEIGHBORS)

    @property
    def uses_discrepancy(self) -> bool:
        """Whether the score has the association discrepancy."""
        return self.score == RECONSTRUCTION_PLUS_DISCREPANCY


class RowEvidence(NamedTuple):
    """What alarms are made of, (n_rows,) each.

    Parameters
    ----------
    score : ndarray
        The score of `SeriesScorer.score`.
    alarm : ndarray
        The larger of two: the geometric mean of the score and the local evidence over half the smoothing, and the
        local evidence over a quarter of it. The first detects long and weak anomalies, the second short and strong
        ones.
    local : ndarray
        Local evidence over an eighth of the smoothing. It locates the first and last row of an anomaly.
    channel : ndarray, int
        The channel with the largest local evidence.
    deviation : ndarray
        Row minus what was expected in this channel, in standard deviations of the training series.
    """

    score: NDArray[np.float64]
    alarm: NDArray[np.float64]
    local: NDArray[np.float64]
    channel: NDArray[np.intp]
    deviation: NDArray[np.float32]

    @classmethod
    def empty(cls) -> RowEvidence:
        """Evidence of no row."""
        none = np.empty(0)
        return cls(none, none, none, np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32))

    def part(self, begin: int, end: int | None = None) -> RowEvidence:
        """Copy of the evidence of the rows from `begin` to before `end`."""
        rows = slice(begin, end)
        return RowEvidence(
            self.score[rows].copy(),
            self.alarm[rows].copy(),
            self.local[rows].copy(),
            self.channel[rows].copy(),
            self.deviation[rows].copy(),
        )

    def followed_by(self, later: RowEvidence) -> RowEvidence:
        """Evidence of these rows and the later ones."""
        return RowEvidence(
            np.concatenate([self.score, later.score]),
            np.concatenate([self.alarm, later.alarm]),
            np.concatenate([self.local, later.local]),
            np.concatenate([self.channel, later.channel]),
            np.concatenate([self.deviation, later.deviation]),
        )


@dataclass(frozen=True)
class SeriesScorer:
    """Fitted score of rows.

    Parameters
    ----------
    settings : ScoreSettings
        How the score is computed.
    reconstruction : ReconstructionScorer or None
        Calibrated reconstruction, where the score has one.
    neighbors : NeighborScorer or None
        Calibrated distance to the nearest windows, where the score has one.
    n_training_rows : int
        Rows that the scorer was fitted on.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.scoring import ScoreSettings, SeriesScorer
    >>> from timesad.windows import Series
    >>> values = np.sin(np.arange(200, dtype=np.float32) / 3)[:, None]
    >>> series = Series(values, np.array([0, 200]))
    >>> settings = ScoreSettings("neighbors", window_size=16, smoothing=4)
    >>> scorer, training_scores, _ = SeriesScorer.fit(None, series, settings, "cpu")
    >>> training_scores.shape, scorer.score(series, "cpu").shape
    ((200,), (200,))
    """

    settings: ScoreSettings
    reconstruction: ReconstructionScorer | None
    neighbors: NeighborScorer | None
    n_training_rows: int

    @classmethod
    def fit(
        cls,
        network: ReconstructionNetwork | None,
        series: Series,
        settings: ScoreSettings,
        device: torch.device | str,
        held_out: NDArray[np.bool_] | None = None,
    ) -> tuple[SeriesScorer, NDArray[np.float64], RowEvidence]:
        """Calibrate on training rows, and score them.

        The network scores training rows as it scores any rows. The neighbours score them by a self-join with an
        exclusion zone.

        Parameters
        ----------
        network : ReconstructionNetwork or None
            Trained, on `device`; None where the score has no reconstruction.
        series : Series
            Training rows.
        settings : ScoreSettings
            How the score is computed.
        device : torch.device
            Where to compute.
        held_out : ndarray of shape (n_rows,), default=None
            Training rows that no optimiser step has used. None presumes that there are none.

        Returns
        -------
        scorer : SeriesScorer
        training_scores : ndarray of shape (n_rows,)
        unseen : RowEvidence
            Of the training rows as new rows: no window is compared with windows that overlap it, and the errors of
            rows that the network was trained on are scaled to those of held-out rows.

        Raises
        ------
        ValueError
            If the score needs a network and there is none, or the reverse.
        FloatingPointError
            If the network reconstructs a row as NaN or infinity.
        """
        if settings.uses_network != (network is not None):
            given = "no network" if network is None else "a network"
            raise ValueError(f"score={settings.score!r} with {given}: every score but {NEIGHBORS!r} needs a network.")
        device = torch.device(device)
        reconstruction = parts = unseen = neighbors = distance = local = None
        if network is not None:
            reconstruction, parts, unseen = ReconstructionScorer.fit(
                network,
                series,
                stride=settings.stride,
                smoothing=settings.smoothing,
                # The neighbours allow for anomalies in training; the blocks' scale beside them measured as worse.
                clean_training=settings.clean_training or settings.uses_neighbors,
                device=device,
                held_out=held_out,
                uses_past=settings.uses_past,
            )
        if settings.uses_neighbors:
            training = TrainingWindows.fit(
                series,
                window_size=settings.window_size,
                n_neighbors=settings.n_neighbors,
                max_windows=settings.max_windows,
            )
            neighbors, distance, local = NeighborScorer.fit(
                training,
                series,
                stride=settings.stride,
                smoothing=settings.smoothing,
                device=device,
                half_width=1 if settings.clean_training else CONTAMINATED_ZONE,
                uses_past=settings.uses_past,
            )
        scorer = cls(settings, reconstruction, neighbors, len(series))
        weight = scorer.neighbors_weight(np.zeros(len(series), dtype=np.intp))
        scores = on_host(scorer.join(parts, distance, weight))
        return scorer, scores, scorer.join_evidence(unseen, distance, local, weight)

    def neighbors_weight(self, n_past: NDArray[np.intp]) -> NDArray[np.float64]:
        """Weight of the neighbours in the score of rows that have `n_past` earlier rows to be compared with.

        With at most n_neighbors windows side by side, a window's neighbours overlap it or one another.
        """
        settings = self.settings
        n_rows = self.n_training_rows + n_past
        share = np.clip(n_rows / settings.window_size - settings.n_neighbors, 0.0, 1.0)
        return share if settings.clean_training else CONTAMINATED_WEIGHT * share

    def _past(self, series: Series) -> EarlierWindows | None:
        """Windows of a new series that may be neighbours of later ones."""
        return None if self.neighbors is None else self.neighbors.past(series)

    def _weight(self, past: EarlierWindows | None, n_rows: int) -> NDArray[np.float64]:
        """Weight of the neighbours in the score of new rows, (n_rows,)."""
        if past is None:
            return self.neighbors_weight(np.zeros(n_rows, dtype=np.intp))
        return self.neighbors_weight(self.settings.stride * past.n_before_rows())

    def without_past(self) -> SeriesScorer:
        """The same scorer, for which rows have no past but the training rows."""
        return replace(
            self,
            settings=replace(self.settings, uses_past=False),
            reconstruction=None if self.reconstruction is None else replace(self.reconstruction, uses_past=False),
            neighbors=None if self.neighbors is None else replace(self.neighbors, uses_past=False),
        )

    @property
    def grid(self) -> int:
        """Rows after which windows and everything else that is read in steps are at the same place again."""
        step = 1 if self.reconstruction is None or not self.settings.uses_past else self.reconstruction.step
        return math.lcm(self.settings.stride, step)

    @property
    def reach(self) -> int:
        """Rows to each side that a score depends on, apart from the past."""
        return self.settings.window_size + 4 * self.settings.smoothing

    @property
    def near_rows(self) -> int:
        """Rows before a row that are scored with it: its reach, and those that set what is typical."""
        if self.reconstruction is None or not self.settings.uses_past:
            return self.reach
        return self.reach + self.reconstruction.memory_rows

    @property
    def past_rows(self) -> int:
        """Rows of a series whose windows are all compared with later ones; of a longer one, it is every second."""
        past = self.neighbors is not None and self.settings.uses_past
        return self.settings.max_windows * self.settings.stride if past else 0

    @property
    def memory_rows(self) -> int:
        """Rows that a stream holds, so that the past of every row that is not final is held, too."""
        return self.near_rows + (self.past_rows + self.reach + self.grid if self.past_rows else 0)

    def n_far(self, n_before: int, first_row: int = 0, step: int = 1) -> int:
        """How many of the `n_before` rows before those to score, which begin at `first_row`, are far.

        Far rows are read as neighbours only. They end on the grid, and on a multiple of `step` rows.
        """
        n_far = max(0, n_before - self.near_rows)
        return max(0, n_far - (first_row + n_far) % math.lcm(self.grid, step))

    def score(self, series: Series, device: torch.device | str, n_far: int = 0) -> NDArray[np.float64]:
        """Score of new rows, (n_rows - n_far,); larger is more abnormal.

        The first `n_far` rows of a single series are not scored; see the method `n_far`.
        """
        device, past = torch.device(device), self._past(series)
        parts = distance = None
        near = series.from_row(n_far)
        if self.reconstruction is not None:
            parts = self.reconstruction(near, device, with_discrepancy=self.settings.uses_discrepancy)
        if self.neighbors is not None:
            distance = self.neighbors(series, device, past, n_far)
        return on_host(self.join(parts, distance, self._weight(past, len(series))[n_far:]))

    def evidence(self, series: Series, device: torch.device | str, n_far: int = 0) -> RowEvidence:
        """Score of new rows and the evidence that alarms are made of; `n_far` as in `score`."""
        device, past = torch.device(device), self._past(series)
        parts = distance = local = None
        near = series.from_row(n_far)
        if self.reconstruction is not None:
            parts = self.reconstruction(near, device, with_discrepancy=self.settings.uses_discrepancy, with_local=True)
        if self.neighbors is not None:
            distance, local = self.neighbors.with_local(series, device, past, n_far)
        return self.join_evidence(parts, distance, local, self._weight(past, len(series))[n_far:])

    def explain(self, series: Series, device: torch.device | str) -> Bunch:
        """Score of new rows and its parts; see `BaseSeriesDetector.explain`."""
        device, past = torch.device(device), self._past(series)
        explained: dict[str, Array] = {}
        parts = distance = None
        if self.reconstruction is not None:
            with_discrepancy = bool(self.reconstruction.priors)
            parts = self.reconstruction(series, device, with_discrepancy=with_discrepancy, by_channel=True)
            explained.update(reconstruction=parts.error, level=parts.level, reconstruction_by_channel=parts.by_channel)
            if parts.discrepancy is not None:
                explained["discrepancy"] = parts.discrepancy
        if self.neighbors is not None:
            distance, by_channel = self.neighbors.explain(series, device, past)
            explained.update(neighbors=distance, neighbors_by_channel=by_channel)
        score = on_host(self.join(parts, distance, self._weight(past, len(series))))
        # Of a score with one part, it is that part.
        return Bunch(score=score.copy(), **{name: on_host(part) for name, part in explained.items()})

    def join(self, parts: ReconstructionParts | None, distance: Array | None, weight: NDArray[np.float64]) -> Array:
        """The score from its parts and the weight of the neighbours, (n_rows,)."""
        if parts is None:
            assert distance is not None, "a score without a network has neighbours"
            return distance
        if self.settings.uses_discrepancy:
            assert parts.discrepancy is not None, "this score needs a network with associations"
            return parts.score + parts.discrepancy
        if distance is None:
            return parts.score
        return joined_mean(parts.score, distance, beside(weight, distance))

    def join_evidence(
        self,
        parts: ReconstructionParts | None,
        distance: Array | None,
        local: LocalEvidence | None,
        weight: NDArray[np.float64],
    ) -> RowEvidence:
        """Evidence from the parts of the score and their local evidence."""
        score = self.join(parts, distance, weight)
        found = [one for one in (None if parts is None else parts.local, local) if one is not None]
        first, last = found[0], found[-1]  # the same, if the score has one part
        halves, quarters, eighths = (
            one if len(found) == 1 else geometric_mean(one, other)
            for one, other in zip(first.largest.T, last.largest.T, strict=True)
        )
        xp, by_last = library(score), last.largest[:, -1] > first.largest[:, -1]
        return RowEvidence(
            score=on_host(score),
            alarm=on_host(xp.maximum(geometric_mean(score, halves), quarters)),
            local=on_host(eighths),
            channel=on_host(xp.where(by_last, last.channel, first.channel)),
            deviation=on_host(xp.where(by_last, last.deviation, first.deviation)),
        )


def joined_mean(reconstruction: Array, neighbors: Array, weight: Array | float = 1.0) -> Array:
    """((√(1 + r) + w √(1 + n)) / (1 + w))² - 1, with 1 + r and 1 + n at least 0.05.

    With w = 1 this is the mean of two means of 1 + r and 1 + n, the arithmetic and the geometric one: a row scores high
    where one of both is very high, or both are high.

    Parameters
    ----------
    reconstruction, neighbors : Array of shape (n_rows,)
        Calibrated scores r and n; 0 is typical.
    weight : Array of shape (n_rows,) or float, default=1.0
        Weight w of the neighbours, at least 0; 0 is the reconstruction alone.

    Returns
    -------
    score : Array of shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.scoring import joined_mean
    >>> joined_mean(np.array([3.0, 3.0]), np.array([0.0, 3.0])).tolist()
    [1.25, 3.0]
    """
    xp = library(reconstruction)
    first, second = (xp.sqrt((1.0 + part).clip(min=MIN_FACTOR)) for part in (reconstruction, neighbors))
    return xp.square((first + weight * second) / (1.0 + weight)) - 1.0


def geometric_mean(first: Array, second: Array) -> Array:
    """√((1 + a)(1 + b)) - 1 of two calibrated scores, with both factors at least 0.05: high where both are high.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.scoring import geometric_mean
    >>> geometric_mean(np.array([3.0, 3.0]), np.array([0.0, 3.0])).tolist()
    [1.0, 3.0]
    """
    product = (1.0 + first).clip(min=MIN_FACTOR) * (1.0 + second).clip(min=MIN_FACTOR)
    return library(product).sqrt(product) - 1.0
