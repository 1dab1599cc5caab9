"""Many series give what each gives alone: one after the other, in processes, and on a Dask cluster."""

from __future__ import annotations

import os
import signal
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from timesad.exceptions import SeriesFailedWarning
from timesad.many import fit_many, score_many


@pytest.fixture(scope="module")
def many(waves):
    return {name: waves * (number + 1) + number for number, name in enumerate(["pump", "valve", "fan", "belt"])}


@pytest.fixture(scope="module")
def alone(make_flagship, many):
    return {name: make_flagship().fit(X).decision_function(X) for name, X in many.items()}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, scores in expected.items():
        np.testing.assert_array_equal(found[name], scores)


class TestHere:
    @pytest.mark.parametrize("n_jobs", [None, 2])
    def test_each_is_as_alone(self, make_flagship, many, alone, n_jobs):
        detectors = fit_many(make_flagship(), many, n_jobs=n_jobs)
        assert_same(score_many(detectors, many, n_jobs=n_jobs), alone)

    def test_the_given_detector_is_not_changed(self, make_nearest, many):
        detector = make_nearest()
        fit_many(detector, many)
        assert vars(detector) == detector.get_params()

    def test_a_list_has_numbers_as_names(self, make_flagship, many, alone):
        detectors = fit_many(make_flagship(), list(many.values()))
        assert list(detectors) == [0, 1, 2, 3]
        assert_same(dict(zip(many, score_many(detectors, list(many.values())).values(), strict=True)), alone)

    @pytest.mark.parametrize("keys", ["plant", ["plant"]])
    def test_a_grouped_table(self, make_nearest, many, keys):
        parts = [pd.DataFrame(X, columns=["flow", "pressure"]).assign(plant=name) for name, X in many.items()]
        grouped = pd.concat(parts, ignore_index=True).groupby(keys, sort=False)
        detectors = fit_many(make_nearest(), grouped)
        assert len(detectors) == 4
        for name, detector in detectors.items():
            key = name[0] if isinstance(name, tuple) else name
            np.testing.assert_array_equal(detector.decision_scores_, make_nearest().fit(many[key]).decision_scores_)

    def test_one_detector_scores_all(self, make_nearest, many, waves):
        detector = make_nearest().fit(waves)
        found = score_many(detector, many, method="predict")
        assert_same(found, {name: detector.predict(X) for name, X in many.items()})

    def test_alarms(self, make_nearest, many):
        found = score_many(fit_many(make_nearest(), many), many, method="detect")
        assert all(isinstance(alarms, pd.DataFrame) for alarms in found.values())


class TestFailures:
    @pytest.fixture
    def spoiled(self, many):
        return many | {"broken": np.full((240, 2), np.nan), "short": many["pump"][:5]}

    def test_all_others_are_done_before_the_error(self, make_nearest, spoiled):
        message = r"(?s)2 of 6 series failed.*'broken': X has NaN in row 0.*'short': X has 5 rows"
        with pytest.raises(ValueError, match=message):
            fit_many(make_nearest(), spoiled)

    def test_or_they_are_left_out_with_a_warning(self, make_nearest, spoiled, many):
        with pytest.warns(SeriesFailedWarning, match="2 of 6 series failed"):
            detectors = fit_many(make_nearest(), spoiled, errors="skip")
        assert list(detectors) == list(many)
        with pytest.raises(ValueError, match=r"series \['broken', 'short'\] have no detector"):
            score_many(detectors, spoiled)

    def test_arguments_that_cannot_be_used(self, make_nearest, waves):
        for one in (waves, pd.DataFrame(waves)):
            with pytest.raises(TypeError, match="is one series"):
                fit_many(make_nearest(), one)
        with pytest.raises(ValueError, match="errors='ignore'"):
            fit_many(make_nearest(), [waves], errors="ignore")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of Dask, as a cluster has them."""
    distributed = pytest.importorskip("distributed", reason="pip install distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.mark.filterwarnings("default")  # those of Dask and of its event loop are not ours
class TestDask:
    def test_each_is_as_alone(self, cluster, make_flagship, many, alone):
        with joblib.parallel_config("dask"):
            detectors = fit_many(make_flagship(), many)
            found = score_many(detectors, many)
        for name, scores in alone.items():
            np.testing.assert_allclose(found[name], scores, atol=1e-4)

    def test_a_search_runs_there(self, cluster, make_flagship, waves):
        def mean_score(detector, X, y=None):
            return float(detector.decision_function(X).mean())

        search = GridSearchCV(make_flagship(), {"smoothing": [1, 4]}, cv=TimeSeriesSplit(2), scoring=mean_score)
        here = search.fit(waves).cv_results_["mean_test_score"]
        with joblib.parallel_config("dask"):
            there = search.fit(waves).cv_results_["mean_test_score"]
        np.testing.assert_allclose(there, here, atol=1e-4)

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
    def test_a_worker_that_is_killed_costs_no_result(self, cluster, make_flagship, many, alone):
        """Its tasks run again on the other worker, or on the one that takes its place."""
        victim = next(iter(cluster.run(os.getpid).values()))
        timer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
        timer.start()
        repeated = {(name, copy): X for name, X in many.items() for copy in range(4)}
        with joblib.parallel_config("dask"):
            detectors = fit_many(make_flagship(), repeated)
        timer.join()
        assert victim not in cluster.run(os.getpid).values()
        assert list(detectors) == list(repeated)
        for (name, _), detector in detectors.items():
            np.testing.assert_allclose(detector.decision_function(many[name]), alone[name], atol=1e-4)
