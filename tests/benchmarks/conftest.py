"""Tiny series, and methods that misbehave in known ways."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils import Bunch

N_ROWS, TRAIN_ROWS = 300, 120
ANOMALY = slice(200, 220)


def _tiny_series(name: str, n_channels: int, seed: int) -> Bunch:
    generator = np.random.default_rng(seed)
    time = np.arange(N_ROWS)[:, None]
    data = np.sin(2 * np.pi * time / 20 + np.arange(n_channels)) + 0.1 * generator.standard_normal((N_ROWS, n_channels))
    target = np.zeros(N_ROWS, dtype=np.int64)
    target[ANOMALY] = 1
    data[ANOMALY] += 3.0
    return Bunch(data=data, target=target, train_size=TRAIN_ROWS, groups=None, name=name)


@pytest.fixture
def tiny_groups() -> dict[str, list[Bunch]]:
    """One multichannel group of two series and one univariate group of one."""
    return {
        "many": [_tiny_series("a", 2, seed=0), _tiny_series("b", 3, seed=1)],
        "one": [_tiny_series("c", 1, seed=2)],
    }


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch):
    """The module of toy methods, importable in child processes too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("toy_methods")
