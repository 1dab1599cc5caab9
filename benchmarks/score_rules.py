"""Score rules beside each other: a detector trained once, its rows scored in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timesad import TimesNetDiscrepancyDetector
from timesad.evidence import Evidence
from timesad.scoring import RowScorer

from .contract import FloatArray

__all__ = ["REFERENCE_RULE", "EveryRule", "ScoreRule"]

REFERENCE_RULE = "reconstruction"


@dataclass(frozen=True)
class ScoreRule:
    """One way to score the rows by what a trained network says of them.

    Parameters
    ----------
    name : str
        Of a table's column.
    rule : {"reconstruction", "memory", "discrepancy", "sum", "product"}
        `RowScorer`'s rule.
    signs : tuple of float, default=(1.0,)
        What each prior's closeness counts; one for all priors, or one for each. Fixed here, never chosen from labels.
    n_blocks : int, default=1
        Blocks of training rows that tails are read off: `MIXED_BLOCKS` is what ``clean_training=False`` takes.
    part : str, default="score"
        What of `RowScorer.explain` is the score.
    """

    name: str
    rule: str
    signs: tuple[float, ...] = (1.0,)
    n_blocks: int = 1
    part: str = "score"

    def turn(self, evidence: Evidence) -> Evidence:
        """Give the evidence with each prior's closeness under this rule's sign."""
        if evidence.closeness is None:
            return evidence
        return replace(evidence, closeness=evidence.closeness * np.array(self.signs))

    def learn(self, scorer: RowScorer, evidence: Evidence, borders: NDArray[np.intp]) -> RowScorer:
        """Calibrate a scorer of this rule, with the settings of another one, on the evidence of training rows."""
        return RowScorer.learn(
            self.rule,
            scorer.smoothing,
            scorer.level_weight,
            self.turn(evidence),
            borders,
            n_blocks=self.n_blocks,
            memory_weight=scorer.memory_weight,
        )

    def score(self, scorer: RowScorer, evidence: Evidence, borders: NDArray[np.intp]) -> FloatArray:
        """Score of each row by a scorer that this rule has learned, (n_rows,)."""
        scores: FloatArray = scorer.explain(self.turn(evidence), borders, by_channel=False)[self.part]
        return scores


@dataclass
class EveryRule:
    """A detector that is trained once and scored by every rule.

    Parameters
    ----------
    detector : TimesNetDiscrepancyDetector
        Unfitted, with a rule whose evidence holds what the other rules read too: "sum", "product" or "memory" where
        that is one.
    rules : sequence of ScoreRule
        A column of scores each.
    """

    detector: TimesNetDiscrepancyDetector
    rules: Sequence[ScoreRule]
    decision_scores_: FloatArray = field(init=False, repr=False)
    scorers_: list[RowScorer] = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> EveryRule:
        """Train on X (n_timestamps, n_channels) and score its rows by every rule, (n_timestamps, n_rules)."""
        self.detector.fit(X)
        evidence, borders = self.detector._judge(X, None)
        self.scorers_ = [rule.learn(self.detector.row_scorer_, evidence, borders) for rule in self.rules]
        self.decision_scores_ = self._score(evidence, borders)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return a score for each row of X (n_timestamps, n_channels) and rule, (n_timestamps, n_rules)."""
        return self._score(*self.detector._judge(X, None))

    def _score(self, evidence: Evidence, borders: NDArray[np.intp]) -> FloatArray:
        columns = zip(self.rules, self.scorers_, strict=True)
        return np.column_stack([rule.score(scorer, evidence, borders) for rule, scorer in columns])

    def get_params(self) -> dict[str, Any]:
        """Return all that decides the scores: the detector's class and parameters, and the rules."""
        return self.detector.get_params() | {"class": type(self.detector).__qualname__, "rules": tuple(self.rules)}
