"""VUS: equal to its definition, linear in memory, and forgiving just where it says so."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from benchmarks.vus_speed import vus_by_definition
from timesad.metrics import range_auc_pr_score, range_auc_roc_score, vus_pr_score, vus_roc_score


def labels_with_events(n_rows, events):
    y_true = np.zeros(n_rows, dtype=int)
    for start, stop in events:
        y_true[start:stop] = 1
    return y_true


EVENTS = {
    "one": [(60, 80)],
    "at both ends": [(0, 3), (190, 200)],
    "points in a row": [(50, 51), (52, 53), (54, 55), (57, 58)],
    "buffers that just touch": [(40, 50), (60, 70), (80, 85)],
    "buffers of three events": [(90, 92), (96, 97), (100, 108)],
    "mostly anomalous": [(0, 80), (83, 150), (160, 199)],
}


@pytest.mark.parametrize("events", EVENTS.values(), ids=EVENTS.keys())
@pytest.mark.parametrize("n_levels", [3, 1000])
def test_equals_the_definition(events, n_levels):
    """Also with ties (few levels) and with more thresholds than rows."""
    y_true = labels_with_events(200, events)
    y_score = np.random.default_rng(1).integers(0, n_levels, size=200) / n_levels + 0.3 * y_true
    roc, pr = vus_by_definition(y_true, y_score, buffer=21)
    assert vus_roc_score(y_true, y_score, buffer=21) == pytest.approx(roc, rel=0, abs=1e-12)
    assert vus_pr_score(y_true, y_score, buffer=21) == pytest.approx(pr, rel=0, abs=1e-12)


def test_is_the_mean_of_range_auc_over_all_buffers():
    y_true = labels_with_events(300, [(50, 70), (85, 90), (200, 240)])
    y_score = np.random.default_rng(2).normal(size=300) + y_true
    for volume, area in [(vus_pr_score, range_auc_pr_score), (vus_roc_score, range_auc_roc_score)]:
        slices = [area(y_true, y_score, buffer=length) for length in range(16)]
        assert volume(y_true, y_score, buffer=15) == pytest.approx(np.mean(slices), rel=1e-12)


def test_memory_is_linear_in_rows_and_does_not_grow_with_the_buffer():
    """A table of rows by buffer lengths, or of rows by thresholds, would take 100 times the scores and more."""
    n_rows = 50_000
    y_true = labels_with_events(n_rows, [(start, start + 40) for start in range(500, n_rows, 1000)])
    y_score = np.random.default_rng(3).normal(size=n_rows)
    tracemalloc.start()
    vus_pr_score(y_true, y_score, buffer=125)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25 * y_score.nbytes


def test_only_the_order_of_scores_matters():
    y_true = labels_with_events(400, [(100, 130), (300, 310)])
    y_score = np.random.default_rng(4).normal(size=400) + y_true
    assert vus_pr_score(y_true, np.exp(3 * y_score)) == vus_pr_score(y_true, y_score)
    assert vus_pr_score(y_true, -y_score) < vus_pr_score(y_true, y_score)


def test_a_buffer_forgives_a_late_score_within_its_half_length():
    y_true = labels_with_events(1000, [(300, 320), (700, 720)])
    late = np.roll(y_true, 8).astype(float)
    much_too_late = np.roll(y_true, 100).astype(float)
    assert vus_pr_score(y_true, late, buffer=40) > vus_pr_score(y_true, late, buffer=0) + 0.2
    assert vus_pr_score(y_true, much_too_late, buffer=40) < 0.1


def test_a_random_score_gets_about_the_share_of_anomalies():
    y_true = labels_with_events(20_000, [(start, start + 50) for start in range(500, 20_000, 1000)])
    y_score = np.random.default_rng(5).normal(size=20_000)
    assert vus_pr_score(y_true, y_score, buffer=0) == pytest.approx(0.05, abs=0.01)
    assert vus_roc_score(y_true, y_score, buffer=0) == pytest.approx(0.5, abs=0.03)


def test_a_missed_event_costs_recall():
    """The existence factor: the same number of rows found, all in one event, is worth less."""
    y_true = labels_with_events(500, [(100, 120), (300, 320)])
    both, one = np.zeros(500), np.zeros(500)
    both[[*range(100, 110), *range(300, 310)]] = 1
    one[100:120] = 1
    assert range_auc_pr_score(y_true, both, buffer=10) > range_auc_pr_score(y_true, one, buffer=10) + 0.1


def test_auto_buffer_is_the_period_of_the_series():
    X = np.sin(np.arange(600) * 2 * np.pi / 30)
    y_true = labels_with_events(600, [(100, 120)])
    y_score = np.random.default_rng(6).normal(size=600) + y_true
    assert vus_pr_score(y_true, y_score, buffer="auto", X=X) == vus_pr_score(y_true, y_score, buffer=30)
    assert vus_pr_score(y_true, y_score) == vus_pr_score(y_true, y_score, buffer=100)


def test_all_anomalous_rows_give_what_average_precision_gives():
    assert vus_pr_score([1, 1, 1], [0.3, 0.1, 0.2], buffer=4) == pytest.approx(1.0)
