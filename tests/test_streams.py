"""A stream gives each row the score that it has in the whole series, a fixed number of rows later."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import timesad
from timesad import earlier_windows, neighbors, row_errors
from timesad.exceptions import TimeGapWarning
from timesad.streams import RESULTS, KnownLevels, Stream, StreamFinder

SMOOTHING = 6
DELAY = 16 + 4 * SMOOTHING  # window_size of the fixtures
TIMES = pd.date_range("2026-03-28", periods=1500, freq="min", tz="Europe/Berlin")  # summer time begins on the way


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


@pytest.fixture(scope="module")
def nearest(make_nearest, waves):
    return make_nearest(smoothing=SMOOTHING).fit(waves)


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


def feed_events(stream, rows, sizes=(1, 30, 77, 200), **options):
    """Events of updates of random sizes and of the end, one table."""
    rng, found, at = np.random.default_rng(1), [], stream.n_rows
    while at < len(rows):
        size = int(rng.choice(sizes))
        found.append(stream.update(rows[at : at + size], alarms=True, **options)[1].assign(row=at + size))
        at += size
    found.append(stream.finish(alarms=True, **options)[1].assign(row=len(rows)))
    return pd.concat([one for one in found if len(one)], ignore_index=True)


class TestEvents:
    def test_closed_alarms_are_those_of_the_whole_series(self, detector, series):
        events = feed_events(detector.stream(), series)
        closed = events[events["event"] == "closed"].drop(columns=["event", "alarm", "row"]).reset_index(drop=True)
        expected = detector.detect(series).drop(columns="ongoing")
        pd.testing.assert_frame_equal(closed, expected, atol=1e-4, rtol=1e-4)

    def test_each_alarm_opens_once_and_then_ends_once(self, detector, series):
        events = feed_events(detector.stream(history=series[:300]), series)
        assert events["alarm"].nunique() >= 1
        for number, of_one in events.groupby("alarm"):
            first, last = of_one["event"]
            assert first == "opened", number
            assert last in ("closed", "withdrawn"), number

    def test_a_strong_fault_opens_at_once_and_closes_when_nothing_can_change_it(self, make_nearest, waves, series):
        stream = make_nearest(smoothing=SMOOTHING).fit(waves).stream(history=series[:390])
        events = feed_events(stream, series[:520], sizes=(1,))
        fault = events[(events["start"] < 420) & (events["end"] > 400)]
        opened, closed = fault.iloc[0], fault.iloc[-1]
        assert (opened["event"], closed["event"]) == ("opened", "closed")
        assert opened["row"] < 400 + SMOOTHING
        settled = 16 + 16 + SMOOTHING + DELAY  # merge, window_size, smoothing
        assert closed["end"] + settled <= closed["row"] <= closed["end"] + settled + 16

    def test_scores_are_the_same_with_alarms(self, detector, series):
        stream, other = detector.stream(), detector.stream()
        for rows in np.array_split(series, 13):
            with_alarms, _ = stream.update(rows, alarms=True)
            pd.testing.assert_frame_equal(with_alarms, other.update(rows), atol=1e-4, rtol=1e-4)

    def test_of_a_long_stream(self, make_nearest, waves, series):
        """Both the rows and the evidence that are held have been cut several times."""
        detector = make_nearest(smoothing=SMOOTHING, use_past=False).fit(waves)
        long = np.tile(series, (6, 1))
        stream = detector.stream()
        events = feed_events(stream, long, sizes=(100, 333))
        assert stream.history.index[0] > 1000
        closed = events[events["event"] == "closed"].drop(columns=["event", "alarm", "row"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(closed, detector.detect(long).drop(columns="ongoing"), atol=1e-4, rtol=1e-4)

    def test_alarms_may_be_asked_for_late(self, make_nearest, waves, series):
        detector = make_nearest(smoothing=SMOOTHING, use_past=False).fit(waves)
        long = np.tile(series, (6, 1))
        stream = detector.stream()
        stream.update(long[:7000])
        events = feed_events(stream, long, sizes=(100, 333))
        closed = events[events["event"] == "closed"].drop(columns=["event", "alarm", "row"]).reset_index(drop=True)
        expected = detector.detect(long).drop(columns="ongoing")
        expected = expected[expected["start"] > 7000].reset_index(drop=True)
        assert len(expected) == 2
        pd.testing.assert_frame_equal(
            closed[closed["start"] > 7000].reset_index(drop=True), expected, atol=1e-4, rtol=1e-4
        )

    def test_options_choose_the_alarms(self, make_nearest, waves, series):
        detector = make_nearest(smoothing=SMOOTHING).fit(waves)
        events = feed_events(detector.stream(), series, min_severity=3.0, direction="up", merge=2)
        closed = events[events["event"] == "closed"]
        expected = detector.detect(series, min_severity=3.0, direction="up", merge=2)
        assert closed["start"].tolist() == expected["start"].tolist()
        assert len(expected) < len(detector.detect(series))

    def test_a_wrong_option_leaves_the_stream_unchanged(self, detector, series):
        stream, other = detector.stream(series[:300]), detector.stream(series[:300])
        with pytest.raises(ValueError, match="min_severity=-1"):
            stream.update(series[300:400], alarms=True, min_severity=-1)
        with pytest.raises(ValueError, match=r"\['merge'\] are of alarms; use them with alarms=True"):
            stream.update(series[300:400], merge=3)
        with pytest.raises(TypeError, match="min_serenity"):
            stream.update(series[300:400], alarms=True, min_serenity=2)
        for one, two in zip(
            stream.update(series[300:500], alarms=True), other.update(series[300:500], alarms=True), strict=True
        ):
            pd.testing.assert_frame_equal(one, two)

    def test_before_there_is_a_window_there_is_no_alarm(self, detector, series):
        stream = detector.stream()
        scores, events = stream.update(series[:15], alarms=True)
        assert (len(scores), len(events)) == (0, 0)
        assert events.columns.tolist() == ["event", "alarm", *detector.detect(series).columns.drop("ongoing")]
        assert stream.update(series[15], alarms=True)[0].index.tolist() == list(range(16))


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

    @pytest.mark.parametrize("missing", ["error", "mask"])
    def test_a_longer_past_depends_on_neither_updates_nor_a_restart(self, make_nearest, waves, series, missing):
        detector = make_nearest(smoothing=SMOOTHING, max_windows=60, missing=missing).fit(waves)
        long = np.tile(series, (3, 1))
        one, other = detector.stream(), detector.stream()
        found, parts = feed(one, long), []
        for at in range(0, len(long), 300):
            other = pickle.loads(pickle.dumps(other))  # without what it computed
            parts.append(other.update(long[at : at + 300]))
        assert other.history.index[0] > 0
        final, again = final_scores(found), final_scores(parts)
        np.testing.assert_allclose(again[final.index], final, rtol=1e-5, atol=1e-5)

    def test_a_longer_past_is_the_last_windows(self, make_nearest, waves, series):
        """The fault that comes again after 500 rows is as new as before to the last 60 windows of 120 rows."""
        seconds = {}
        for max_windows in (60, 1000):
            stream = make_nearest(smoothing=SMOOTHING, max_windows=max_windows).fit(waves).stream()
            final = final_scores([stream.update(series), stream.finish()])
            seconds[max_windows] = final[900:920].mean() / final[400:420].mean()
        assert seconds[60] > 0.9
        assert seconds[1000] < 0.7

    def test_alarms_of_detect_are_in_the_last_rows(self, make_nearest, waves, series):
        detector = make_nearest(smoothing=SMOOTHING, max_windows=60).fit(waves)
        stream = detector.stream()
        feed(stream, np.tile(series, (5, 1)), sizes=(400,))
        alarms = stream.detect()
        assert len(alarms) > 0
        assert alarms["start"].min() >= stream.n_rows - detector.alarm_finder_.memory


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
        assert vars(loaded).keys() == vars(stream).keys()
        for one, other in zip(feed(stream, series[777:]), feed(loaded, series[777:]), strict=True):
            pd.testing.assert_frame_equal(one, other)

    def test_a_saved_stream_goes_on_with_its_alarms_and_times(self, make_nearest, waves, series, tmp_path):
        stream = make_nearest(smoothing=SMOOTHING).fit(waves).stream()
        table = pd.DataFrame(series, index=TIMES)
        _, events = stream.update(table[:415], alarms=True)
        assert events["event"].tolist()[-1] == "opened"
        stream.save(tmp_path / "stream")
        loaded = timesad.load(tmp_path / "stream")
        for one, other in zip(
            stream.update(table[415:800], alarms=True), loaded.update(table[415:800], alarms=True), strict=True
        ):
            pd.testing.assert_frame_equal(one, other)
        assert "closed" in stream.update(table[800:], alarms=True)[1]["event"].tolist()

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


class TestKeptResults:
    """What a stream keeps from update to update is what it would compute anew."""

    @pytest.mark.parametrize("follow", [True, False])
    def test_levels_are_those_of_the_finder(self, nearest, follow):
        finder, known = nearest.alarm_finder_, KnownLevels()
        rng = np.random.default_rng(0)
        all_scores, first, end = rng.exponential(size=9000), 0, 0
        for size in (500, 1, 1, 40, 2500, 3, 1200, 1, 31, 700):
            end += size
            first = max(0, end - 4500) // finder.step * finder.step
            all_scores[max(first, end - 60) : end] += 0.1  # provisional until now
            recent = all_scores[first:end].copy()
            recent[:5] *= 2  # the local maximum has a border
            borders, level = np.array([0, len(recent)]), float(rng.uniform(0, 8))
            kept = StreamFinder(**vars(finder), first_row=first, known=known)
            np.testing.assert_array_equal(
                kept.levels(recent, borders, level, follow=follow), finder.levels(recent, borders, level, follow=follow)
            )

    def test_levels_of_rows_that_stay_are_not_computed_again(self, nearest, series, monkeypatch):
        stream, computed = nearest.stream(history=np.tile(series, (4, 1))), []
        stream.update(series[:2], alarms=True)
        numbers, quantile = [], np.quantile
        monkeypatch.setattr(np, "quantile", lambda *args, **kwargs: computed.append(1) or quantile(*args, **kwargs))
        for row in series[2:6]:
            computed.clear()
            stream.update(row, alarms=True)
            numbers.append(len(computed))
        assert min(numbers) < 10 < 2 * nearest.alarm_finder_.memory // nearest.alarm_finder_.step

    def test_the_network_runs_on_windows_with_new_rows_only(self, make_network_detector, waves, series, monkeypatch):
        detector = make_network_detector(smoothing=SMOOTHING).fit(waves)
        stream, n_windows = detector.stream(history=series[:600]), []
        stream.update(series[600:630])
        run = row_errors.batch_errors
        monkeypatch.setattr(
            row_errors,
            "batch_errors",
            lambda network, x, *args, **kwargs: n_windows.append(len(x)) or run(network, x, *args, **kwargs),
        )
        for row in series[630:650]:
            n_windows.clear()
            stream.update(row)
            # On the grid one window has the new row as its last one; and one window more ends with it off the grid.
            assert sum(n_windows) <= 2
        n_windows.clear()
        detector.decision_function(series[:650])
        assert sum(n_windows) > 100

    def test_the_search_runs_for_windows_with_new_rows_only(self, make_nearest, waves, series, monkeypatch):
        detector = make_nearest(smoothing=SMOOTHING).fit(waves)
        stream, n_windows, n_hashed = detector.stream(history=series[:600]), [], []
        stream.update(series[600:630])
        search, hashes = neighbors.search_for, earlier_windows.window_keys

        def counted(candidates, number, windows, device, n_searched):
            n_windows.append(n_searched)
            return search(candidates, number, windows, device, n_searched)

        monkeypatch.setattr(neighbors, "search_for", counted)
        monkeypatch.setattr(earlier_windows, "window_keys", lambda of: n_hashed.append(len(of.values)) or hashes(of))
        for row in series[630:650]:
            n_windows.clear(), n_hashed.clear()
            stream.update(row)
            assert sum(n_windows) <= 2 * 2  # as the network, in two channels
            assert sum(n_hashed) <= 16 + 2
        n_windows.clear()
        detector.decision_function(series[:650])
        assert sum(n_windows) > 100

    def test_of_a_long_update_nothing_is_kept(self, detector, series, monkeypatch):
        """The memory of what is kept would be many times that of the rows."""
        for module in (neighbors, row_errors):
            monkeypatch.setattr(module, "MOST_KNOWN", 100)
        stream = detector.stream()
        found = [stream.update(series[:900])]
        assert len(stream._windows.distances._starts) == len(stream._windows.errors._of_window) == 0
        found += [*feed(stream, series[900:], sizes=(3, 20)), stream.finish()]
        np.testing.assert_allclose(final_scores(found), detector.decision_function(series), atol=1e-4)

    def test_rows_that_were_taken_back_leave_no_errors(self, detector, series, monkeypatch):
        streams = [detector.stream(history=series[:600]) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(Stream, "_forget", lambda self: 1 / 0)  # after the scores
            with pytest.raises(ZeroDivisionError):
                streams[0].update(series[600:700] + 3.0)
        one, other = (stream.update(series[600:700]) for stream in streams)
        pd.testing.assert_frame_equal(one, other)

    def test_scaled_rows_are_those_held(self, detector, series):
        stream = detector.stream()
        feed(stream, np.tile(series, (5, 1)), sizes=(100, 400))
        assert stream.history.index[0] > 0 or stream.memory_rows > 5 * len(series)
        np.testing.assert_array_equal(stream._scaled.rows, detector.scaling_(stream.history.to_numpy()))

    def test_they_are_not_stored(self, nearest, series):
        stream = nearest.stream(history=series)
        stream.update(series[:50], alarms=True)
        assert not set(RESULTS) & stream.__getstate__().keys()
        loaded = pickle.loads(pickle.dumps(stream))
        assert len(loaded._scaled) == 0 < len(stream._scaled)
        next_row = series[50]
        for one, other in zip(stream.update(next_row, alarms=True), loaded.update(next_row, alarms=True), strict=True):
            pd.testing.assert_frame_equal(one, other)


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


class TestTimes:
    @pytest.mark.parametrize(
        "times",
        [
            TIMES,
            TIMES.tz_localize(None),
            TIMES.tz_localize(None).as_unit("s"),
            TIMES - TIMES[0],
            TIMES.tz_localize(None).to_period("min"),
        ],
    )
    def test_label_scores_and_alarms(self, nearest, series, times):
        table = pd.DataFrame(series, index=times)
        stream = nearest.stream()
        scores, events = stream.update(table, alarms=True)
        stamps = times.to_timestamp() if isinstance(times, pd.PeriodIndex) else times
        pd.testing.assert_index_equal(pd.Index(scores["time"]), stamps[scores.index], check_names=False, exact=False)
        expected = nearest.detect(table.set_axis(stamps))
        for alarms in (events[events["event"] == "opened"], stream.detect()):
            assert alarms["start_time"].tolist() == expected["start_time"].tolist()
            assert alarms["end_time"].tolist() == expected["end_time"].tolist()

    def test_single_rows_have_them(self, nearest, series):
        table = pd.DataFrame(series, index=TIMES)
        stream = nearest.stream(history=table[:300])
        for number in range(300, 303):
            found = stream.update(table.iloc[number])
            assert found["time"].iloc[-1] == TIMES[number]

    def test_history_goes_on(self, nearest, series):
        table = pd.DataFrame(series, index=TIMES)
        stream = nearest.stream(history=table[:300])
        stream.update(table[300:500])
        assert stream.history.index.equals(TIMES[:500])
        other = nearest.stream(stream.history)
        one, two = stream.update(table[500:600]), other.update(table[500:600])
        np.testing.assert_allclose(one.loc[560:, "score"], two.loc[560:, "score"])
        with pytest.raises(ValueError, match="do not increase: row 0 "):
            other.update(table[599:620])

    def test_of_another_zone_are_converted(self, nearest, series):
        table = pd.DataFrame(series, index=TIMES)
        stream = nearest.stream(history=table[:300])
        found = stream.update(table[300:310].tz_convert("Asia/Tokyo"))
        assert found["time"].iloc[-1] == TIMES[309]
        assert str(found["time"].dtype) == str(TIMES.dtype)

    @pytest.mark.parametrize(
        ("rows", "match"),
        [
            (lambda table: table[299:310], r"row 0 \(2026-03-28 04:59:00\+01:00\) follows 2026-03-28 04:59:00\+01:00"),
            (lambda table: table[250:310], "do not increase: row 0"),
            (lambda table: table[300:310][::-1], "do not increase: row 1"),
            (lambda table: table.iloc[[300, 301, 301, 302]], "do not increase: row 2"),
            (
                lambda table: table[330:340],
                r"row 0 of X .* follows .* longer than a window, 16 rows. Begin a new stream",
            ),
            (lambda table: table.iloc[[300, 301, 340]], r"row 2 of X .* longer than a window"),
            (lambda table: table[300:310].to_numpy(), "X has no times in its index, and the rows before have"),
            (lambda table: table[300:310].tz_localize(None), "times of one kind"),
            (lambda table: table[300:310].set_axis(TIMES[:10] - TIMES[0]), "times of one kind"),
        ],
    )
    def test_that_cannot_follow_leave_the_stream_unchanged(self, nearest, series, rows, match):
        table = pd.DataFrame(series, index=TIMES)
        stream, other = nearest.stream(table[:300]), nearest.stream(table[:300])
        with pytest.raises(ValueError, match=match):
            stream.update(rows(table), alarms=True)
        for one, two in zip(
            stream.update(table[300:400], alarms=True), other.update(table[300:400], alarms=True), strict=True
        ):
            pd.testing.assert_frame_equal(one, two)

    def test_after_rows_without(self, nearest, series):
        stream = nearest.stream(series[:300])
        with pytest.raises(ValueError, match="X has times in its index, and the rows before have none"):
            stream.update(pd.DataFrame(series[300:310], index=TIMES[300:310]))

    def test_a_short_gap_warns_once(self, nearest, series):
        table = pd.DataFrame(series, index=TIMES)
        stream = nearest.stream(table[:300])
        with pytest.warns(TimeGapWarning, match=r"1 steps .*between row -1 .*04:59:00.* 05:05:00"):
            stream.update(table[305:310])
        stream.update(table[310:320])

    def test_a_long_gap_of_missing_numbers_leaves_the_stream_unchanged(self, make_nearest, waves, series):
        detector = make_nearest(smoothing=SMOOTHING, missing="interpolate").fit(waves)
        stream, other = detector.stream(series[:300]), detector.stream(series[:300])
        spoiled = series[300:400].copy()
        spoiled[20:60, 1] = np.nan
        with pytest.raises(ValueError, match=r"channel 1 of X has no number in rows .*missing='mask'"):
            stream.update(spoiled)
        pd.testing.assert_frame_equal(stream.update(series[300:400]), other.update(series[300:400]))
