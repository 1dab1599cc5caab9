"""The numbers in the flagship's default score, and others in their place: one training, a score for each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from timesad import TimesNetDiscrepancyDetector
from timesad.evidence import Evidence
from timesad.memory import ChannelDistance, MemoryScorer, WindowMemory
from timesad.scoring import Loudest, RowScorer
from timesad.windows import WindowSet

from .contract import FloatArray, Method, Setup, index_methods
from .left_out import DEFAULT

__all__ = ["CHOICES", "METHODS", "Choice", "EveryChoice"]

FAMILY = "choices"


@dataclass(frozen=True)
class Choice:
    """The default score with one number changed.

    Parameters
    ----------
    number : str
        What is changed; the choices of one number are what it was chosen from.
    value : str
        What it is changed to, as the tables name it.
    parameters : mapping, default={}
        Arguments of `RowScorer.learn` that differ.
    constants : mapping, default={}
        Names in timesad's modules that stand for something else: the library has no parameter for them, on purpose.
    memory_weight : callable, default=None
        From the windows that the training rows hold, side by side, to what the memory counts.
    most_memory : float, default=inf
        What the memory says of a row at most.
    part : str, default="score"
        What of `RowScorer.explain` is the score.
    """

    number: str
    value: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    memory_weight: Callable[[float], float] | None = None
    most_memory: float = np.inf
    part: str = "score"

    @property
    def name(self) -> str:
        """Unique among all choices."""
        return f"{self.number}: {self.value}" if self.value else self.number

    @contextmanager
    def made(self) -> Iterator[None]:
        """Within the block the constants are this choice's."""
        with ExitStack() as stack:
            for constant, value in self.constants.items():
                stack.enter_context(patch(f"timesad.{constant}", value))
            yield

    def weigh(self, memory_scorer: MemoryScorer, n_rows: int) -> float:
        """Return what a memory of so many training rows counts."""
        if self.memory_weight is None:
            return memory_scorer.weight
        return self.memory_weight(n_rows / memory_scorer.memory.windows.window_size)


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


def parameter(number: str, name: str, *values: float) -> list[Choice]:
    """Return a choice for each value of a parameter."""
    return [Choice(number, f"{value:g}", parameters={name: value}) for value in values]


def constant(number: str, name: str, *values: float) -> list[Choice]:
    """Return a choice for each value of a constant."""
    return [Choice(number, f"{value:.3g}", constants={name: value}) for value in values]


def ramp(none: float, whole: float) -> Callable[[float], float]:
    """Return a weight that is nothing up to so many windows and everything from so many on."""
    return lambda n_windows: float(np.clip((n_windows - none) / (whole - none), 0.0, 1.0))


CHANNELS = "channels of the reconstruction (the loudest)"
MEMORY_WEIGHT = "windows from none to whole weight of the memory (5–6)"
CHOICES = (
    Choice(DEFAULT, ""),
    *parameter("smoothing, rows (64)", "smoothing", 32, 48, 96),
    *parameter("weight of the level (0.3)", "level_weight", 0.0, 0.15, 0.6),
    *constant("weight of the near horizon (2/3)", "scoring.NEAR_WEIGHT", 1 / 3, 1 / 2, 5 / 6),
    *constant("share of a single row (0.1)", "scoring.POINT_SHARE", 0.0, 0.3),
    Choice(CHANNELS, "three loudest", constants={"scoring.Loudest": MeanOfThree}),
    Choice(CHANNELS, "mean of all", constants={"scoring.Loudest": MeanOfAll}),
    *constant("smoothing over last smoothing (8)", "scoring.FINISH_SHARE", 4, 16),
    *constant("share of rows in the tail (0.01)", "calibration.TAIL_SHARE", 0.003, 0.03),
    *constant("least height of a tail (0.1)", "calibration.SMALLEST_HEIGHT", 0.03, 0.3),
    *constant("far over near horizon of the memory (3)", "memory.FAR_TIMES", 1, 2, 4),
    Choice(MEMORY_WEIGHT, "always whole", memory_weight=lambda n_windows: 1.0),
    Choice(MEMORY_WEIGHT, "0–8", memory_weight=ramp(0, 8)),
    Choice(MEMORY_WEIGHT, "4–6", memory_weight=ramp(4, 6)),
    Choice(MEMORY_WEIGHT, "6–8", memory_weight=ramp(6, 8)),
    *(Choice("most that the memory says (no limit)", f"{most}", most_memory=most) for most in (2, 4, 8, 16)),
    Choice("memory and reconstruction (both)", "reconstruction", parameters={"rule": "reconstruction"}),
    Choice("memory and reconstruction (both)", "memory", part="memory"),
)


