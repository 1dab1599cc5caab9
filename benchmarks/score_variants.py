"""Parts of the default score, made otherwise: what `benchmarks/choices.py` puts in the place of the library's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Bunch

from timesad.calibration import TailCalibration, smooth
from timesad.evidence import ChannelEvidence
from timesad.memory import ChannelDistance, MemoryEvidence, MemoryTails, WindowMemory, memory_evidence
from timesad.scoring import ChannelScorer, HorizonScorer, Loudest, factor
from timesad.windows import OverlapAverage, WindowSet

from .contract import FloatArray

__all__ = [
    "STRANGEST_WIDTHS",
    "AnyDistance",
    "AsScored",
    "FarHorizon",
    "Join",
    "Joined",
    "MeanOfAll",
    "MeanOfThree",
    "NearRowAlone",
    "NoUnits",
    "RowAlone",
    "StrangestAndFar",
    "Thirds",
    "WindowAlone",
    "added",
    "alone",
    "any_distances",
    "arithmetic_mean",
    "evidence_of_mean_window",
    "evidence_of_strangest",
    "harmonic_mean",
    "memory_alone",
    "memory_twice",
    "minimum",
    "multiplied",
    "product",
]

STRANGEST_WIDTHS = (16, 32, 64)  # rows that a row's difference is smoothed over within its strangest window
FAR_HORIZON_TIMES = 3  # a third horizon of the reconstruction is so many times the wide one
FAR_HORIZON_WEIGHT = 1 / 4
ASSOCIATION_SHARE = 1 / 2  # of the association between channels beside the score
BEYOND_SHARE = 0.3  # of what the far horizon says beyond the near one

# Channels


class MeanOfThree(Loudest):
    """The mean over the channels that are loudest at each row, in the place of the one."""

    n_channels: ClassVar[int] = 3

    def __init__(self, n_rows: int) -> None:
        super().__init__(n_rows)
        self.errors = self.points = np.empty((0, n_rows))

    def hear(self, channel: int, error: FloatArray, point: FloatArray, level: FloatArray) -> None:
        """Take over the rows at which this channel is among the loudest."""
        self.errors = np.sort(np.vstack([self.errors, error + level]), axis=0)[-self.n_channels :]
        self.points = np.sort(np.vstack([self.points, point]), axis=0)[-self.n_channels :]
        self.error, self.point = self.errors.mean(axis=0), self.points.mean(axis=0)


class MeanOfAll(MeanOfThree):
    """The mean over all channels."""

    n_channels = 1_000_000


# Horizons of the reconstruction


@dataclass(frozen=True)
class FarHorizon(ChannelScorer):
    """A third horizon of the mean error, with a quarter of the weight.

    Parameters
    ----------
    far : HorizonScorer
        Of three times the rows of the wide horizon.
    """

    far: HorizonScorer

    @classmethod
    def learn(cls, channel: ChannelEvidence, smoothing: int, borders: NDArray[np.intp], n_blocks: int) -> FarHorizon:
        """Calibrate on training rows."""
        two = ChannelScorer.learn(channel, smoothing, borders, n_blocks)
        far = HorizonScorer.learn(channel.error, channel.values, FAR_HORIZON_TIMES * smoothing, borders, n_blocks)
        return cls(two.near, two.wide, two.point, far)

    def __call__(self, channel: ChannelEvidence, borders: NDArray[np.intp]) -> tuple[FloatArray, ...]:
        """Error and level, each of three horizons, and the single row's error, all (n_rows,)."""
        error, level, point = super().__call__(channel, borders)
        far_error, far_level = self.far(channel.error, channel.values, borders)
        keep = 1 - FAR_HORIZON_WEIGHT
        return keep * error + FAR_HORIZON_WEIGHT * far_error, keep * level + FAR_HORIZON_WEIGHT * far_level, point


# What the memory says of a row


class AnyDistance(ChannelDistance):
    """A `ChannelDistance` that also knows what else might have been made of the same search.

    Attributes
    ----------
    of_mean_window : ndarray of shape (n_rows,)
        Mean over the windows that hold the row, in the place of the strangest of them.
    in_strangest : dict of int to ndarray of shape (n_rows,)
        The row's own difference in its strangest window, smoothed within that over so many rows.
    """

    of_mean_window: NDArray[np.float32]
    in_strangest: dict[int, NDArray[np.float32]]


def any_distances(
    memory: WindowMemory, windows: WindowSet, device: torch.device | str, *, own_counts: bool
) -> Iterator[AnyDistance]:
    """Search once for each channel, as `WindowMemory.distances` does, and make everything of what was found."""
    own = None if own_counts else memory._own(windows)
    n_rows, time = len(windows.values), windows.window_size
    whole_window = np.array([0, time])
    for channel in range(windows.values.shape[1]):
        averages, of_window = OverlapAverage(n_rows, 2), np.zeros(n_rows, dtype=np.float32)
        in_strangest = {width: np.zeros(n_rows, dtype=np.float32) for width in STRANGEST_WIDTHS}
        for starts, found in memory._differences(windows, channel, device, own):
            squares = found.cpu().numpy()  # (window, time)
            means = found.mean(dim=1).cpu().numpy()
            averages.add(starts, np.stack([squares, np.broadcast_to(means[:, None], squares.shape)], axis=-1))
            smoothed = {width: smooth(squares.T.astype(np.float64), width, whole_window) for width in STRANGEST_WIDTHS}
            for position in range(time):
                rows = starts + position
                stranger = means > of_window[rows]
                of_window[rows[stranger]] = means[stranger]
                for width, of_width in in_strangest.items():
                    of_width[rows[stranger]] = smoothed[width][position, stranger]
        of_row, of_mean_window = averages.average().T
        distance = AnyDistance(of_window, of_row)
        distance.of_mean_window, distance.in_strangest = of_mean_window, in_strangest
        yield distance


