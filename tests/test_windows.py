"""Rows to windows and back."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from timesad.windows import OverlapAverage, WindowSet, chronological_split, series_borders, window_starts


class TestBorders:
    def test_one_series_without_groups(self):
        assert series_borders(7, None).tolist() == [0, 7]

    def test_groups_need_no_order_among_themselves(self):
        assert series_borders(6, np.array([9, 9, 2, 2, 2, 5])).tolist() == [0, 2, 5, 6]

    def test_a_scattered_series_is_refused_by_name(self):
        with pytest.raises(ValueError, match=r"series '?.*b.*2 separate places"):
            series_borders(3, np.array(["b", "a", "b"]))


class TestStarts:
    @pytest.mark.parametrize("stride", [1, 3, 4, 10])
    @pytest.mark.parametrize("n_rows", [10, 11, 37])
    def test_every_row_is_in_some_window(self, n_rows, stride):
        starts = window_starts([0, n_rows], 10, stride)
        assert set(np.concatenate([start + np.arange(10) for start in starts])) == set(range(n_rows))

    def test_no_window_crosses_a_border(self):
        starts = window_starts([0, 25, 50], 10, 4)
        assert all(start // 25 == (start + 9) // 25 for start in starts)

    def test_a_short_series_has_none(self):
        assert window_starts([0, 5, 25], 10, 1).min() == 5


class TestSplit:
    def test_parts_share_no_row_and_keep_their_order(self):
        train, valid = chronological_split(np.array([0, 100]), 10, 0.2)
        assert train.max() + 10 <= valid.min()
        assert valid.max() + 10 == 100
        assert len(valid) == 11

    def test_a_series_too_short_to_divide_is_all_training(self):
        train, valid = chronological_split(np.array([0, 15]), 10, 0.2)
        assert train.tolist() == list(range(6))
        assert not len(valid)

    def test_each_series_is_divided(self):
        _, valid = chronological_split(np.array([0, 100, 200]), 10, 0.2)
        assert ((valid >= 80) & (valid < 100)).any()
        assert (valid >= 180).any()


class TestWindowSet:
    @pytest.fixture
    def windows(self):
        values = np.arange(60, dtype=np.float32).reshape(30, 2)
        return WindowSet(values, window_starts([0, 30], 5, 1), 5)

    def test_a_batch_is_a_gather(self, windows):
        batch = windows.batch([3, 0])
        assert torch.equal(batch[0], torch.from_numpy(windows.values[3:8]))
        assert torch.equal(batch[1], torch.from_numpy(windows.values[:5]))

    def test_batches_go_through_all_in_order(self, windows):
        starts = np.concatenate([starts for starts, _ in windows.batches(7)])
        assert starts.tolist() == list(range(26))

    def test_memory_does_not_grow_with_the_window(self):
        """A set of 20,000 windows of 500 rows would be 320 MB if it held copies."""
        values = np.zeros((20_499, 8), dtype=np.float32)
        tracemalloc.start()
        windows = WindowSet(values, window_starts([0, len(values)], 500, 1), 500)
        windows.batch(range(32))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000


class TestOverlapAverage:
    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    def test_equals_the_plain_definition(self, batch_size):
        rng = np.random.default_rng(0)
        starts = window_starts([0, 40], 8, 3)
        said = rng.normal(size=(len(starts), 8, 2))
        rows = OverlapAverage(40, 2)
        for begin in range(0, len(starts), batch_size):
            rows.add(starts[begin : begin + batch_size], said[begin : begin + batch_size])
        expected = [
            np.mean([said[w, row - start] for w, start in enumerate(starts) if start <= row < start + 8], axis=0)
            for row in range(40)
        ]
        np.testing.assert_allclose(rows.average(), expected, rtol=1e-6, atol=1e-7)

    def test_a_row_in_no_window_is_an_error(self):
        rows = OverlapAverage(10, 1)
        rows.add(np.array([0]), np.ones((1, 5, 1)))
        with pytest.raises(ValueError, match="row 5 is in no window"):
            rows.average()
