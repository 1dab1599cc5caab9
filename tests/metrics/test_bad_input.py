"""Invalid labels, scores and parameters: the same errors and warnings from every metric."""

from __future__ import annotations

import re
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
NAMES_IN_WARNINGS = {
    "affiliation_f1_score": "Affiliation F1",
    "affiliation_precision_score": "Affiliation precision",
    "affiliation_recall_score": "Affiliation recall",
    "best_f1_score": "Best F1",
    "event_f1_score": "Event-based F1",
    "pa_k_auc_score": "Area under PA%K F1",
    "pa_k_f1_score": "PA%K F1",
    "range_auc_pr_score": "Range-AUC-PR",
    "range_auc_roc_score": "Range-AUC-ROC",
    "range_f1_score": "Range-based F1",
    "vus_pr_score": "VUS-PR",
    "vus_roc_score": "VUS-ROC",
}

every_metric = pytest.mark.parametrize("name", PR_FAMILY + ROC_FAMILY + F1_FAMILY)


def test_every_public_metric_is_tested_here():
    public = {name for name in metrics.__all__ if name.endswith("_score")}
    assert public == {*PR_FAMILY, *ROC_FAMILY, *F1_FAMILY}


@every_metric
@pytest.mark.parametrize(
    ("y_true", "y_score", "error", "message"),
    [
        ([0, 1, 2, 0], SCORES, ValueError, r"^y_true has the label .*2.* \(first at row 2\); labels are 0 .* and 1"),
        (
            [1, 1, -1, 1],
            SCORES,
            ValueError,
            r"labels are 0 \(normal\) and 1 \(anomalous\)\. Convert them first: \(y_true == -1\)\.astype\(int\) where "
            r"anomalies are marked -1\.$",
        ),
        ([0, 1, np.nan, 0], SCORES, ValueError, "y_true has the label .*nan"),
        ([0, 1, 0.5, 0], SCORES, ValueError, "y_true has the label .*0.5"),
        (["0", "1", "1", "0"], SCORES, ValueError, "y_true has the label"),
        ([0, 1, 1], SCORES, ValueError, "^y_true has 3 rows but y_score has 4; pass one label and one score a row.$"),
        (
            [0, 1, 1, 0],
            [0.1, np.nan, 0.3, np.nan],
            ValueError,
            r"^y_score has 2 NaN or infinite values \(first at row 1\); every row needs a finite score\. Find out "
            r"why the detector gave none there, or leave these rows out of y_true and y_score alike\.$",
        ),
        ([0, 1, 1, 0], [0.1, 0.2, 0.3, np.inf], ValueError, "y_score has 1 NaN or infinite .* row 3"),
        ([0, 1, 1, 0], ["a", "b", "c", "d"], TypeError, "y_score has dtype"),
        ([[0, 1], [1, 0]], SCORES, ValueError, r"y_true has shape \(2, 2\)"),
        ([0, 1, 1, 0], [[0.1, 0.2], [0.3, 0.4]], ValueError, r"y_score has shape \(2, 2\)"),
        ([], [], ValueError, "y_true is empty"),
    ],
)
def test_invalid_rows_raise_an_error_with_the_row(name, y_true, y_score, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)(y_true, y_score)


@pytest.mark.parametrize("name", WITH_THRESHOLD)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"threshold": "median"}, ValueError, "^threshold is 'median'; expected a number or \"best\"."),
        ({"threshold": np.nan}, ValueError, "threshold is nan"),
        ({"threshold": None}, TypeError, "threshold is None"),
        ({"threshold": True}, TypeError, "^threshold is True; expected a number.$"),
        ({"n_thresholds": 1}, ValueError, "^n_thresholds is 1; expected an integer of at least 2.$"),
        ({"n_thresholds": 10.0}, TypeError, "^n_thresholds is 10.0; expected an integer of at least 2.$"),
    ],
)
def test_invalid_threshold_raises_an_error_with_the_value(name, parameters, error, message):
    with pytest.raises(error, match=message):
        getattr(metrics, name)([0, 1, 1, 0], SCORES, **parameters)


@pytest.mark.parametrize("name", PR_FAMILY + ROC_FAMILY)
def test_invalid_number_of_thresholds_raises_an_error_with_the_value(name):
    with pytest.raises(ValueError, match=r"^n_thresholds is 1; expected an integer of at least 2\.$"):
        getattr(metrics, name)([0, 1, 1, 0], SCORES, n_thresholds=1)


