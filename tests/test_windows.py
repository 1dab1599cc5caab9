"""Rows to windows and back."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from timesad.windows import (
    OverlapAverage,
    OverlapMaximum,
    Series,
    WindowSet,
    chronological_split,
    held_out_rows,
    runs,
    series_borders,
    window_starts,
)


class TestBorders:
    def test_one_series_without_groups(self):
        borders = series_borders(7, None)
        assert borders.tolist() == [0, 7]
        assert borders.dtype == np.intp

    def test_groups_need_no_order_among_themselves(self):
        borders = series_borders(6, np.array([9, 9, 2, 2, 2, 5]))
        assert borders.tolist() == [0, 2, 5, 6]
        assert borders.dtype == np.intp

    def test_a_series_in_several_places_is_refused_by_name(self):
        message = (
            r"^groups has the series 'b' in 3 separate places; the rows of one series must stand together, in time "
            r"order\. Sort X and groups by series first\.$"
        )
        with pytest.raises(ValueError, match=message):
            series_borders(5, np.array(["b", "a", "b", "c", "b"]))

    def test_a_series_in_two_places_is_refused(self):
        with pytest.raises(ValueError, match="series 1 in 2 separate places"):
            series_borders(3, np.array([1, 0, 1]))


class TestRuns:
    @pytest.mark.parametrize(
        ("flags", "merge", "expected"),
        [
            ("", 0, []),
            ("000", 3, []),
            ("111", 0, [(0, 3)]),
            ("1001", 1, [(0, 1), (3, 4)]),
            ("1001", 2, [(0, 4)]),
            ("0110100011", 0, [(1, 3), (4, 5), (8, 10)]),
            ("0110100011", 1, [(1, 5), (8, 10)]),
            ("0110100011", 3, [(1, 10)]),
        ],
    )
    def test_half_open_and_merged(self, flags, merge, expected):
        found = runs(np.array([flag == "1" for flag in flags], dtype=bool), merge)
        assert found.shape == (len(expected), 2)
        assert found.tolist() == [list(run) for run in expected]


class TestHeldOut:
    @pytest.mark.parametrize("fraction", [0.0, 0.1, 0.2, 0.5])
    def test_is_the_late_part_of_the_split(self, fraction):
        """Windows of the early part hold no such row, those of the late part no other."""
        borders = np.array([0, 15, 60, 100])  # the first series is too short to be divided
        held_out = held_out_rows(borders, 10, fraction)
        early, late = (starts[:, None] + np.arange(10) for starts in chronological_split(borders, 10, fraction))
        assert not held_out[early].any()
        assert held_out[late].all()
        assert held_out.sum() == len(np.unique(late))


class TestStarts:
    @pytest.mark.parametrize(
        ("n_rows", "stride", "expected"),
        [(11, 3, [0, 3, 6, 7]), (10, 3, [0, 3, 6]), (4, 1, [0]), (4, 9, [0]), (5, 9, [0, 1]), (3, 1, [])],
    )
    def test_one_every_stride_and_one_at_the_end(self, n_rows, stride, expected):
        starts = window_starts([0, n_rows], 4, stride)
        assert starts.tolist() == expected
        assert starts.dtype == np.intp

    @pytest.mark.parametrize("stride", [1, 3, 4, 10])
    @pytest.mark.parametrize("n_rows", [10, 11, 37])
    def test_every_row_is_in_some_window(self, n_rows, stride):
        starts = window_starts([0, n_rows], 10, stride)
        assert set(np.concatenate([start + np.arange(10) for start in starts])) == set(range(n_rows))

    def test_no_window_crosses_a_border(self):
        assert window_starts([0, 6, 13], 4, 2).tolist() == [0, 2, 6, 8, 9]

    def test_a_short_series_has_none(self):
        assert window_starts([0, 3, 8], 4, 1).tolist() == [3, 4]


class TestSplit:
    def test_late_part_has_the_fraction_and_no_row_of_the_early_part(self):
        train, valid = chronological_split(np.array([0, 100]), 10, 0.2)
        assert train.tolist() == list(range(71))
        assert valid.tolist() == list(range(80, 91))
        assert train.dtype == valid.dtype == np.intp

    def test_late_part_holds_at_least_one_window(self):
        train, valid = chronological_split(np.array([0, 25]), 10, 0.2)
        assert train.tolist() == list(range(6))
        assert valid.tolist() == [15]

    @pytest.mark.parametrize(("n_rows", "n_train", "n_valid"), [(20, 1, 1), (19, 10, 0), (10, 1, 0)])
    def test_a_series_that_cannot_hold_two_windows_is_all_training(self, n_rows, n_train, n_valid):
        train, valid = chronological_split(np.array([0, n_rows]), 10, 0.2)
        assert (len(train), len(valid)) == (n_train, n_valid)

    def test_a_short_series_after_a_long_one_is_all_training(self):
        train, valid = chronological_split(np.array([0, 30, 45]), 10, 0.25)
        assert train.tolist() == [*range(11), *range(30, 36)]
        assert valid.tolist() == [20]

    def test_each_series_is_divided(self):
        train, valid = chronological_split(np.array([0, 30, 70]), 10, 0.25)
        assert train.tolist() == [*range(11), *range(30, 51)]
        assert valid.tolist() == [20, *range(60, 61)]

    def test_fraction_of_zero_holds_nothing_out(self):
        train, valid = chronological_split(np.array([0, 100]), 10, 0.0)
        assert train.tolist() == list(range(91))
        assert valid.tolist() == []

    def test_small_fraction_still_holds_out_a_window(self):
        assert chronological_split(np.array([0, 100]), 10, 0.01)[1].tolist() == [90]


class TestWindowSet:
    @pytest.fixture
    def windows(self):
        values = np.arange(60, dtype=np.float32).reshape(30, 2)
        return WindowSet(values, window_starts([0, 30], 5, 2), 5)

    def test_a_batch_holds_the_rows_of_its_windows(self, windows):
        batch = windows.batch([3, 0])
        assert torch.equal(batch[0], torch.from_numpy(windows.values[6:11]))
        assert torch.equal(batch[1], torch.from_numpy(windows.values[:5]))

    def test_one_channel_of_some_windows(self, windows):
        assert torch.equal(windows.column(1)[2:4], windows.batch([2, 3])[..., 1])
        assert torch.equal(windows.column(0)[:], windows.batch(range(len(windows)))[..., 0])

    def test_what_is_missing_in_one_channel(self):
        missing = np.zeros((6, 2), dtype=bool)
        missing[3, 1] = True
        windows = WindowSet(np.zeros((6, 2), dtype=np.float32), np.array([0, 2]), 3, missing)
        assert windows.column(0).observed(slice(None)) is None
        assert windows.column(1).observed(slice(None)).tolist() == [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]

    def test_a_data_loader_reads_single_windows_and_batches(self, windows):
        window, nothing = windows[2]
        assert torch.equal(window, windows.batch([2])[0])
        assert nothing.shape == ()
        batch, nothing = windows.__getitems__([4, 1])
        assert torch.equal(batch, windows.batch([4, 1]))
        assert nothing.tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("batch_size", [1, 7, 14, 100])
    def test_batches_contain_all_windows_in_order(self, windows, batch_size):
        found = list(windows.batches(batch_size))
        assert [len(starts) for starts, _ in found[:-1]] == [batch_size] * (len(found) - 1)
        assert np.concatenate([starts for starts, _ in found]).tolist() == windows.starts.tolist()
        assert torch.equal(torch.cat([x for _, x in found]), windows.batch(range(len(windows))))

    @pytest.mark.parametrize(
        ("at_most", "expected"), [(1, [0]), (2, [0, 25]), (3, [0, 12, 25]), (100, [*range(0, 25, 2), 25])]
    )
    def test_thinned_windows_are_evenly_spaced(self, windows, at_most, expected):
        thinned = windows.thinned(at_most)
        assert thinned.starts.tolist() == expected
        assert thinned.values is windows.values
        assert thinned.window_size == 5

    def test_memory_does_not_grow_with_the_window(self):
        """A set of 20,000 windows of 500 rows would be 320 MB if it held copies."""
        values = np.zeros((20_499, 8), dtype=np.float32)
        tracemalloc.start()
        windows = WindowSet(values, window_starts([0, len(values)], 500, 1), 500)
        windows.batch(range(32))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000


def test_a_series_has_rows_channels_and_windows():
    series = Series(np.arange(33, dtype=np.float32).reshape(11, 3), np.array([0, 4, 11]))
    windows = series.windows(window_size=3, stride=2)
    assert (len(series), series.n_channels) == (11, 3)
    assert windows.starts.tolist() == [0, 1, 4, 6, 8]
    assert windows.values is series.values
    assert windows.window_size == 3


@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("stride", [1, 2, 5, 9])
@pytest.mark.parametrize("n_far", [0, 6])
def test_the_largest_of_the_windows_of_each_row(form, stride, n_far):
    series = Series(np.zeros((60, 1), dtype=np.float32), np.array([0, 60] if n_far else [0, 23, 60]))
    windows = series.windows(9, stride)
    values = np.random.default_rng(stride).random(len(windows), dtype=np.float32)
    kept = [start for start in windows.starts if start >= n_far]
    expected = [
        max(
            value for value, start in zip(values, windows.starts, strict=True) if start in kept and 0 <= row - start < 9
        )
        for row in range(int(kept[0]), 60)
    ]
    assert OverlapMaximum(windows, int(kept[0]))(form(values)).tolist() == expected


class TestOverlapAverage:
    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    def test_equals_the_plain_definition(self, batch_size):
        rng = np.random.default_rng(0)
        starts = window_starts([0, 40], 8, 3)
        values = rng.normal(size=(len(starts), 8, 2))
        average = OverlapAverage(40, 2)
        for begin in range(0, len(starts), batch_size):
            average.add(starts[begin : begin + batch_size], torch.from_numpy(values[begin : begin + batch_size]))
        expected = [
            np.mean([values[w, row - start] for w, start in enumerate(starts) if start <= row < start + 8], axis=0)
            for row in range(40)
        ]
        found = average.average()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
        assert found.dtype == np.float32

    @pytest.mark.parametrize("stride", [1, 2, 4, 5, 8])
    def test_rounding_does_not_depend_on_the_batches(self, stride):
        """The last window is moved where the stride does not divide the rows: its step differs."""
        starts = window_starts([0, 403], 8, stride)
        values = np.random.default_rng(stride).normal(size=(len(starts), 8, 2)).astype(np.float32)
        found = []
        for batch_size in (1, 3, 9, 64, len(starts)):
            average = OverlapAverage(403, 2)
            for begin in range(0, len(starts), batch_size):
                average.add(starts[begin : begin + batch_size], torch.from_numpy(values[begin : begin + batch_size]))
            found.append(average.average())
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])

    def test_a_window_may_come_twice(self):
        average = OverlapAverage(2, 1)
        average.add(np.array([0, 0]), torch.tensor([[[1.0], [2.0]], [[3.0], [8.0]]]))
        assert average.average()[:, 0].tolist() == [2.0, 5.0]

    def test_as_many_starts_as_windows(self):
        with pytest.raises(ValueError, match="zip"):
            OverlapAverage(9, 1).add(np.array([0, 1]), torch.ones(3, 4, 1))

    def test_a_row_in_no_window_is_an_error(self):
        average = OverlapAverage(10, 1)
        average.add(np.array([0]), torch.ones(1, 5, 1))
        with pytest.raises(ValueError, match=r"^row 5 is in no window; every row needs at least one$"):
            average.average()
