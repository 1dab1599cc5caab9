"""Threads, forked and spawned processes: each fit is what it is alone, and a reader sees one fit and no mixture."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score

REPOSITORY = Path(__file__).resolve().parents[1]
N_FITS = 6


def fit_scores(detector, X):
    """Training scores of a fresh fit; a function that a worker process can import."""
    return clone(detector).fit(X).decision_scores_


class TestThreads:
    def test_fits_in_two_threads_are_those_of_one(self, make_detector, fitted, waves):
        before = torch.get_rng_state()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda _: make_detector().fit(waves).decision_scores_, range(N_FITS)))
        for scores in found:
            np.testing.assert_array_equal(scores, fitted.decision_scores_)
        assert torch.equal(torch.get_rng_state(), before)
        assert not torch.backends.cudnn.deterministic

    def test_different_seeds_side_by_side(self, make_network_detector, waves):
        alone = [make_network_detector(random_state=seed).fit(waves).decision_scores_ for seed in range(4)]
        with ThreadPoolExecutor(4) as pool:
            together = pool.map(
                lambda seed: make_network_detector(random_state=seed).fit(waves).decision_scores_, range(4)
            )
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_search_in_threads_finds_the_same(self, make_flagship, waves):
        y = (np.arange(len(waves)) % 60 > 50).astype(int)
        search = GridSearchCV(
            make_flagship(),
            {"smoothing": [1, 4], "batch_size": np.array([16, 32])},
            cv=TimeSeriesSplit(2),
            scoring=make_scorer(lambda y, scores: float(np.mean(scores)), response_method="decision_function"),
        )
        alone = clone(search).fit(waves, y).cv_results_["mean_test_score"]
        with joblib.parallel_config("threading", n_jobs=2):
            together = clone(search).fit(waves, y).cv_results_["mean_test_score"]
        assert np.isfinite(alone).all()
        np.testing.assert_array_equal(together, alone)

    def test_two_detectors_score_at_once_as_one_after_the_other(self, make_detector, waves):
        detectors = [make_detector(smoothing=smoothing).fit(waves) for smoothing in (1, 4)]
        series = [waves, waves[::-1] * 1.1, waves[40:200]]
        jobs = [(detector, X) for detector in detectors for X in series] * 3
        expected = [detector.decision_function(X) for detector, X in jobs]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda job: job[0].decision_function(job[1]), jobs))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


class TestScoringDuringAFit:
    """The fits alternate between two series of different scale, so their scores differ everywhere."""

    def test_every_result_belongs_to_one_of_the_fits(self, make_detector, waves):
        small, large = waves, waves * 3 + 1
        detector = make_detector().fit(small)
        methods = {
            "decision_function": lambda one: one.decision_function(waves),
            "probabilities": lambda one: one.predict_proba(waves),
            "labels": lambda one: np.column_stack(one.predict(waves, return_confidence=True)),
            "p_values": lambda one: one.p_values(waves),
            "alarms": lambda one: one.detect(waves).to_numpy(dtype=str),
        }
        of_fits = [{name: method(make_detector().fit(X)) for name, method in methods.items()} for X in (small, large)]
        stop = threading.Event()

        def refit():
            while not stop.is_set():
                detector.fit(large)
                detector.fit(small)

        with ThreadPoolExecutor(1) as pool:
            fitting = pool.submit(refit)
            try:
                seen = {name: [method(detector) for _ in range(6)] for name, method in methods.items()}
            finally:
                stop.set()
            fitting.result()
        for name, results in seen.items():
            for result in results:
                assert any(np.array_equal(result, fit[name]) for fit in of_fits), name

    def test_a_method_reads_the_fit_that_was_there_when_it_began(self, make_nearest, waves, monkeypatch):
        """The other fit takes place between the scores and their threshold."""
        detector = make_nearest().fit(waves)
        expected, original = detector.predict(waves * 3), type(detector)._label

        def label(self, scores):
            detector.fit(waves * 30)
            return original(self, scores)

        monkeypatch.setattr(type(detector), "_label", label)
        np.testing.assert_array_equal(detector.predict(waves * 3), expected)
        assert detector.scaling_.scale[0] > 10

    def test_a_parameter_that_is_set_during_a_fit_stays(self, make_nearest, waves, monkeypatch):
        detector = make_nearest()
        original = type(detector)._fit_scorer

        def fit_scorer(self, series, device):
            detector.set_params(smoothing=9)
            return original(self, series, device)

        monkeypatch.setattr(type(detector), "_fit_scorer", fit_scorer)
        detector.fit(waves)
        assert detector.smoothing == 9
        assert detector.scorer_.settings.smoothing == 2


class TestProcesses:
    @pytest.mark.parametrize("method", ["spawn", "forkserver"])
    def test_worker_processes(self, make_flagship, waves, method):
        expected = make_flagship().fit(waves).decision_scores_
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            np.testing.assert_array_equal(pool.submit(fit_scores, make_flagship(), waves).result(120), expected)

    def test_workers_of_joblib(self, make_detector, fitted, waves):
        found = Parallel(n_jobs=2)(delayed(fit_scores)(make_detector(), waves) for _ in range(2))
        for scores in found:
            np.testing.assert_array_equal(scores, fitted.decision_scores_)

    def test_workers_do_not_use_more_threads_than_cores(self):
        with joblib.parallel_config("loky", inner_max_num_threads=1):
            assert Parallel(n_jobs=2)(delayed(torch.get_num_threads)() for _ in range(2)) == [1, 1]

    def test_cross_validation_in_workers(self, make_flagship, waves):
        scorer = make_scorer(lambda y, scores: float(np.mean(scores)), response_method="decision_function")
        y, folds = np.zeros(len(waves)), TimeSeriesSplit(2)
        alone = cross_val_score(make_flagship(), waves, y, cv=folds, scoring=scorer)
        # Several threads round differently from one, so the workers get as many as this process has.
        with joblib.parallel_config("loky", inner_max_num_threads=torch.get_num_threads()):
            together = cross_val_score(make_flagship(), waves, y, cv=folds, scoring=scorer, n_jobs=2)
        np.testing.assert_array_equal(together, alone)

    def test_the_order_of_sets_changes_nothing(self, make_flagship, waves, tmp_path):
        """Python draws it anew for each process."""
        np.save(tmp_path / "waves.npy", waves)
        found = []
        for seed in ("1", "2"):
            path = tmp_path / f"{seed}.npy"
            command = [sys.executable, "-c", FITTING, str(tmp_path / "waves.npy"), str(path)]
            environment = os.environ | {"PYTHONHASHSEED": seed}
            subprocess.run(command, check=True, timeout=200, cwd=REPOSITORY, env=environment)
            found.append(np.load(path))
        np.testing.assert_array_equal(*found)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    def test_a_child_forked_after_torch_used_its_threads(self, tmp_path):
        """Torch alone would wait for ever: the threads of the parent do not exist in the child."""
        script = tmp_path / "forking.py"
        script.write_text(FORKING)
        ended = subprocess.run(
            [sys.executable, str(script)], timeout=200, cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.split()[-1] == "equal"


FITTING = """
import sys, numpy as np
from timesad import TimesNetDiscrepancyDetector
X = np.load(sys.argv[1])
detector = TimesNetDiscrepancyDetector(window_size=16, smoothing=2, max_epochs=1, random_state=0).fit(X)
np.save(sys.argv[2], detector.decision_function(X))
"""

FORKING = """
import os, sys, signal
import numpy as np, torch
sys.path.insert(0, os.getcwd())
from timesad import NearestWindowsDetector, TimesNetDetector
torch.set_num_threads(2)
X = np.sin(np.arange(3000) / 5)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(3000, 1))
kept = NearestWindowsDetector().fit(X)
expected = kept.decision_function(X)
(torch.randn(1500, 1500) @ torch.randn(1500, 1500)).sum()  # all threads of torch have begun
child = os.fork()
if child == 0:
    signal.alarm(100)  # ends a child that waits for ever
    TimesNetDetector(max_epochs=1, random_state=0).fit(X[:600])
    close = np.allclose(kept.decision_function(X), expected, atol=1e-4)
    os._exit(0 if close else 3)
_, status = os.waitpid(child, 0)
print("equal" if status == 0 else f"status {status}")
"""
