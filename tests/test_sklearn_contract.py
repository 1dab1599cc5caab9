"""The contract of a scikit-learn estimator: its checks, parameters, searches, pipelines, pickles and data frames."""

from __future__ import annotations

import ast
import pickle
import re
from inspect import Parameter, getdoc, signature

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_outlier_detector
from sklearn.metrics import average_precision_score, make_scorer
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)
from timesad.metrics import get_scorer

DETECTORS = (TimesNetDiscrepancyDetector, TimesNetDetector, AnomalyTransformerDetector, NearestWindowsDetector)
MOST_PARAMETERS = 18  # of a constructor

LABELS = "PyOD labels rows 0 and 1 where scikit-learn's outlier detectors label them 1 and -1"
ORDER = "the score of a row depends on its place in the series"
EXPECTED_FAILURES = {
    "check_outliers_train": LABELS,  # two checks: in memory, and on a read-only memory map
    "check_outliers_fit_predict": LABELS,
    "check_methods_subset_invariance": f"{ORDER}, so a subset of the rows has other scores",
    "check_methods_sample_order_invariance": f"{ORDER}, so shuffled rows have other scores",
}


# Some checks fit on ten rows, which a window of 4 rows leaves too few for the exclusion zone.
@pytest.mark.filterwarnings("ignore::timesad.exceptions.PeriodFallbackWarning")
@pytest.mark.filterwarnings("ignore::timesad.exceptions.ShortSeriesWarning")
@pytest.mark.filterwarnings("ignore::timesad.exceptions.TrainingWarning")
@pytest.mark.filterwarnings("ignore::timesad.exceptions.IgnoredGroupsWarning")  # one has three classes in three runs
@parametrize_with_checks(
    [detector_class(window_size=4) for detector_class in DETECTORS],
    expected_failed_checks=lambda detector: EXPECTED_FAILURES,
)
def test_scikit_learns_own_checks(estimator, check):
    """A check that is expected to fail and passes is a failure, too (``xfail_strict``)."""
    check(estimator)


@pytest.fixture
def labelled(waves):
    """The series with an anomaly in the test part of every fold of ``TimeSeriesSplit(3)``, and its labels."""
    y = np.zeros(len(waves), dtype=int)
    for begin in (80, 140, 200):
        y[begin : begin + 8] = 1
    spoiled = waves.copy()
    spoiled[y == 1] += 5.0
    return spoiled, y


