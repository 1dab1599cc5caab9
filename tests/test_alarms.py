"""From evidence to alarms, on evidence that is made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.alarms import Alarm, AlarmFinder, channel_shares, direction_of, localised
from timesad.scoring import RowEvidence

WINDOW, SMOOTHING = 20, 8
N_ROWS = 600


def evidence_of(alarm, local=None, score=None, channel=None, deviation=None):
    alarm = np.asarray(alarm, dtype=np.float64)
    n_rows = len(alarm)
    local = np.zeros(n_rows) if local is None else np.asarray(local, dtype=np.float64)
    score = alarm if score is None else np.asarray(score, dtype=np.float64)
    channel = np.zeros(n_rows, dtype=np.intp) if channel is None else np.asarray(channel)
    deviation = np.ones(n_rows) if deviation is None else np.asarray(deviation, dtype=np.float64)
    return RowEvidence(score, alarm, local, channel, deviation)


def borders_of(evidence, *inner):
    return np.array([0, *inner, len(evidence.alarm)])


@pytest.fixture(scope="module")
def finder():
    """Fitted on noise below 1: its level is about 1, and its baseline is far below."""
    rng = np.random.default_rng(0)
    train = evidence_of(rng.random(N_ROWS), local=rng.random(N_ROWS), score=np.zeros(N_ROWS))
    return AlarmFinder.fit(train, borders_of(train), WINDOW, SMOOTHING)


def find(finder, evidence, *inner, level=1.0, follow=False, merge=5):
    return finder.find(evidence, borders_of(evidence, *inner), level, follow=follow, merge=merge)


def extents(alarms):
    return [(alarm.start, alarm.end) for alarm in alarms]


class TestFit:
    def test_level_is_the_tail_at_one_percent(self, finder):
        assert finder.level == pytest.approx(
            min(finder.tail.exceeded_by(0.01), 1.05 * (1 + finder.tail.scores[-1]) - 1)
        )

    def test_level_is_at_most_a_little_above_the_largest_training_score(self):
        """Two peaks: the extrapolated tail is far above them."""
        alarm = np.zeros(N_ROWS)
        alarm[100:300] = np.linspace(1.0, 10.0, 200)
        train = evidence_of(alarm)
        finder = AlarmFinder.fit(train, borders_of(train), WINDOW, SMOOTHING)
        assert finder.level == pytest.approx(1.05 * 11 - 1)
        assert finder.tail.exceeded_by(0.01) > finder.level

    @pytest.mark.parametrize("score", [-0.5, 0.0, 3.0])
    def test_level_is_above_constant_training_scores(self, score):
        train = evidence_of(np.full(200, score))
        finder = AlarmFinder.fit(train, borders_of(train), WINDOW, SMOOTHING)
        assert score + 0.0009 < finder.level < score + 0.3
        assert find(finder, train, level=finder.level) == []

    def test_local_level_is_exceeded_by_one_percent_of_the_training_rows(self):
        train = evidence_of(np.zeros(1001), local=np.arange(1001.0))
        assert AlarmFinder.fit(train, borders_of(train), WINDOW, SMOOTHING).local_level == pytest.approx(990.0)

    def test_local_level_is_at_least_a_half(self):
        train = evidence_of(np.zeros(100))
        assert AlarmFinder.fit(train, borders_of(train), WINDOW, SMOOTHING).local_level == 0.5

    @pytest.mark.parametrize(("n_rows", "memory"), [(600, 2000), (6000, 2000), (9000, 3000)])
    def test_memory_is_two_thousand_rows_or_a_third_of_training(self, n_rows, memory):
        train = evidence_of(np.zeros(n_rows))
        assert AlarmFinder.fit(train, borders_of(train), WINDOW, SMOOTHING).memory == memory


def ongoing(finder, evidence, alarm, level=1.0):
    [stays] = finder.ongoing(evidence, borders_of(evidence), level, [alarm])
    return stays


class TestFind:
    def test_a_row_at_the_level_is_normal(self, finder):
        assert find(finder, evidence_of(np.ones(50))) == []

    def test_without_a_sharp_peak_the_extent_is_the_rows_above_the_level(self, finder):
        alarm = np.zeros(100)
        alarm[30:60] = 2.0
        [found] = find(finder, evidence_of(alarm))
        assert (found.start, found.end, found.score, found.severity) == (30, 60, 2.0, 1.5)
        assert not ongoing(finder, evidence_of(alarm), found)

    def test_a_sharp_peak_gives_the_extent(self, finder):
        alarm, local = np.zeros(200), np.zeros(200)
        alarm[50:150] = 3.0
        local[97:103] = [9, 21, 40, 30, 21, 9]  # half of the largest is 20
        [found] = find(finder, evidence_of(alarm, local))
        assert (found.start, found.end, found.peak) == (98, 102, 99)

    def test_two_faults_in_one_run_are_two_alarms_and_a_weak_part_is_none(self, finder):
        alarm, local = np.zeros(300), np.zeros(300)
        alarm[50:250] = 3.0
        local[80:84], local[150:154], local[200:204] = 50.0, 40.0, 30.0  # 70 % of the largest is 35
        assert extents(find(finder, evidence_of(alarm, local))) == [(80, 84), (150, 154)]

    @pytest.mark.parametrize(("merge", "expected"), [(9, [(10, 20), (30, 40)]), (10, [(10, 40)])])
    def test_runs_up_to_merge_rows_apart_are_one_alarm(self, finder, merge, expected):
        alarm = np.zeros(60)
        alarm[10:20] = alarm[30:40] = 2.0
        assert extents(find(finder, evidence_of(alarm), merge=merge)) == expected

    @pytest.mark.parametrize(("merge", "expected"), [(9, [(30, 34), (44, 48)]), (10, [(30, 48)])])
    def test_parts_of_the_extent_are_merged_alike(self, finder, merge, expected):
        alarm, local = np.zeros(100), np.zeros(100)
        alarm[10:80] = 2.0
        local[30:34] = local[44:48] = 50.0
        assert extents(find(finder, evidence_of(alarm, local), merge=merge)) == expected

    def test_no_alarm_crosses_a_border(self, finder):
        alarm = np.zeros(100)
        alarm[40:60] = 2.0
        assert extents(find(finder, evidence_of(alarm), 50)) == [(40, 50), (50, 60)]

    def test_severity_is_one_plus_the_score_by_one_plus_the_level(self, finder):
        alarm = np.zeros(100)
        alarm[40:50] = np.arange(10.0) + 3
        [found] = find(finder, evidence_of(alarm), level=1.5)
        assert found.score == 12.0
        assert found.severity == pytest.approx(13 / 2.5)

    @pytest.mark.parametrize("n_alarms", [0, 3])
    def test_cost_is_that_of_the_rows(self, finder, n_alarms):
        """A hundred thousand rows, with the level that follows: quantiles of blocks, not of rows."""
        alarm = np.zeros(100_000)
        for number in range(n_alarms):
            alarm[1000 * number + 500 : 1000 * number + 540] = 9.0
        assert len(find(finder, evidence_of(alarm), follow=True)) == n_alarms


class TestFollow:
    def test_level_is_raised_by_recent_rows_of_its_series(self, finder):
        recent = np.concatenate([np.zeros(1000), np.full(4000, 8.0)])
        levels = finder.levels(recent, np.array([0, 3000, 5000]), 1.0, follow=True)
        assert (levels[:1000] == 1.0).all()
        assert levels[2999] == pytest.approx(2.75 * 8.0)
        assert levels[3000] == 1.0  # the second series starts with the training rows alone
        assert levels[4999] == pytest.approx(2.75 * 8.0)

    def test_level_does_not_see_the_row_or_later_ones(self, finder):
        """The baseline is updated every 31 rows, from rows before them."""
        recent = np.zeros(2000)
        changed = recent.copy()
        changed[1000:] = 50.0
        first, second = (finder.levels(rows, np.array([0, 2000]), 1.0, follow=True) for rows in (recent, changed))
        np.testing.assert_array_equal(first[:1000], second[:1000])
        assert second[-1] > first[-1]

    def test_level_forgets(self, finder):
        recent = np.concatenate([np.full(2000, 8.0), np.zeros(4000)])
        levels = finder.levels(recent, np.array([0, 6000]), 1.0, follow=True)
        assert levels[2000] > 20
        assert levels[-1] == 1.0

    def test_a_change_that_stays_is_one_alarm_that_did_not_end(self, finder):
        alarm = np.full(6000, 0.1)
        alarm[3000:] = 5.0
        evidence = evidence_of(alarm, local=np.where(alarm > 1, 1.0, 0.0))
        [found] = find(finder, evidence, follow=True)
        assert found.start == 3000
        assert found.end < 3800
        assert ongoing(finder, evidence, found)

    def test_without_following_it_is_one_alarm_to_the_end(self, finder):
        alarm = np.full(6000, 0.1)
        alarm[3000:] = 5.0
        evidence = evidence_of(alarm, local=np.where(alarm > 1, 1.0, 0.0))
        [found] = find(finder, evidence)
        assert (found.start, found.end) == (3000, 6000)
        assert ongoing(finder, evidence, found)

    def test_a_strong_fault_does_not_hide_the_next(self, finder):
        """Smoothing lifts 15 of every 60 rows. Their localised score is low, so the level stays."""
        alarm, local = np.zeros(3000), np.zeros(3000)
        for start in range(30, 3000, 60):
            alarm[start - 7 : start + 8], local[start] = 9.0, 300.0
        found = find(finder, evidence_of(alarm, local), follow=True)
        assert len(found) == 50


class TestLocalised:
    def test_is_the_definition(self):
        """(1 + 5) · (2 + e) / (2 + 6) - 1 with e = 6 in row 50 and 0 elsewhere; beyond a window the score stays."""
        local = np.zeros(100)
        local[50] = 6.0
        found = localised(evidence_of(np.full(100, 5.0), local), np.array([0, 100]), 10, 1)
        assert found[50] == 5.0
        np.testing.assert_allclose(found[40:50], 6 * 2 / 8 - 1)
        np.testing.assert_allclose(found[51:61], 6 * 2 / 8 - 1)
        np.testing.assert_allclose(found[[39, 61]], 5.0)

    def test_gaps_shorter_than_the_smoothing_are_closed(self):
        local = np.zeros(100)
        local[[50, 54]] = 6.0
        found = localised(evidence_of(np.full(100, 5.0), local), np.array([0, 100]), 10, 8)
        np.testing.assert_allclose(found[50:55], 5.0)

    def test_nothing_crosses_a_border(self):
        local = np.zeros(100)
        local[50] = 6.0
        found = localised(evidence_of(np.full(100, 5.0), local), np.array([0, 50, 100]), 10, 1)
        np.testing.assert_allclose(found[:50], 5.0)


ALARM = Alarm(start=2, end=6, peak=3, score=1.0, severity=1.0, until=6)


class TestChannels:
    def test_shares_are_those_of_the_local_evidence_inside_the_alarm(self):
        evidence = evidence_of(np.ones(8), local=[9, 9, 1, 4, 4, 1, 9, 9], channel=[1, 1, 0, 2, 2, 0, 1, 1])
        assert channel_shares(evidence, ALARM, ["a", "b", "c"]) == {"c": 0.8, "a": 0.2}

    def test_small_shares_are_left_out(self):
        evidence = evidence_of(np.ones(8), local=[0, 0, 4, 96, 0, 0, 0, 0], channel=[0, 0, 1, 2, 0, 0, 0, 0])
        assert channel_shares(evidence, ALARM, ["a", "b", "c"]) == {"c": 0.96}

    def test_the_largest_is_named_however_small(self):
        evidence = evidence_of(np.ones(60), channel=np.arange(60))
        alarm = ALARM._replace(start=0, end=60)
        assert channel_shares(evidence, alarm, list(range(60))) == {0: pytest.approx(1 / 60, abs=1e-4)}

    def test_rows_without_evidence_count_alike(self):
        evidence = evidence_of(np.ones(8), local=-np.ones(8), channel=[0, 0, 1, 1, 1, 0, 0, 0])
        assert channel_shares(evidence, ALARM, [0, 1]) == {1: 0.75, 0: 0.25}

    @pytest.mark.parametrize(("sign", "direction"), [(1, "up"), (-1, "down")])
    def test_direction_is_that_of_the_peaks_channel(self, sign, direction):
        """Channel 0 deviates far the other way."""
        deviation = sign * np.array([0, 0, 3, 2, -1, -99, 0, 0])
        evidence = evidence_of(np.ones(8), channel=[0, 0, 1, 1, 1, 0, 0, 0], deviation=deviation)
        assert direction_of(evidence, ALARM) == direction
