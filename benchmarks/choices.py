"""The numbers in the flagship's default score, and others in their place: one training, a score for each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from timesad import TimesNetDiscrepancyDetector
from timesad.evidence import Evidence
from timesad.memory import MemoryScorer, WindowMemory
from timesad.scoring import RowScorer
from timesad.windows import WindowSet

from .channel_association import ChannelAssociation
from .contract import FloatArray, Method, Setup, index_methods
from .left_out import DEFAULT
from .score_variants import (
    AnyDistance,
    AsScored,
    FarHorizon,
    Join,
    Joined,
    MeanOfAll,
    MeanOfThree,
    NearRowAlone,
    NoUnits,
    RowAlone,
    StrangestAndFar,
    Thirds,
    WindowAlone,
    added,
    alone,
    any_distances,
    arithmetic_mean,
    evidence_of_mean_window,
    evidence_of_strangest,
    harmonic_mean,
    memory_alone,
    memory_twice,
    minimum,
    multiplied,
    product,
)

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
    join : callable, default=product
        From all that is known of the rows to the score.
    """

    number: str
    value: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    memory_weight: Callable[[float], float] | None = None
    most_memory: float = np.inf
    join: Join = product

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
MEMORY_HEARS = "what the memory hears (window and row)"
WINDOW_OF_A_ROW = "window of a row (the strangest)"
MEMORY_UNIT = "unit of the memory (all distances)"
HORIZONS = "horizons of the reconstruction (mean of two)"
BOTH = "memory and reconstruction (geometric mean)"
ASSOCIATION = "association between channels (none)"
MEMORY_TAILS, MEMORY_EVIDENCE = "memory.MemoryTails", "memory.memory_evidence"
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
    Choice(MEMORY_HEARS, "window", constants={MEMORY_TAILS: WindowAlone}),
    Choice(MEMORY_HEARS, "row", constants={MEMORY_TAILS: RowAlone}),
    Choice(MEMORY_HEARS, "row, near", constants={MEMORY_TAILS: NearRowAlone}),
    Choice(MEMORY_HEARS, "window, row near and row far, a third each", constants={MEMORY_TAILS: Thirds}),
    Choice(WINDOW_OF_A_ROW, "mean of its windows", constants={MEMORY_EVIDENCE: evidence_of_mean_window}),
    *(
        Choice(WINDOW_OF_A_ROW, f"row in it, {width} rows", constants={MEMORY_EVIDENCE: evidence_of_strangest(width)})
        for width in (16, 32)
    ),
    Choice(
        WINDOW_OF_A_ROW,
        "row in it, 64 rows, and what far horizon says beyond",
        constants={MEMORY_EVIDENCE: evidence_of_strangest(64), MEMORY_TAILS: StrangestAndFar},
    ),
    Choice(MEMORY_UNIT, "distances as scored", constants={MEMORY_TAILS: AsScored}),
    Choice(MEMORY_UNIT, "standard deviations", constants={MEMORY_TAILS: NoUnits}),
    Choice(HORIZONS, "larger of both", constants={"scoring.blend": np.maximum}),
    Choice(HORIZONS, "and 192 rows", constants={"scoring.ChannelScorer": FarHorizon}),
    Choice(BOTH, "reconstruction", parameters={"rule": "reconstruction"}),
    Choice(BOTH, "memory", join=memory_alone),
    Choice(BOTH, "memory twice", join=memory_twice),
    Choice(BOTH, "arithmetic mean", join=arithmetic_mean),
    Choice(BOTH, "harmonic mean", join=harmonic_mean),
    Choice(BOTH, "minimum", join=minimum),
    Choice(ASSOCIATION, "added to reconstruction", parameters={"rule": "reconstruction"}, join=added("association")),
    Choice(ASSOCIATION, "multiplied", join=multiplied("association")),
    Choice(ASSOCIATION, "alone", join=alone("association")),
    Choice(ASSOCIATION, "placebo added", parameters={"rule": "reconstruction"}, join=added("placebo")),
    Choice(ASSOCIATION, "placebo multiplied", join=multiplied("placebo")),
    Choice(ASSOCIATION, "placebo alone", join=alone("placebo")),
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
        self.found: dict[tuple[int, bool], tuple[WindowSet, list[AnyDistance]]] = {}

    def distances(
        self, windows: WindowSet, device: torch.device | str, *, own_counts: bool = False
    ) -> list[AnyDistance]:
        """Return `WindowMemory.distances` of these windows, and what else might have been made of them."""
        key = (id(windows), own_counts)
        if key not in self.found:
            distances = list(any_distances(self.memory, windows, device, own_counts=own_counts))
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
        learned = (rows.windows, rows.borders, self.detector.smoothing)
        self.association_ = ChannelAssociation.learn(*learned)
        self.placebo_ = ChannelAssociation.learn(*learned, seed=self.detector.random_state)
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
        association, placebo = (of(rows.windows, rows.borders) for of in (self.association_, self.placebo_))
        for choice, (memory_scorer, row_scorer) in zip(self.choices, self.scorers_, strict=True):
            with choice.made():
                memory = np.minimum(memory_scorer(rows.windows, rows.borders, "cpu"), choice.most_memory)
                parts = row_scorer.explain(replace(rows.evidence, memory=memory), rows.borders, by_channel=False)
            columns.append(choice.join(Joined(parts, row_scorer.memory_weight, association, placebo)))
        return np.column_stack(columns)

    def get_params(self) -> dict[str, Any]:
        """Return all that decides the scores: the detector's parameters and the choices' names."""
        return self.detector.get_params() | {"choices": tuple(choice.name for choice in self.choices)}


def every_choice(setup: Setup) -> EveryChoice:
    """Build the flagship at the run's window; no choice reads the discrepancy, so it is not trained."""
    detector = TimesNetDiscrepancyDetector(window_size=setup.window, discrepancy_weight=0, random_state=setup.seed)
    return EveryChoice(detector, CHOICES)


METHODS = index_methods((Method("score", FAMILY, every_choice, scores=tuple(choice.name for choice in CHOICES)),))
