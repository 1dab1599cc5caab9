"""Test folds with the rows before them: scores are those of the whole series, and the rows before are not evaluated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from timesad.metrics import get_scorer, vus_pr_score
from timesad.model_selection import ContextTimeSeriesSplit

CONTEXT = 16 + 4 * 6  # window_size and smoothing


@pytest.fixture(scope="module")
def series(waves):
    """720 rows with an anomaly at the beginning of each test fold of 3 splits, and one in its middle."""
    X, y = np.tile(waves, (3, 1)), np.zeros(720, dtype=int)
    for start in (182, 270, 362, 450, 542, 640):
        X[start : start + 8] += 2.0
        y[start : start + 8] = 1
    return X, y


def test_folds_are_those_of_scikit_learn_with_rows_before(series):
    expected = TimeSeriesSplit(3, gap=10, max_train_size=100).split(series[0])
    folds = ContextTimeSeriesSplit(3, context=CONTEXT, gap=10, max_train_size=100)
    assert folds.get_n_splits() == 3
    for (train, test), (same_train, same_test) in zip(folds.split(*series), expected, strict=True):
        np.testing.assert_array_equal(train, same_train)
        np.testing.assert_array_equal(test[CONTEXT:], same_test)
        np.testing.assert_array_equal(np.diff(test), 1)


def test_without_context_they_are_those_of_scikit_learn(series):
    for fold, same in zip(ContextTimeSeriesSplit(4).split(*series), TimeSeriesSplit(4).split(*series), strict=True):
        for rows, same_rows in zip(fold, same, strict=True):
            np.testing.assert_array_equal(rows, same_rows)


@pytest.mark.parametrize("as_table", [False, True])
def test_cross_validation_gives_rows_the_scores_that_they_have_after_others(make_nearest, series, as_table):
    X, y = (pd.DataFrame(series[0]), pd.Series(series[1])) if as_table else series
    detector = make_nearest(smoothing=6, use_past=False)
    folds = ContextTimeSeriesSplit(3, context=CONTEXT)
    found = cross_val_score(detector, X, y, cv=folds, scoring=get_scorer("vus_pr", context=CONTEXT))
    without = cross_val_score(detector, X, y, cv=TimeSeriesSplit(3), scoring=get_scorer("vus_pr"))
    for (train, test), value in zip(TimeSeriesSplit(3).split(X), found, strict=True):
        before = series[0][: test[0]][-CONTEXT:]
        scores = clone(detector).fit(series[0][train]).decision_function(series[0][test], context=before)
        assert value == pytest.approx(vus_pr_score(series[1][test], scores))
    assert (found != without).all()


def test_a_grid_search_of_a_pipeline(make_nearest, series):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), make_nearest(smoothing=6)),
        {"nearestwindowsdetector__window_size": [8, 16]},
        cv=ContextTimeSeriesSplit(2, context=CONTEXT),
        scoring=get_scorer("auc_pr", context=CONTEXT),
        error_score="raise",
        n_jobs=2,  # the scorer can be pickled
    ).fit(*series)
    assert search.best_score_ > 0.2


def test_more_context_than_rows_before_is_refused(series):
    with pytest.raises(ValueError, match=r"context=181 but only 180 rows are before the first test fold"):
        next(ContextTimeSeriesSplit(3, context=181).split(series[0]))


@pytest.mark.parametrize("wrong", [-1, 2.5, "all"])
def test_context_is_a_number_of_rows(series, wrong):
    for call in (
        lambda: get_scorer("vus_pr", context=wrong),
        lambda: next(ContextTimeSeriesSplit(context=wrong).split(series[0])),
    ):
        with pytest.raises((ValueError, TypeError), match="context"):
            call()


def test_a_fold_without_further_rows_is_refused(make_nearest, series):
    detector = make_nearest().fit(series[0])
    with pytest.raises(ValueError, match="context=100 but X has 100 rows: none is left to evaluate"):
        get_scorer("vus_pr", context=100)(detector, series[0][:100], series[1][:100])
