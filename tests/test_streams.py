"""A stream gives each row the score that it has in the whole series, a fixed number of rows later."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import timesad
from timesad.streams import Stream

SMOOTHING = 6
DELAY = 16 + 4 * SMOOTHING  # window_size of the fixtures


@pytest.fixture(scope="module")
def series():
    """1,500 rows like `waves`, with a fault that comes twice and a change that stays."""
    time = np.arange(1500)
    clean = np.column_stack([np.sin(2 * np.pi * time / 8), np.cos(2 * np.pi * time / 12)])
    rows = clean + np.random.default_rng(3).normal(scale=0.1, size=clean.shape)
    rows[400:420] += 2.0
    rows[900:920] += 2.0
    rows[1100:, 1] += 0.5
    return rows


@pytest.fixture(scope="module", params=[True, False], ids=["past", "no past"])
def detector(request, make_detector, waves):
    return make_detector(smoothing=SMOOTHING, use_past=request.param).fit(waves)


def feed(stream, rows, sizes=(1, 2, 7, 40, 200), seed=0):
    """Results of updates of random sizes."""
    rng, found = np.random.default_rng(seed), []
    at = 0
    while at < len(rows):
        size = int(rng.choice(sizes))
        found.append(stream.update(rows[at : at + size]))
        at += size
    return found


def final_scores(found):
    """Final scores by row number; each row has one."""
    final = pd.concat([one[one["final"]] for one in found])
    assert final.index.is_unique
    return final["score"].sort_index()


class TestScores:
    def test_final_scores_are_those_of_the_whole_series(self, detector, series):
        stream = detector.stream()
        found = feed(stream, series)
        scores = final_scores([*found, stream.finish()])
        assert scores.index.tolist() == list(range(len(series)))
        np.testing.assert_allclose(scores, detector.decision_function(series), atol=1e-4)

    def test_with_a_history_they_continue_it(self, detector, series):
        stream = detector.stream(history=series[:700])
        scores = final_scores([*feed(stream, series[700:]), stream.finish()])
        assert scores.index.tolist() == list(range(700, len(series)))
        np.testing.assert_allclose(scores, detector.decision_function(series)[700:], atol=1e-4)

    def test_they_are_final_after_the_delay(self, detector, series):
        stream = detector.stream(history=series[:300])
        assert stream.delay == DELAY
        found = stream.update(series[300:500])
        assert found.index.tolist() == list(range(300, 500))
        assert found["final"].tolist() == [True] * (200 - DELAY) + [False] * DELAY
        one = stream.update(series[500])
        assert one.index.tolist() == [500 - DELAY, 500]
        assert one["final"].tolist() == [True, False]

    def test_a_provisional_score_is_the_one_that_the_rows_so_far_give(self, detector, series):
        stream = detector.stream()
        stream.update(series[:600])
        found = stream.update(series[600:605])
        provisional = found[~found["final"]]
        assert provisional.index.tolist() == list(range(600, 605))
        expected = detector.decision_function(series[:605])[600:]
        np.testing.assert_allclose(provisional["score"], expected, atol=1e-4)

    def test_anomalies_are_rows_above_the_threshold(self, detector, series):
        found = detector.stream().update(series)
        assert found["anomaly"].tolist() == (found["score"] > detector.threshold_).tolist()
        assert found["anomaly"].any()

    def test_before_there_is_a_window_there_is_no_score(self, detector, series):
        stream = detector.stream()
        assert [len(stream.update(row)) for row in series[:15]] == [0] * 15
        assert stream.update(series[15]).index.tolist() == list(range(16))


class TestAlarms:
    def test_are_those_of_the_whole_series(self, detector, series):
        stream = detector.stream()
        feed(stream, series)
        pd.testing.assert_frame_equal(stream.detect(), detector.detect(series), atol=1e-4, rtol=1e-4)
        pd.testing.assert_frame_equal(
            stream.detect(min_severity=3.0, follow_drift=False),
            detector.detect(series, min_severity=3.0, follow_drift=False),
            atol=1e-4,
            rtol=1e-4,
        )

    def test_of_a_long_stream_are_those_of_its_last_rows(self, make_nearest, waves, series):
        detector = make_nearest(smoothing=SMOOTHING, use_past=False).fit(waves)
        long = np.tile(series, (5, 1))
        stream = detector.stream()
        for part in np.array_split(long, 9):
            stream.update(part)
        assert stream.history.index[0] > 1000
        whole = detector.detect(long)
        expected = whole[whole["end"] > len(long) - detector.alarm_finder_.memory].reset_index(drop=True)
        assert 2 <= len(expected) < len(whole)
        pd.testing.assert_frame_equal(stream.detect(), expected, atol=1e-4, rtol=1e-4)


class TestMemory:
    def test_a_long_stream_holds_a_fixed_number_of_rows(self, make_detector, waves, series):
        detector = make_detector(smoothing=SMOOTHING, use_past=False).fit(waves)
        stream = detector.stream()
        long = np.tile(series, (5, 1))
        held, found = [], []
        for at in range(0, len(long), 500):
            found.append(stream.update(long[at : at + 500]))
            held.append(len(stream.history))
        assert max(held) <= stream.memory_rows + stream.delay
        assert len(set(held[10:])) <= 2
        assert stream.history.index[0] > 1000
        scores = final_scores([*found, stream.finish()])
        np.testing.assert_allclose(scores, detector.decision_function(long), atol=1e-4)

    def test_nearest_windows_read_the_last_rows_of_a_longer_past(self, make_nearest, waves, series):
        """At most 60 of them; what is held suffices for the alarms as well."""
        detector = make_nearest(smoothing=SMOOTHING, max_windows=60).fit(waves)
        stream = detector.stream()
        found = feed(stream, np.tile(series, (5, 1)), sizes=(100, 400))
        assert len(stream.history) <= stream.memory_rows + stream.delay
        last = final_scores(found)
        assert last.index[-1] == 5 * len(series) - DELAY - 1
        assert stream.history.index[0] > 1000
        assert np.isfinite(last).all()


class TestState:
    def test_a_pickled_stream_goes_on(self, detector, series):
        stream = detector.stream()
        feed(stream, series[:777])
        loaded = pickle.loads(pickle.dumps(stream))
        for one, other in zip(feed(stream, series[777:]), feed(loaded, series[777:]), strict=True):
            pd.testing.assert_frame_equal(one, other)

    def test_a_saved_stream_goes_on(self, detector, series, tmp_path):
        stream = detector.stream()
        feed(stream, series[:777])
        stream.save(tmp_path / "stream")
        loaded = timesad.load(tmp_path / "stream")
        assert isinstance(loaded, Stream)
        for one, other in zip(feed(stream, series[777:]), feed(loaded, series[777:]), strict=True):
            pd.testing.assert_frame_equal(one, other)

    def test_its_history_begins_another_stream(self, detector, series):
        stream = detector.stream()
        feed(stream, series[:777])
        following = detector.stream(history=stream.history)
        assert following.n_rows == 777
        scores = final_scores(feed(following, series[777:]))
        np.testing.assert_allclose(scores, detector.decision_function(series)[777 : len(series) - DELAY], atol=1e-4)

    def test_a_later_fit_does_not_change_it(self, make_detector, waves, series):
        detector = make_detector(smoothing=SMOOTHING).fit(waves)
        stream, expected = detector.stream(), clone(detector).fit(waves).stream().update(series)
        detector.fit(waves * 5)
        pd.testing.assert_frame_equal(stream.update(series), expected)

    @pytest.mark.parametrize("wrong", [np.zeros((3, 3)), [[np.nan, 0.0]], np.zeros((0, 2)), [["a", "b"]], 5.0])
    def test_rows_that_cannot_be_used_leave_it_unchanged(self, detector, series, wrong):
        stream, other = detector.stream(series[:300]), detector.stream(series[:300])
        with pytest.raises((ValueError, TypeError), match=r"X "):
            stream.update(wrong)
        pd.testing.assert_frame_equal(stream.update(series[300:400]), other.update(series[300:400]))

    def test_needs_a_fitted_detector(self, make_detector):
        with pytest.raises(NotFittedError):
            make_detector().stream()


class TestRows:
    def test_may_be_tables_or_single_rows_of_a_table(self, make_nearest, waves, series):
        names = ["flow", "pressure"]
        detector = make_nearest(smoothing=SMOOTHING).fit(pd.DataFrame(waves, columns=names))
        table = pd.DataFrame(series[:300], columns=names)
        stream, by_row = detector.stream(), detector.stream()
        expected = final_scores([stream.update(table), stream.finish()])
        found = [by_row.update(row) for _, row in table.iterrows()]
        np.testing.assert_allclose(final_scores([*found, by_row.finish()]), expected, atol=1e-4)
        assert stream.history.columns.tolist() == names

    def test_of_one_channel_may_be_numbers(self, make_nearest, waves, series):
        detector = make_nearest(smoothing=SMOOTHING).fit(waves[:, :1])
        whole, by_number = detector.stream(), detector.stream()
        expected = whole.update(series[:200, 0])
        found = [by_number.update(float(number)) for number in series[:200, 0]]
        np.testing.assert_allclose(final_scores(found), expected.loc[expected["final"], "score"], atol=1e-4)

    @pytest.mark.parametrize("missing", ["interpolate", "mask"])
    def test_missing_numbers(self, make_detector, waves, series, missing):
        detector = make_detector(smoothing=SMOOTHING, missing=missing).fit(waves)
        spoiled = series[:600].copy()
        spoiled[200:203, 0] = spoiled[400, 1] = np.nan
        stream = detector.stream()
        scores = final_scores([*feed(stream, spoiled, sizes=(1, 30, 100)), stream.finish()])
        np.testing.assert_allclose(scores, detector.decision_function(spoiled), atol=1e-4)
