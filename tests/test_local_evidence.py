"""Evidence over short horizons, on numbers that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.calibration import root_mean_square
from timesad.local_evidence import LargestChannel, horizons, local_columns


@pytest.mark.parametrize(("smoothing", "expected"), [(64, (32, 16, 8)), (10, (5, 2, 1)), (1, (1, 1, 1))])
def test_horizons_are_fractions_of_the_smoothing(smoothing, expected):
    assert horizons(smoothing) == expected


def test_columns_are_root_mean_squares_within_borders():
    squares = np.random.default_rng(0).random(60).astype(np.float32)
    borders = np.array([0, 20, 60])
    for found, width in zip(local_columns(squares, 16, borders), (8, 4, 2), strict=True):
        np.testing.assert_array_equal(found, root_mean_square(squares.astype(np.float64), width, borders))


def test_each_horizon_has_its_largest_channel_and_the_shortest_one_names_it():
    local = LargestChannel()
    local.add(0, [np.array([1.0, 5.0]), np.array([2.0, 0.0]), np.array([3.0, -2.0])], np.float32([10, 20]))
    local.add(1, [np.array([4.0, 1.0]), np.array([1.0, 1.0]), np.array([3.0, -1.0])], np.float32([30, 40]))
    evidence = local.evidence()
    assert evidence.largest.tolist() == [[4.0, 2.0, 3.0], [5.0, 1.0, -1.0]]
    assert evidence.channel.tolist() == [0, 1]  # the first of two equal ones
    assert evidence.deviation.tolist() == [10.0, 40.0]
