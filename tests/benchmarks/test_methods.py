"""The columns of the flagship in the peers' tables are what the detector itself says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.contract import Setup
from benchmarks.methods import FLAGSHIP_RULES, timesnet_discrepancy

SETUP = Setup(window=16, n_channels=2, n_fit_rows=240, seed=0)
TINY = {"n_layers": 1, "model_size": 8, "n_kernels": 2, "patch_size": 2, "max_epochs": 1, "epoch_size": 64}


def detector(**parameters):
    return timesnet_discrepancy(SETUP).detector.set_params(**TINY, **parameters)


@pytest.fixture(scope="module")
def columns(waves):
    every = timesnet_discrepancy(SETUP)
    every.detector.set_params(**TINY)
    every.fit(waves)
    return dict(zip([rule.name for rule in FLAGSHIP_RULES], every.decision_function(waves).T, strict=True))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("memory", {}),
        ("reconstruction", {"score_rule": "reconstruction"}),
        ("memory-mixed", {"clean_training": False}),
        ("reconstruction-mixed", {"score_rule": "reconstruction", "clean_training": False}),
    ],
)
def test_a_column_is_the_detectors_score_with_its_setting(name, parameters, columns, waves):
    np.testing.assert_array_equal(columns[name], detector(**parameters).fit(waves).decision_function(waves))


def test_the_distance_is_the_memorys_part(columns, waves):
    np.testing.assert_array_equal(columns["distance"], detector().fit(waves).explain(waves).memory)
