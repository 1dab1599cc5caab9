"""Channels of any unit become comparable, and no value becomes dangerous."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.scaling import ChannelScaling


def test_standardises_whatever_the_unit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) * [1e-6, 1e6] + [3e-5, -4e9]
    scaled = ChannelScaling.learn(X)(X)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-4)


def test_many_chunks_equal_one():
    X = np.random.default_rng(0).normal(size=(150_000, 1)) + 7
    scaling = ChannelScaling.learn(X)
    np.testing.assert_allclose([scaling.center[0], scaling.scale[0]], [X.mean(), X.std()], rtol=1e-10)


def test_a_constant_channel_that_wakes_up_is_seen_and_harmless():
    scaling = ChannelScaling.learn(np.full((50, 2), 3.3))
    assert scaling(np.array([[3.3, 3.3]])).tolist() == [[0.0, 0.0]]
    assert scaling(np.array([[4.3, 4.3]]))[0, 0] == pytest.approx(1.0)
    assert 8 < scaling(np.array([[1e9, 3.3]]))[0, 0] < 30


def test_a_channel_that_is_alone_has_none_to_swamp():
    alone = ChannelScaling(np.zeros(1), np.ones(1))(np.array([[500.0], [1e300]]))
    assert alone[0, 0] == 500
    assert 1000 < alone[1, 0] < 2000


@pytest.mark.parametrize("n_channels", [1, 2])
def test_order_is_kept_far_outside(n_channels):
    rows = np.repeat([[-1e30], [-9.0], [7.9], [8.1], [1e3], [1.1e3], [1e9]], n_channels, axis=1)
    scaled = ChannelScaling(np.zeros(n_channels), np.ones(n_channels))(rows)
    assert (np.diff(scaled[:, 0]) > 0).all()


def test_values_too_large_to_square_are_refused_by_channel():
    with pytest.raises(ValueError, match="channel 1 of X"):
        ChannelScaling.learn(np.array([[0.0, 1e300], [1.0, -1e300]]))
