"""From a network's window errors to row errors, on numbers that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from timesad.nn.networks import NetworkOutput, ReconstructionNetwork, WindowSettings
from timesad.row_errors import (
    PositionCalibration,
    RowErrors,
    WindowErrors,
    average_over_windows,
    batch_errors,
    window_errors,
)
from timesad.windows import Series

CPU = torch.device("cpu")


class PassNetwork(ReconstructionNetwork):
    """Misses a hidden row by `miss`, and a visible row by 1000; the discrepancy is 2 where a row is hidden, else 0."""

    def __init__(self, window_size, n_masks, miss):
        super().__init__(WindowSettings(n_channels=1, window_size=window_size, model_size=2, n_masks=n_masks))
        self.miss = torch.as_tensor(miss)[:, None]
        self.n_passes = 0

    def features(self, embedded):
        raise NotImplementedError

    def reconstruct(self, x, hidden=None):
        self.n_passes += 1
        return x + (self.miss if hidden is None else torch.where(hidden[..., None], self.miss, torch.tensor(1000.0)))

    def forward(self, x, hidden=None):
        assert hidden is not None
        return NetworkOutput(self.reconstruct(x, hidden), None, 2.0 * hidden[..., None], None)


class TestBatchErrors:
    def test_an_error_comes_from_the_pass_that_hides_the_row(self):
        network = PassNetwork(4, 2, [1.0, 2.0, 3.0, 4.0])
        x = torch.randn(3, 4, 1, generator=torch.Generator().manual_seed(0)).double()
        deviation, discrepancy = batch_errors(network, x, with_discrepancy=False)
        torch.testing.assert_close(deviation.square()[..., 0], torch.tensor([[1.0, 4.0, 9.0, 16.0]] * 3).double())
        assert discrepancy is None
        assert network.n_passes == 2

    def test_without_masks_the_network_runs_once(self):
        network = PassNetwork(4, 0, [1.0, 2.0, 3.0, 4.0])
        deviation, _ = batch_errors(network, torch.zeros(2, 4, 1), with_discrepancy=False)
        assert deviation.square()[..., 0].tolist() == [[1.0, 4.0, 9.0, 16.0]] * 2
        assert network.n_passes == 1

    def test_discrepancy_is_the_mean_over_passes(self):
        network = PassNetwork(4, 4, [1.0] * 4)
        deviation, discrepancy = batch_errors(network, torch.zeros(2, 4, 1), with_discrepancy=True)
        assert deviation.square()[..., 0].tolist() == [[1.0] * 4] * 2
        assert discrepancy[..., 0].tolist() == [[0.5] * 4] * 2
        assert network.n_passes == 4


class TestWindowErrors:
    @pytest.mark.parametrize("with_discrepancy", [False, True])
    def test_all_windows_come_in_order(self, with_discrepancy):
        network = PassNetwork(4, 2, [1.0, 2.0, 3.0, 4.0])
        windows = Series(np.zeros((203, 1), dtype=np.float32), np.array([0, 203])).windows(4, 1)
        found = list(window_errors(network, windows, CPU, with_discrepancy=with_discrepancy))
        assert len(found) > 1
        assert np.concatenate([one.starts for one in found]).tolist() == list(range(200))
        errors = torch.cat([one.squared_error for one in found])
        assert errors[..., 0].tolist() == [[1.0, 4.0, 9.0, 16.0]] * 200
        assert all((one.discrepancy is not None) == with_discrepancy for one in found)
        if with_discrepancy:
            assert torch.cat([one.discrepancy for one in found]).tolist() == [[[1.0]] * 4] * 200


def positions(error, center=0.0, spread=1.0, n_priors=1):
    """A calibration with the same center and spread everywhere."""
    shape = (len(error), n_priors)
    return PositionCalibration(np.array(error), np.full(shape, center), np.full(shape, spread))


def batch(squared_error, discrepancy=None, starts=None):
    deviation = torch.tensor(squared_error, dtype=torch.float32).sqrt()
    starts = np.arange(len(deviation)) if starts is None else np.array(starts)
    return WindowErrors(starts, deviation, None if discrepancy is None else torch.tensor(discrepancy))


class TestPositionCalibration:
    def test_error_is_a_geometric_mean_over_windows(self):
        """Means over channels: 1 and 8, 4 and 2. Geometric means: 2 and 4. Divided by their mean, 3."""
        batches = [batch([[[1, 1], [4, 12]]]), batch([[[4, 4], [1, 3]]])]
        fitted = PositionCalibration.fit(batches)
        np.testing.assert_allclose(fitted.error, [2 / 3, 4 / 3])
        assert fitted.center.shape == fitted.spread.shape == (2, 0)
        assert fitted.error.dtype == np.float64

    def test_an_error_of_zero_is_finite(self):
        """Position 0 has the errors 0, taken as 1e-12, and 1; position 1 has 1 and 1."""
        fitted = PositionCalibration.fit([batch([[[0.0], [1.0]], [[1.0], [1.0]]])])
        np.testing.assert_allclose(fitted.error, np.array([1e-6, 1.0]) / (0.5 * (1e-6 + 1.0)))

    def test_spread_is_at_least_a_twentieth_of_the_median(self):
        """Standard deviations 1, 2 and 0.01: the median is 1."""
        discrepancy = [[[5.0 + sign], [6.0 + 2 * sign], [7.0 + 0.01 * sign]] for sign in (-1, 1)]
        fitted = PositionCalibration.fit([batch(np.ones((2, 3, 1)).tolist(), discrepancy)])
        np.testing.assert_allclose(fitted.center[:, 0], [5.0, 6.0, 7.0])
        np.testing.assert_allclose(fitted.spread[:, 0], [1.0, 2.0, 0.05], rtol=1e-6)

    def test_priors_have_a_floor_each(self):
        discrepancy = [[[sign, 100.0 * sign], [0.0, 0.0], [sign, 100.0 * sign]] for sign in (-1.0, 1.0)]
        fitted = PositionCalibration.fit([batch(np.ones((2, 3, 1)).tolist(), discrepancy)])
        np.testing.assert_allclose(fitted.spread[1], [0.05, 5.0])

    def test_spread_of_a_constant_discrepancy_is_the_rounding_of_float32(self):
        fitted = PositionCalibration.fit([batch([[[1.0]]] * 2, [[[3.0]]] * 2)])
        assert fitted.spread[0, 0] == pytest.approx(0.05 * 1e-7)

    def test_level_error_divides_by_position(self):
        levelled = positions([0.5, 2.0]).level_error(torch.ones(1, 2, 2))
        assert levelled.tolist() == [[[2.0, 2.0], [0.5, 0.5]]]
        assert levelled.dtype == torch.float32

    def test_closeness_is_large_where_the_discrepancy_is_small(self):
        closeness = positions([1.0], center=5.0, spread=2.0).closeness(torch.tensor([[[1.0]], [[9.0]]]))
        assert closeness.tolist() == [[[2.0]], [[-2.0]]]
        assert closeness.dtype == torch.float32


class TestAverageOverWindows:
    def test_mean_and_geometric_mean_of_a_row_over_its_windows(self):
        """Row 1 has the errors 4 and 16: mean 10, geometric mean 8."""
        errors = average_over_windows(
            [batch([[[1.0], [4.0]]]), batch([[[16.0], [9.0]]], starts=[1])], positions([1.0, 1.0]), 3, 1
        )
        np.testing.assert_allclose(errors.mean[:, 0], [1, 10, 9])
        np.testing.assert_allclose(errors.geometric_mean[:, 0], [1, 8, 9], rtol=2e-4)
        assert errors.closeness.shape == (3, 0)

    def test_floor_inside_the_logarithm(self):
        """Errors 0 and 1: the geometric mean is sqrt(1e-4 · 1.0001)."""
        errors = average_over_windows([batch([[[0.0]], [[1.0]]], starts=[0, 0])], positions([1.0]), 1, 1)
        np.testing.assert_allclose(errors.geometric_mean, 0.01000050, rtol=1e-5)
        assert errors.mean[0, 0] == 0.5

    def test_errors_are_levelled_first(self):
        """Errors of 1 at two positions, where 0.5 and 1.5 are typical."""
        errors = average_over_windows([batch([[[1.0], [1.0]]])], positions([0.5, 1.5]), 2, 1)
        np.testing.assert_allclose(errors.mean[:, 0], [2, 2 / 3])
        np.testing.assert_allclose(errors.geometric_mean[:, 0], [2, 2 / 3], rtol=2e-4)

    def test_channels_and_priors_stay_apart(self):
        errors = average_over_windows(
            [batch([[[1.0, 4.0]], [[9.0, 16.0]]], [[[3.0, 5.0]], [[7.0, 5.0]]])],
            positions([1.0], center=5.0, spread=2.0, n_priors=2),
            2,
            2,
        )
        np.testing.assert_allclose(errors.mean, [[1, 4], [9, 16]])
        np.testing.assert_allclose(errors.geometric_mean, [[1, 4], [9, 16]], rtol=2e-4)
        np.testing.assert_allclose(errors.closeness, [[1, 0], [-1, 0]])

    def test_closeness_is_averaged_over_windows(self):
        errors = average_over_windows(
            [batch([[[1.0]], [[1.0]]], [[[3.0]], [[4.0]]], starts=[0, 0])], positions([1.0], center=5.0), 1, 1
        )
        assert errors.closeness.tolist() == [[1.5]]

    def test_deviations_are_averaged_on_request(self):
        """Deviations 2 and -4 of row 0; its mean error is 10."""
        batches = [WindowErrors(np.array([0, 0]), torch.tensor([[[2.0, 1.0]], [[-4.0, 1.0]]]))]
        errors = average_over_windows(batches, positions([1.0]), 1, 2, signed=True)
        assert errors.deviation.tolist() == [[-1.0, 1.0]]
        np.testing.assert_allclose(errors.mean, [[10, 1]])
        assert average_over_windows(batches, positions([1.0]), 1, 2).deviation.shape == (1, 0)

    def test_needs_a_window(self):
        with pytest.raises(AssertionError, match="^a series has at least one window$"):
            average_over_windows([], positions([1.0]), 1, 1)


class TestAsUnseen:
    """Geometric means 1 and 2 in the trained rows, 4 and 1 in the held-out ones."""

    @pytest.fixture
    def errors(self):
        rows = np.float32([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])
        return RowErrors(3 * rows, rows, np.ones((3, 1), np.float32), np.ones((3, 2), np.float32))

    def test_errors_of_trained_rows_grow_to_those_of_held_out_rows(self, errors):
        found = errors.as_unseen(np.array([False, False, True]))
        np.testing.assert_allclose(found.geometric_mean, [[2, 2], [2, 2], [2, 1]], rtol=1e-6)
        np.testing.assert_allclose(found.mean, 3 * found.geometric_mean, rtol=1e-6)
        np.testing.assert_array_equal(found.closeness, errors.closeness)
        np.testing.assert_array_equal(found.deviation, errors.deviation)

    def test_the_factor_is_at_most_four(self, errors):
        changed = errors._replace(geometric_mean=errors.geometric_mean * np.float32([[1], [1], [100]]))
        assert changed.as_unseen(np.array([False, False, True])).mean[0, 0] == pytest.approx(12.0)

    @pytest.mark.parametrize("held_out", [True, False])
    def test_without_both_kinds_of_rows_nothing_changes(self, errors, held_out):
        assert errors.as_unseen(np.full(3, held_out)) is errors