class KnownDistances:
    """A memory that looks for nothing twice.

    Parameters
    ----------
    memory : WindowMemory
    """

    def __init__(self, memory: WindowMemory) -> None:
        self.memory = memory
        self.windows = memory.windows
        self.found: dict[tuple[int, bool], tuple[WindowSet, list[ChannelDistance]]] = {}

    def distances(
        self, windows: WindowSet, device: torch.device | str, *, own_counts: bool = False
    ) -> list[ChannelDistance]:
        """Return `WindowMemory.distances` of these windows."""
        key = (id(windows), own_counts)
        if key not in self.found:
            distances = list(self.memory.distances(windows, device, own_counts=own_counts))
            self.found[key] = windows, distances  # windows that are kept keep their number
        return self.found[key][1]


@dataclass(frozen=True)
class Judged:
    """What is known of some rows before anything is chosen."""

    windows: WindowSet
    evidence: Evidence
    borders: NDArray[np.intp]


@dataclass
class EveryChoice:
    """The flagship, trained once and scored by every choice.

    Parameters
    ----------
    detector : TimesNetDiscrepancyDetector
        Unfitted, with the rule "memory".
    choices : sequence of Choice
        A column of scores each.
    """

    detector: TimesNetDiscrepancyDetector
    choices: Sequence[Choice]
    decision_scores_: FloatArray = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> EveryChoice:
        """Train on X (n_timestamps, n_channels) and score its rows by every choice, (n_timestamps, n_choices)."""
        self.detector.fit(X)
        self.memory_ = KnownDistances(self.detector.memory_scorer_.memory)
        rows = self._judge(X)
        self.scorers_ = [self._learn(choice, rows) for choice in self.choices]
        self.decision_scores_ = self._score(rows)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return a score for each row of X (n_timestamps, n_channels) and choice, (n_timestamps, n_choices)."""
        return self._score(self._judge(X))

    def _judge(self, X: FloatArray) -> Judged:
        evidence, borders = self.detector._judge(X, None)
        windows = self.detector._scoring_windows(self.detector.scaling_(X), borders)
        return Judged(windows, evidence, borders)

    def _learn(self, choice: Choice, rows: Judged) -> tuple[MemoryScorer, RowScorer]:
        chosen = {"rule": "memory", "smoothing": self.detector.smoothing, "level_weight": self.detector.level_weight}
        chosen |= choice.parameters
        with choice.made():
            memory_scorer, remembered = MemoryScorer.learn(
                self.memory_, rows.windows, chosen["smoothing"], rows.borders, "cpu"
            )
            row_scorer = RowScorer.learn(
                **chosen,
                evidence=replace(rows.evidence, memory=remembered),
                borders=rows.borders,
                n_blocks=1,
                memory_weight=choice.weigh(memory_scorer, len(remembered)),
            )
        return memory_scorer, row_scorer

    def _score(self, rows: Judged) -> FloatArray:
        columns = []
        for choice, (memory_scorer, row_scorer) in zip(self.choices, self.scorers_, strict=True):
            with choice.made():
                memory = np.minimum(memory_scorer(rows.windows, rows.borders, "cpu"), choice.most_memory)
                parts = row_scorer.explain(replace(rows.evidence, memory=memory), rows.borders, by_channel=False)
            columns.append(parts[choice.part])
        return np.column_stack(columns)

    def get_params(self) -> dict[str, Any]:
        """Return all that decides the scores: the detector's parameters and the choices' names."""
        return self.detector.get_params() | {"choices": tuple(choice.name for choice in self.choices)}


def every_choice(setup: Setup) -> EveryChoice:
    """Build the flagship at the run's window; no choice reads the discrepancy, so it is not trained."""
    detector = TimesNetDiscrepancyDetector(window_size=setup.window, discrepancy_weight=0, random_state=setup.seed)
    return EveryChoice(detector, CHOICES)


METHODS = index_methods((Method("score", FAMILY, every_choice, scores=tuple(choice.name for choice in CHOICES)),))
