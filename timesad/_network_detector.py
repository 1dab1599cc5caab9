"""What the detectors with a network share: train it on windows, then calibrate a score on the training rows."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ._base import BaseSeriesDetector
from .exceptions import TrainingError
from .nn.association import LocalPrior, Prior
from .nn.networks import AssociationSettings, BlockSettings, ReconstructionNetwork, WindowSettings
from .periods import find_periods
from .reconstruction import ReconstructionScorer
from .scoring import RECONSTRUCTION, RECONSTRUCTION_PLUS_DISCREPANCY, RowEvidence, ScoreSettings, SeriesScorer
from .training import MINIMAX, RECONSTRUCT, Phase, TrainingSettings, train_network
from .windows import Series, held_out_rows

__all__ = ["AssociationsMixin", "BaseNetworkDetector", "PeriodsMixin"]

LARGEST_SEED = np.iinfo(np.int32).max
MAX_LAYERS = 100  # a mistyped number would otherwise fill the memory before any error
MAX_MODEL_SIZE = 1024
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # a larger one is infinite where the network computes


class BaseNetworkDetector(BaseSeriesDetector):
    """Train a network on windows of a series; score every row with it.

    A subclass is a docstring, a constructor that stores, and `_build_network`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSeriesDetector._parameter_constraints,
        "n_layers": [Interval(Integral, 1, MAX_LAYERS, closed="both")],
        "model_size": [Interval(Integral, 2, MAX_MODEL_SIZE, closed="both")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, LARGEST_NUMBER, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    smoothing: int
    n_layers: int
    model_size: int
    max_epochs: int
    batch_size: int
    learning_rate: float
    random_state: int | np.random.RandomState | None
    verbose: int

    @abstractmethod
    def _build_network(self) -> ReconstructionNetwork:
        """Build the untrained network."""

    # Hooks with the settings that are no parameters; a subclass may replace them.

    def _window_settings(self) -> WindowSettings:
        """How the network reads a window and writes it."""
        return WindowSettings(int(self.n_features_in_), self.window_size, self.model_size)

    def _training_settings(self) -> TrainingSettings:
        """How the network is trained."""
        return TrainingSettings(
            max_epochs=self.max_epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )

    def _score_settings(self) -> ScoreSettings:
        """How rows are scored."""
        return ScoreSettings(
            RECONSTRUCTION, self.window_size, self.smoothing, self.clean_training, uses_past=self.use_past
        )

    def _phases(self) -> tuple[Phase, ...]:
        """Optimiser steps for each training batch."""
        return RECONSTRUCT

    def _discrepancy_weight(self) -> float | str:
        """Weight of the discrepancy in the training loss."""
        return 0.0

    def _analyse(self, series: Series) -> None:
        """Set fitted attributes that the network needs."""

    # Fitting

    @property
    def network_(self) -> ReconstructionNetwork:
        """The trained network, in evaluation mode."""
        return self._reconstruction().network

    def _reconstruction(self) -> ReconstructionScorer:
        reconstruction: ReconstructionScorer | None = self.scorer_.reconstruction
        assert reconstruction is not None, "a detector with a network has a reconstruction"
        return reconstruction

    def _fit_scorer(
        self, series: Series, device: torch.device
    ) -> tuple[SeriesScorer, NDArray[np.float64], RowEvidence]:
        seed, training = self._draw_seed(), self._training_settings()
        self._analyse(series)
        network, self.history_ = train_network(
            self._build_network,
            series,
            training,
            phases=self._phases(),
            discrepancy_weight=self._discrepancy_weight(),
            device=device,
            seed=seed,
            verbose=int(self.verbose),
        )
        held_out = held_out_rows(series.borders, self.window_size, training.validation_fraction)
        try:
            return SeriesScorer.fit(network, series, self._score_settings(), device, held_out)
        except FloatingPointError as error:  # of the last step's weights; no loss has been computed with them
            raise TrainingError(f"Training failed: {error}. Lower learning_rate (now {self.learning_rate}).") from error

    def _draw_seed(self) -> int:
        """Seed for torch. Without a `random_state` it is fresh entropy: numpy's global generator does not move."""
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(check_random_state(self.random_state).randint(LARGEST_SEED))

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copy, with the network on the CPU: a machine without the accelerator can load it."""
        state = super().__getstate__()
        if "scorer_" in state:
            on_cpu = replace(self._reconstruction(), network=copy.deepcopy(self.network_).cpu())
            state["scorer_"] = replace(self.scorer_, reconstruction=on_cpu)
        return state


class PeriodsMixin(BaseNetworkDetector):
    """A detector whose network folds windows by the periods of the training series."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseNetworkDetector._parameter_constraints,
        "n_periods": [Interval(Integral, 1, None, closed="left")],
    }

    n_periods: int

    def _check_parameters_together(self) -> None:
        super()._check_parameters_together()
        if self.n_periods > self.window_size - 1:
            raise ValueError(
                f"n_periods={self.n_periods} periods do not fit in window_size={self.window_size}, which holds only "
                f"the periods 2 to {self.window_size}. Use a window_size of at least {self.n_periods + 1} or an "
                f"n_periods of at most {self.window_size - 1}."
            )

    def _analyse(self, series: Series) -> None:
        super()._analyse(series)
        self.periods_, self.period_weights_ = find_periods(series, self.window_size, self.n_periods)

    def _block_settings(self) -> BlockSettings:
        """The TimesNet blocks."""
        return BlockSettings(self.n_layers, self.periods_.tolist())


class AssociationsMixin(BaseNetworkDetector):
    """A detector whose network compares series and prior associations."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseNetworkDetector._parameter_constraints,
        "n_heads": [Interval(Integral, 1, MAX_MODEL_SIZE, closed="both")],
        "discrepancy_weight": [Interval(Real, 0, LARGEST_NUMBER, closed="both"), StrOptions({"balanced"})],
        "anomaly_score": [StrOptions({RECONSTRUCTION, RECONSTRUCTION_PLUS_DISCREPANCY})],
    }

    anomaly_score: str
    n_heads: int
    discrepancy_weight: float | str

    def _check_parameters_together(self) -> None:
        super()._check_parameters_together()
        if self.model_size % self.n_heads:
            largest = min(self.n_heads, self.model_size)
            divisor = next(heads for heads in range(largest, 0, -1) if self.model_size % heads == 0)
            raise ValueError(
                f"n_heads={self.n_heads} does not divide model_size={self.model_size}: every head has an equal share "
                f"of the features. Use a divisor, for example {divisor}."
            )

    def _score_settings(self) -> ScoreSettings:
        return replace(super()._score_settings(), score=self.anomaly_score)

    def _discrepancy_weight(self) -> float | str:
        return self.discrepancy_weight

    def _phases(self) -> tuple[Phase, ...]:
        return RECONSTRUCT if self.discrepancy_weight == 0 else MINIMAX

    def _association_settings(self) -> AssociationSettings:
        """The anomaly attentions."""
        return AssociationSettings(self.n_layers, self.n_heads, self._priors)

    def _priors(self) -> list[Prior]:
        """Build the prior associations of one layer."""
        return [LocalPrior(self.window_size)]
