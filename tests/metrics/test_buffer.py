"""Buffer: TSB-AD's rule for the period of a series, and errors of an invalid buffer."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.metrics import _buffer, autocorrelation_period, vus_pr_score

NO_PERIOD = 125


def wave(period, n_rows=3000):
    return np.sin(np.arange(n_rows) * 2 * np.pi / period)


@pytest.mark.parametrize("period", [6, 7, 40, 125, 300])
def test_period_of_a_noisy_wave(period):
    noise = np.random.default_rng(0).normal(scale=0.05, size=3000)
    assert autocorrelation_period(wave(period) + noise) == pytest.approx(period, abs=1)


@pytest.mark.parametrize(
    "series", [np.ones(500), np.full(500, 0.1), np.arange(500.0), np.zeros(1), wave(350, 20_000), np.array([1.0, 2.0])]
)
def test_is_125_without_a_period_of_6_to_303_rows(series):
    assert autocorrelation_period(series) == NO_PERIOD


def test_reads_channel_0_only():
    X = np.column_stack([wave(40), wave(70)])
    assert autocorrelation_period(X) == 40
    assert autocorrelation_period(X[:, ::-1]) == 70


def test_reads_the_first_20000_rows_only():
    late = np.concatenate([wave(40, 20_000), 100 * wave(70, 20_000)])
    assert autocorrelation_period(late) == 40
    with_nan = np.append(wave(40, 20_000), np.nan)
    assert autocorrelation_period(with_nan) == 40
    with pytest.raises(ValueError, match=r"first at row 19999"):
        autocorrelation_period(with_nan[1:])


def test_the_mean_does_not_matter():
    assert autocorrelation_period(wave(40) + 1000) == 40


def test_a_series_of_objects_gives_the_period_of_its_numbers():
    assert autocorrelation_period(wave(40).astype(object)) == 40


@pytest.mark.parametrize(
    ("peaks", "period"),
    [
        ({6: 0.5}, 6),
        ({5: 0.5}, NO_PERIOD),
        ({303: 0.5}, 303),
        ({304: 0.5}, NO_PERIOD),
        ({20: 0.5, 50: 0.9, 90: 0.7}, 50),
        ({50: 0.5, 399: 0.9}, NO_PERIOD),  # the highest peak decides, and its lag is above 303
        ({50: 0.5, 400: 0.9}, 50),  # lag 400 has no right neighbour
        ({50: 0.5, 3: 0.9}, 50),  # lag 3 has no left neighbour
        ({50: 0.5, 4: 0.9}, NO_PERIOD),
        ({20: 0.5, 50: 0.9, 51: 0.9}, 20),  # a plateau is no strict maximum
    ],
)
def test_period_is_the_lag_of_the_highest_strict_peak(monkeypatch, peaks, period):
    correlation = np.zeros(1000)
    correlation[list(peaks)] = list(peaks.values())
    monkeypatch.setattr(_buffer, "_autocorrelation", lambda centred: correlation)
    assert autocorrelation_period(np.arange(1000)) == period


def test_autocorrelation_is_biased_and_1_at_lag_0():
    """Sums of products at lags 0 to 3, each divided by the number of rows."""
    series = np.array([1.0, -1.0, 2.0, -2.0])
    np.testing.assert_allclose(_buffer._autocorrelation(series), np.array([10, -7, 4, -2]) / 10, atol=1e-12)


@pytest.mark.parametrize(("n_rows", "size"), [(3000, 6075), (3037, 6075), (3038, 6144)])
def test_transform_has_the_length_of_tsb_ad(monkeypatch, n_rows, size):
    """The smallest 2^a 3^b 5^c that is at least 2 n_rows + 1: published values contain its rounding."""
    lengths = []
    transform = np.fft.fft
    monkeypatch.setattr(np.fft, "fft", lambda values, n: lengths.append(n) or transform(values, n=n))
    autocorrelation_period(wave(40, n_rows))
    assert lengths == [size]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [1.0, np.nan, 2.0],
            r"^Channel 0 of X has NaN or infinite values \(first at row 1\); fill them in, or pass buffer as a "
            r"number of rows\.$",
        ),
        (np.zeros((0, 2)), r"shape \(0, 2\); expected \(n_rows,\) or \(n_rows, n_channels\) with at least one row\.$"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
    ],
)
def test_invalid_series_raises_an_error_with_the_reason(X, message):
    with pytest.raises(ValueError, match=message):
        autocorrelation_period(X)


@pytest.mark.parametrize(
    ("buffer", "error", "message"),
    [
        ("auto", ValueError, r'^buffer="auto" needs the series: pass X=, or buffer as a number of rows\.$'),
        ("period", ValueError, r"^buffer is 'period'; expected a number of rows or \"auto\"\.$"),
        (-1, ValueError, r"^buffer is -1; expected an integer of at least 0\.$"),
        (2.5, TypeError, r"^buffer is 2.5; expected an integer of at least 0\.$"),
        (True, TypeError, r"^buffer is True; expected an integer of at least 0\.$"),
        (None, TypeError, r"^buffer is None; expected an integer of at least 0\.$"),
    ],
)
def test_invalid_buffer_raises_an_error_with_the_value(buffer, error, message):
    with pytest.raises(error, match=message):
        vus_pr_score([0, 1, 0], [0.1, 0.2, 0.3], buffer=buffer)


def test_a_numpy_integer_is_a_valid_buffer():
    assert vus_pr_score([0, 1, 0], [1, 2, 3], buffer=np.int64(2)) == vus_pr_score([0, 1, 0], [1, 2, 3], buffer=2)
