"""The flagship's columns in the peers' tables are the detector's own scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.contract import Setup
from benchmarks.methods import FLAGSHIP_VARIANTS, METHODS, WITHOUT_PAST, nearest_windows, timesnet_discrepancy

SETUP = Setup(window=16, n_channels=2, seed=0)
TINY = {"n_layers": 1, "model_size": 8, "max_epochs": 1}


@pytest.fixture(scope="module")
def fitted(waves):
    variants = timesnet_discrepancy(SETUP)
    variants.detector.set_params(**TINY)
    return variants.fit(waves)


@pytest.mark.parametrize("name", [name for name in FLAGSHIP_VARIANTS if name != WITHOUT_PAST])
def test_a_column_is_the_detectors_score_with_its_setting(name, fitted, waves):
    changes = {"anomaly_score" if key == "score" else key: value for key, value in FLAGSHIP_VARIANTS[name].items()}
    alone = timesnet_discrepancy(SETUP).detector.set_params(**TINY, **changes).fit(waves)
    column = list(FLAGSHIP_VARIANTS).index(name)
    np.testing.assert_array_equal(fitted.decision_scores_[:, column], alone.decision_scores_)
    np.testing.assert_array_equal(
        fitted.decision_function(waves[100:])[:, column], alone.decision_function(waves[100:])
    )


def test_without_the_past_is_a_column(fitted, waves):
    detector, new = fitted.detector, waves[::-1]  # other windows than those of training
    column = list(FLAGSHIP_VARIANTS).index(WITHOUT_PAST)
    expected = detector.scorer_.without_past().score(detector._scaled_series(new, None), "cpu")
    np.testing.assert_array_equal(fitted.decision_function(new)[:, column], expected)
    assert (expected != detector.decision_function(new)).any()


@pytest.mark.parametrize("build", [timesnet_discrepancy, nearest_windows])
@pytest.mark.parametrize("clean", [True, False])
def test_ours_presume_normal_training_rows_where_the_protocol_does(build, clean):
    built = build(replace(SETUP, clean_training=clean))
    assert getattr(built, "detector", built).clean_training == clean


def test_ours_take_training_scores_for_the_rows_fitted():
    assert all(method.novelty == (method.family in ("ours", "same")) for method in METHODS.values())