def documented_parameters(detector_class):
    """Name and default of each parameter in the section "Parameters" of the class docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)\n\n\w+\n-+\n", getdoc(detector_class), re.MULTILINE | re.DOTALL)[1]
    entries = re.findall(r"^(\w+) : .*?default=(\S+)$", section.replace("\\\n", ""), re.MULTILINE)
    return {name: ast.literal_eval(default) for name, default in entries}


@pytest.mark.parametrize("detector_class", DETECTORS)
class TestConstructor:
    def test_has_at_most_18_parameters_which_are_keyword_only(self, detector_class):
        parameters = signature(detector_class).parameters.values()
        assert 1 <= len(parameters) <= MOST_PARAMETERS
        assert {parameter.kind for parameter in parameters} == {Parameter.KEYWORD_ONLY}

    def test_every_parameter_is_documented_with_its_default_in_order(self, detector_class):
        defaults = {name: parameter.default for name, parameter in signature(detector_class).parameters.items()}
        assert list(documented_parameters(detector_class).items()) == list(defaults.items())

    def test_every_parameter_is_validated(self, detector_class):
        assert set(signature(detector_class).parameters) == set(detector_class._parameter_constraints)


def test_the_constructor_only_stores(make_detector):
    """Values that no fit accepts are stored as they are, and nothing else is."""
    unusable = object()
    parameters = dict.fromkeys(make_detector().get_params(), unusable)
    detector = make_detector(**parameters)
    assert vars(detector) == parameters


def test_scikit_learn_recognises_an_outlier_detector(make_detector):
    assert is_outlier_detector(make_detector())


def test_a_clone_fits_to_the_same_scores(fitted, waves):
    copy = clone(fitted)
    assert copy is not fitted
    np.testing.assert_array_equal(copy.fit(waves).decision_scores_, fitted.decision_scores_)


def test_a_second_fit_does_not_depend_on_the_first(make_detector, waves):
    once = make_detector().fit(waves)
    again = make_detector().fit(waves[:100, :1] * 7).fit(waves)
    np.testing.assert_array_equal(again.decision_scores_, once.decision_scores_)
    assert again.n_features_in_ == 2


OTHER_VALUES = {  # each differs from the one that the fixtures have
    "window_size": 24,
    "n_neighbors": 1,
    "max_windows": 10,
    "anomaly_score": "reconstruction+discrepancy",
    "smoothing": 9,
    "use_past": False,
    "missing": "mask",
    "clean_training": False,
    "discrepancy_weight": 1.0,
    "n_periods": 1,
    "n_layers": 2,
    "model_size": 12,
    "n_heads": 1,
    "max_epochs": 1,
    "batch_size": 7,
    "learning_rate": 1e-3,
    "contamination": 0.3,
    "random_state": 5,
    "verbose": 1,
}


class TestParametersAfterFit:
    """A parameter that changes after `fit` takes effect at the next `fit`; `device` at the next call."""

    def results(self, detector, X):
        labels, confidence = detector.predict(X, return_confidence=True)
        parts = detector.explain(X)
        return [detector.decision_function(X), labels, confidence, detector.predict_proba(X), *parts.values()]

    def test_other_parameters_do_not_change_the_results_of_a_fitted_detector(self, make_detector, waves):
        detector = make_detector().fit(waves)
        X = waves[100:120]  # shorter than the window_size of the changes
        before = self.results(detector, X)
        for name in set(detector.get_params()) - {"device"}:
            assert OTHER_VALUES[name] != getattr(detector, name)
            detector.set_params(**{name: OTHER_VALUES[name]})
        for value, expected in zip(self.results(detector, X), before, strict=True):
            np.testing.assert_array_equal(value, expected)

    def test_the_next_fit_uses_them(self, make_detector, waves):
        known = set(make_detector().get_params()) - {"device", "verbose"}
        changes = {name: value for name, value in OTHER_VALUES.items() if name in known}
        again = make_detector().fit(waves).set_params(**changes).fit(waves)
        np.testing.assert_array_equal(again.decision_scores_, make_detector(**changes).fit(waves).decision_scores_)
        assert again.labels_.mean() == pytest.approx(0.3)

    def test_the_device_takes_effect_at_the_next_call(self, make_detector, waves):
        detector = make_detector().fit(waves).set_params(device="cuda:99")
        for method in (detector.decision_function, detector.predict, detector.predict_proba, detector.explain):
            with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
                method(waves)


class TestPipeline:
    def test_scores_through_a_scaler_are_those_on_scaled_rows(self, make_detector, waves):
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_detector())]).fit(waves[:160])
        scaled = StandardScaler().fit(waves[:160]).transform(waves)
        alone = make_detector().fit(scaled[:160])
        np.testing.assert_array_equal(pipeline.decision_function(waves), alone.decision_function(scaled))
        np.testing.assert_array_equal(pipeline.predict(waves), alone.predict(scaled))
        np.testing.assert_array_equal(pipeline.predict_proba(waves), alone.predict_proba(scaled))

    def test_parameters_are_reached_through_it(self, make_flagship, waves):
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_flagship())])
        pipeline.set_params(detect__window_size=24, detect__contamination=0.25).fit(waves)
        assert pipeline["detect"].network_.window.window_size == 24
        assert pipeline["detect"].labels_.mean() == pytest.approx(0.25, abs=0.02)

    def test_groups_reach_the_detector_as_a_fit_parameter(self, make_flagship, waves):
        groups = np.repeat([0, 1], 120)
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_flagship())])
        pipeline.fit(waves, detect__groups=groups)
        alone = make_flagship().fit(StandardScaler().fit_transform(waves), groups=groups)
        np.testing.assert_array_equal(pipeline["detect"].decision_scores_, alone.decision_scores_)


class TestModelSelection:
    def test_cross_validation_scores_every_fold_as_by_hand(self, make_detector, labelled):
        X, y = labelled
        folds = TimeSeriesSplit(3)
        values = cross_val_score(make_detector(), X, y, cv=folds, scoring=get_scorer("auc_pr"), error_score="raise")
        by_hand = [
            average_precision_score(y[test], make_detector().fit(X[train]).decision_function(X[test]))
            for train, test in folds.split(X)
        ]
        np.testing.assert_array_equal(values, by_hand)

    def test_grid_search_refits_the_best_and_scores_with_it(self, make_flagship, labelled):
        X, y = labelled
        search = GridSearchCV(
            make_flagship(),
            {"window_size": [16, 24]},
            cv=TimeSeriesSplit(2),
            scoring=make_scorer(average_precision_score, response_method="decision_function"),
            error_score="raise",
        ).fit(X, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        best = search.best_params_["window_size"]
        assert search.best_estimator_.network_.window.window_size == best
        expected = make_flagship(window_size=best).fit(X).decision_function(X)
        np.testing.assert_array_equal(search.decision_function(X), expected)

    @pytest.mark.filterwarnings("ignore::timesad.exceptions.ShortSeriesWarning")  # 80 rows, windows of 40
    def test_a_grid_over_the_window_size_needs_no_other_parameter(self, make_detector, labelled):
        X, y = labelled
        search = GridSearchCV(
            make_detector(),
            {"window_size": [4, 20, 40]},
            cv=TimeSeriesSplit(2),
            scoring=get_scorer("auc_pr"),
            error_score="raise",
        ).fit(X, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_a_pipeline_can_be_searched_with_a_plain_function(self, make_flagship, labelled):
        X, y = labelled
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_flagship())])
        search = GridSearchCV(
            pipeline,
            {"detect__smoothing": [1, 4]},
            cv=TimeSeriesSplit(2),
            scoring=lambda found, X, y: average_precision_score(y, found.decision_function(X)),
            error_score="raise",
        ).fit(X, y)
        assert search.best_params_["detect__smoothing"] in (1, 4)

    def test_a_fold_shorter_than_a_window_is_refused(self, make_flagship, labelled):
        X, y = labelled
        with pytest.raises(ValueError, match=r"window_size is 64.*every fold must hold a window"):
            cross_val_score(
                make_flagship(window_size=64),
                X,
                y,
                cv=TimeSeriesSplit(5),
                scoring=get_scorer("auc_pr"),
                error_score="raise",
            )


class TestPersistence:
    def test_a_pickle_scores_bit_for_bit(self, fitted, waves):
        loaded = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(loaded.decision_function(waves[50:]), fitted.decision_function(waves[50:]))
        np.testing.assert_array_equal(loaded.predict_confidence(waves[50:]), fitted.predict_confidence(waves[50:]))
        np.testing.assert_array_equal(loaded.labels_, fitted.labels_)
        np.testing.assert_array_equal(loaded.decision_scores_, fitted.decision_scores_)
        for part, expected in fitted.explain(waves[50:]).items():
            np.testing.assert_array_equal(loaded.explain(waves[50:])[part], expected)
        assert getattr(loaded, "history_", None) == getattr(fitted, "history_", None)
        assert loaded.get_params() == fitted.get_params()

    def test_a_joblib_file_scores_bit_for_bit(self, fitted, waves, tmp_path):
        joblib.dump(fitted, tmp_path / "detector.joblib")
        loaded = joblib.load(tmp_path / "detector.joblib")
        np.testing.assert_array_equal(loaded.decision_function(waves[50:]), fitted.decision_function(waves[50:]))
        np.testing.assert_array_equal(loaded.predict_proba(waves[50:]), fitted.predict_proba(waves[50:]))

    def test_a_pickled_pipeline_scores_bit_for_bit(self, make_flagship, waves):
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_flagship())]).fit(waves)
        loaded = pickle.loads(pickle.dumps(pipeline))
        np.testing.assert_array_equal(loaded.decision_function(waves), pipeline.decision_function(waves))

    def test_an_unfitted_detector_can_be_pickled(self, make_detector, fitted, waves):
        loaded = pickle.loads(pickle.dumps(make_detector()))
        np.testing.assert_array_equal(loaded.fit(waves).decision_scores_, fitted.decision_scores_)


@pytest.fixture(scope="module")
def frame(waves):
    """The series as a data frame."""
    index = pd.date_range("2026-01-01", periods=len(waves), freq="s")
    return pd.DataFrame(waves, index=index, columns=["pressure", "flow"])


@pytest.fixture(scope="module")
def from_frame(make_detector, frame):
    """A detector of each class in turn, fitted on the data frame."""
    return make_detector().fit(frame)


class TestDataFrames:
    def test_names_are_kept_and_values_are_those_of_the_array(self, from_frame, fitted, frame):
        assert from_frame.feature_names_in_.tolist() == ["pressure", "flow"]
        assert not hasattr(fitted, "feature_names_in_")
        np.testing.assert_array_equal(from_frame.decision_scores_, fitted.decision_scores_)
        np.testing.assert_array_equal(from_frame.decision_function(frame), fitted.decision_function(frame.to_numpy()))

    def test_columns_in_another_order_are_refused(self, from_frame, frame):
        with pytest.raises(ValueError, match="must be in the same order"):
            from_frame.decision_function(frame[["flow", "pressure"]])

    def test_columns_of_another_name_are_refused_by_name(self, from_frame, frame):
        with pytest.raises(ValueError, match=r"unseen at fit time:\n- speed"):
            from_frame.predict(frame.rename(columns={"flow": "speed"}))

    def test_an_array_after_a_data_frame_gives_a_warning(self, from_frame, frame, waves):
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            scores = from_frame.decision_function(waves)
        np.testing.assert_array_equal(scores, from_frame.decision_function(frame))

    def test_integer_columns_and_mixed_types_are_numbers(self, make_flagship, frame):
        mixed = frame.assign(pressure=(frame["pressure"] * 100).astype("int32"), flow=frame["flow"].astype("float32"))
        expected = make_flagship().fit(mixed.to_numpy(dtype=float)).decision_scores_
        np.testing.assert_array_equal(make_flagship().fit(mixed).decision_scores_, expected)

    def test_a_series_as_groups_needs_no_conversion(self, make_flagship, frame):
        groups = pd.Series(["morning"] * 100 + ["evening"] * 140, index=frame.index)
        expected = make_flagship().fit(frame, groups=groups.to_numpy()).decision_scores_
        np.testing.assert_array_equal(make_flagship().fit(frame, groups=groups).decision_scores_, expected)
