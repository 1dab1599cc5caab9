"""Moving averages and calibration, on numbers that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.calibration import (
    CONTAMINATED_BLOCKS,
    TailCalibration,
    absolute_level,
    root_mean_square,
    smooth,
    tail_mean,
)


def one_series(n_rows):
    return np.array([0, n_rows])


class TestSmooth:
    @pytest.mark.parametrize(
        ("width", "kernel"),
        [(2, [1, 2, 1]), (3, [1, 2, 3, 2, 1]), (4, [1, 2, 3, 4, 3, 2, 1])],
    )
    def test_kernel_is_a_centred_triangle(self, width, kernel):
        impulse = np.zeros(11)
        impulse[5] = 1.0
        expected = np.zeros(11)
        expected[6 - width : 5 + width] = np.array(kernel) / width**2
        np.testing.assert_allclose(smooth(impulse, width, one_series(11)), expected, atol=1e-15)

    @pytest.mark.parametrize("width", [0, 1])
    def test_width_of_one_changes_nothing(self, width):
        values = np.array([3.0, -1.0, 4.0])
        np.testing.assert_array_equal(smooth(values, width, one_series(3)), values)

    def test_ends_are_mirrored(self):
        """Width 3: the first pass gives 4, 2, 0, …; the second (4 + 4 + 2) / 3, (4 + 2 + 0) / 3, …"""
        smoothed = smooth(np.array([6.0, 0, 0, 0, 0, 0]), 3, one_series(6))
        np.testing.assert_allclose(smoothed, [10 / 3, 2, 2 / 3, 0, 0, 0], atol=1e-15)

    @pytest.mark.parametrize("width", [4, 5])
    def test_kernel_never_crosses_a_border(self, width):
        values = np.concatenate([np.zeros(20), np.ones(20)])
        np.testing.assert_allclose(smooth(values, width, np.array([0, 20, 40])), values, atol=1e-15)

    def test_columns_are_smoothed_one_by_one(self):
        values = np.random.default_rng(0).normal(size=(30, 2))
        columns = [smooth(column, 4, one_series(30)) for column in values.T]
        np.testing.assert_allclose(smooth(values, 4, one_series(30)), np.column_stack(columns))


def test_root_mean_square_is_the_root_of_smoothed_squares():
    """The smoothed squares of the impulse 36 are 36 / 9 · (1, 2, 3, 2, 1)."""
    roots = root_mean_square(np.array([0.0, 0, 0, 36, 0, 0, 0]), 3, one_series(7))
    np.testing.assert_allclose(roots, np.sqrt([0, 4, 8, 12, 8, 4, 0]), atol=1e-7)


def test_root_mean_square_of_a_negative_rounding_error_is_zero():
    assert root_mean_square(np.array([-1e-18, 4.0]), 1, one_series(2)).tolist() == [0.0, 2.0]


def test_absolute_level_is_taken_after_the_moving_average():
    level = absolute_level(np.array([-3.0, 3.0, -3.0, -3.0]), 2, one_series(4))
    np.testing.assert_allclose(level, [1.5, 0.0, 1.5, 3.0], atol=1e-15)


class TestTailMean:
    @pytest.mark.parametrize(
        ("n_rows", "n_tail"), [(3, 3), (5, 5), (100, 5), (500, 5), (549, 5), (551, 6), (1000, 10), (2000, 20)]
    )
    def test_takes_one_percent_and_at_least_five_rows(self, n_rows, n_tail):
        rows = np.random.default_rng(0).permutation(n_rows).astype(float)
        assert tail_mean(rows) == pytest.approx(np.arange(n_rows - n_tail, n_rows).mean())


class TestTailCalibration:
    def test_center_is_the_median_and_height_reaches_to_the_tail(self):
        """The median of 0, …, 1000 is 500; the largest ten are 991, …, 1000, with mean 995.5."""
        calibration = TailCalibration.fit(np.arange(1001.0)[::-1])
        assert (calibration.center, calibration.height) == (500.0, 495.5)
        np.testing.assert_allclose(calibration(np.array([4.5, 500.0, 995.5])), [-1.0, 0.0, 1.0])

    @pytest.mark.parametrize(("step", "height"), [(0.0, 0.1), (0.001, 0.1), (0.01, 0.475)])
    def test_height_is_at_least_a_tenth(self, step, height):
        """100 rows: the five largest have the mean 97, the median is 49.5."""
        calibration = TailCalibration.fit(step * np.arange(100.0))
        assert calibration.center == pytest.approx(49.5 * step)
        assert calibration.height == pytest.approx(height)

    def test_tail_is_the_median_of_the_blocks_tails(self):
        """A block is five zeros and five times 1, 100, 2 or 4. The median tail is 3, the median row 0.5."""
        rows = np.concatenate([np.repeat([0.0, tail], 5) for tail in (1.0, 100.0, 2.0, 4.0)])
        assert TailCalibration.fit(rows, n_blocks=4) == TailCalibration(center=0.5, height=2.5)
        assert TailCalibration.fit(rows) == TailCalibration(center=0.5, height=99.5)

    def test_contaminated_training_rows_have_four_blocks(self):
        assert CONTAMINATED_BLOCKS == 4

    def test_anomaly_in_one_of_four_blocks_does_not_set_the_height(self):
        clean = np.abs(np.random.default_rng(0).normal(size=4000))
        contaminated = clean.copy()
        contaminated[1200:1400] += 50.0
        heights = [TailCalibration.fit(rows, CONTAMINATED_BLOCKS).height for rows in (clean, contaminated)]
        assert heights[1] == pytest.approx(heights[0], rel=0.2)
        assert TailCalibration.fit(contaminated).height > 10 * heights[0]

    def test_centered_on_keeps_the_height(self):
        calibration = TailCalibration(center=9.0, height=2.0).centered_on(np.array([1.0, 5.0, 30.0]))
        assert calibration == TailCalibration(center=5.0, height=2.0)
