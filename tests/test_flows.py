"""What users of PyOD and scikit-learn do with their own detectors works with these, and the pages on it are true."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from pyod.models.iforest import IForest
from pyod.models.lscp import LSCP
from pyod.utils.ad_engine import ADEngine
from pyod.utils.data import evaluate_print, generate_data
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import average_precision_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from timesad import NearestWindowsDetector, TimesNetDetector
from timesad.metrics import get_scorer

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = ("docs/sklearn-and-pyod.md", "docs/aeon-and-dtaianomaly.md")
NEEDED = {  # by the parts of the pages; by all others nothing
    "PyThresh": "pythresh",
    "Combination": "combo",
    "SUOD": "suod",
    "aeon": "aeon",
    "dtaianomaly": "dtaianomaly",
    "river": "river",
}

# PyOD's own examples fit 200 independent points.
OF_INDEPENDENT_POINTS = [
    pytest.mark.filterwarnings(f"ignore::timesad.exceptions.{name}")
    for name in ("PeriodFallbackWarning", "ShortSeriesWarning", "TrainingWarning")
]


def of_independent_points(test):
    for mark in OF_INDEPENDENT_POINTS:
        test = mark(test)
    return test


def nearest(**changes):
    return NearestWindowsDetector(**({"window_size": 16, "smoothing": 2} | changes))


def tiny_network(**changes):
    settings = {"window_size": 16, "smoothing": 2, "n_layers": 1, "model_size": 8, "max_epochs": 1, "random_state": 0}
    return TimesNetDetector(**(settings | changes))


@pytest.fixture(scope="module")
def spoiled():
    """A series of 600 rows and two channels, and its labels: an anomaly in each test fold of ``TimeSeriesSplit(3)``."""
    rows = np.arange(600)
    X = np.column_stack([np.sin(rows / 4), np.cos(rows / 6)])
    X += np.random.default_rng(0).normal(scale=0.1, size=X.shape)
    y = np.zeros(600, dtype=int)
    for begin in (200, 350, 500):
        y[begin : begin + 12] = 1
    X[y == 1] += 1.0
    return X, y


@pytest.fixture(scope="module")
def frame(spoiled):
    """The series with names and times."""
    index = pd.date_range("2026-01-01", periods=600, freq="min")
    return pd.DataFrame(spoiled[0], columns=["flow", "level"], index=index)


@pytest.fixture
def pyplot():
    """matplotlib's pyplot, which shows no window."""
    pytest.importorskip("matplotlib", reason="displays need the extra timesad[plots]").use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


class TestPyODsExamples:
    @of_independent_points
    def test_their_detector_can_be_replaced_by_one_with_defaults(self, make_detector, pyplot, capsys):
        """The calls of iforest_example.py, on its data."""
        from pyod.utils.example import visualize

        X_train, X_test, y_train, y_test = generate_data(
            n_train=200, n_test=100, n_features=2, contamination=0.1, random_state=42
        )
        clf_name, clf = "IForest", type(make_detector())()
        clf.fit(X_train)
        y_train_pred = clf.labels_
        y_train_scores = clf.decision_scores_
        y_test_pred = clf.predict(X_test)
        y_test_scores = clf.decision_function(X_test)
        y_test_pred, confidence = clf.predict(X_test, return_confidence=True)
        evaluate_print(clf_name, y_train, y_train_scores)
        evaluate_print(clf_name, y_test, y_test_scores)
        visualize(clf_name, X_train, y_train, X_test, y_test, y_train_pred, y_test_pred, show_figure=False)

        assert re.fullmatch(r"(IForest ROC:[\d.]+, precision @ rank n:[\d.]+\n){2}", capsys.readouterr().out)
        assert y_train_pred.shape == y_train_scores.shape == (200,)
        assert y_test_pred.shape == y_test_scores.shape == confidence.shape == (100,)
        assert [len(axes.collections) >= 1 for axes in pyplot.gcf().axes] == [True] * 4

    @of_independent_points
    def test_their_comparison_script_draws_its_contours(self, make_detector, pyplot):
        """The calls of compare_all_models.py: a random state that all detectors share, and scores of a grid."""
        share, generator = 0.25, np.random.RandomState(42)
        known = {"contamination": share, "random_state": generator}
        names = set(make_detector().get_params())
        X = np.concatenate([generator.normal(scale=0.3, size=(150, 2)), generator.uniform(-6, 6, size=(50, 2))])
        truth = np.repeat([0, 1], [150, 50])
        xx, yy = np.meshgrid(np.linspace(-7, 7, 25), np.linspace(-7, 7, 25))
        clf = make_detector(**{name: value for name, value in known.items() if name in names})
        clf.fit(X)
        threshold = np.percentile(clf.decision_function(X) * -1, 100 * share)
        n_errors = (clf.predict(X) != truth).sum()
        Z = clf.decision_function(np.c_[xx.ravel(), yy.ravel()]).reshape(xx.shape) * -1
        axes = pyplot.subplot()
        axes.contourf(xx, yy, Z, levels=np.linspace(Z.min(), threshold, 7))
        axes.contour(xx, yy, Z, levels=[threshold])
        axes.contourf(xx, yy, Z, levels=[threshold, Z.max()])
        assert n_errors < 50, "fewer than if nothing was labelled"