@pytest.mark.parametrize("name", PR_FAMILY + ROC_FAMILY + WITH_THRESHOLD)
def test_two_thresholds_are_enough(name):
    """They are the lowest and the highest score."""
    assert 0.0 < getattr(metrics, name)([0, 1, 1, 0], [0.1, 0.3, 0.4, 0.2], n_thresholds=2) <= 1.0


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (-1, ValueError, r"^k is -1; expected a finite number in \[0, 100\]\.$"),
        (100.5, ValueError, r"^k is 100.5; expected a finite number in \[0, 100\]\.$"),
        (np.nan, ValueError, r"^k is nan; expected a finite number in \[0, 100\]\.$"),
        ("20", TypeError, r"^k is '20'; expected a number\.$"),
    ],
)
def test_invalid_k_raises_an_error_with_the_value(k, error, message):
    with pytest.raises(error, match=message):
        metrics.pa_k_f1_score([0, 1, 1, 0], SCORES, k=k)


@pytest.mark.parametrize("name", PR_FAMILY + F1_FAMILY)
def test_a_series_of_one_flagged_anomalous_row_gives_1(name):
    parameters = {"threshold": 0.0} if name in WITH_THRESHOLD else {}
    assert getattr(metrics, name)([1], [0.5], **parameters) == pytest.approx(1.0, abs=1e-5)


@every_metric
@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, object])
def test_the_value_does_not_depend_on_the_number_type(name, dtype):
    y_true, y_score = np.array([0, 1, 1, 0, 0]), np.array([1, 3, 2, 0, 2])
    expected = getattr(metrics, name)(y_true, y_score)
    assert getattr(metrics, name)(y_true.astype(dtype), y_score.astype(np.float32)) == expected
    assert getattr(metrics, name)(y_true.tolist(), y_score.astype(object)) == expected


@every_metric
def test_inputs_are_not_modified(name):
    y_true, y_score = np.array([0, 1, 1, 0]), np.array(SCORES)
    y_true.setflags(write=False)
    y_score.setflags(write=False)
    assert 0.0 <= getattr(metrics, name)(y_true, y_score) <= 1.0


@every_metric
def test_a_pandas_series_gives_the_value_of_its_array(name):
    pandas = pytest.importorskip("pandas")
    y_true, y_score = pandas.Series([0, 1, 1, 0], index=list("abcd")), pandas.Series(SCORES, index=list("abcd"))
    assert getattr(metrics, name)(y_true, y_score) == getattr(metrics, name)(y_true.to_numpy(), y_score.to_numpy())


@pytest.mark.parametrize("name", PR_FAMILY + F1_FAMILY)
def test_no_anomaly_is_0_with_a_warning_as_in_scikit_learn(name):
    message = rf"^{re.escape(NAMES_IN_WARNINGS[name])} is ill-defined and set to 0.0: y_true has no anomaly\.$"
    with pytest.warns(UndefinedMetricWarning, match=message) as caught:
        value = getattr(metrics, name)([0, 0, 0, 0], SCORES)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert value == average_precision_score([0, 0, 0, 0], SCORES) == f1_score([0, 0, 0, 0], [1, 0, 1, 0]) == 0.0


@pytest.mark.parametrize("name", ROC_FAMILY)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_nan_with_a_warning_as_in_scikit_learn(name, label):
    message = rf"^{re.escape(NAMES_IN_WARNINGS[name])} is ill-defined and set to nan: y_true has one class only\.$"
    with pytest.warns(UndefinedMetricWarning, match=message) as caught:
        value = getattr(metrics, name)([label] * 4, SCORES)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UndefinedMetricWarning):
        expected = roc_auc_score([label] * 4, SCORES)
    assert np.isnan(value)
    assert np.isnan(expected)


@pytest.mark.parametrize("name", PR_FAMILY + F1_FAMILY)
def test_all_rows_anomalous_has_a_value_and_no_warning_as_in_scikit_learn(name):
    assert average_precision_score([1, 1, 1, 1], SCORES) == 1.0
    assert 0.5 < getattr(metrics, name)([1, 1, 1, 1], SCORES) <= 1.0
