"""The buffer's length: TSB-AD's rule for a series' period, and errors that say what to pass."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.metrics import autocorrelation_period, vus_pr_score

NO_PERIOD = 125


def wave(period, n_rows=3000):
    return np.sin(np.arange(n_rows) * 2 * np.pi / period)


@pytest.mark.parametrize("period", [6, 7, 40, 125, 300])
def test_finds_the_period_of_a_noisy_wave(period):
    noise = np.random.default_rng(0).normal(scale=0.05, size=3000)
    assert autocorrelation_period(wave(period) + noise) == pytest.approx(period, abs=1)


@pytest.mark.parametrize(
    "series", [np.ones(500), np.full(500, 0.1), np.arange(500.0), np.zeros(1), wave(350, 20_000), np.array([1.0, 2.0])]
)
def test_gives_125_where_there_is_no_period_in_reach(series):
    assert autocorrelation_period(series) == NO_PERIOD


def test_reads_channel_0_alone():
    X = np.column_stack([wave(40), wave(70)])
    assert autocorrelation_period(X) == 40
    assert autocorrelation_period(X[:, ::-1]) == 70


def test_reads_the_first_20000_rows_alone():
    late = np.concatenate([wave(40, 20_000), 100 * wave(70, 20_000)])
    assert autocorrelation_period(late) == 40


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([1.0, np.nan, 2.0], "Channel 0 of X .*first at row 1"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
    ],
)
def test_unusable_series_is_an_error(X, message):
    with pytest.raises(ValueError, match=message):
        autocorrelation_period(X)


@pytest.mark.parametrize(
    ("buffer", "error", "message"),
    [
        ("auto", ValueError, "pass X="),
        ("period", ValueError, 'expected a number of rows or "auto"'),
        (-1, ValueError, "buffer is -1"),
        (2.5, TypeError, "buffer is 2.5"),
        (True, TypeError, "buffer is True"),
        (None, TypeError, "buffer is None"),
    ],
)
def test_unusable_buffer_is_an_error_that_names_it(buffer, error, message):
    with pytest.raises(error, match=message):
        vus_pr_score([0, 1, 0], [0.1, 0.2, 0.3], buffer=buffer)


def test_a_numpy_integer_is_a_buffer():
    assert vus_pr_score([0, 1, 0], [1, 2, 3], buffer=np.int64(2)) == vus_pr_score([0, 1, 0], [1, 2, 3], buffer=2)