class TestPyODsEnsembles:
    def test_feature_bagging_takes_a_detector(self, spoiled):
        pytest.importorskip("combo", reason="pip install combo")
        from pyod.models.feature_bagging import FeatureBagging

        X, y = spoiled
        ensemble = FeatureBagging(nearest(), n_estimators=2, random_state=0).fit(X[:180])
        assert average_precision_score(y[180:], ensemble.decision_function(X[180:])) > 0.5
        assert [len(features) for features in ensemble.estimators_features_] == [
            one.n_features_in_ for one in ensemble.estimators_
        ]

    @pytest.mark.filterwarnings("ignore:The number of histogram bins:UserWarning")
    def test_the_scores_of_lscp_rank_and_its_labels_do_not(self, spoiled):
        """LSCP sets its threshold by `decision_function` on the training rows, which are their own neighbours."""
        X, y = spoiled[0][:300], spoiled[1][:300]
        ensemble = LSCP([nearest(), nearest(n_neighbors=1)], random_state=0).fit(X[:180])
        assert average_precision_score(y[180:], ensemble.decision_function(X[180:])) > 0.5
        assert ensemble.predict(X[180:]).mean() > 0.3

    def test_combinations_take_the_scores(self, spoiled):
        pytest.importorskip("combo", reason="pip install combo")
        from pyod.models.combination import aom, average, maximization, median, moa
        from pyod.utils.utility import standardizer

        X, y = spoiled
        detectors = [nearest(), nearest(window_size=24), nearest(n_neighbors=1), IForest(random_state=0)]
        train = np.column_stack([one.fit(X[:180]).decision_scores_ for one in detectors])
        new = np.column_stack([one.decision_function(X[180:]) for one in detectors])
        train, new = standardizer(train, new)
        np.testing.assert_allclose(average(new), new.mean(axis=1))
        np.testing.assert_allclose(maximization(new), new.max(axis=1))
        for scores in (average(new), median(new), aom(new, n_buckets=2), moa(new, n_buckets=2)):
            assert average_precision_score(y[180:], scores) > 0.5

    def test_suod_fits_and_combines_detectors(self):
        """In a process of its own: importing suod silences warnings and changes how joblib starts processes."""
        if not find_spec("suod"):
            pytest.skip("pip install suod")
        script = """
import numpy as np
from pyod.models.iforest import IForest
from pyod.models.suod import SUOD
from timesad import NearestWindowsDetector

X = np.sin(np.arange(600) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(600, 1))
X[500:510] += 1.0
detectors = [IForest(random_state=0), *(NearestWindowsDetector(window_size=size, smoothing=2) for size in (16, 24))]
ensemble = SUOD(base_estimators=detectors, bps_flag=False).fit(X[:400])
alone = detectors[1].fit(X[:400])
np.testing.assert_array_equal(ensemble.model_.base_estimators[1].decision_scores_, alone.decision_scores_)
assert np.array_equal(ensemble.model_.decision_function(X[400:])[:, 1], alone.decision_function(X[400:]))
assert 90 <= ensemble.decision_function(X[400:]).argmax() < 120
assert ensemble.labels_.mean() == 0.1
"""
        finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr


