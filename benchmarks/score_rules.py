"""Several scores of one training: the ablation's rules, and the settings that the peers' table compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from timesad import TimesNetDiscrepancyDetector
from timesad.calibration import TailCalibration
from timesad.reconstruction import ReconstructionScorer, smoothed_closeness
from timesad.row_errors import RowErrors, average_over_windows, window_errors
from timesad.scoring import SeriesScorer
from timesad.windows import OverlapAverage, Series

from .contract import FloatArray

__all__ = ["REFERENCE_RULE", "EveryRule", "RuleScorer", "ScoreRule", "ScoreVariants"]

REFERENCE_RULE = "reconstruction"
PRODUCT_TEMPERATURE = 50.0  # of the official code's softmax(-50 D)
CPU = torch.device("cpu")


def one_series(detector: TimesNetDiscrepancyDetector, X: FloatArray) -> Series:
    """Scaled rows of a fitted detector."""
    return Series(detector.scaling_(X), np.array([0, len(X)]))


@dataclass
class ScoreVariants:
    """A detector that is trained once and scored with several settings.

    Parameters
    ----------
    detector : TimesNetDiscrepancyDetector
        Unfitted.
    variants : mapping of str to dict
        Changes of the detector's `ScoreSettings`, by the name of the column.
    """

    detector: TimesNetDiscrepancyDetector
    variants: Mapping[str, dict[str, Any]]
    decision_scores_: FloatArray = field(init=False, repr=False)
    scorers_: list[SeriesScorer] = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> ScoreVariants:
        """Train on X (n_timestamps, n_channels) and score its rows, (n_timestamps, n_variants)."""
        self.detector.fit(X)
        series, settings = one_series(self.detector, X), self.detector.scorer_.settings
        fitted = [
            SeriesScorer.fit(self.detector.network_, series, replace(settings, **changes), CPU)
            for changes in self.variants.values()
        ]
        self.scorers_ = [scorer for scorer, _, _ in fitted]
        self.decision_scores_ = np.column_stack([scores for _, scores, _ in fitted])
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return a score for each new row and variant, (n_timestamps, n_variants)."""
        series = one_series(self.detector, X)
        return np.column_stack([scorer.score(series, CPU) for scorer in self.scorers_])

    def get_params(self) -> dict[str, Any]:
        """Return all that decides the scores."""
        return self.detector.get_params() | {"variants": tuple(self.variants.items())}


@dataclass(frozen=True)
class ScoreRule:
    """One score of a trained network.

    Parameters
    ----------
    name : str
        Of a table's column.
    reconstruction : bool, default=False
        Whether the calibrated reconstruction is added.
    signs : tuple of float, default=()
        Factor of each prior's closeness, fixed before any run; one for all priors, or one for each. Without signs the
        discrepancy is not added.
    product : bool, default=False
        The paper's softmax(-50 D) · error within each window, in the place of both.
    """

    name: str
    reconstruction: bool = False
    signs: tuple[float, ...] = ()
    product: bool = False


@dataclass
class RuleScorer:
    """Several rules on one trained network.

    Parameters
    ----------
    scorer : ReconstructionScorer
        Of the network.
    rules : sequence of ScoreRule
    priors : dict of str to tuple of TailCalibration
        Calibrated closeness of each rule with signs, one for each prior.
    """

    scorer: ReconstructionScorer
    rules: Sequence[ScoreRule]
    priors: dict[str, tuple[TailCalibration, ...]]

    @classmethod
    def fit(
        cls, scorer: ReconstructionScorer, series: Series, rules: Sequence[ScoreRule]
    ) -> tuple[RuleScorer, FloatArray]:
        """Calibrate on training rows, and score them by each rule, (n_rows, n_rules)."""
        fitted = cls(scorer, rules, {})
        errors, product = fitted.row_errors(series)
        for rule in rules:
            closeness = smoothed_closeness(signed(errors, rule), series, scorer.smoothing) if rule.signs else []
            fitted.priors[rule.name] = tuple(TailCalibration.fit(column) for column in closeness)
        return fitted, fitted.columns(errors, product, series)

    def row_errors(self, series: Series) -> tuple[RowErrors, FloatArray]:
        """Row errors, and the paper's product averaged over windows, (n_rows,)."""
        network = self.scorer.network
        windows = series.windows(network.window.window_size, self.scorer.stride)
        product = OverlapAverage(len(series), 1)
        batches = []
        for batch in window_errors(network, windows, CPU, with_discrepancy=True):
            assert batch.discrepancy is not None
            weight = torch.softmax(-PRODUCT_TEMPERATURE * batch.discrepancy.mean(dim=-1), dim=-1)  # (batch, time)
            product.add(batch.starts, (weight * batch.squared_error.mean(dim=-1))[..., None])
            batches.append(batch)
        errors = average_over_windows(batches, self.scorer.positions, len(series), series.n_channels)
        return errors, product.average()[:, 0].astype(np.float64)

    def __call__(self, series: Series) -> FloatArray:
        """A column of scores for each rule, (n_rows, n_rules)."""
        return self.columns(*self.row_errors(series), series)

    def columns(self, errors: RowErrors, product: FloatArray, series: Series) -> FloatArray:
        """The scores from row errors, (n_rows, n_rules)."""
        reconstruction = self.scorer.parts(errors, series).score
        columns = []
        for rule in self.rules:
            score = product if rule.product else reconstruction * rule.reconstruction
            if rule.signs:
                calibrated = replace(self.scorer, priors=self.priors[rule.name])
                score = score + calibrated.discrepancy(signed(errors, rule), series)
            columns.append(score)
        return np.column_stack(columns)


def signed(errors: RowErrors, rule: ScoreRule) -> RowErrors:
    """Row errors with the closeness times the rule's signs."""
    return errors._replace(closeness=errors.closeness * np.array(rule.signs))


@dataclass
class EveryRule:
    """A detector that is trained once and scored by every rule.

    Parameters
    ----------
    detector : TimesNetDiscrepancyDetector
        Unfitted, with a score that contains the discrepancy.
    rules : sequence of ScoreRule
        A column of scores each.
    """

    detector: TimesNetDiscrepancyDetector
    rules: Sequence[ScoreRule]
    decision_scores_: FloatArray = field(init=False, repr=False)
    scorer_: RuleScorer = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> EveryRule:
        """Train on X (n_timestamps, n_channels) and score its rows by every rule, (n_timestamps, n_rules)."""
        self.detector.fit(X)
        series, reconstruction = one_series(self.detector, X), self.detector.scorer_.reconstruction
        self.scorer_, self.decision_scores_ = RuleScorer.fit(reconstruction, series, self.rules)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return a score for each row of X (n_timestamps, n_channels) and rule, (n_timestamps, n_rules)."""
        return self.scorer_(one_series(self.detector, X))

    def get_params(self) -> dict[str, Any]:
        """Return all that decides the scores: the detector's class and parameters, and the rules."""
        return self.detector.get_params() | {"class": type(self.detector).__qualname__, "rules": tuple(self.rules)}