def evidence_of_mean_window(distance: AnyDistance, smoothing: int, borders: NDArray[np.intp]) -> MemoryEvidence:
    """`memory_evidence` with the mean over a row's windows in the place of the strangest."""
    window = np.sqrt(distance.of_mean_window.astype(np.float64))
    return memory_evidence(distance, smoothing, borders)._replace(window=window)


def evidence_of_strangest(width: int) -> Callable[[AnyDistance, int, NDArray[np.intp]], MemoryEvidence]:
    """`memory_evidence` with the row's own difference in its strangest window in the place of that window's."""

    def evidence(distance: AnyDistance, smoothing: int, borders: NDArray[np.intp]) -> MemoryEvidence:
        window = np.sqrt(np.maximum(distance.in_strangest[width].astype(np.float64), 0.0))
        return memory_evidence(distance, smoothing, borders)._replace(window=window)

    return evidence


class WindowAlone(MemoryTails):
    """The window's distance, without the row's."""

    def __call__(self, evidence: MemoryEvidence) -> FloatArray:
        """Calibrated, (n_rows,)."""
        return self.window(evidence.window)


class RowAlone(MemoryTails):
    """The row's distance, near and far, without the window's."""

    def __call__(self, evidence: MemoryEvidence) -> FloatArray:
        """Calibrated, (n_rows,)."""
        return np.maximum(self.near(evidence.near), self.far(evidence.far))


class NearRowAlone(MemoryTails):
    """The row's distance at the near horizon alone."""

    def __call__(self, evidence: MemoryEvidence) -> FloatArray:
        """Calibrated, (n_rows,)."""
        return self.near(evidence.near)


class Thirds(MemoryTails):
    """Window, near and far horizon, a third each."""

    def __call__(self, evidence: MemoryEvidence) -> FloatArray:
        """Calibrated, (n_rows,)."""
        return (self.window(evidence.window) + self.near(evidence.near) + self.far(evidence.far)) / 3


class StrangestAndFar(MemoryTails):
    """What is in the window's place, and a share of what the far horizon says beyond it."""

    def __call__(self, evidence: MemoryEvidence) -> FloatArray:
        """Calibrated, (n_rows,)."""
        window = self.window(evidence.window)
        return window + BEYOND_SHARE * np.maximum(self.far(evidence.far) - window, 0.0)


class AsScored(MemoryTails):
    """The unit is the tail of the distances as they are scored: a training window's own surroundings do not count."""

    @classmethod
    def learn(cls, with_own: MemoryEvidence, scored: MemoryEvidence) -> MemoryTails:
        """Calibrate on the distances as they are scored alone."""
        return super().learn(scored, scored)


class NoUnits(MemoryTails):
    """Plain standard deviations of the series, in the place of each channel's own tail."""

    @classmethod
    def learn(cls, with_own: MemoryEvidence, scored: MemoryEvidence) -> MemoryTails:
        """Take the medians alone."""
        return cls(*(TailCalibration(float(np.median(one)), 1.0) for one in scored))


# Memory and reconstruction to one score


class Joined(NamedTuple):
    """What a score can be made of.

    Parameters
    ----------
    parts : Bunch
        As of `RowScorer.explain`.
    memory_weight : float
        What the memory counts, in [0, 1].
    association : ndarray of shape (n_rows,)
        What the association between channels says.
    placebo : ndarray of shape (n_rows,)
        The same with the channels of every window shuffled.
    """

    parts: Bunch
    memory_weight: float
    association: FloatArray
    placebo: FloatArray

    @property
    def factors(self) -> tuple[FloatArray, FloatArray]:
        """Of the reconstruction and of the memory, 1 where typical, both (n_rows,)."""
        return factor(self.parts.reconstruction + self.parts.level), factor(self.parts.memory)


Join = Callable[[Joined], FloatArray]


def product(known: Joined) -> FloatArray:
    """The detector's own."""
    score: FloatArray = known.parts.score
    return score


def memory_alone(known: Joined) -> FloatArray:
    """What the memory says, without the reconstruction."""
    memory: FloatArray = known.parts.memory
    return memory


def memory_twice(known: Joined) -> FloatArray:
    """The weighted geometric mean in which the memory counts twice."""
    reconstruction, memory = known.factors
    weight = 2 * known.memory_weight
    return (reconstruction * memory**weight) ** (1 / (1 + weight))


def arithmetic_mean(known: Joined) -> FloatArray:
    """The weighted arithmetic mean."""
    reconstruction, memory = known.factors
    return (reconstruction + known.memory_weight * memory) / (1 + known.memory_weight)


def harmonic_mean(known: Joined) -> FloatArray:
    """The weighted harmonic mean."""
    reconstruction, memory = known.factors
    return (1 + known.memory_weight) / (1 / reconstruction + known.memory_weight / memory)


def minimum(known: Joined) -> FloatArray:
    """The smaller of both, by as much as the memory counts."""
    reconstruction, memory = known.factors
    return reconstruction + known.memory_weight * (np.minimum(reconstruction, memory) - reconstruction)


# The association between channels, or its placebo: a field of `Joined`


def added(association: str) -> Join:
    """The score, and half as much of `association` as of it."""
    return lambda known: product(known) + ASSOCIATION_SHARE * getattr(known, association)


def multiplied(association: str) -> Join:
    """The score's factor times that of `association`, which counts half as much."""
    return lambda known: factor(product(known)) * factor(getattr(known, association)) ** ASSOCIATION_SHARE


def alone(association: str) -> Join:
    """What `association` says, without anything else; the same for all rows where there is one channel."""
    return attrgetter(association)