class TestPyODsTools:
    @pytest.mark.parametrize("name", ["IQR", "MAD", "KARCH"])
    def test_thresholders_of_pythresh_set_the_labels(self, spoiled, name):
        pytest.importorskip("pythresh", reason="pip install pythresh")
        from pyod.models import thresholds

        X, _ = spoiled
        thresholder = getattr(thresholds, name)()
        detector = nearest(contamination=thresholder).fit(X[:400])
        expected = clone(thresholder).fit(detector.decision_scores_)
        np.testing.assert_array_equal(detector.labels_, expected.labels_)
        assert detector.threshold_ == expected.thresh_
        scores = detector.decision_function(X[400:])
        np.testing.assert_array_equal(detector.predict(X[400:]), expected.predict(scores))
        np.testing.assert_array_equal(clone(detector).fit(X[:400]).labels_, detector.labels_)
        assert thresholder.labels_ is None, "it was copied"

    def test_a_file_of_pyods_persistence_scores_bit_for_bit(self, spoiled, tmp_path):
        persistence = pytest.importorskip("pyod.utils.persistence", reason="PyOD 3.0 has none")
        X, _ = spoiled
        detector = nearest().fit(X[:180])
        persistence.save(detector, tmp_path / "clf.joblib", metadata={"plant": 7})
        loaded, about = persistence.load(tmp_path / "clf.joblib", strict=True, trusted=True, return_metadata=True)
        np.testing.assert_array_equal(loaded.decision_function(X[180:]), detector.decision_function(X[180:]))
        assert about["model_class"].endswith(".NearestWindowsDetector")

    def test_the_engine_runs_a_detector_that_is_added_to_its_knowledge(self, spoiled):
        X, _ = spoiled
        engine = ADEngine()
        engine.kb.algorithms["NearestWindowsDetector"] = {
            "class_path": "timesad.NearestWindowsDetector",
            "status": "shipped",
            "data_types": ["time_series"],
        }
        plan = {"detector_name": "NearestWindowsDetector", "params": nearest().get_params()}
        result = engine.run_detection(X[:180], plan, X_test=X[180:])
        detector = nearest().fit(X[:180])
        np.testing.assert_array_equal(result["scores_test"], detector.decision_function(X[180:]))
        np.testing.assert_array_equal(result["labels_test"], detector.predict(X[180:]))
        assert "NearestWindowsDetector" in engine.analyze_results(result, X=X[:180])["summary"]


