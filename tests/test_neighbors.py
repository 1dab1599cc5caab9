"""Distances to the nearest windows, written out plainly and compared; and their score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from timesad import c_code, nearest
from timesad.calibration import TailCalibration, smooth
from timesad.earlier_windows import EarlierWindows
from timesad.local_evidence import local_columns
from timesad.neighbors import (
    ChannelCalibration,
    ChannelDistances,
    NeighborScorer,
    RootDistances,
    TrainingWindows,
)
from timesad.windows import Series

WINDOW = 12
N_NEIGHBORS = 5


def series_of(values, *borders):
    return Series(values, np.array([0, *borders, len(values)]))


def fit_training(series, max_windows=1000, n_neighbors=N_NEIGHBORS):
    return TrainingWindows.fit(series, window_size=WINDOW, n_neighbors=n_neighbors, max_windows=max_windows)


def columns_of(channels):
    """Distances of the windows and of the rows, (n_rows, n_channels) each."""
    window, row, _ = zip(*channels, strict=True)
    return np.column_stack(window), np.column_stack(row)


def distances(training, series, stride=1):
    return columns_of(training.distances(series.windows(WINDOW, stride), "cpu"))


def past_distances(training, series, stride=1):
    """Distances to the training windows and earlier windows of the same series."""
    windows = series.windows(WINDOW, stride)
    earlier = EarlierWindows.of(windows, series.borders, training.keys)
    return columns_of(training.distances(windows, "cpu", earlier=earlier))


def self_join(training, series, stride=1, half_width=1):
    outside, every = zip(*training.self_join(series.windows(WINDOW, stride), "cpu", half_width), strict=True)
    return columns_of(outside), columns_of(every)


def plain_distances(train, training, series, stride, *, exclude=0, earlier=lambda start: []):
    """The definition, window by window and channel by channel.

    `exclude` is the half width of the exclusion zone in window lengths; `earlier` returns the first rows of further
    windows for the window at a row.
    """
    kept = np.array([train[start : start + WINDOW] for start in training.positions])
    of_window, of_row = ([[] for _ in series.values] for _ in range(2))
    for start in series.windows(WINDOW, stride).starts:
        apart = np.abs(training.positions - start) >= exclude * WINDOW
        past = [series.values[row : row + WINDOW] for row in earlier(start)]
        squares = (series.values[start : start + WINDOW] - np.array([*kept[apart], *past])) ** 2
        nearest = np.argsort(squares.mean(axis=1), axis=0)[
            : min(training.n_neighbors, len(kept)), None
        ]  # (neighbour, 1, channel)
        found = np.take_along_axis(squares, nearest, axis=0).mean(axis=0)  # (time, channel)
        for position, row in enumerate(range(start, start + WINDOW)):
            of_window[row].append(found.mean(axis=0))
            of_row[row].append(found[position])
    return np.array([np.max(row, axis=0) for row in of_window]), np.array([np.mean(row, axis=0) for row in of_row])


@pytest.fixture
def train():
    return np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)


@pytest.fixture
def new():
    return np.random.default_rng(1).normal(size=(90, 3)).astype(np.float32)


class TestTrainingWindows:
    @pytest.mark.parametrize("max_windows", [1, 2, 7, 289])
    def test_keeps_evenly_spaced_windows_and_only_their_rows(self, train, max_windows):
        training = fit_training(series_of(train), max_windows)
        positions = np.linspace(0, 288, max_windows).round().astype(int)
        assert training.positions.tolist() == positions.tolist()
        assert training.n_neighbors == N_NEIGHBORS
        assert len(training.windows.values) == min(300, max_windows * WINDOW)
        expected = np.stack([train[start : start + WINDOW] for start in positions])
        np.testing.assert_array_equal(training.windows.batch(range(max_windows)), expected)

    def test_no_window_crosses_a_border(self, train):
        positions = fit_training(series_of(train, 40)).positions
        assert positions.tolist() == [*range(29), *range(40, 289)]

    @pytest.mark.parametrize(("n_neighbors", "leaves"), [(1, True), (2, False)])
    def test_leaves_neighbors_counts_the_worst_window(self, train, n_neighbors, leaves):
        """36 rows hold 25 windows. The middle one, at 12, is apart from 0 and from 24: with 35 rows from 0 alone."""
        assert fit_training(series_of(train[:35]), n_neighbors=n_neighbors).leaves_neighbors == leaves
        assert fit_training(series_of(train[:36]), n_neighbors=n_neighbors).leaves_neighbors

    def test_one_window_leaves_no_neighbor(self, train):
        assert not fit_training(series_of(train), max_windows=1, n_neighbors=1).leaves_neighbors


class TestDistances:
    @pytest.mark.parametrize("stride", [1, 5])
    @pytest.mark.parametrize("max_windows", [1, 3, 6, 40, 1000])
    def test_new_rows_are_compared_with_all_windows(self, train, new, max_windows, stride):
        training = fit_training(series_of(train), max_windows)
        new[20:60] = train[100:140]  # a copy of training rows is new, too
        series = series_of(new, 50)
        expected = plain_distances(train, training, series, stride)
        for found, defined in zip(distances(training, series, stride), expected, strict=True):
            np.testing.assert_allclose(found, defined, rtol=1e-5, atol=1e-12)

    @pytest.mark.parametrize("stride", [1, 5])
    @pytest.mark.parametrize(("max_windows", "n_neighbors"), [(2, 1), (6, 2), (30, 5), (40, 5), (1000, 5)])
    def test_self_join_leaves_overlapping_windows_out(self, train, max_windows, n_neighbors, stride):
        """Of two or six training windows, most windows overlap none."""
        series = series_of(train, 170)
        training = fit_training(series, max_windows, n_neighbors)
        assert training.leaves_neighbors
        for found, exclude in zip(self_join(training, series, stride), (1, 0), strict=True):
            expected = plain_distances(train, training, series, stride, exclude=exclude)
            for one, defined in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, defined, rtol=1e-5, atol=1e-12)

    @pytest.mark.parametrize("half_width", [2, 5])
    def test_a_wider_zone_leaves_near_windows_out(self, train, half_width):
        series = series_of(train)
        training = fit_training(series)
        outside, _ = self_join(training, series, 3, half_width)
        expected = plain_distances(train, training, series, 3, exclude=half_width)
        for one, defined in zip(outside, expected, strict=True):
            np.testing.assert_allclose(one, defined, rtol=1e-5, atol=1e-12)

    def test_a_zone_that_leaves_too_little_is_narrowed(self, train):
        """Of 100 rows, 89 windows: the middle one keeps 89 - 71 with a half width of 3, and 0 with 4."""
        series = series_of(train[:100])
        training = fit_training(series)
        assert [training.zone_windows(at_most) for at_most in (1, 2, 3, 4, 9)] == [1, 2, 3, 3, 3]
        narrow, wide = self_join(training, series, half_width=3), self_join(training, series, half_width=9)
        np.testing.assert_array_equal(narrow, wide)

    def test_short_series_is_compared_with_all_windows(self, train):
        series = series_of(train[:30])
        training = fit_training(series)
        assert not training.leaves_neighbors
        outside, every = self_join(training, series)
        for one, other, new in zip(outside, every, distances(training, series), strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, new)

    def test_hand_computed(self):
        """Training windows of zeros and ones; the new window (0, 0, 4) has the differences 0, 0 and 16."""
        values = np.repeat(np.float32([0.0, 1.0]), 3)[:, None]
        training = TrainingWindows.fit(series_of(values, 3), window_size=3, n_neighbors=1, max_windows=9)
        (found,) = training.distances(series_of(np.float32([[0], [0], [4]])).windows(3, 1), "cpu")
        # To (0, 0, 0): 16 / 3. To (1, 1, 1): (1 + 1 + 9) / 3 = 11 / 3, the nearer one.
        np.testing.assert_allclose(found.window, [11 / 3] * 3, rtol=1e-6)
        np.testing.assert_allclose(found.row, [1.0, 1.0, 9.0])
        assert found.window.dtype == found.row.dtype == np.float32
        both = TrainingWindows.fit(series_of(values, 3), window_size=3, n_neighbors=5, max_windows=9)
        (found,) = both.distances(series_of(np.float32([[0], [0], [4]])).windows(3, 1), "cpu")
        np.testing.assert_allclose(found.window, [4.5] * 3)
        np.testing.assert_allclose(found.row, [0.5, 0.5, 12.5])

    def test_training_rows_are_as_far_as_unseen_rows(self, train):
        unseen = np.random.default_rng(2).normal(size=train.shape).astype(np.float32)
        training = fit_training(series_of(train))
        outside, every = self_join(training, series_of(train))
        for seen, new in zip(outside, distances(training, series_of(unseen)), strict=True):
            assert seen.mean() == pytest.approx(new.mean(), rel=0.1)
        for seen, new in zip(every, distances(training, series_of(unseen)), strict=True):
            assert seen.mean() < 0.85 * new.mean()

    def test_anomaly_in_training_is_far_in_the_self_join(self):
        values = np.tile(np.sin(np.arange(10) * 2 * np.pi / 10), 40).astype(np.float32)[:, None]
        values[200:212] += 5.0
        outside, every = self_join(fit_training(series_of(values)), series_of(values))
        for far, near in zip(outside, every, strict=True):
            assert far[200:212].min() > 10 * far[:180].max()
            assert near[200:212].mean() < 0.5 * far[200:212].mean()

    def test_row_distance_is_large_at_a_spike_only(self):
        values = np.tile(np.sin(np.arange(10) * 2 * np.pi / 10), 40).astype(np.float32)[:, None]
        training = fit_training(series_of(values))
        spike = values.copy()
        spike[200] += 5.0
        of_window, of_row = distances(training, series_of(spike))
        assert of_window[189:212].min() > 100 * of_window[:180].max()
        assert of_row[200] > 10 * np.delete(of_row, 200).max()

    def test_large_values_lose_no_digits(self, train):
        """The expanded square of two long vectors has no digit left of a small distance between them."""
        far = train * np.float32(1e-2) + np.float32(900.0)
        training = fit_training(series_of(far), max_windows=1)
        shifted = series_of(far[:WINDOW] + np.float32(1.0))
        for distance in distances(training, shifted):
            np.testing.assert_allclose(distance, 1.0, rtol=1e-4)

    def test_search_batches_and_c_code_change_nothing_but_rounding(self, train, new, monkeypatch):
        series = series_of(train)
        training = fit_training(series, 200)
        expected = [past_distances(training, series_of(new)), *self_join(training, series)]
        monkeypatch.setattr(c_code, "LANES", [])
        monkeypatch.setattr(nearest, "BATCH", 7)
        monkeypatch.setattr(nearest, "WHOLE", 64)
        found = [past_distances(training, series_of(new)), *self_join(training, series)]
        np.testing.assert_allclose(np.concatenate([*sum(found, ())]), np.concatenate([*sum(expected, ())]), rtol=1e-5)


class TestPast:
    """New rows are compared with earlier windows of their own series, too."""

    @pytest.mark.parametrize("stride", [1, 5])
    @pytest.mark.parametrize("max_windows", [4, 9, 1000])
    def test_is_the_definition(self, train, new, max_windows, stride):
        """Windows that end before, every f-th of them, with the smallest power of two that leaves `max_windows`."""
        border = 30
        series = series_of(new, border)

        def earlier(start):
            first = border if start >= border else 0
            starts = list(range(first, start - WINDOW + 1, stride))
            factor = 1
            while len(starts) / factor > max_windows:
                factor *= 2
            return starts[::factor]

        training = fit_training(series_of(train), max_windows)
        expected = plain_distances(train, training, series, stride, earlier=earlier)
        for found, defined in zip(past_distances(training, series, stride), expected, strict=True):
            np.testing.assert_allclose(found, defined, rtol=1e-5, atol=1e-12)

    def test_later_rows_change_nothing(self, train, new):
        training = fit_training(series_of(train))
        other = new.copy()
        other[60:] += 3.0
        for one, changed in zip(
            past_distances(training, series_of(new)), past_distances(training, series_of(other)), strict=True
        ):
            np.testing.assert_array_equal(one[: 60 - WINDOW], changed[: 60 - WINDOW])
            assert (one[60:] != changed[60:]).any()

    def test_the_first_window_has_no_past(self, train, new):
        training = fit_training(series_of(train))
        alone, with_past = distances(training, series_of(new), WINDOW), past_distances(training, series_of(new), WINDOW)
        np.testing.assert_array_equal(alone[0][:WINDOW], with_past[0][:WINDOW])
        assert (with_past[0] <= alone[0]).all()
        assert (with_past[0] < alone[0]).any()

    def test_the_past_of_one_series_is_not_that_of_another(self, train, new):
        training = fit_training(series_of(train))
        together = past_distances(training, series_of(np.vstack([new, new]), len(new)))
        alone = past_distances(training, series_of(new))
        np.testing.assert_allclose(together[0][90:], alone[0], rtol=1e-6)

    def test_training_rows_before_the_new_ones_do_not_count_twice(self, train, new):
        training = fit_training(series_of(train))
        both = past_distances(training, series_of(np.vstack([train, new])))
        spanning = series_of(
            np.vstack([train[-WINDOW + 1 :], new])
        )  # windows that hold rows of both are no training windows
        for one, defined in zip(both, past_distances(training, spanning), strict=True):
            np.testing.assert_allclose(one[300 + WINDOW :], defined[2 * WINDOW - 1 :], rtol=1e-5)

    def test_a_regime_that_stays_becomes_near(self):
        wave = np.sin(np.arange(400) * 2 * np.pi / 10).astype(np.float32)[:, None]
        training = fit_training(series_of(wave))
        changed = wave + np.float32(3.0) * (np.arange(400) >= 200)[:, None]
        window, _ = past_distances(training, series_of(changed.astype(np.float32)))
        assert window[200:212].min() > 1
        assert window[300:].max() < 0.01 * window[200:212].min()

    def test_a_constant_past_is_near_a_constant(self, train):
        training = fit_training(series_of(train))
        window, row = past_distances(training, series_of(np.full((90, 3), 9.0, dtype=np.float32)))
        assert window[:WINDOW].min() > 10
        assert window[4 * WINDOW :].max() == row[4 * WINDOW :].max() == 0

    def test_fewer_training_windows_than_neighbors(self, train, new):
        training = fit_training(series_of(train[: WINDOW + 1]))
        assert all(np.isfinite(one).all() for one in past_distances(training, series_of(new)))


class TestRootDistances:
    def test_window_is_not_smoothed_and_the_far_horizon_is_three_times_as_long(self):
        """smoothing 2: the near kernel is (1, 2, 1) / 4; the far one, 1 + 3 = 4 wide, is (1, 2, 3, 4, 3, 2, 1) / 16."""
        impulse = np.zeros(11, dtype=np.float32)
        impulse[5] = 16.0
        window, near, far = RootDistances.of(ChannelDistances(impulse, impulse), 2, np.array([0, 11]))
        np.testing.assert_allclose(window, np.sqrt(impulse))
        np.testing.assert_allclose(near**2, [0, 0, 0, 0, 4, 8, 4, 0, 0, 0, 0], atol=1e-12)
        np.testing.assert_allclose(far**2, [0, 0, 1, 2, 3, 4, 3, 2, 1, 0, 0], atol=1e-12)
        assert window.dtype == near.dtype == far.dtype == np.float64

    def test_smoothing_of_one_is_off(self):
        squares = np.array([1.0, 4.0, 9.0], dtype=np.float32)
        for root in RootDistances.of(ChannelDistances(squares, squares), 1, np.array([0, 3])):
            assert root.tolist() == [1.0, 2.0, 3.0]

    def test_no_average_crosses_a_border(self):
        squares = np.repeat(np.float32([1.0, 9.0]), 10)
        _, near, far = RootDistances.of(ChannelDistances(squares, squares), 4, np.array([0, 10, 20]))
        np.testing.assert_allclose(near, np.repeat([1.0, 3.0], 10))
        np.testing.assert_allclose(far, np.repeat([1.0, 3.0], 10))


class TestDeviation:
    def test_is_the_signed_difference_from_the_neighbours(self):
        """Training rows are 0; a rise of 3 and a drop of 2 in channel 1 keep their signs."""
        training = fit_training(series_of(np.zeros((100, 2), dtype=np.float32)))
        new = np.zeros((40, 2), dtype=np.float32)
        new[10:14, 1], new[30, 1] = 3.0, -2.0
        windows = series_of(new).windows(WINDOW, 1)
        first, second = training.distances(windows, "cpu", signed=True)
        np.testing.assert_allclose(first.deviation, 0.0)
        np.testing.assert_allclose(second.deviation, new[:, 1])
        assert [one.deviation for one in training.distances(windows, "cpu")] == [None, None]

    def test_local_evidence_is_calibrated_like_the_row_distance(self, train, new):
        series, rows = series_of(train), series_of(new)
        scorer, _, training_local = fit_scorer(series, smoothing=4)
        score, local = scorer.with_local(rows, "cpu", scorer.past(rows))
        np.testing.assert_array_equal(score, score_new(scorer, rows, "cpu"))
        windows, earlier = rows.windows(WINDOW, 1), scorer.past(rows)
        found = list(scorer.training.distances(windows, "cpu", earlier=earlier, signed=True))
        columns = np.array(
            [
                [tail(column) for tail, column in zip(one.local, local_columns(d.row, 4, rows.borders), strict=True)]
                for one, d in zip(scorer.channels, found, strict=True)
            ]
        )  # (channel, horizon, row)
        np.testing.assert_array_equal(local.largest, columns.max(axis=0).T)
        np.testing.assert_array_equal(local.channel, columns[:, -1].argmax(axis=0))
        deviations = np.column_stack([d.deviation for d in found])
        np.testing.assert_array_equal(local.deviation, deviations[np.arange(len(new)), local.channel])
        assert training_local.largest.shape == (len(train), 3)


class TestChannelCalibration:
    def test_centers_without_self_matches_and_heights_with_them(self):
        rows = np.arange(1001.0)  # median 500, tail 995.5
        outside, every = ChannelDistances((rows + 7) ** 2, (rows + 8) ** 2), ChannelDistances(rows**2, (2 * rows) ** 2)
        calibration = ChannelCalibration.fit(outside, every, 1, np.array([0, 1001]))
        row = TailCalibration(508.0, 991.0)
        assert calibration == (TailCalibration(507.0, 495.5), row, row, (row, row, row))

    def test_score_is_half_the_window_and_half_the_larger_row_distance(self):
        calibration = ChannelCalibration(
            TailCalibration(1.0, 2.0), TailCalibration(0.0, 1.0), TailCalibration(0.0, 10.0), ()
        )
        found = calibration(RootDistances(np.array([9.0, 9.0]), np.array([2.0, 1.0]), np.array([10.0, 60.0])))
        assert found.tolist() == [(4 + 2) / 2, (4 + 6) / 2]


def score_new(scorer, series, device):
    return scorer(series, device, scorer.past(series))


def fit_scorer(series, smoothing=5, stride=1, **settings):
    return NeighborScorer.fit(
        fit_training(series, **settings), series, stride=stride, smoothing=smoothing, device="cpu"
    )


class TestNeighborScorer:
    def test_score_is_the_definition(self, train, new):
        series, rows = series_of(train, 150), series_of(new, 40)
        scorer, training_scores, _ = fit_scorer(series, stride=3)
        outside, every = self_join(scorer.training, series, 3)
        found = past_distances(scorer.training, rows, 3)

        def roots(pair, borders):
            kinds = ((pair[0], 1), (pair[1], 5), (pair[1], 13))
            return [np.sqrt(smooth(kind.astype(float), width, borders)) for kind, width in kinds]

        calibrated, own = [], []
        for scored, unit, score in zip(
            roots(outside, series.borders), roots(every, series.borders), roots(found, rows.borders), strict=True
        ):
            height = np.maximum(np.sort(unit, axis=0)[-5:].mean(axis=0) - np.median(unit, axis=0), 0.1)
            calibrated.append((score - np.median(scored, axis=0)) / height)
            own.append((scored - np.median(scored, axis=0)) / height)
        for result, (window, near, far) in ((score_new(scorer, rows, "cpu"), calibrated), (training_scores, own)):
            np.testing.assert_allclose(result, ((window + np.maximum(near, far)) / 2).max(axis=1), rtol=1e-6, atol=1e-9)

    def test_explain_gives_the_score_to_the_channel_that_set_it(self, train, new):
        new[40:52, 2] += 8.0
        scorer, *_ = fit_scorer(series_of(train))
        parts = scorer.explain(series_of(new), "cpu", scorer.past(series_of(new)))
        np.testing.assert_array_equal(parts.score, score_new(scorer, series_of(new), "cpu"))
        np.testing.assert_array_equal(parts.by_channel.sum(axis=1), parts.score)
        assert ((parts.by_channel != 0).sum(axis=1) <= 1).all()
        assert (parts.by_channel[40:52].argmax(axis=1) == 2).all()
        assert len({*parts.by_channel[:30].argmax(axis=1)}) > 1

    def test_typical_training_row_scores_zero(self):
        rows = np.random.default_rng(0).normal(size=(600, 1)).astype(np.float32)
        assert abs(np.median(fit_scorer(series_of(rows))[1])) < 0.05

    def test_anomaly_in_training_does_not_set_the_scale(self):
        """The anomaly is near itself. Heights without self-matches would be more than twice as large."""
        rows = np.random.default_rng(0).normal(size=(600, 1)).astype(np.float32)
        rows[200:260, 0] += 20.0 * np.hanning(60).astype(np.float32)
        scorer, training_scores, _ = fit_scorer(series_of(rows))
        (outside, _), *_ = scorer.training.self_join(series_of(rows).windows(WINDOW, 1), "cpu")
        for kind, root in zip(scorer.channels[0][:3], RootDistances.of(outside, 5, np.array([0, 600])), strict=True):
            assert TailCalibration.fit(root).height > 2 * kind.height
        assert training_scores[210:250].min() > 3

    def test_what_was_once_in_training_is_near_when_it_comes_again(self):
        noise = np.random.default_rng(0).normal(scale=0.05, size=(400, 1))
        once = np.zeros((400, 1))
        once[200:260, 0] = 5.0 * np.hanning(60)
        train, again = series_of(once.astype(np.float32)), series_of((once + noise).astype(np.float32))
        scorer, training_scores, _ = fit_scorer(train)
        assert score_new(scorer, again, "cpu")[225:235].max() < 0.2 * training_scores[225:235].min()

    def test_training_scores_do_not_change_with_other_calls(self, train):
        series = series_of(train)
        scorer, training_scores, _ = fit_scorer(series)
        before = training_scores.copy()
        score_new(scorer, series, torch.device("cpu"))
        np.testing.assert_array_equal(training_scores, before)
        assert (training_scores > score_new(scorer, series, "cpu")).mean() > 0.95

    def test_without_the_past_training_windows_alone_count(self, train, new):
        scorer, *_ = fit_scorer(series_of(train))
        alone = replace(scorer, uses_past=False)
        past, none = scorer.past(series_of(new)), alone.past(series_of(new))
        assert past.n_before_rows().tolist() == [max(0, row - WINDOW + 1) for row in range(90)]
        assert none is None
        np.testing.assert_array_equal(
            score_new(alone, series_of(new[:WINDOW]), "cpu"), score_new(scorer, series_of(new[:WINDOW]), "cpu")
        )
        assert (score_new(alone, series_of(new), "cpu") > score_new(scorer, series_of(new), "cpu")).any()

    def test_nothing_is_copied_from_the_device_before_the_score_is_complete(self, train):
        """Tensors on the device "meta" have no values: any read of a result fails."""
        series = series_of(train)
        scorer, *_ = fit_scorer(series)
        past = scorer.past(series)
        score, local = scorer.with_local(series, "meta", past)
        parts = scorer.explain(series, "meta", past)
        for found in (scorer(series, "meta", past), score, local.channel, local.deviation, parts.score):
            assert found.device.type == "meta"
            assert found.shape == (len(train),)

    def test_calibration_reads_distances_of_the_device(self, train):
        scorer, *_ = fit_scorer(series_of(train))
        with pytest.raises(NotImplementedError, match="meta"):
            NeighborScorer.fit(scorer.training, series_of(train), stride=1, smoothing=5, device="meta")
