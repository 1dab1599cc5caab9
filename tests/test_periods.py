"""Periods are found where they are, and asked for where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.exceptions import PeriodFallbackWarning
from timesad.periods import learn_periods


def wave(n_rows, *periods, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.arange(n_rows)
    clean = sum(np.sin(2 * np.pi * rows / period) for period in periods)
    return (clean + rng.normal(scale=noise, size=n_rows))[:, None]


@pytest.mark.parametrize("period", [7, 24, 40, 96])
def test_finds_a_period_that_is_no_division_of_the_window(period):
    """TimesNet's own rule knows only 96 // k: 96, 48, 32, 24, …"""
    periods, weights = learn_periods(wave(3000, period), np.array([0, 3000]), window_size=96, top_k=1)
    assert abs(periods[0] - period) <= 1 + period // 48
    assert weights.tolist() == [1.0]


def test_finds_two_periods_strongest_first():
    X = 2 * wave(4000, 12) + wave(4000, 50, seed=1)
    periods, weights = learn_periods(X, np.array([0, 4000]), window_size=100, top_k=2)
    assert periods.tolist() == [12, 50]
    assert weights[0] > weights[1]


def test_a_trend_is_no_period():
    X = wave(3000, 20) + np.linspace(0, 50, 3000)[:, None]
    assert learn_periods(X, np.array([0, 3000]), window_size=100, top_k=1)[0].tolist() == [20]


def test_no_segment_crosses_a_border():
    """Two series out of phase: cut at the border the period is clear, across it the phases cancel."""
    X = np.concatenate([wave(150, 20, noise=0.0), -wave(150, 20, noise=0.0)] * 8)
    borders = np.arange(0, len(X) + 1, 150)
    assert learn_periods(X, borders, window_size=60, top_k=1)[0].tolist() == [20]


def test_a_constant_series_falls_back_and_says_so():
    with pytest.warns(PeriodFallbackWarning, match="shows 0 of its own periods"):
        periods, weights = learn_periods(np.ones((300, 2)), np.array([0, 300]), window_size=50, top_k=3)
    assert periods.tolist() == [50, 25, 16]
    assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("window_size", "top_k"), [(8, 5), (4, 3), (4, 1)])
@pytest.mark.filterwarnings("ignore::timesad.exceptions.PeriodFallbackWarning")
def test_small_windows_still_get_distinct_periods(window_size, top_k):
    """The original crashes at window 8 with five periods."""
    X = np.random.default_rng(0).normal(size=(30, 1))
    periods, _ = learn_periods(X, np.array([0, 30]), window_size=window_size, top_k=top_k)
    assert len(set(periods.tolist())) == top_k
    assert periods.min() >= 2
    assert periods.max() <= window_size