class TestSearches:
    def test_a_randomized_search_draws_from_distributions(self, spoiled):
        X, y = spoiled
        drawn = {"window_size": randint(8, 40), "contamination": loguniform(1e-3, 0.2), "smoothing": [1, 2, 4]}
        options = {"n_iter": 3, "cv": TimeSeriesSplit(3, gap=5), "random_state": 0, "error_score": "raise"}
        search = RandomizedSearchCV(nearest(), drawn, scoring=get_scorer("auc_pr"), **options).fit(X, y)
        expected = clone(nearest()).set_params(**search.best_params_).fit(X)
        np.testing.assert_array_equal(search.decision_function(X), expected.decision_function(X))
        np.testing.assert_array_equal(search.predict(X), expected.predict(X))

    @pytest.mark.parametrize(
        ("detector", "resource", "least"), [(nearest(), "max_windows", 32), (tiny_network(), "max_epochs", 1)]
    )
    def test_halving_gives_more_to_the_better(self, spoiled, detector, resource, least):
        X, y = spoiled
        search = HalvingGridSearchCV(
            detector,
            {"window_size": [8, 16, 24]},
            resource=resource,
            min_resources=least,
            max_resources=3 * least,
            cv=TimeSeriesSplit(2),
            scoring=get_scorer("auc_pr"),
            return_train_score=False,
            error_score="raise",
        ).fit(X, y)
        assert search.cv_results_["n_resources"].tolist() == [least] * 3 + [3 * least]
        assert search.cv_results_["params"][-1]["window_size"] == search.best_params_["window_size"]
        assert search.best_estimator_.get_params()[resource] == 3 * least

    def test_halving_over_rows_drawn_at_random_is_refused_where_rows_have_times(self, frame, spoiled):
        search = HalvingGridSearchCV(
            nearest(),
            {"smoothing": [1, 2]},
            min_resources=300,
            cv=TimeSeriesSplit(2),
            scoring=get_scorer("auc_pr"),
            error_score="raise",
        )
        with pytest.raises(ValueError, match="the times of X do not increase"):
            search.fit(frame, spoiled[1])

    def test_two_processes_find_what_one_finds(self, spoiled):
        X, y = spoiled
        search = GridSearchCV(nearest(), {"smoothing": [1, 4]}, cv=TimeSeriesSplit(2), scoring=get_scorer("vus_pr"))
        one, two = (clone(search).set_params(n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2))
        np.testing.assert_array_equal(two.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"])
        np.testing.assert_array_equal(two.decision_function(X), one.decision_function(X))

    def test_several_scorers_and_the_refit_by_one(self, spoiled):
        X, y = spoiled
        scorers = {name: get_scorer(name) for name in ("vus_pr", "affiliation_f1")}
        search = GridSearchCV(
            nearest(), {"smoothing": [1, 4]}, cv=TimeSeriesSplit(2), scoring=scorers, refit="vus_pr"
        ).fit(X, y)
        best = search.cv_results_["mean_test_vus_pr"].max()
        assert search.best_score_ == best > 0
        assert np.isfinite(search.cv_results_["mean_test_affiliation_f1"]).all()

    @pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
    @pytest.mark.filterwarnings("ignore:Scoring failed:UserWarning")
    def test_a_fold_that_is_too_short_costs_its_candidate_only(self, spoiled):
        X, y = spoiled
        search = GridSearchCV(
            tiny_network(), {"window_size": [16, 200]}, cv=TimeSeriesSplit(3), scoring=get_scorer("auc_pr")
        )
        with pytest.warns(sklearn.exceptions.FitFailedWarning, match="window_size is 200"):
            search.fit(X, y)
        assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]
        assert search.best_params_ == {"window_size": 16}

    def test_whole_detectors_are_candidates(self, spoiled):
        X, y = spoiled
        pipeline = make_pipeline("passthrough", nearest())
        grid = {"passthrough": [RobustScaler(), "passthrough"], "nearestwindowsdetector": [nearest(), tiny_network()]}
        search = GridSearchCV(
            pipeline, grid, cv=TimeSeriesSplit(2), scoring=get_scorer("auc_pr"), error_score="raise"
        ).fit(X, y)
        assert len(search.cv_results_["params"]) == 4

    def test_a_learning_curve_fits_the_first_rows_of_each_fold(self, spoiled):
        X, y = spoiled
        folds = [(np.arange(300), np.arange(300, 600))]
        _, _, values = learning_curve(
            nearest(), X, y, train_sizes=[0.8], cv=folds, scoring=get_scorer("auc_pr"), error_score="raise"
        )
        alone = nearest().fit(X[:240])
        assert values[0, 0] == average_precision_score(y[300:], alone.decision_function(X[300:]))

    def test_cross_val_predict_scores_each_row_in_its_test_fold(self, spoiled):
        X, _ = spoiled
        scores = cross_val_predict(nearest(), X, cv=KFold(3), method="decision_function")
        np.testing.assert_array_equal(scores[400:], nearest().fit(X[:400]).decision_function(X[400:]))


