"""injected_anomaly_scorer: one anomaly a copy, made of the values of X; the same for every estimator."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from pyod.models.ecod import ECOD
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.injection import injected_anomaly_scorer
from timesad import NearestWindowsDetector

N_ROWS, LENGTH, KINDS = 300, 20, 3


class Recorder:
    """Keeps what it is asked to score."""

    def __init__(self):
        self.copies = []

    def decision_function(self, X):
        self.copies.append(X)
        return np.zeros(len(X))


class DistanceFromPrevious(OutlierMixin, BaseEstimator):
    """Scores rows by their distance from the row `lag` rows earlier."""

    def __init__(self, lag=1):
        self.lag = lag

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def decision_function(self, X):
        X = np.asarray(X)
        return np.linalg.norm(X - np.roll(X, self.lag, axis=0), axis=1)


@pytest.fixture
def counted():
    """Each value is the number of its row, plus a thousand times its channel; channel 1 is constant."""
    X = np.arange(N_ROWS, dtype=float)[:, None] + 1000.0 * np.arange(4)
    X[:, 1] = 7.0
    return X


@pytest.fixture
def waves():
    time = np.arange(1200)
    noise = np.random.default_rng(0).normal(scale=0.1, size=(1200, 2))
    return np.column_stack([np.sin(time / 4), np.cos(time / 3)]) + noise


def copies_of(X, **parameters):
    recorder = Recorder()
    injected_anomaly_scorer(recorder, X, anomaly_length=LENGTH, **parameters)
    return recorder.copies


class TestCopies:
    def test_each_has_one_anomaly_in_some_channels(self, counted):
        copies = copies_of(counted, n_repeats=20)
        assert len(copies) == KINDS * 20
        numbers = []
        for copy in copies:
            rows, channels = np.nonzero(copy != counted)
            numbers.append(len(set(channels)))
            assert set(channels) <= {0, 2, 3}, "channel 1 does not change"
            assert rows.max() - rows.min() < LENGTH
        assert set(numbers) == {1, 2, 3}

    def test_their_values_are_values_of_the_same_channel(self, counted):
        for copy in copies_of(counted, n_repeats=10):
            for found, channel in zip(copy.T, counted.T, strict=True):
                assert set(found) <= set(channel)

    def test_the_kinds_are_those_of_the_table(self, counted):
        """Numbers of rows show where an anomaly was taken from."""
        steps = []
        for copy in copies_of(counted[:, :1], n_repeats=10):
            changed = np.flatnonzero(copy[:, 0] != counted[:, 0])
            inner = copy[changed[0] : changed[-1] + 1, 0]
            steps.append(set(np.diff(inner)))
        assert steps[::KINDS] == [{2.0}] * 10, "twice the speed"
        assert steps[1::KINDS] == [{-1.0}] * 10, "reverse order"
        assert steps[2::KINDS] == [{1.0}] * 10, "another place"

    def test_places_differ(self, counted):
        starts = [np.nonzero(copy != counted)[0].min() for copy in copies_of(counted, n_repeats=10)]
        assert len(set(starts)) > 20

    def test_x_is_not_changed(self, counted):
        counted.setflags(write=False)
        copies_of(counted)

    def test_a_table_keeps_index_names_and_types(self, counted):
        frame = pd.DataFrame(counted, columns=list("abcd"), index=pd.date_range("2026", periods=N_ROWS, freq="s"))
        frame = frame.astype({"c": int})
        for found, expected in zip(copies_of(frame), copies_of(counted), strict=True):
            pd.testing.assert_frame_equal(found, pd.DataFrame(expected, frame.index, frame.columns).astype({"c": int}))

    def test_one_channel_may_have_one_dimension(self, counted):
        np.testing.assert_array_equal(copies_of(counted[:, 0]), copies_of(counted[:, :1]))

    def test_missing_numbers_are_values_like_others(self, counted):
        counted[::10] = np.nan
        assert all(np.isnan(copy).any() for copy in copies_of(counted))


class TestScore:
    def test_a_score_that_marks_the_anomaly_is_1_and_the_reverse_is_lower(self, counted):
        class Clairvoyant:
            def __init__(self, sign):
                self.sign = sign

            def decision_function(self, X):
                return self.sign * np.isin(np.arange(N_ROWS), np.nonzero(counted != X)[0]).astype(float)

        scorer = partial(injected_anomaly_scorer, X=counted, anomaly_length=LENGTH)
        assert scorer(Clairvoyant(1)) > 0.95  # in the middle of a reversed anomaly a row may keep its value
        assert scorer(Clairvoyant(-1)) < 0.1
        assert scorer(Recorder()) == pytest.approx(LENGTH / N_ROWS)

    def test_windows_beat_rows(self, waves):
        detectors = [NearestWindowsDetector(window_size=32, smoothing=16), ECOD()]
        windows, rows = (injected_anomaly_scorer(one.fit(waves[:800]), waves[800:]) for one in detectors)
        assert windows > 0.4 > 0.2 > rows

    def test_an_int_injects_the_same_for_every_estimator(self, counted):
        np.testing.assert_array_equal(copies_of(counted), copies_of(counted))
        assert not np.array_equal(copies_of(counted), copies_of(counted, random_state=1))

    def test_a_generator_moves_on_and_the_global_one_does_not(self, counted):
        state = np.random.get_state()[1].tolist()  # noqa: NPY002
        generator = np.random.default_rng(0)
        first, second = (copies_of(counted, random_state=generator) for _ in range(2))
        np.testing.assert_array_equal(first, copies_of(counted))
        assert not np.array_equal(first, second)
        assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


class TestSearches:
    def test_a_search_without_labels(self, waves):
        """The difference over a whole period is small in normal rows."""
        search = GridSearchCV(
            make_pipeline(StandardScaler(), DistanceFromPrevious()),
            {"distancefromprevious__lag": [3, 25]},
            scoring=injected_anomaly_scorer,
            cv=TimeSeriesSplit(3),
            error_score="raise",
        )
        assert search.fit(waves[:, :1]).best_params_ == {"distancefromprevious__lag": 25}

    def test_labels_are_ignored(self, waves):
        detector = DistanceFromPrevious()
        labels = np.ones(len(waves))
        assert injected_anomaly_scorer(detector, waves, labels) == injected_anomaly_scorer(detector, waves)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"anomaly_length": 51}, ValueError, r"X has 300 rows, but anomaly_length=51 needs at least 306.*at most 50\."),
        ({"anomaly_length": 1}, ValueError, "anomaly_length is 1; expected an integer of at least 2"),
        ({"anomaly_length": 2.5}, TypeError, "anomaly_length is 2.5; expected an integer"),
        ({"n_repeats": 0}, ValueError, "n_repeats is 0; expected an integer of at least 1"),
        ({"X": np.ones((300, 2))}, ValueError, "No channel of X changes"),
    ],
)
def test_what_cannot_be_used_is_refused(counted, parameters, error, message):
    with pytest.raises(error, match=message):
        injected_anomaly_scorer(Recorder(), **{"X": counted} | parameters)
