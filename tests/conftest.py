"""Fixtures for all tests: folders of real series and reference outputs, and detectors that fit in a moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)
from timesad._base import BaseSeriesDetector

REPOSITORY = Path(__file__).resolve().parents[1]

settings.register_profile("fast", max_examples=20, deadline=None, derandomize=True, database=None)
settings.register_profile("all", max_examples=1000, deadline=None, database=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run slow tests, and many examples of each property")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("all" if config.getoption("--all") else "fast")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--all"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="minutes long: make test-all"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real labelled series (TSB-AD-M, SKAB, ...), from TIMESAD_DATA or beside the repository."""
    folder = Path(os.environ.get("TIMESAD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set TIMESAD_DATA to where the files are")
    return folder


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The folder of reference outputs of other implementations."""
    return REPOSITORY / "tests" / "golden"


DETECTORS = (TimesNetDiscrepancyDetector, TimesNetDetector, AnomalyTransformerDetector, NearestWindowsDetector)
TINY = {
    "window_size": 16,
    "n_periods": 2,
    "n_layers": 1,
    "model_size": 8,
    "n_heads": 2,
    "smoothing": 2,
    "max_epochs": 2,
    "batch_size": 64,
    "random_state": 0,
}


MakeDetector = Callable[..., BaseSeriesDetector]


def _make(detector_class: type[BaseSeriesDetector], *, thorough: bool = False, **changes: Any) -> BaseSeriesDetector:
    """A detector that is quick to fit; `thorough` trains a network longer."""
    known = signature(detector_class).parameters
    settings = TINY | ({"max_epochs": 10} if thorough else {})
    return detector_class(**{name: value for name, value in settings.items() if name in known} | changes)


@pytest.fixture(scope="session", params=DETECTORS, ids=lambda detector_class: detector_class.__name__)
def make_detector(request: pytest.FixtureRequest) -> MakeDetector:
    """For each detector class in turn: returns one that is quick to fit, with the given parameters changed."""
    return partial(_make, request.param)


@pytest.fixture(scope="session", params=DETECTORS[:3], ids=lambda detector_class: detector_class.__name__)
def make_network_detector(request: pytest.FixtureRequest) -> MakeDetector:
    """As `make_detector`, for the classes with a network."""
    return partial(_make, request.param)


@pytest.fixture(scope="session")
def make_flagship() -> MakeDetector:
    """As `make_detector`, for one class: enough for what the base class implements."""
    return partial(_make, TimesNetDiscrepancyDetector)


@pytest.fixture(scope="session")
def make_nearest() -> MakeDetector:
    """As `make_detector`, for `NearestWindowsDetector` alone."""
    return partial(_make, NearestWindowsDetector)


@pytest.fixture(scope="session")
def waves() -> NDArray[np.float64]:
    """A read-only series of 240 rows and two channels: periods of 8 and 12 rows, and noise."""
    time = np.arange(240)
    clean = np.column_stack([np.sin(2 * np.pi * time / 8), np.cos(2 * np.pi * time / 12)])
    series = clean + np.random.default_rng(0).normal(scale=0.1, size=clean.shape)
    series.setflags(write=False)
    return series


@pytest.fixture(scope="session")
def fitted(make_detector: MakeDetector, waves: NDArray[np.float64]) -> BaseSeriesDetector:
    """A detector of each class, fitted on `waves`. Do not fit it again."""
    return make_detector().fit(waves)


@pytest.fixture(scope="session")
def fitted_network(make_network_detector: MakeDetector, waves: NDArray[np.float64]) -> BaseSeriesDetector:
    """A detector of each class with a network, fitted on `waves`. Do not fit it again."""
    return make_network_detector().fit(waves)


@pytest.fixture(scope="session")
def sharp(make_detector: MakeDetector, waves: NDArray[np.float64]) -> BaseSeriesDetector:
    """A detector of each class, well trained on `waves`, without smoothing."""
    return make_detector(thorough=True, smoothing=1).fit(waves)
