"""`detect`, `p_values` and `check_threshold`: what a user sees of alarms."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector
from timesad.datasets import load_host_telemetry, make_anomalous_series
from timesad.exceptions import ExtrapolationWarning

COLUMNS = ["start", "end", "peak", "score", "severity", "direction", "ongoing", "channels", "p_value"]
TRAIN_ROWS = 1500


def daily_wave(n_rows=3200, n_channels=1, seed=0):
    """A wave with a period of 48 rows, and noise."""
    wave = np.sin(2 * np.pi * np.arange(n_rows) / 48)[:, None]
    return wave + np.random.default_rng(seed).normal(scale=0.1, size=(n_rows, n_channels))


@pytest.fixture(scope="module")
def nearest():
    return NearestWindowsDetector().fit(daily_wave(n_channels=2)[:TRAIN_ROWS])


@pytest.fixture(scope="module")
def faulty():
    """Two channels; the first rises in rows 400 to 419, the second drops in rows 900 to 939."""
    rows = daily_wave(1300, n_channels=2, seed=1)
    rows[400:420, 0] += 3.0
    rows[900:940, 1] -= 3.0
    return rows


class TestFrame:
    def test_one_row_an_alarm(self, nearest, faulty):
        alarms = nearest.detect(faulty)
        assert list(alarms.columns) == COLUMNS
        assert alarms["direction"].tolist() == ["up", "down"]
        assert [max(channels, key=channels.get) for channels in alarms["channels"]] == [0, 1]
        np.testing.assert_allclose(alarms[["start", "end"]], [(400, 420), (900, 940)], atol=6)
        assert (alarms["severity"] > 1).all()
        assert not alarms["ongoing"].any()
        assert (alarms["p_value"] < 0.01).all()
        for alarm in alarms.itertuples():
            assert alarm.start <= alarm.peak < alarm.end
            assert sum(alarm.channels.values()) == pytest.approx(1, abs=0.11)

    def test_without_alarms_the_frame_is_empty_with_the_same_columns(self, nearest):
        alarms = nearest.detect(daily_wave(200, 2, seed=2), min_severity=99)
        found = nearest.detect(daily_wave(1300, 2, seed=1) + np.array([50.0, 0.0]))
        assert len(alarms) == 0
        assert list(alarms.columns) == COLUMNS
        pd.testing.assert_series_equal(alarms.dtypes, found.dtypes)

    def test_every_detector_has_it(self, fitted, waves):
        rows = waves.copy()
        rows[100:110] += 10.0
        alarms = fitted.detect(rows)
        assert list(alarms.columns) == COLUMNS
        assert ((alarms["start"] < 110) & (alarms["end"] > 100)).any()

    def test_channels_have_the_names_of_a_data_frame(self, faulty):
        train = pd.DataFrame(daily_wave(n_channels=2)[:TRAIN_ROWS], columns=["cpu", "memory"])
        alarms = NearestWindowsDetector().fit(train).detect(pd.DataFrame(faulty, columns=["cpu", "memory"]))
        assert [next(iter(channels)) for channels in alarms["channels"]] == ["cpu", "memory"]

    def test_in_a_pipeline_the_last_step_has_it(self, faulty):
        pipeline = make_pipeline(StandardScaler(), NearestWindowsDetector()).fit(daily_wave(n_channels=2)[:TRAIN_ROWS])
        assert len(pipeline[-1].detect(pipeline[:-1].transform(faulty))) == 2

    def test_calls_leave_no_trace(self, nearest, faulty):
        before = pickle.dumps(nearest)
        first, second = nearest.detect(faulty), nearest.detect(faulty)
        pd.testing.assert_frame_equal(first, second)
        assert pickle.dumps(nearest) == before

    def test_a_loaded_detector_finds_the_same(self, nearest, faulty):
        pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(nearest)).detect(faulty), nearest.detect(faulty))


class TestIndex:
    @pytest.fixture
    def times(self):
        return pd.date_range("2026-03-29", periods=1300, freq="min", tz="Europe/Berlin")

    def test_times_are_those_of_the_first_and_the_last_row(self, nearest, faulty, times):
        by_frame = nearest.detect(pd.DataFrame(faulty, index=times))
        assert list(by_frame.columns) == ["start", "end", "start_time", "end_time", *COLUMNS[2:]]
        assert by_frame["start_time"].tolist() == times[by_frame["start"]].tolist()
        assert by_frame["end_time"].tolist() == times[by_frame["end"] - 1].tolist()
        assert str(by_frame["start_time"].dtype.tz) == "Europe/Berlin"
        pd.testing.assert_frame_equal(nearest.detect(faulty, index=times), by_frame)

    def test_an_empty_frame_has_them_too(self, nearest, times):
        alarms = nearest.detect(daily_wave(200, 2, seed=2), index=times[:200], min_severity=99)
        assert len(alarms) == 0
        assert str(alarms["start_time"].dtype.tz) == "Europe/Berlin"

    def test_an_index_that_counts_the_rows_gives_none(self, nearest, faulty):
        assert list(nearest.detect(pd.DataFrame(faulty)).columns) == COLUMNS

    @pytest.mark.parametrize("wrong", ["length", "order", "repeated", "missing"])
    def test_an_index_that_cannot_be_used_is_refused(self, nearest, faulty, times, wrong):
        index = {
            "length": times[:-1],
            "order": times[::-1],
            "repeated": times[:-1].append(times[-2:-1]),
            "missing": times[:-1].append(pd.DatetimeIndex([pd.NaT]).tz_localize("Europe/Berlin")),
        }[wrong]
        message = "1299 entries but X has 1300 rows" if wrong == "length" else "does not increase"
        with pytest.raises(ValueError, match=message):
            nearest.detect(faulty, index=index)

    def test_it_may_start_again_with_each_series(self, nearest, faulty, times):
        groups = np.repeat(["a", "b"], 650)
        alarms = nearest.detect(faulty, groups=groups, index=times[:650].append(times[:650]))
        assert alarms["series"].tolist() == ["a", "b"]


class TestGroups:
    def test_alarms_of_each_series_are_those_that_it_has_alone(self, nearest, faulty):
        together = nearest.detect(np.concatenate([faulty, faulty]), groups=np.repeat([7, 3], 1300))
        alone = nearest.detect(faulty)
        assert together["series"].tolist() == [7, 7, 3, 3]
        np.testing.assert_array_equal(together["start"], np.concatenate([alone["start"], alone["start"] + 1300]))
        np.testing.assert_allclose(together["severity"], np.tile(alone["severity"], 2), rtol=1e-6)

    def test_without_x_they_are_refused(self, nearest):
        with pytest.raises(ValueError, match=r"detect\(None\)"):
            nearest.detect(None, groups=[1, 2])


class TestOptions:
    @pytest.mark.parametrize(("direction", "starts"), [("up", [0]), ("down", [1]), ("both", [0, 1])])
    def test_direction(self, nearest, faulty, direction, starts):
        expected = nearest.detect(faulty).iloc[starts].reset_index(drop=True)
        pd.testing.assert_frame_equal(nearest.detect(faulty, direction=direction), expected, check_dtype=False)

    def test_min_duration_and_min_severity(self, nearest, faulty):
        alarms = nearest.detect(faulty)
        lengths = alarms["end"] - alarms["start"]
        assert len(nearest.detect(faulty, min_duration=int(lengths.min()) + 1)) == 1
        assert len(nearest.detect(faulty, min_severity=float(alarms["severity"].min()) + 1e-6)) == 1

    def test_merge(self, nearest, faulty):
        assert len(nearest.detect(faulty, merge=1000)) < 2

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("merge", -1),
            ("merge", 2.5),
            ("min_duration", 0),
            ("min_severity", -0.1),
            ("min_severity", float("nan")),
            ("direction", "sideways"),
            ("false_alarms_per", 0.5),
            ("false_alarms_per", True),
            ("false_alarms_per", float("inf")),
        ],
    )
    def test_a_wrong_value_is_refused_by_name(self, nearest, faulty, name, value):
        with pytest.raises(ValueError, match=f"{name}={value!r}"):
            nearest.detect(faulty, **{name: value})

    def test_before_fit(self, faulty):
        with pytest.raises(NotFittedError):
            NearestWindowsDetector().detect(faulty)

    def test_fewer_false_alarms_need_a_higher_level(self, nearest, faulty):
        levels = [nearest._level(per) for per in (100, 1000, 10_000)]
        assert levels == sorted(levels)
        assert levels[0] < levels[2]

    def test_a_budget_that_no_data_support_warns_and_extrapolates(self, nearest, faulty):
        with pytest.warns(ExtrapolationWarning, match=r"1e\+06 rows is extrapolated from 1500 training rows"):
            alarms = nearest.detect(faulty, false_alarms_per=1_000_000)
        assert len(alarms) <= 2


class TestPlainCase:
    """Four spikes of three rows. Smoothing lifts hundreds of rows around them."""

    @pytest.mark.parametrize("size", [6, 20, 60, 300])
    @pytest.mark.parametrize("follow_drift", [True, False])
    def test_each_spike_is_one_alarm_of_its_own(self, size, follow_drift):
        rows = daily_wave()
        for start in (2000, 2200, 2320, 2700):
            rows[start : start + 3] += size * rows[:TRAIN_ROWS].std()
        detector = NearestWindowsDetector().fit(rows[:TRAIN_ROWS])
        alarms = detector.detect(rows, follow_drift=follow_drift)
        assert len(alarms) == 4
        np.testing.assert_array_less(np.abs(alarms["start"] - [2000, 2200, 2320, 2700]), 6)
        np.testing.assert_array_less(np.abs(alarms["end"] - 1 - [2002, 2202, 2322, 2702]), 6)
        assert (alarms["direction"] == "up").all()

    def test_a_level_that_stays_is_one_alarm_that_did_not_end(self):
        rows = daily_wave(6000)
        rows[2500:] += 2.0
        [alarm] = NearestWindowsDetector().fit(rows[:TRAIN_ROWS]).detect(rows).itertuples()
        assert abs(alarm.start - 2500) < 20
        assert alarm.end < 3500
        assert alarm.ongoing


class TestTrainingRows:
    def test_alarms_among_the_rows_that_were_fitted(self):
        rows = daily_wave()
        rows[2000:2020] += 3.0
        detector = NearestWindowsDetector(clean_training=False, contamination=0.01).fit(rows)
        alarms = detector.detect(None)
        assert ((alarms["start"] < 2020) & (alarms["end"] > 2000)).any()
        assert list(alarms.columns) == COLUMNS

    def test_network_errors_of_trained_rows_count_as_those_of_held_out_rows(self, make_network_detector, waves):
        """Errors of the others are multiplied by at least 1; what has become typical is then larger, too."""
        detector = make_network_detector(batch_size=16).fit(waves)
        evidence, scores = detector.training_evidence_, detector.decision_scores_
        held_out = slice(192, 240)  # the last fifth
        assert (evidence.score >= scores - 1e-9).mean() > 0.8
        assert (evidence.score[held_out][30:] <= scores[held_out][30:] + 1e-6).all()
        np.testing.assert_allclose(evidence.score[held_out][30:], scores[held_out][30:], atol=0.1)


@pytest.fixture(scope="module")
def seen():
    """Share of rows above two thresholds, and false alarms per 1,000 rows where one was asked for."""
    found = []
    for seed in range(40):
        series = make_anomalous_series(12_000, n_anomalies=0, train_size=2000, random_state=seed)
        detector = NearestWindowsDetector().fit(series.data[:2000])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExtrapolationWarning)
            thresholds = [detector.score_tail_.threshold(share) for share in (0.05, 0.01)]
        scores = detector.decision_function(series.data[2000:])
        rate = len(detector.detect(series.data[2000:], false_alarms_per=1000, follow_drift=False)) / 10
        found.append([*((scores > threshold).mean() for threshold in thresholds), rate])
    return np.mean(found, axis=0)


class TestPromise:
    """Stationary series; `benchmarks` and the docs have more seeds and the flagship."""

    def test_asked_shares_come_out(self, seen):
        assert 0.05 / 1.5 < seen[0] < 0.05 * 1.5
        assert 0.01 / 2 < seen[1] < 0.01 * 2

    def test_asked_false_alarms_come_out(self, seen):
        assert 1 / 1.5 < seen[2] < 1.5


class TestPValues:
    def test_are_those_of_the_tail(self, nearest, faulty):
        found = nearest.p_values(faulty)
        np.testing.assert_array_equal(found, nearest.score_tail_.p_value(nearest.decision_function(faulty)))
        assert found[400:420].max() < 1e-3 < np.median(found[:300])

    def test_control_the_false_discovery_rate(self, nearest, faulty):
        flagged = false_discovery_control(nearest.p_values(faulty)) < 0.01
        assert flagged[405:415].all()
        assert flagged[:200].mean() < 0.05

    def test_check_threshold_counts_rows_above(self, nearest):
        table = nearest.check_threshold(daily_wave(2000, 2, seed=3))
        assert table["asked"].tolist() == [0.05, 0.01, 0.001]
        np.testing.assert_allclose(table["expected"], [100, 20, 2])
        scores = nearest.decision_function(daily_wave(2000, 2, seed=3))
        assert table["seen"].tolist() == [(scores > threshold).sum() for threshold in table["threshold"]]
        assert table["threshold"].is_monotonic_increasing


def test_telemetry_alarms_are_precise():
    """19 of 21 faults, one after the other, and no false alarm; the docs have the numbers of the other settings."""
    recording = load_host_telemetry()
    train_size = recording.train_size
    detector = TimesNetDiscrepancyDetector(discrepancy_weight=0, random_state=0).fit(recording.data[:train_size])
    alarms = detector.detect(recording.data)
    alarms = alarms[alarms["end"] > train_size]
    faults = [(fault["start"], fault["end"]) for fault in recording.faults]
    true = [any(a.start < end and a.end > start for start, end in faults) for a in alarms.itertuples()]
    hit = [((alarms["start"] < end) & (alarms["end"] > start)).any() for start, end in faults]
    assert sum(hit) >= 18
    assert len(true) - sum(true) <= 3
    assert (alarms["end"] - alarms["start"]).sum() < 0.15 * (len(recording.data) - train_size)
