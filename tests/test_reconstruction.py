"""The reconstruction score, step by step, on numbers that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fixed_networks import FixedAssociations, FixedNetwork
from timesad.calibration import TailCalibration, absolute_level, root_mean_square, smooth
from timesad.reconstruction import ChannelScorer, HorizonScorer, ReconstructionScorer
from timesad.row_errors import PositionCalibration, RowErrors, average_over_windows, window_errors
from timesad.windows import Series

CPU = torch.device("cpu")


def series_of(*columns):
    values = np.column_stack(columns).astype(np.float32)
    return Series(values, np.array([0, len(values)]))


def row_errors(mean, geometric_mean, closeness=None):
    mean, geometric_mean = (np.atleast_2d(rows).T.astype(np.float32) for rows in (mean, geometric_mean))
    empty = np.empty((len(mean), 0), dtype=np.float32)
    return RowErrors(mean, geometric_mean, empty if closeness is None else np.float32(closeness), np.zeros_like(mean))


IDENTITY = TailCalibration(0.0, 1.0)
LOCAL = (IDENTITY,) * 3
PLAIN = ChannelScorer(HorizonScorer(1, IDENTITY, IDENTITY), HorizonScorer(1, IDENTITY, IDENTITY), LOCAL)


class TestHorizonScorer:
    @pytest.mark.parametrize("n_blocks", [1, 4])
    def test_fits_smoothed_errors_and_levels(self, n_blocks):
        squares, values = np.random.default_rng(0).normal(size=(2, 400)) ** 2
        borders = np.array([0, 150, 400])
        scorer = HorizonScorer.fit(squares, values, 6, borders, n_blocks)
        assert scorer == HorizonScorer(
            6,
            TailCalibration.fit(root_mean_square(squares, 6, borders), n_blocks),
            TailCalibration.fit(absolute_level(values, 6, borders), n_blocks),
        )

    def test_calibrates_smoothed_errors_and_levels(self):
        """Width 2: the kernel is (1, 2, 1) / 4."""
        scorer = HorizonScorer(2, TailCalibration(1.0, 2.0), TailCalibration(0.0, 4.0))
        error, level = scorer(np.array([0.0, 0, 36, 0, 0]), np.array([0.0, 0, -8, 0, 0]), np.array([0, 5]))
        np.testing.assert_allclose(error, (np.array([0, 3, np.sqrt(18), 3, 0]) - 1) / 2, atol=1e-7)
        np.testing.assert_allclose(level, np.array([0, 2, 4, 2, 0]) / 4, atol=1e-15)


class TestChannelScorer:
    def test_two_thirds_of_the_near_horizon_and_one_third_of_the_wide_one(self):
        """Near error sqrt(4) = 2 and wide error (sqrt(9) - 1) / 2 = 1; near level 3 / 2 and wide level 3 / 4."""
        scorer = ChannelScorer(
            HorizonScorer(1, IDENTITY, TailCalibration(0.0, 2.0)),
            HorizonScorer(1, TailCalibration(1.0, 2.0), TailCalibration(0.0, 4.0)),
            LOCAL,
        )
        error, level = scorer(row_errors([9.0], [4.0]), series_of([-3.0]), 0)
        np.testing.assert_allclose(error, 2 * 2 / 3 + 1 * 1 / 3)
        np.testing.assert_allclose(level, 1.5 * 2 / 3 + 0.75 * 1 / 3)

    @pytest.mark.parametrize(("smoothing", "near"), [(1, 1), (2, 1), (3, 1), (5, 2), (64, 32)])
    def test_near_horizon_is_fitted_on_the_geometric_mean_and_half_as_long(self, smoothing, near):
        rng = np.random.default_rng(0)
        errors = row_errors(rng.normal(size=(2, 300)) ** 2, rng.normal(size=(2, 300)) ** 2)
        series = Series(rng.normal(size=(300, 2)).astype(np.float32), np.array([0, 140, 300]))
        scorer = ChannelScorer.fit(errors, series, 1, smoothing, 4)
        mean, geometric_mean, values = (
            rows[:, 1].astype(float) for rows in (errors.mean, errors.geometric_mean, series.values)
        )
        assert scorer.near == HorizonScorer.fit(geometric_mean, values, near, series.borders, 4)
        assert scorer.wide == HorizonScorer.fit(mean, values, smoothing, series.borders, 4)

    def test_scores_its_own_channel_within_borders(self):
        errors = row_errors([[0, 0, 0, 0], [1, 1, 9, 9]], [[0, 0, 0, 0], [4, 4, 16, 16]])
        series = Series(np.float32([[0, 2], [0, 2], [0, 4], [0, 4]]), np.array([0, 2, 4]))
        scorer = ChannelScorer(HorizonScorer(2, IDENTITY, IDENTITY), HorizonScorer(2, IDENTITY, IDENTITY), LOCAL)
        error, level = scorer(errors, series, 1)
        np.testing.assert_allclose(error, np.array([5, 5, 11, 11]) / 3)
        np.testing.assert_allclose(level, [2, 2, 4, 4])
        assert error.dtype == level.dtype == np.float64


def scorer_of(channels, smoothing=1, priors=(), network=None, uses_past=False):
    calibration = PositionCalibration(np.ones(1), np.empty((1, 0)), np.empty((1, 0)))
    return ReconstructionScorer(network, 1, smoothing, calibration, tuple(channels), tuple(priors), uses_past)


class TestParts:
    def test_level_counts_three_tenths(self):
        parts = scorer_of([PLAIN]).parts(row_errors([4.0], [4.0]), series_of([-5.0]))
        np.testing.assert_allclose([parts.error[0], parts.level[0], parts.score[0]], [2.0, 1.5, 3.5])
        assert parts.by_channel is None
        assert parts.discrepancy is None

    def test_the_channel_with_the_largest_sum_gives_both_parts(self):
        """Sums: 2 + 0.3 and 1 + 3 in row 0; 2 + 0.3 and 1 + 0.6 in row 1; equal in row 2, where the first counts."""
        errors = [[4.0, 4.0, 1.0], [1.0, 1.0, 1.0]]
        series = series_of([1.0, 1.0, 1.0], [10.0, 2.0, 1.0])
        parts = scorer_of([PLAIN, PLAIN]).parts(row_errors(errors, errors), series, by_channel=True)
        np.testing.assert_allclose(parts.error, [1, 2, 1])
        np.testing.assert_allclose(parts.level, [3, 0.3, 0.3])
        np.testing.assert_allclose(parts.by_channel, [[0, 4], [2.3, 0], [1.3, 0]])

    @pytest.mark.parametrize(
        ("smoothing", "kernel"), [(15, [0, 1, 0]), (16, [0.25, 0.5, 0.25]), (23, [0.25, 0.5, 0.25])]
    )
    def test_final_moving_average_is_an_eighth_as_long(self, smoothing, kernel):
        errors, values = np.zeros((2, 7)), np.zeros((2, 7))
        errors[0, 3], values[0, 3] = 4.0, 10.0
        scorer = scorer_of([PLAIN, PLAIN], smoothing)
        parts = scorer.parts(row_errors(errors, errors), series_of(*values), by_channel=True)
        np.testing.assert_allclose(parts.error[2:5], 2 * np.array(kernel))
        np.testing.assert_allclose(parts.level[2:5], 3 * np.array(kernel))
        np.testing.assert_allclose(parts.by_channel[2:5, 0], 5 * np.array(kernel))
        assert not parts.by_channel[:, 1].any()
        assert not parts.score[[0, 1, 5, 6]].any()

    def test_no_average_crosses_a_border(self):
        errors = np.repeat([1.0, 9.0], 8)
        series = Series(np.repeat(np.float32([10.0, 20.0]), 8)[:, None], np.array([0, 8, 16]))
        scorer = scorer_of([PLAIN], 32, [IDENTITY])
        parts = scorer.parts(row_errors(errors, errors, np.repeat([[1.0], [5.0]], 8, axis=0)), series, by_channel=True)
        np.testing.assert_allclose(parts.error, np.repeat([1.0, 3.0], 8))
        np.testing.assert_allclose(parts.level, np.repeat([3.0, 6.0], 8))
        np.testing.assert_allclose(parts.by_channel[:, 0], parts.score)
        np.testing.assert_allclose(parts.discrepancy, np.repeat([1.0, 5.0], 8))

    def test_discrepancy_is_smoothed_calibrated_and_averaged_over_priors(self):
        closeness = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
        tails, ends = (TailCalibration(1.0, 2.0), TailCalibration(3.0, 5.0)), np.array([0, 60])
        errors = row_errors(np.ones(60), np.ones(60), closeness)
        parts = scorer_of([PLAIN], 17, tails).parts(errors, series_of(np.zeros(60)))
        columns = [
            smooth((smooth(closeness[:, p].astype(float), 17, ends) - tail.center) / tail.height, 2, ends)
            for p, tail in enumerate(tails)
        ]
        np.testing.assert_allclose(parts.discrepancy, (columns[0] + columns[1]) / 2)


def fit(network, series, smoothing=4, *, stride=1, clean_training=True, uses_past=True):
    return ReconstructionScorer.fit(
        network,
        series,
        stride=stride,
        smoothing=smoothing,
        clean_training=clean_training,
        device=CPU,
        uses_past=uses_past,
    )


@pytest.fixture
def series():
    """Rows of both series, 700 in all: more windows than the position calibration reads."""
    values = np.random.default_rng(0).normal(size=(700, 2)).astype(np.float32)
    return Series(values, np.array([0, 300, 700]))


class TestPast:
    """What has become typical is subtracted from the error."""

    def scores(self, squares, borders=(), smoothing=1, n_rows=4):
        errors = row_errors(squares, squares)
        series = Series(np.zeros((len(squares), 1), dtype=np.float32), np.array([0, *borders, len(squares)]))
        scorer = scorer_of([PLAIN], smoothing, network=FixedNetwork([1.0] * n_rows), uses_past=True)
        return scorer.parts(errors, series, by_channel=True)

    def test_a_higher_error_is_subtracted_once_it_is_typical(self):
        """A window of 4 rows: the median of 40 rows. Rows before the series count as 0."""
        squares = np.repeat([9.0, 16.0], [100, 60])
        found = self.scores(squares)
        np.testing.assert_allclose(found.error, np.repeat([3.0, 1.5, 0.0, 1.0, 0.5, 0.0], [19, 1, 80, 19, 1, 40]))
        np.testing.assert_allclose(found.by_channel[:, 0], found.score)

    def test_an_error_below_typical_stays(self):
        squares = np.full(100, 4.0)
        scorer = scorer_of([ChannelScorer(*[HorizonScorer(1, TailCalibration(3.0, 1.0), IDENTITY)] * 2, LOCAL)])
        errors, series = row_errors(squares, squares), series_of(np.zeros(100))
        alone = scorer.parts(errors, series).error
        np.testing.assert_array_equal(alone, -1.0)
        past = scorer_of(scorer.channels, network=FixedNetwork([1.0] * 4), uses_past=True)
        np.testing.assert_array_equal(past.parts(errors, series).error, alone)

    def test_the_level_counts_too(self):
        errors, series = row_errors(np.zeros(100), np.zeros(100)), series_of(np.full(100, 10.0))
        found = scorer_of([PLAIN], network=FixedNetwork([1.0] * 4), uses_past=True).parts(errors, series)
        np.testing.assert_allclose(found.level, 3.0)
        np.testing.assert_allclose(found.score[40:], 0.0)

    def test_each_series_has_its_own_past(self):
        squares = np.full(200, 9.0)
        np.testing.assert_array_equal(self.scores(squares, [100]).error, np.tile(self.scores(squares[:100]).error, 2))

    def test_later_rows_change_nothing(self):
        squares = np.random.default_rng(0).exponential(size=200)
        other = np.append(squares[:150], np.full(50, 100.0))
        np.testing.assert_array_equal(self.scores(other).error[:150], self.scores(squares).error[:150])


class TestReconstructionScorer:
    @pytest.mark.parametrize("clean_training", [True, False])
    @pytest.mark.parametrize("network_class", [FixedNetwork, FixedAssociations])
    def test_fit_is_the_definition(self, series, network_class, clean_training):
        """Positions from 512 evenly spaced windows, channels from all; four blocks if anomalies may be in training."""
        network = network_class([1.0, 0.5, 0.5, 1.0], n_channels=2)
        associated = network_class is FixedAssociations
        scorer, parts, _ = fit(network, series, clean_training=clean_training)
        windows = series.windows(4, 1)
        some, every = (
            list(window_errors(network, chosen, CPU, with_discrepancy=associated))
            for chosen in (windows.thinned(512), windows)
        )
        positions = PositionCalibration.fit(some)
        for found, expected in zip(vars(scorer.positions).values(), vars(positions).values(), strict=True):
            np.testing.assert_array_equal(found, expected)
        errors = average_over_windows(every, positions, 700, 2)
        n_blocks = 1 if clean_training else 4
        assert scorer.channels == tuple(ChannelScorer.fit(errors, series, c, 4, n_blocks) for c in range(2))
        assert scorer.priors == tuple(
            TailCalibration.fit(smooth(rows.astype(float), 4, series.borders), n_blocks) for rows in errors.closeness.T
        )
        assert len(scorer.priors) == (2 if associated else 0)
        assert (scorer.network, scorer.stride, scorer.smoothing) == (network, 1, 4)
        np.testing.assert_array_equal(parts.score, scorer.parts(errors, series).score)

    @pytest.mark.parametrize("n_rows", [515, 516])
    def test_few_windows_are_all_calibrated(self, n_rows):
        """515 rows hold 512 windows, which are run once; 516 rows hold one more."""
        series = series_of(np.random.default_rng(0).normal(size=n_rows))
        scorer, parts, _ = fit(FixedNetwork([1.0, 0.5, 0.5, 1.0]), series)
        np.testing.assert_array_equal(parts.score, scorer(series, CPU, with_discrepancy=False).score)

    @pytest.mark.parametrize("stride", [1, 3])
    def test_training_rows_are_scored_as_any_rows(self, series, stride):
        scorer, parts, _ = fit(FixedAssociations([1.0, 0.5, 0.5, 1.0], n_channels=2), series, stride=stride)
        again = scorer(series, CPU, with_discrepancy=True, by_channel=True)
        for name in ("error", "level", "discrepancy"):
            np.testing.assert_array_equal(getattr(parts, name), getattr(again, name))
        np.testing.assert_allclose(again.by_channel.sum(axis=1), parts.score)
        assert parts.by_channel is None
        bare = scorer(series, CPU, with_discrepancy=False)
        np.testing.assert_array_equal(bare.error, parts.error)
        assert bare.discrepancy is None
        assert bare.by_channel is None

    def test_stride_selects_the_windows(self):
        """Windows of 2 rows side by side: errors of both positions are levelled to the same row errors."""
        network = FixedNetwork([1.0, 3.0])
        series = series_of(np.tile([1.0, -1.0], 50))
        beside, *_ = fit(network, series, 1, stride=2)
        np.testing.assert_allclose(beside.positions.error, [0.2, 1.8])
        assert beside.channels[0].wide.error.center == pytest.approx(np.sqrt(5))

    def test_typical_errors_by_position_are_divided_out(self):
        """Rows of equal size score alike, although the network misses edges by three times as much."""
        series = series_of(np.tile([1.0, -1.0], 50))
        _, parts, _ = fit(FixedNetwork([3.0, 1.0, 1.0, 3.0]), series, 1)
        np.testing.assert_allclose(parts.error, 0, atol=1e-4)

    def test_nan_is_an_error(self, series):
        network = FixedNetwork([1.0, np.nan, 1.0, 1.0], n_channels=2)
        with pytest.raises(FloatingPointError, match=r"^the network reconstructs rows as NaN or infinity$"):
            fit(network, series)

    def test_network_moves_to_the_device(self, series):
        network = FixedNetwork([1.0, 0.5, 0.5, 1.0], n_channels=2)
        scorer, *_ = fit(network, series)
        devices = []
        network.to = devices.append
        scorer(series, CPU, with_discrepancy=False)
        assert devices == [CPU]
