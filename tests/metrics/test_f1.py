"""F1 by row, by event, by range and point-adjusted, on examples small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from timesad.metrics import (
    best_f1_score,
    event_f1_score,
    pa_k_auc_score,
    pa_k_f1_score,
    range_f1_score,
    vus_pr_score,
)


@pytest.fixture
def noisy_series():
    """Ten events of 5 to 95 rows in 2,000, and a score that sees them through noise."""
    rng = np.random.default_rng(0)
    y_true = np.zeros(2000, dtype=int)
    for number, start in enumerate(range(50, 2000, 200)):
        y_true[start : start + 5 + 10 * number] = 1
    return y_true, rng.normal(size=2000) + 1.5 * y_true


def point_adjusted_percent(y_true, y_pred, k):
    """PA%K as its paper states it, event by event."""
    adjusted = y_pred.copy()
    borders = np.flatnonzero(np.diff(np.concatenate([[0], y_true, [0]])))
    for start, stop in borders.reshape(-1, 2):
        if y_pred[start:stop].sum() * 100 > k * (stop - start):
            adjusted[start:stop] = 1
    return adjusted


def test_best_f1_is_the_highest_of_all_thresholds(noisy_series):
    y_true, y_score = (values[::10] for values in noisy_series)
    every = [f1_score(y_true, y_score >= threshold) for threshold in y_score]
    assert best_f1_score(y_true, y_score) == pytest.approx(max(every), abs=1e-5)


@pytest.mark.parametrize("k", [0, 10, 20, 29, 50, 99.5, 100])
@pytest.mark.parametrize("threshold", [-1.0, 0.5, 2.0])
def test_pa_k_follows_its_paper(noisy_series, k, threshold):
    y_true, y_score = noisy_series
    adjusted = point_adjusted_percent(y_true, (y_score > threshold).astype(int), k)
    expected = f1_score(y_true, adjusted)
    assert pa_k_f1_score(y_true, y_score, k=k, threshold=threshold) == pytest.approx(expected, rel=1e-12)


def test_pa_k_asks_for_more_than_k_percent():
    """At exactly k percent nothing is adjusted; 29 percent of 100 rows is where floating point would slip."""
    y_true = np.array([1] * 100 + [0] * 10)
    y_pred = np.array([1] * 29 + [0] * 81)
    plain = f1_score(y_true, y_pred)
    assert pa_k_f1_score(y_true, y_pred, k=29, threshold=0.5) == pytest.approx(plain)
    assert pa_k_f1_score(y_true, y_pred, k=28.9, threshold=0.5) == 1.0


def test_pa_k_never_rises_with_k_and_ends_at_plain_f1(noisy_series):
    y_true, y_score = noisy_series
    curve = [pa_k_f1_score(y_true, y_score, k=k) for k in range(0, 101, 5)]
    assert np.all(np.diff(curve) <= 0)
    assert curve[0] > curve[-1]
    grid = np.linspace(y_score.min(), y_score.max(), 100)
    assert curve[-1] == pytest.approx(max(f1_score(y_true, y_score > threshold) for threshold in grid[:-1]))


def test_area_over_k_is_the_mean_height_of_the_curve(noisy_series):
    y_true, y_score = noisy_series
    curve = np.array([pa_k_f1_score(y_true, y_score, k=k) for k in range(101)])
    assert pa_k_auc_score(y_true, y_score) == pytest.approx((curve[:-1] + curve[1:]).mean() / 2, rel=1e-12)


def test_plain_point_adjustment_makes_a_random_score_look_excellent():
    """The reason why k=0 carries a warning in its documentation."""
    y_true = np.zeros(20_000, dtype=int)
    for start in range(1000, 20_000, 4000):
        y_true[start : start + 400] = 1
    y_score = np.random.default_rng(1).random(20_000)
    assert pa_k_f1_score(y_true, y_score, k=0) > 0.9
    assert best_f1_score(y_true, y_score) < 0.25
    assert vus_pr_score(y_true, y_score) < 0.25


def test_event_f1_counts_events_in_recall_and_rows_in_precision():
    y_true = [1, 1, 0, 0, 1, 1, 1, 0, 1, 0]
    y_pred = [0, 1, 1, 0, 0, 1, 0, 0, 0, 1]
    precision, recall = 2 / 4, 2 / 3
    expected = 2 * precision * recall / (precision + recall)
    assert event_f1_score(y_true, y_pred, threshold=0.5) == pytest.approx(expected)


def test_range_f1_rewards_existence_and_punishes_pieces():
    y_true = [1, 1, 1, 1, 0, 0, 1, 1, 0, 1]
    y_pred = [1, 0, 0, 1, 1, 0, 0, 0, 0, 1]
    recall = ((0.2 + 0.8 * (2 / 4) / 2) + 0 + (0.2 + 0.8 * 1)) / 3
    precision = (1 + 1 / 2 + 1) / 3
    expected = 2 * precision * recall / (precision + recall)
    assert range_f1_score(y_true, y_pred, threshold=0.5) == pytest.approx(expected)


def test_range_f1_counts_a_flagged_run_over_two_events_once_for_each():
    """One run over both events: recall is whole, precision is overlap divided by two."""
    y_true = [0, 1, 1, 0, 1, 1, 0]
    y_pred = [0, 1, 1, 1, 1, 1, 0]
    recall, precision = 1.0, (4 / 5) / 2
    expected = 2 * precision * recall / (precision + recall)
    assert range_f1_score(y_true, y_pred, threshold=0.5) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [event_f1_score, pa_k_f1_score, pa_k_auc_score, range_f1_score])
def test_best_is_the_best_of_its_grid(noisy_series, metric):
    y_true, y_score = noisy_series
    grid = np.linspace(y_score.min(), y_score.max(), 7)
    best = metric(y_true, y_score, n_thresholds=7)
    singles = [metric(y_true, y_score, threshold=float(threshold)) for threshold in grid]
    assert max(singles) > 0
    if metric is pa_k_auc_score:  # every k has its own best threshold
        assert best >= max(singles)
    else:
        assert best == max(singles)


@pytest.mark.parametrize("metric", [event_f1_score, pa_k_f1_score, pa_k_auc_score, range_f1_score])
def test_a_constant_score_flags_nothing_and_gets_0(metric):
    assert metric([0, 1, 1, 0], [2.0, 2.0, 2.0, 2.0]) == 0.0


def test_the_very_first_row_is_never_adjusted():
    """TSB-AD's rule, kept for its published values."""
    assert pa_k_f1_score([1, 1, 1, 0], [0, 1, 0, 0], k=0, threshold=0.5) == pytest.approx(2 * 2 / (2 + 3))
    assert pa_k_f1_score([0, 1, 1, 1], [0, 0, 1, 0], k=0, threshold=0.5) == 1.0
