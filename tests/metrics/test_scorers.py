"""Scorers: every metric by name, in scikit-learn's searches, for any estimator with a decision_function."""

from __future__ import annotations

import numpy as np
import pytest
from pyod.models.knn import KNN
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from timesad import metrics
from timesad.metrics import get_scorer, get_scorer_names, vus_pr_score


class DistanceFromCentre(OutlierMixin, BaseEstimator):
    """Scores rows by their distance from the training mean; sign=-1 reverses the order."""

    def __init__(self, sign=1):
        self.sign = sign

    def fit(self, X, y=None):
        self.centre_ = np.mean(X, axis=0)
        return self

    def decision_function(self, X):
        return self.sign * np.linalg.norm(X - self.centre_, axis=1)


@pytest.fixture
def labelled_series():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 2)), np.zeros(400, dtype=int)
    for start in (120, 170, 220, 270, 320, 370):
        y[start : start + 10] = 1
    X[y == 1] += 2.5
    return X, y


@pytest.mark.parametrize("name", get_scorer_names())
def test_every_scorer_equals_its_metric_of_the_decision_function(labelled_series, name):
    X, y = labelled_series
    estimator = DistanceFromCentre().fit(X)
    of_scikit_learn = {"auc_pr": average_precision_score, "auc_roc": roc_auc_score}
    function = of_scikit_learn.get(name) or getattr(metrics, f"{name}_score")
    value = get_scorer(name)(estimator, X, y)
    assert 0.0 < value <= 1.0
    assert value == function(y, estimator.decision_function(X))


def test_every_score_has_a_scorer():
    """Except affiliation precision and recall: few or many flagged rows alone maximise one of them."""
    scores = {name.removesuffix("_score") for name in metrics.__all__ if name.endswith("_score")}
    without = {"affiliation_precision", "affiliation_recall"}
    assert set(get_scorer_names()) == (scores - without) | {"auc_pr", "auc_roc"}


def test_grid_search_selects_the_estimator_with_the_larger_metric(labelled_series):
    X, y = labelled_series
    search = GridSearchCV(
        DistanceFromCentre(),
        {"sign": [-1, 1]},
        scoring=get_scorer("vus_pr"),
        cv=TimeSeriesSplit(3),
        error_score="raise",
    )
    assert search.fit(X, y).best_params_ == {"sign": 1}


# cross_validate passes y to fit, and PyOD warns of any y.
@pytest.mark.filterwarnings("ignore:y should not be presented:UserWarning")
def test_several_scorers_of_a_pipeline_with_a_pyod_detector(labelled_series):
    X, y = labelled_series
    scoring = {name: get_scorer(name) for name in ("vus_pr", "auc_roc", "event_f1")}
    results = cross_validate(
        make_pipeline(StandardScaler(), KNN()), X, y, scoring=scoring, cv=TimeSeriesSplit(3), error_score="raise"
    )
    for name in scoring:
        assert np.all(results[f"test_{name}"] > 0.5)


def test_cross_validation_computes_the_metric_of_each_fold(labelled_series):
    X, y = labelled_series
    scores = cross_val_score(
        DistanceFromCentre(), X, y, scoring=get_scorer("vus_pr"), cv=TimeSeriesSplit(2), error_score="raise"
    )
    fold = next(iter(TimeSeriesSplit(2).split(X)))
    estimator = DistanceFromCentre().fit(X[fold[0]])
    assert scores[0] == vus_pr_score(y[fold[1]], estimator.decision_function(X[fold[1]]))


def test_an_unknown_name_raises_an_error_with_the_valid_names():
    with pytest.raises(
        ValueError, match=r"^'vus' is no scorer of timesad; expected one of \['affiliation_f1', .*'vus_roc'\]\.$"
    ):
        get_scorer("vus")
