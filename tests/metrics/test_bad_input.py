"""One convention for bad labels and scores, held by every metric."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from timesad import metrics

PR_FAMILY = ["vus_pr_score", "range_auc_pr_score"]
ROC_FAMILY = ["vus_roc_score", "range_auc_roc_score"]
F1_FAMILY = [
    "affiliation_f1_score",
    "affiliation_precision_score",
    "affiliation_recall_score",
    "best_f1_score",
    "event_f1_score",
    "pa_k_auc_score",
    "pa_k_f1_score",
    "range_f1_score",
]
WITH_THRESHOLD = [name for name in F1_FAMILY if name != "best_f1_score"]
SCORES = [0.4, 0.1, 0.3, 0.2]

every_metric = pytest.mark.parametrize("name", PR_FAMILY + ROC_FAMILY + F1_FAMILY)


def test_no_metric_escapes_these_tests():
    public = {name for name in metrics.__all__ if name.endswith("_score")}
    assert public == {*PR_FAMILY, *ROC_FAMILY, *F1_FAMILY}


@every_metric
@pytest.mark.parametrize(
    ("y_true", "y_score", "error", "message"),
    [
        ([0, 1, 2, 0], SCORES, ValueError, "y_true has the label .*2.* row 2"),
        ([1, 1, -1, 1], SCORES, ValueError, r"y_true == -1"),
        ([0, 1, np.nan, 0], SCORES, ValueError, "y_true has the label .*nan"),
        ([0, 1, 0.5, 0], SCORES, ValueError, "y_true has the label .*0.5"),
        (["0", "1", "1", "0"], SCORES, ValueError, "y_true has the label"),
        ([0, 1, 1], SCORES, ValueError, "y_true has 3 rows but y_score has 4"),
        ([0, 1, 1, 0], [0.1, np.nan, 0.3, np.nan], ValueError, "y_score has 2 NaN or infinite .* row 1"),
        ([0, 1, 1, 0], [0.1, 0.2, 0.3, np.inf], ValueError, "y_score has 1 NaN or infinite .* row 3"),
        ([0, 1, 1, 0], ["a", "b", "c", "d"], TypeError, "y_score has dtype"),
        ([[0, 1], [1, 0]], SCORES, ValueError, r"y_true has shape \(2, 2\)"),
        ([0, 1, 1, 0], [[0.1, 0.2], [0.3, 0.4]], ValueError, r"y_score has shape \(2, 2\)"),
        ([], [], ValueError, "y_true is empty"),
    ],
)
def test_bad_rows_are_an_error_that_names_them(name, y_true, y_score, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)(y_true, y_score)


@pytest.mark.parametrize("name", WITH_THRESHOLD)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"threshold": "median"}, ValueError, "threshold is 'median'"),
        ({"threshold": np.nan}, ValueError, "threshold is nan"),
        ({"threshold": None}, TypeError, "threshold is None"),
        ({"n_thresholds": 1}, ValueError, "n_thresholds is 1"),
        ({"n_thresholds": 10.0}, TypeError, "n_thresholds is 10.0"),
    ],
)
def test_bad_threshold_is_an_error_that_names_it(name, parameters, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)([0, 1, 1, 0], SCORES, **parameters)


@pytest.mark.parametrize("name", PR_FAMILY + ROC_FAMILY)
def test_bad_number_of_thresholds_is_an_error_that_names_it(name):
    with pytest.raises(ValueError, match="n_thresholds is 1"):
        getattr(metrics, name)([0, 1, 1, 0], SCORES, n_thresholds=1)


@pytest.mark.parametrize(("k", "error"), [(-1, ValueError), (101, ValueError), (np.nan, ValueError), ("20", TypeError)])
def test_bad_k_is_an_error_that_names_it(k, error):
    with pytest.raises(error, match="k is "):
        metrics.pa_k_f1_score([0, 1, 1, 0], SCORES, k=k)


@every_metric
@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, object])
def test_labels_and_scores_of_any_number_type_give_the_same(name, dtype):
    y_true, y_score = np.array([0, 1, 1, 0, 0]), np.array([1, 3, 2, 0, 2])
    expected = getattr(metrics, name)(y_true, y_score)
    assert getattr(metrics, name)(y_true.astype(dtype), y_score.astype(np.float32)) == expected
    assert getattr(metrics, name)(y_true.tolist(), y_score.astype(object)) == expected


@every_metric
def test_inputs_are_left_as_they_were(name):
    y_true, y_score = np.array([0, 1, 1, 0]), np.array(SCORES)
    y_true.setflags(write=False)
    y_score.setflags(write=False)
    assert 0.0 <= getattr(metrics, name)(y_true, y_score) <= 1.0


@every_metric
def test_a_pandas_series_is_as_good_as_an_array(name):
    pandas = pytest.importorskip("pandas")
    y_true, y_score = pandas.Series([0, 1, 1, 0], index=list("abcd")), pandas.Series(SCORES, index=list("abcd"))
    assert getattr(metrics, name)(y_true, y_score) == getattr(metrics, name)(y_true.to_numpy(), y_score.to_numpy())


@pytest.mark.parametrize("name", PR_FAMILY + F1_FAMILY)
def test_no_anomaly_is_0_with_a_warning_as_in_scikit_learn(name):
    with pytest.warns(UndefinedMetricWarning, match="y_true has no anomaly") as caught:
        value = getattr(metrics, name)([0, 0, 0, 0], SCORES)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert value == average_precision_score([0, 0, 0, 0], SCORES) == f1_score([0, 0, 0, 0], [1, 0, 1, 0]) == 0.0


@pytest.mark.parametrize("name", ROC_FAMILY)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_nan_with_a_warning_as_in_scikit_learn(name, label):
    with pytest.warns(UndefinedMetricWarning, match="one class") as caught:
        value = getattr(metrics, name)([label] * 4, SCORES)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UndefinedMetricWarning):
        expected = roc_auc_score([label] * 4, SCORES)
    assert np.isnan(value)
    assert np.isnan(expected)


@pytest.mark.parametrize("name", PR_FAMILY + F1_FAMILY)
def test_nothing_but_anomalies_has_a_value_and_no_warning_as_in_scikit_learn(name):
    assert average_precision_score([1, 1, 1, 1], SCORES) == 1.0
    assert 0.5 < getattr(metrics, name)([1, 1, 1, 1], SCORES) <= 1.0
