"""F1 by row, by event, by range and with point adjustment, on small examples computed by hand."""

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
from timesad.metrics._thresholds import harmonic_mean


@pytest.fixture
def noisy_series():
    """Ten events of 5 to 95 rows in 2,000 rows, and a score with noise."""
    rng = np.random.default_rng(0)
    y_true = np.zeros(2000, dtype=int)
    for number, start in enumerate(range(50, 2000, 200)):
        y_true[start : start + 5 + 10 * number] = 1
    return y_true, rng.normal(size=2000) + 1.5 * y_true


def point_adjusted_percent(y_true, y_pred, k):
    """PA%K by the definition of its paper, event by event."""
    adjusted = y_pred.copy()
    borders = np.flatnonzero(np.diff(np.concatenate([[0], y_true, [0]])))
    for start, stop in borders.reshape(-1, 2):
        if y_pred[start:stop].sum() * 100 > k * (stop - start):
            adjusted[start:stop] = 1
    return adjusted


def test_best_f1_of_a_perfect_score_has_the_offset_of_tsb_ad():
    assert best_f1_score([0, 1], [0.1, 0.9]) == pytest.approx(2 / (2 + 1e-5), rel=1e-15)


def test_best_f1_is_the_maximum_over_all_thresholds(noisy_series):
    y_true, y_score = (values[::10] for values in noisy_series)
    every = [f1_score(y_true, y_score >= threshold) for threshold in y_score]
    assert best_f1_score(y_true, y_score) == pytest.approx(max(every), abs=1e-5)


@pytest.mark.parametrize("k", [0, 10, 20, 29, 50, 99.5, 100])
@pytest.mark.parametrize("threshold", [-1.0, 0.5, 2.0])
def test_pa_k_equals_the_definition_of_its_paper(noisy_series, k, threshold):
    y_true, y_score = noisy_series
    adjusted = point_adjusted_percent(y_true, (y_score > threshold).astype(int), k)
    expected = f1_score(y_true, adjusted)
    assert pa_k_f1_score(y_true, y_score, k=k, threshold=threshold) == pytest.approx(expected, rel=1e-12)


def test_pa_k_needs_more_than_k_percent():
    """Exactly k percent adjusts no event. 0.29 * 100 rows is 28.999… in floating point."""
    y_true = np.array([1] * 100 + [0] * 10)
    y_pred = np.array([1] * 29 + [0] * 81)
    plain = f1_score(y_true, y_pred)
    assert pa_k_f1_score(y_true, y_pred, k=29, threshold=0.5) == pytest.approx(plain)
    assert pa_k_f1_score(y_true, y_pred, k=28.9, threshold=0.5) == 1.0


@pytest.mark.parametrize(("n_flagged", "is_adjusted"), [(20, False), (21, True)])
def test_pa_k_adjusts_above_20_percent_by_default(n_flagged, is_adjusted):
    y_true = np.array([1] * 100 + [0] * 10)
    y_pred = np.array([1] * n_flagged + [0] * (110 - n_flagged))
    assert (pa_k_f1_score(y_true, y_pred, threshold=0.5) == 1.0) is is_adjusted


def test_pa_k_adjusts_each_event_by_itself():
    """Half of the first event and a quarter of the second are flagged; only the first exceeds 30 percent."""
    y_true = [0, 1, 1, 0, 1, 1, 1, 1, 0]
    y_pred = [0, 1, 0, 0, 0, 0, 0, 1, 1]
    true_positives, flagged, positives = 3, 4, 6
    expected = 2 * true_positives / (flagged + positives)
    assert pa_k_f1_score(y_true, y_pred, k=30, threshold=0.5) == pytest.approx(expected, rel=1e-15)


def test_pa_k_is_non_increasing_in_k_and_row_wise_at_100(noisy_series):
    y_true, y_score = noisy_series
    curve = [pa_k_f1_score(y_true, y_score, k=k) for k in range(0, 101, 5)]
    assert np.all(np.diff(curve) <= 0)
    assert curve[0] > curve[-1]
    grid = np.linspace(y_score.min(), y_score.max(), 100)
    assert curve[-1] == pytest.approx(max(f1_score(y_true, y_score > threshold) for threshold in grid[:-1]))


def test_area_over_k_is_the_trapezoidal_mean_of_the_curve(noisy_series):
    y_true, y_score = noisy_series
    curve = np.array([pa_k_f1_score(y_true, y_score, k=k) for k in range(101)])
    assert pa_k_auc_score(y_true, y_score) == pytest.approx((curve[:-1] + curve[1:]).mean() / 2, rel=1e-12)


def test_plain_point_adjustment_gives_a_random_score_a_high_value():
    """The documentation of k=0 states this."""
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


def test_range_f1_has_an_existence_term_and_divides_by_the_number_of_pieces():
    y_true = [1, 1, 1, 1, 0, 0, 1, 1, 0, 1]
    y_pred = [1, 0, 0, 1, 1, 0, 0, 0, 0, 1]
    recall = ((0.2 + 0.8 * (2 / 4) / 2) + 0 + (0.2 + 0.8 * 1)) / 3
    precision = (1 + 1 / 2 + 1) / 3
    expected = 2 * precision * recall / (precision + recall)
    assert range_f1_score(y_true, y_pred, threshold=0.5) == pytest.approx(expected)


def test_range_f1_divides_precision_by_the_number_of_events_in_a_flagged_run():
    """One flagged run covers both events: recall is 1, precision is the overlap divided by two."""
    y_true = [0, 1, 1, 0, 1, 1, 0]
    y_pred = [0, 1, 1, 1, 1, 1, 0]
    recall, precision = 1.0, (4 / 5) / 2
    expected = 2 * precision * recall / (precision + recall)
    assert range_f1_score(y_true, y_pred, threshold=0.5) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [event_f1_score, pa_k_f1_score, pa_k_auc_score, range_f1_score])
def test_best_is_the_maximum_over_its_grid(noisy_series, metric):
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
def test_a_constant_score_flags_no_row_and_gives_0(metric):
    assert metric([0, 1, 1, 0], [2.0, 2.0, 2.0, 2.0]) == 0.0


@pytest.mark.parametrize("metric", [event_f1_score, pa_k_f1_score, pa_k_auc_score, range_f1_score])
def test_a_score_equal_to_the_threshold_is_not_flagged(metric):
    assert metric([0, 0, 0, 1], [0.5, 0.0, 0.0, 1.0], threshold=0.5) == 1.0
    assert metric([0, 0, 0, 1], [0.5, 0.0, 0.0, 1.0], threshold=0.4) < 1.0


def test_harmonic_mean_is_0_where_both_values_are_0():
    """The arrays of sevens are freed before, so that a result without initial values contains sevens."""
    zeros = np.zeros(1000)
    for _ in range(10):
        sevens = [np.full(1000, 7.0) for _ in range(10)]
        del sevens
        assert not harmonic_mean(zeros, zeros).any()


def test_pa_k_does_not_adjust_the_first_row():
    """As in TSB-AD, whose published values contain this rule."""
    assert pa_k_f1_score([1, 0, 1], [0, 0, 1], k=0, threshold=0.5) == pytest.approx(2 * 1 / (1 + 2))
    assert pa_k_f1_score([1, 1, 1, 0], [0, 1, 0, 0], k=0, threshold=0.5) == pytest.approx(2 * 2 / (2 + 3))
    assert pa_k_f1_score([0, 1, 1, 1], [0, 0, 1, 0], k=0, threshold=0.5) == 1.0
