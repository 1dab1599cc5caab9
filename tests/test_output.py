"""Results are arrays, or have the index of X where scikit-learn's configuration says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import timesad
from timesad.metrics import get_scorer

TIMES = pd.date_range("2026-01-01", periods=240, freq="min", tz="Europe/Berlin")
NAMES = {
    "decision_function": "score",
    "predict": "anomaly",
    "predict_confidence": "confidence",
    "predict_proba": ["normal", "anomaly"],
    "p_values": "p_value",
}


@pytest.fixture(scope="module")
def table(waves):
    return pd.DataFrame(waves, columns=["flow", "pressure"], index=TIMES)


@pytest.fixture(scope="module")
def plain(make_nearest, table):
    return make_nearest(missing="mask").fit(table)


@pytest.fixture(scope="module")
def fitted(plain, table):
    return clone(plain).set_output(transform="pandas").fit(table)


@pytest.mark.parametrize(("method", "name"), NAMES.items())
def test_results_have_the_index_of_the_table(fitted, plain, table, method, name):
    found, expected = getattr(fitted, method)(table[100:]), getattr(plain, method)(table[100:])
    assert isinstance(expected, np.ndarray)
    assert isinstance(found, pd.Series if isinstance(name, str) else pd.DataFrame)
    pd.testing.assert_index_equal(found.index, TIMES[100:])
    assert (found.name if isinstance(name, str) else found.columns.tolist()) == name
    np.testing.assert_array_equal(found, expected)


def test_so_have_both_results_with_confidence(fitted, table):
    for results in (fitted.predict(table, return_confidence=True), fitted.predict_proba(table, return_confidence=True)):
        for result in results:
            pd.testing.assert_index_equal(result.index, TIMES)


def test_so_have_the_parts_of_a_score(fitted, plain, table):
    parts, expected = fitted.explain(table), plain.explain(table)
    assert parts.keys() == expected.keys()
    for name, part in parts.items():
        pd.testing.assert_index_equal(part.index, TIMES)
        np.testing.assert_array_equal(part, expected[name])
    assert parts.neighbors_by_channel.columns.tolist() == parts.missing.columns.tolist() == ["flow", "pressure"]


def test_rows_of_a_context_have_no_result(fitted, table):
    pd.testing.assert_index_equal(fitted.decision_function(table[100:], context=table[:100]).index, TIMES[100:])


def test_an_array_has_rows_by_number(fitted, table):
    found = clone(fitted).fit(table.to_numpy()).decision_function(table.to_numpy())
    pd.testing.assert_index_equal(found.index, pd.RangeIndex(240))


def test_the_choice_stays_with_clones_pickles_and_files(fitted, table, tmp_path):
    fitted.save(tmp_path / "detector")
    for other in (clone(fitted).fit(table), timesad.load(tmp_path / "detector")):
        assert isinstance(other.decision_function(table), pd.Series)
    assert isinstance(clone(fitted).set_output(transform="default").fit(table).decision_function(table), np.ndarray)
    assert isinstance(clone(fitted).set_output().fit(table).decision_function(table), pd.Series)


def test_the_global_setting_counts_without_a_choice(plain, fitted, table):
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(plain.predict(table), pd.Series)
        pipeline = make_pipeline(StandardScaler(), clone(plain)).fit(table)
        pd.testing.assert_index_equal(pipeline.decision_function(table).index, TIMES)
    with sklearn.config_context(transform_output="default"):
        assert isinstance(fitted.predict(table), pd.Series)
    with sklearn.config_context(transform_output="polars"):
        assert isinstance(plain.predict(table), np.ndarray)


def test_metrics_take_a_series(fitted, plain, table):
    y = (np.arange(240) % 100 < 10).astype(int)
    for name in ("vus_pr", "auc_pr", "event_f1"):
        scorer = get_scorer(name)
        assert scorer(fitted, table, y) == scorer(plain, table, y)


@pytest.mark.parametrize("wrong", ["polars", "pandsa", 3])
def test_other_tables_are_refused(plain, wrong):
    with pytest.raises(ValueError, match=r"transform=.* is not one of \('default', 'pandas'\)"):
        clone(plain).set_output(transform=wrong)


def test_a_detector_stays_a_detector(fitted, plain, table):
    """PyOD's own methods read the results."""
    assert fitted.detect(table)["start_time"].dtype == TIMES.dtype
    labels, stats = fitted.predict_with_rejection(table, c_r=0.1, return_stats=True)
    pd.testing.assert_index_equal(labels.index, TIMES)
    assert len(stats) == 3
    np.testing.assert_array_equal(labels, plain.predict_with_rejection(table, c_r=0.1))
