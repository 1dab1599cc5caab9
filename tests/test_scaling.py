"""Channels of any unit become comparable, and extreme values stay finite."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from timesad.scaling import ChannelScaling


class TestFit:
    def test_standardises_whatever_the_unit(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, 2)) * [1e-6, 1e6] + [3e-5, -4e9]
        scaled = ChannelScaling.fit(X)(X)
        np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-4)

    def test_hand_computed(self):
        scaling = ChannelScaling.fit(np.array([[1.0, 7.0], [3.0, 7.0], [5.0, 13.0], [7.0, 13.0]]))
        assert scaling.center.tolist() == [4.0, 10.0]
        np.testing.assert_allclose(scaling.scale, [np.sqrt(5), 3.0])

    def test_chunks_change_nothing_but_rounding(self):
        X = np.random.default_rng(0).normal(size=(150_000, 1)) + 7
        scaling = ChannelScaling.fit(X)
        np.testing.assert_allclose([scaling.center[0], scaling.scale[0]], [X.mean(), X.std()], rtol=1e-10)
        np.testing.assert_allclose(scaling(X), (X - X.mean()) / X.std(), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize(("deviation", "constant"), [(0.0, True), (5e-8, True), (5e-7, False)])
    def test_a_deviation_below_rounding_is_constant(self, deviation, constant):
        """Relative to a mean of 1e6, rounding is 1e-7."""
        X = 1e6 + deviation * np.array([[-1.0], [1.0]] * 4)
        assert (ChannelScaling.fit(X).scale[0] == 1.0) == constant

    def test_values_too_large_for_a_mean_are_refused_by_channel(self):
        message = (
            r"^channel 1 of X has values up to 1e\+308, too large for a mean in double precision\. Rescale the "
            r"channel, for example by its unit\.$"
        )
        with pytest.raises(ValueError, match=message):
            ChannelScaling.fit(np.array([[0.0, 1e308], [1.0, -1e308]]))

    @pytest.mark.parametrize("exponent", [-1000, -540, -100, 100, 540, 1000])
    def test_a_unit_of_any_size_gives_the_same_scaled_rows(self, exponent):
        """A square of 2^-540 vanishes and one of 2^540 overflows; the unit of a channel must not matter."""
        X = np.random.default_rng(0).normal(size=(100, 2))
        expected = ChannelScaling.fit(X)(X)
        np.testing.assert_array_equal(ChannelScaling.fit(X * 2.0**exponent)(X * 2.0**exponent), expected)


class TestCall:
    @pytest.mark.parametrize(("n_channels", "limit"), [(1, 1000.0), (2, 8.0), (5, 8.0)])
    def test_is_linear_up_to_the_limit_and_logarithmic_beyond(self, n_channels, limit):
        scaling = ChannelScaling(np.zeros(n_channels), np.ones(n_channels))
        assert scaling.linear_limit == limit
        z = np.array([-limit - 9, -limit, -1.5, 0.0, 2.0, limit, limit + 1, limit + 99])
        expected = [-limit - log(10), -limit, -1.5, 0.0, 2.0, limit, limit + log(2), limit + log(100)]
        scaled = scaling(np.repeat(z[:, None], n_channels, axis=1))
        np.testing.assert_allclose(scaled, np.repeat(np.array(expected)[:, None], n_channels, axis=1), rtol=1e-6)
        assert scaled.dtype == np.float32

    def test_centers_and_scales_each_channel(self):
        scaling = ChannelScaling(np.array([1.0, 10.0]), np.array([2.0, 5.0]))
        assert scaling(np.array([[3.0, 0.0], [0.0, 20.0]])).tolist() == [[1.0, -2.0], [-0.5, 2.0]]

    def test_a_change_in_a_constant_channel_counts_and_is_finite(self):
        scaling = ChannelScaling.fit(np.full((50, 2), 3.3))
        assert scaling(np.array([[3.3, 3.3]])).tolist() == [[0.0, 0.0]]
        assert scaling(np.array([[4.3, 4.3]]))[0, 0] == pytest.approx(1.0)
        assert 8 < scaling(np.array([[1e9, 3.3]]))[0, 0] < 30

    @pytest.mark.parametrize("n_channels", [1, 2])
    def test_an_overflow_is_the_largest_finite_value(self, n_channels):
        scaling = ChannelScaling(np.zeros(n_channels), np.full(n_channels, 1e-200))
        scaled = scaling(np.full((1, n_channels), 1e200))
        np.testing.assert_allclose(scaled, scaling.linear_limit + np.log(np.finfo(float).max), rtol=1e-6)

    @pytest.mark.parametrize("n_channels", [1, 2])
    def test_order_is_kept_far_outside(self, n_channels):
        rows = np.repeat([[-1e30], [-9.0], [7.9], [8.1], [1e3], [1.1e3], [1e9]], n_channels, axis=1)
        scaled = ChannelScaling(np.zeros(n_channels), np.ones(n_channels))(rows)
        assert (np.diff(scaled[:, 0]) > 0).all()
