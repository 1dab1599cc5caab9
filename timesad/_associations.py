"""What the two detectors with associations share: the minimax's parameters and the parts they become."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from ._base import BaseDeepDetector
from .memory import WindowMemory
from .nn.association import GridPrior, LocalPrior
from .nn.divergence import jensen_shannon, symmetric_kl
from .nn.networks import AssociationSettings
from .scoring import DISCREPANCY_RULES, SCORE_RULES
from .training import SCHEDULES, Phase
from .windows import WindowSet, window_starts

__all__ = ["AssociationDetector"]

DIVERGENCES = {"kl": symmetric_kl, "js": jensen_shannon}
PRIORS = ("local", "grid", "contrast")


class AssociationDetector(BaseDeepDetector):
    """A detector whose network compares series and prior associations."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDeepDetector._parameter_constraints,
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "prior": [StrOptions(set(PRIORS))],
        "divergence": [StrOptions(set(DIVERGENCES))],
        "schedule": [StrOptions(set(SCHEDULES))],
        "discrepancy_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto", "balanced"})],
        "score_rule": [StrOptions(set(SCORE_RULES))],
        "memory_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        window_size: int,
        top_k: int,
        n_layers: int,
        model_size: int,
        dropout: float,
        normalize_windows: bool,
        n_masks: int,
        patch_size: int,
        smoothing: int,
        level_weight: float,
        clean_training: bool,
        score_stride: int | None,
        max_epochs: int,
        epoch_size: int,
        batch_size: int,
        learning_rate: float,
        validation_fraction: float,
        patience: int,
        contamination: float | Any,
        device: str,
        random_state: int | np.random.RandomState | None,
        verbose: int,
        n_heads: int,
        prior: str,
        divergence: str,
        schedule: str,
        discrepancy_weight: float | str,
        score_rule: str,
        memory_size: int,
    ) -> None:
        super().__init__(
            window_size=window_size,
            top_k=top_k,
            n_layers=n_layers,
            model_size=model_size,
            dropout=dropout,
            normalize_windows=normalize_windows,
            n_masks=n_masks,
            patch_size=patch_size,
            smoothing=smoothing,
            level_weight=level_weight,
            clean_training=clean_training,
            score_stride=score_stride,
            max_epochs=max_epochs,
            epoch_size=epoch_size,
            batch_size=batch_size,
            learning_rate=learning_rate,
            validation_fraction=validation_fraction,
            patience=patience,
            contamination=contamination,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_heads = n_heads
        self.prior = prior
        self.divergence = divergence
        self.schedule = schedule
        self.discrepancy_weight = discrepancy_weight
        self.score_rule = score_rule
        self.memory_size = memory_size

    def _has_associations(self) -> bool:
        """Whether a discrepancy is trained on or scored by; without it the association would be dead weight."""
        return self._discrepancy_weight() != 0 or self.score_rule in DISCREPANCY_RULES

    def _check_parameters_together(self) -> None:
        super()._check_parameters_together()
        if self.model_size % self.n_heads:
            raise ValueError(
                f"n_heads={self.n_heads} does not divide model_size={self.model_size}: every head gets an equal "
                "share of the features. Use a divisor, for example "
                f"{max(heads for heads in range(1, self.n_heads + 1) if self.model_size % heads == 0)}."
            )

    def _phases(self) -> tuple[Phase, ...]:
        return SCHEDULES[self.schedule if self._discrepancy_weight() != 0 else "off"]

    def _discrepancy_weight(self) -> float | str:
        if self.discrepancy_weight == "auto":
            return "balanced" if self._score_feels_associations() else 0.0
        return self.discrepancy_weight

    def _score_feels_associations(self) -> bool:
        """Whether any score would differ if associations were not trained."""
        return True

    def _score_rule(self) -> str:
        return self.score_rule

    def _build_memory(self, values: NDArray[np.float32], borders: NDArray[np.intp]) -> WindowMemory | None:
        if self.score_rule != "memory":
            return None
        every = WindowSet(values, window_starts(borders, self.window_size, 1), self.window_size)
        return WindowMemory.learn(every, self.memory_size)

    def _association_settings(self) -> AssociationSettings:
        return AssociationSettings(self.n_layers, self.n_heads, self._priors, DIVERGENCES[self.divergence])

    def _priors(self) -> list[LocalPrior | GridPrior]:
        """One layer's prior associations."""
        priors: list[LocalPrior | GridPrior] = []
        if self.prior in ("local", "contrast"):
            priors.append(LocalPrior(self.window_size))
        if self.prior in ("grid", "contrast"):
            priors.append(GridPrior(self.window_size, self.periods_.tolist(), self.period_weights_.tolist()))
        return priors