class TestColumns:
    def test_names_and_times_reach_a_detector_behind_transformers(self, frame):
        scalers = make_column_transformer(
            (RobustScaler(), ["level"]), (StandardScaler(), ["flow"]), verbose_feature_names_out=False
        )
        pipeline = make_pipeline(scalers, nearest()).set_output(transform="pandas").fit(frame[:180])
        assert pipeline[-1].feature_names_in_.tolist() == ["level", "flow"]
        alarms = pipeline[-1].detect(pipeline[:-1].transform(frame[180:]))
        assert alarms["start_time"].iloc[0] in frame.index[180:225]
        assert set(alarms["channels"].iloc[0]) <= {"level", "flow"}

    def test_a_gap_between_joined_folds_is_named(self, frame):
        from timesad.exceptions import TimeGapWarning

        with pytest.warns(TimeGapWarning, match="not evenly spaced"):
            cross_val_predict(nearest(), frame, cv=KFold(3), method="decision_function")


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class TestGroups:
    """Metadata routing of `groups`: three series in one X."""

    groups = np.repeat(["a", "b", "c"], [250, 200, 150])

    @pytest.mark.usefixtures("routing")
    def test_a_pipeline_passes_them_to_a_detector_that_requests_them(self, spoiled):
        X, _ = spoiled
        detector = nearest().set_fit_request(groups=True).set_decision_function_request(groups=True)
        pipeline = make_pipeline(StandardScaler(), detector.set_predict_request(groups=True))
        pipeline.fit(X, groups=self.groups)
        scaled = StandardScaler().fit_transform(X)
        alone = nearest().fit(scaled, groups=self.groups)
        np.testing.assert_array_equal(pipeline[-1].decision_scores_, alone.decision_scores_)
        for method in ("decision_function", "predict"):
            expected = getattr(alone, method)(scaled, groups=self.groups)
            np.testing.assert_array_equal(getattr(pipeline, method)(X, groups=self.groups), expected)
        assert not np.array_equal(alone.decision_scores_, nearest().fit(scaled).decision_scores_)

    @pytest.mark.usefixtures("routing")
    @pytest.mark.parametrize("in_pipeline", [False, True])
    def test_a_search_passes_them_to_splitter_and_fit(self, spoiled, in_pipeline):
        X, y = spoiled
        detector = nearest().set_fit_request(groups=True)
        splitter, options = LeaveOneGroupOut(), {"scoring": get_scorer("auc_pr"), "error_score": "raise"}
        estimator = make_pipeline("passthrough", detector) if in_pipeline else detector
        name = "nearestwindowsdetector__smoothing" if in_pipeline else "smoothing"
        search = GridSearchCV(estimator, {name: [4]}, cv=splitter, **options).fit(X, y, groups=self.groups)
        for number, (train, test) in enumerate(splitter.split(X, y, self.groups)):
            alone = nearest(smoothing=4).fit(X[train], groups=self.groups[train])
            expected = average_precision_score(y[test], alone.decision_function(X[test]))
            assert search.cv_results_[f"split{number}_test_score"][0] == expected
        best = search.best_estimator_[-1] if in_pipeline else search.best_estimator_
        expected = nearest(smoothing=4).fit(X, groups=self.groups)
        np.testing.assert_array_equal(best.decision_scores_, expected.decision_scores_)

    @pytest.mark.usefixtures("routing")
    def test_a_detector_that_requests_nothing_is_an_error_and_not_a_fit_across_borders(self, spoiled):
        X, y = spoiled
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="groups.*NearestWindowsDetector"):
            cross_val_score(
                nearest(), X, y, cv=LeaveOneGroupOut(), scoring=get_scorer("auc_pr"), params={"groups": self.groups}
            )

    def test_without_routing_a_step_takes_them_by_its_name(self, spoiled):
        X, _ = spoiled
        pipeline = make_pipeline(StandardScaler(), nearest()).fit(X, nearestwindowsdetector__groups=self.groups)
        alone = nearest().fit(StandardScaler().fit_transform(X), groups=self.groups)
        np.testing.assert_array_equal(pipeline[-1].decision_scores_, alone.decision_scores_)


def sections(page: str) -> list[tuple[str, str]]:
    """Heading and Python code of each part of a page; code before the first part belongs to all parts."""
    parts = re.split(r"^##+ ", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    codes = ["\n".join(re.findall(r"^```python\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)) for part in parts]
    headings = [part.splitlines()[0] for part in parts]
    return [(heading, codes[0] + code) for heading, code in zip(headings[1:], codes[1:], strict=True) if code]


PARTS = [(page, heading, code) for page in PAGES for heading, code in sections(page)]


@pytest.mark.parametrize(("page", "heading", "code"), PARTS, ids=[f"{page}:{heading}" for page, heading, _ in PARTS])
def test_the_code_of_the_pages_runs(page: str, heading: str, code: str, tmp_path: Path) -> None:
    """In a process of its own where a library changes the state of the process."""
    if heading in NEEDED and not find_spec(NEEDED[heading]):
        pytest.skip(f"pip install {NEEDED[heading]}")
    if heading == "SUOD":
        run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
    else:
        exec(compile(code, f"{page}: {heading}", "exec"), {"__name__": "page"})
