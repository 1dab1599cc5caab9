"""Alarms of a stream open, close, or are withdrawn; what is closed never changes."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.alarm_events import AlarmTracker
from timesad.alarms import AlarmFinder, AlarmOptions
from timesad.scoring import RowEvidence

WINDOW, SMOOTHING = 16, 4
OPTIONS = AlarmOptions(level=1.0, follow=False, merge=10, direction="both", min_duration=1, min_severity=1.0)
SETTLED = OPTIONS.merge + WINDOW + SMOOTHING


def evidence_of(score):
    score = np.asarray(score, dtype=float)
    return RowEvidence(score, score, score, np.zeros(len(score), dtype=np.intp), score.astype(np.float32))


@pytest.fixture(scope="module")
def finder():
    noise = np.abs(np.random.default_rng(0).normal(scale=0.2, size=3000))
    return AlarmFinder.fit(evidence_of(noise), np.array([0, 3000]), WINDOW, SMOOTHING)


def step(tracker, finder, score, n_final, *, ended=False):
    """Events as (event, start, end), and the tracker after them."""
    evidence = tracker.evidence.followed_by(evidence_of(score))
    events, after = tracker.events(evidence, finder, OPTIONS, n_final, ended=ended)
    return [(event, alarm.start, alarm.end) for event, _, alarm in events], after


def test_an_alarm_opens_grows_and_closes(finder):
    tracker = AlarmTracker.begin(finder, 0, 0, 0)
    rows = np.zeros(200)
    rows[50:70] = 2.0
    events, tracker = step(tracker, finder, rows[:60], 40)
    assert events == [("opened", 50, 60)]
    events, tracker = step(tracker, finder, rows[40 : 70 + SETTLED - 1], 70 + SETTLED - 1)
    assert events == []
    assert [(one.start, one.end) for _, one in tracker.opened] == [(50, 70)]
    events, tracker = step(tracker, finder, rows[70 + SETTLED - 1 : 70 + SETTLED], 70 + SETTLED)
    assert events == [("closed", 50, 70)]
    events, tracker = step(tracker, finder, rows[70 + SETTLED :], 200)
    assert events == []


def test_one_that_later_rows_end_is_withdrawn(finder):
    tracker = AlarmTracker.begin(finder, 0, 0, 0)
    events, tracker = step(tracker, finder, [*np.zeros(40), 2.0, 2.0], 40)
    assert events == [("opened", 40, 42)]
    events, tracker = step(tracker, finder, np.zeros(30), 60)
    assert events == [("withdrawn", 40, 42)]
    assert step(tracker, finder, np.zeros(30), 80)[0] == []


def test_two_that_later_rows_join_are_one(finder):
    tracker = AlarmTracker.begin(finder, 0, 0, 0)
    apart = np.zeros(80)
    apart[[40, 60]] = 2.0
    events, tracker = step(tracker, finder, apart, 35)
    assert events == [("opened", 40, 41), ("opened", 60, 61)]
    joined = np.zeros(80 - 35)
    joined[40 - 35 : 61 - 35] = 2.0
    events, tracker = step(tracker, finder, joined, 70)
    assert events == [("withdrawn", 60, 61)]
    assert [(number, one.start, one.end) for number, one in tracker.opened] == [(0, 40, 61)]


def test_at_the_end_all_close(finder):
    tracker = AlarmTracker.begin(finder, 0, 0, 0)
    rows = np.zeros(100)
    rows[95:] = 2.0
    assert step(tracker, finder, rows, 100, ended=True)[0] == [("opened", 95, 100), ("closed", 95, 100)]


def test_one_that_outlasts_what_is_kept_has_its_first_row(finder):
    tracker = AlarmTracker.begin(finder, 0, 0, 0)
    events, tracker = step(tracker, finder, [*np.zeros(100), *np.full(900, 2.0)], 1000)
    assert events == [("opened", 100, 1000)]
    for n_rows in range(2000, 8001, 1000):
        events, tracker = step(tracker, finder, np.full(1000, 2.0), n_rows)
        assert events == []
    assert tracker.first_row > 1000
    assert len(tracker.evidence.score) <= 2 * finder.memory + finder.step
    events, tracker = step(tracker, finder, np.zeros(500), 8500)
    assert events == [("closed", 100, 8000)]


def test_what_is_before_the_first_row_to_follow_does_not_open(finder):
    tracker = AlarmTracker.begin(finder, 0, 100, 100)
    rows = np.zeros(200)
    rows[50:60] = rows[150:160] = 2.0
    assert step(tracker, finder, rows, 200, ended=True)[0] == [("opened", 150, 160), ("closed", 150, 160)]


def test_a_tracker_begins_two_memories_before(finder):
    tracker = AlarmTracker.begin(finder, 1000, 9000, 500)
    assert tracker.first_row % finder.step == 0
    assert 0 <= 9000 - 2 * finder.memory - tracker.first_row < finder.step
    assert tracker.n_closed == tracker.first_row + finder.memory
    assert AlarmTracker.begin(finder, 6000, 9000, 500).first_row == 6000
