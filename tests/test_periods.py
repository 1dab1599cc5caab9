"""Periods of the training series."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import detrend

from timesad import TimesNetDetector
from timesad.exceptions import PeriodFallbackWarning
from timesad.periods import _fill_with_fractions, find_periods, mean_spectrum
from timesad.windows import Series


def wave(n_rows, *periods, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.arange(n_rows)
    clean = sum(np.sin(2 * np.pi * rows / period) for period in periods)
    return (clean + rng.normal(scale=noise, size=n_rows))[:, None]


def series_of(values, borders=None):
    return Series(np.asarray(values, dtype=np.float32), np.array([0, len(values)]) if borders is None else borders)


class TestMeanSpectrum:
    @pytest.mark.parametrize(
        ("borders", "segment", "begins"),
        [
            ([0, 40], 16, [0, 8, 16, 24]),
            ([0, 41], 8, [0, 4, 8, 12, 16, 20, 24, 28, 32]),
            ([0, 20, 41], 16, [0, 20]),
            ([0, 24, 48], 16, [0, 8, 24, 32]),
        ],
    )
    def test_mean_of_tapered_segments_that_overlap_by_half(self, borders, segment, begins):
        values = np.random.default_rng(0).normal(size=(borders[-1], 2)).astype(np.float32)
        taper = np.hanning(segment + 2)[1:-1, None]
        pieces = [detrend(values[begin : begin + segment].astype(float), axis=0) * taper for begin in begins]
        expected = np.mean([np.abs(np.fft.rfft(piece, axis=0)).mean(axis=1) for piece in pieces], axis=0)
        np.testing.assert_allclose(mean_spectrum(series_of(values, np.array(borders)), segment), expected, atol=1e-9)

    def test_a_shorter_series_is_padded_with_zeros(self):
        values = np.random.default_rng(0).normal(size=(10, 1)).astype(np.float32)
        piece = detrend(values.astype(float), axis=0) * np.hanning(12)[1:-1, None]
        np.testing.assert_allclose(mean_spectrum(series_of(values), 16), np.abs(np.fft.rfft(piece[:, 0], n=16)))

    def test_a_long_series_has_64_segments(self):
        """Segments begin at every second row from 0 to 996; 64 evenly spaced ones are read."""
        values = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
        chosen = 2 * np.linspace(0, 498, 64).round().astype(int)
        taper = np.hanning(6)[1:-1, None]
        pieces = [detrend(values[begin : begin + 4].astype(float), axis=0) * taper for begin in chosen]
        expected = np.mean([np.abs(np.fft.rfft(piece[:, 0])) for piece in pieces], axis=0)
        np.testing.assert_allclose(mean_spectrum(series_of(values), 4), expected)


class TestFindPeriods:
    @pytest.mark.parametrize("period", [7, 24, 40, 55, 75, 96])
    def test_finds_a_period_that_does_not_divide_the_window(self, period):
        """TimesNet's own rule finds only 96, 48, 32, 24, …"""
        periods, weights = find_periods(series_of(wave(3000, period, noise=0.02)), window_size=96, n_periods=1)
        assert abs(periods[0] - period) <= period // 48
        assert weights.tolist() == [1.0]
        assert periods.dtype == np.intp

    def test_parabola_through_the_peak_refines_the_period(self):
        """Segments of 400 rows resolve 400 / 9 = 44.4 and 400 / 10 = 40; the period of 42 lies between."""
        periods, _ = find_periods(series_of(wave(4000, 42, noise=0.0)), window_size=50, n_periods=1)
        assert periods.tolist() == [42]

    def test_two_periods_strongest_first_with_their_shares(self):
        values = 2 * wave(4000, 10, noise=0.0) + wave(4000, 50, noise=0.0)
        periods, weights = find_periods(series_of(values), window_size=100, n_periods=2)
        assert periods.tolist() == [10, 50]
        np.testing.assert_allclose(weights, [2 / 3, 1 / 3], atol=0.01)

    def test_a_segment_of_eight_windows_separates_close_periods(self):
        """Segments of 400 rows: 20 and 16 cycles. In half as many rows both would be one peak."""
        periods, _ = find_periods(series_of(wave(4000, 20, 25, noise=0.01)), window_size=50, n_periods=2)
        assert sorted(periods.tolist()) == [20, 25]

    def test_a_period_longer_than_the_window_is_left_out(self):
        values = 5 * wave(4000, 60, noise=0.05) + wave(4000, 20, noise=0.05)
        assert find_periods(series_of(values), window_size=50, n_periods=1)[0].tolist() == [20]

    def test_a_trend_has_no_period(self):
        values = wave(3000, 20) + np.linspace(0, 50, 3000)[:, None]
        assert find_periods(series_of(values), window_size=100, n_periods=1)[0].tolist() == [20]

    def test_no_segment_crosses_a_border(self):
        """Two series in opposite phase: across a border the phases would cancel."""
        values = np.concatenate([wave(150, 20, noise=0.0), -wave(150, 20, noise=0.0)] * 8)
        borders = np.arange(0, len(values) + 1, 150)
        assert find_periods(series_of(values, borders), window_size=60, n_periods=1)[0].tolist() == [20]

    def test_a_constant_series_has_fractions_of_the_window(self):
        message = (
            r"^The spectrum of the training series has 0 peaks at periods of at most window_size=50 rows, but "
            r"n_periods=3\. periods_=\[50, 25, 16\] is filled up with fractions of the window\. Use a smaller "
            r"n_periods or a longer series\.$"
        )
        with pytest.warns(PeriodFallbackWarning, match=message):
            periods, weights = find_periods(series_of(np.zeros((300, 2))), window_size=50, n_periods=3)
        assert periods.tolist() == [50, 25, 16]
        np.testing.assert_allclose(weights, 1 / 3)

    def test_rounding_of_large_values_has_no_period(self):
        with pytest.warns(PeriodFallbackWarning, match="has 0 peaks"):
            find_periods(series_of(np.full((300, 1), 1e8)), window_size=50, n_periods=1)

    def test_fractions_follow_the_peaks_with_the_weight_of_the_spectrum(self):
        values = wave(3000, 20, noise=0.0)
        with pytest.warns(PeriodFallbackWarning):
            periods, weights = find_periods(series_of(values), window_size=20, n_periods=19)
        assert periods[0] == 20
        assert set(periods.tolist()) == set(range(2, 21))
        assert weights[0] == weights.max()
        assert weights.sum() == pytest.approx(1.0)

    def test_after_the_fractions_any_other_period_follows_from_the_longest(self):
        with pytest.warns(PeriodFallbackWarning):
            periods, _ = find_periods(series_of(np.zeros((300, 1))), window_size=12, n_periods=11)
        assert periods.tolist() == [12, 6, 4, 3, 2, 11, 10, 9, 8, 7, 5]

    def test_fractions_have_the_amplitude_at_their_frequency(self):
        """A segment of 16 rows holds 4, 8 and 5.3 cycles of the periods 4, 2 and 3; one of 17 rows has no ninth bin."""
        found = {}
        _fill_with_fractions(found, np.arange(9.0) ** 2, segment=16, window_size=4, n_periods=3)
        assert found == {4: 16.0, 2: 64.0, 3: 25.0}
        found = {4: 7.0}
        _fill_with_fractions(found, np.arange(8.0), segment=17, window_size=4, n_periods=2)
        assert found == {4: 7.0, 2: 7.0}

    def test_a_small_series_has_the_same_weights(self):
        values = 2 * wave(4000, 10) + wave(4000, 50)
        _, weights = find_periods(series_of(values), window_size=100, n_periods=2)
        _, small = find_periods(series_of(1e-4 * values), window_size=100, n_periods=2)
        np.testing.assert_allclose(small, weights, rtol=1e-4)

    def test_the_shortest_period_is_two(self):
        assert find_periods(series_of(wave(3000, 2.2)), window_size=8, n_periods=1)[0].tolist() == [2]

    def test_the_warning_points_to_the_call_of_fit(self):
        detector = TimesNetDetector(window_size=8, n_layers=1, model_size=2, max_epochs=1, random_state=0)
        with pytest.warns(PeriodFallbackWarning) as caught:
            detector.fit(np.zeros((40, 1)))
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(("window_size", "n_periods"), [(8, 5), (4, 3), (4, 1)])
    @pytest.mark.filterwarnings("ignore::timesad.exceptions.PeriodFallbackWarning")
    def test_small_windows_have_distinct_periods(self, window_size, n_periods):
        """The official code fails at window 8 with five periods."""
        values = np.random.default_rng(0).normal(size=(30, 1))
        periods, _ = find_periods(series_of(values), window_size=window_size, n_periods=n_periods)
        assert len(set(periods.tolist())) == n_periods
        assert periods.min() >= 2
        assert periods.max() <= window_size
