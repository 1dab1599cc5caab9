"""Fixtures that every test may use: where real series and reference outputs lie, and detectors small enough to test."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from timesad import AnomalyTransformerDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad._base import BaseDeepDetector

REPOSITORY = Path(__file__).resolve().parents[1]


def _folder_or_skip(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set {variable} to where the files are")
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real labelled series (TSB-AD-M, SKAB, ...), from TIMESAD_DATA or beside the repository."""
    return _folder_or_skip("TIMESAD_DATA", REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The folder of reference outputs of other implementations, from TIMESAD_GOLDEN or beside the repository."""
    return _folder_or_skip("TIMESAD_GOLDEN", REPOSITORY.parent / "shared" / "golden")


DETECTORS = (TimesNetDiscrepancyDetector, TimesNetDetector, AnomalyTransformerDetector)
TINY = {
    "window_size": 16,
    "top_k": 2,
    "n_layers": 1,
    "model_size": 8,
    "patch_size": 2,
    "smoothing": 2,
    "max_epochs": 2,
    "epoch_size": 64,
    "random_state": 0,
}


def _make(detector_class: type[BaseDeepDetector], **changes: Any) -> BaseDeepDetector:
    return detector_class(**TINY | changes)


@pytest.fixture(scope="session", params=DETECTORS, ids=lambda detector_class: detector_class.__name__)
def make_detector(request: pytest.FixtureRequest) -> Callable[..., BaseDeepDetector]:
    """For each detector class in turn: gives one that trains in a moment, with the parameters in the call changed."""
    return partial(_make, request.param)


@pytest.fixture(scope="session")
def make_flagship() -> Callable[..., BaseDeepDetector]:
    """As `make_detector`, of one class alone: for what lies in the base, one class stands for all."""
    return partial(_make, TimesNetDiscrepancyDetector)


@pytest.fixture(scope="session")
def waves() -> NDArray[np.float64]:
    """A series of 240 rows and two channels: periods of 8 and 12 rows, and noise. Not to be written to."""
    time = np.arange(240)
    clean = np.column_stack([np.sin(2 * np.pi * time / 8), np.cos(2 * np.pi * time / 12)])
    series = clean + np.random.default_rng(0).normal(scale=0.1, size=clean.shape)
    series.setflags(write=False)
    return series


@pytest.fixture(scope="session")
def fitted(make_detector: Callable[..., BaseDeepDetector], waves: NDArray[np.float64]) -> BaseDeepDetector:
    """A detector of each class in turn, fitted on `waves`. Not to be fitted again."""
    return make_detector().fit(waves)


@pytest.fixture(scope="session")
def sharp(make_detector: Callable[..., BaseDeepDetector], waves: NDArray[np.float64]) -> BaseDeepDetector:
    """Fitted on `waves` as long as it takes, without smoothing, so that a score is that of one row."""
    return make_detector(smoothing=1, max_epochs=10, epoch_size=224).fit(waves)
