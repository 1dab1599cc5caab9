"""Displays draw what they computed, on new or on given axes."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from pyod.models.pca import PCA
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping
from skorch.history import History

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
    load,
)
from timesad.displays import AnomalyScoreDisplay, AssociationDisplay, TrainingDisplay
from timesad.nn import symmetric_kl
from timesad.training import MinimaxNet

mpl = pytest.importorskip("matplotlib", reason="displays need the extra timesad[plots]")
WINDOW = 16
QUICK = {
    "window_size": WINDOW,
    "n_layers": 2,
    "model_size": 8,
    "n_heads": 2,
    "max_epochs": 1,
    "batch_size": 64,
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def not_on_a_screen():
    """Figures are drawn to a buffer and closed afterwards."""
    from matplotlib import pyplot as plt

    plt.switch_backend("Agg")
    yield
    plt.close("all")


class TestScores:
    def test_from_estimator_draws_the_scores_and_the_threshold(self, fitted, waves):
        display = AnomalyScoreDisplay.from_estimator(fitted, waves)
        np.testing.assert_array_equal(display.line_.get_ydata(), fitted.decision_function(waves))
        np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(len(waves)))
        assert set(display.threshold_line_.get_ydata()) == {fitted.threshold_}
        assert display.spans_ == []
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert labels == [type(fitted).__name__, "threshold"]
        display.figure_.canvas.draw()

    def test_every_true_anomaly_is_shaded_from_half_a_row_before_to_half_a_row_after(self):
        y = np.array([1, 0, 0, 1, 0, 1, 1, 1])
        display = AnomalyScoreDisplay.from_predictions(np.arange(8.0), y=y)
        sides = [(span.get_extents().x0, span.get_extents().x1) for span in display.spans_]
        rows = [display.ax_.transData.inverted().transform([(x0, 0), (x1, 0)])[:, 0] for x0, x1 in sides]
        np.testing.assert_allclose(rows, [(0, 0.5), (2.5, 3.5), (4.5, 7)], atol=1e-9)
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["score", "true anomaly"]

    def test_dates_of_a_data_frame_are_the_horizontal_axis(self, make_detector, waves):
        frame = pd.DataFrame(waves, index=pd.date_range("2026-01-01", periods=len(waves), freq="min"))
        frame.columns = ["pressure", "flow"]
        y = np.zeros(len(waves))
        y[100] = 1
        display = AnomalyScoreDisplay.from_estimator(make_detector().fit(frame), frame, y=y)
        np.testing.assert_array_equal(display.line_.get_xdata(orig=True), frame.index.to_numpy())
        assert len(display.spans_) == 1
        display.figure_.canvas.draw()

    @pytest.mark.parametrize(
        "index",
        [[f"row {number}" for number in range(240)], [*range(120), *range(120)], pd.timedelta_range(0, periods=240)],
        ids=["words", "two series", "durations"],
    )
    def test_an_index_that_is_no_position_is_drawn_by_row_number(self, waves, index):
        display = AnomalyScoreDisplay.from_estimator(PCA().fit(waves), pd.DataFrame(waves, index=index))
        np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(len(waves)))
        assert display.ax_.get_xlabel() == "row"

    @pytest.mark.parametrize(
        ("index", "first", "noon"),
        [
            (pd.date_range("2026-03-28", periods=240, freq="h"), "2026-03-28T00", "12:00"),
            (pd.date_range("2026-03-28", periods=240, freq="h", tz="Asia/Kolkata"), "2026-03-27T18:30", "17:30"),
            (pd.period_range("2026-03-28", periods=240, freq="h"), "2026-03-28T00", "12:00"),
        ],
        ids=["plain", "zone", "periods"],
    )
    def test_times_have_labels_in_their_own_time_zone(self, waves, index, first, noon):
        from matplotlib.dates import date2num

        display = AnomalyScoreDisplay.from_estimator(PCA().fit(waves), pd.DataFrame(waves, index=index), y=[0, 1] * 120)
        assert display.line_.get_xdata(orig=True)[0] == np.datetime64(first)
        time = date2num(np.datetime64("2026-03-28T12"))
        assert display.ax_.xaxis.get_major_formatter().format_ticks([time, time + 1 / 24])[0] == noon

    def test_rows_across_the_change_to_winter_time_keep_their_order_and_distance(self):
        times = pd.date_range("2026-10-24 22:00", periods=8, freq="h", tz="UTC").tz_convert("Europe/Berlin")
        display = AnomalyScoreDisplay.from_predictions(np.arange(8.0), positions=times)
        assert set(np.diff(display.line_.get_xdata(orig=True))) == {np.timedelta64(1, "h")}

    def test_a_pipeline_and_any_pyod_detector_can_be_drawn(self, waves):
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", PCA())]).fit(waves)
        display = AnomalyScoreDisplay.from_estimator(pipeline, waves)
        np.testing.assert_array_equal(display.scores, pipeline.decision_function(waves))
        assert display.threshold == pipeline["detect"].threshold_
        assert display.name == "PCA"

    def test_groups_reach_the_detector(self, fitted, waves):
        groups = np.repeat([0, 1], 120)
        display = AnomalyScoreDisplay.from_estimator(fitted, waves, groups=groups)
        np.testing.assert_array_equal(display.scores, fitted.decision_function(waves, groups=groups))

    def test_axes_can_be_given_and_drawn_on_again(self):
        from matplotlib import pyplot as plt

        figure, (above, below) = plt.subplots(2)
        display = AnomalyScoreDisplay.from_predictions([1.0, 2.0], ax=above)
        assert display.ax_ is above
        assert display.figure_ is figure
        assert display.threshold_line_ is None
        assert display.plot(ax=below) is display
        assert display.ax_ is below

    @pytest.mark.parametrize("scores", [[], [[1.0, 2.0]], 3.0])
    def test_scores_of_another_shape_are_refused(self, scores):
        with pytest.raises(ValueError, match=r"scores has shape .*\(n_rows,\)"):
            AnomalyScoreDisplay.from_predictions(scores)

    @pytest.mark.parametrize("positions", [[2, 1], ["a", "b"], [True, False], pd.to_datetime(["2026-01-02", None])])
    def test_positions_that_do_not_increase_are_refused(self, positions):
        with pytest.raises(ValueError, match="positions must be numbers or times that increase"):
            AnomalyScoreDisplay.from_predictions([1.0, 2.0], positions=positions)

    @pytest.mark.parametrize("name", ["y", "positions"])
    def test_labels_or_positions_of_another_length_are_refused_by_name(self, name):
        with pytest.raises(ValueError, match=rf"{name} has shape \(3,\).*2 scores"):
            AnomalyScoreDisplay.from_predictions([1.0, 2.0], **{name: [0, 1, 0]})


@pytest.fixture(scope="module", params=[TimesNetDiscrepancyDetector, AnomalyTransformerDetector])
def associating(request, waves):
    """A detector of each class with associations."""
    return request.param(**QUICK).fit(waves)


def alarms_of(*ranges, severity=None, channels=None):
    start, end = np.array(ranges, dtype=int).reshape(-1, 2).T
    severity = np.arange(len(start))[::-1] + 2.0 if severity is None else severity
    channels = [{"cpu": 0.9, "disk": 0.1}] * len(start) if channels is None else channels
    return pd.DataFrame(
        {"start": start, "end": end, "severity": severity, "channels": pd.Series(channels, dtype=object)}
    )


class TestAlarms:
    def test_each_is_a_bar_above_the_scores_with_its_leading_channel(self):
        display = AnomalyScoreDisplay.from_predictions(np.arange(50.0), alarms=alarms_of((3, 5), (30, 40)))
        bars = [bar.get_extents().transformed(display.ax_.transData.inverted()) for bar in display.alarm_bars_]
        np.testing.assert_allclose([(bar.x0, bar.x1) for bar in bars], [(2.5, 4.5), (29.5, 39.5)])
        assert [label.get_text() for label in display.alarm_labels_] == ["cpu", "cpu"]
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["score", "alarm"]
        display.figure_.canvas.draw()

    def test_dates_give_the_positions(self):
        from matplotlib.dates import date2num

        times = pd.date_range("2026-01-01", periods=10, freq="h")
        display = AnomalyScoreDisplay.from_predictions(np.arange(10.0), positions=times, alarms=alarms_of((2, 4)))
        display.figure_.canvas.draw()
        extent = display.alarm_bars_[0].get_extents().transformed(display.ax_.transData.inverted())
        expected = date2num(times[[1, 3]] + pd.Timedelta("30min"))
        np.testing.assert_allclose([extent.x0, extent.x1], expected)
        label = display.alarm_labels_[0].get_window_extent()
        bar = display.alarm_bars_[0].get_window_extent()
        assert (label.x0 + label.x1) / 2 == pytest.approx((bar.x0 + bar.x1) / 2, abs=1)

    def test_the_most_severe_are_named_and_no_two_names_overlap(self):
        """A hundred thousand rows and 500 alarms of fifty channels with long names."""
        starts = np.arange(0, 100_000, 200)
        channels = [{f"temperature_of_channel_{number % 50}": 1.0} for number in range(500)]
        alarms = alarms_of(*zip(starts, starts + 20, strict=True), severity=np.arange(500.0), channels=channels)
        display = AnomalyScoreDisplay.from_predictions(np.zeros(100_000), alarms=alarms)
        assert len(display.alarm_bars_) == 500
        assert 2 <= len(display.alarm_labels_) <= 12
        assert display.alarm_labels_[0].get_text() == "temperature_of_channel_49"
        display.figure_.canvas.draw()
        extents = [label.get_window_extent() for label in display.alarm_labels_]
        assert not any(one.overlaps(other) for one, other in combinations(extents, 2))
        assert all(display.ax_.bbox.x0 - 1 <= one.x0 and one.x1 <= display.ax_.bbox.x1 + 1 for one in extents)

    @pytest.mark.parametrize("scale", ["linear", "symlog"])
    def test_bars_and_labels_are_above_the_scores(self, scale):
        from matplotlib import pyplot as plt

        _, ax = plt.subplots()
        ax.set_yscale(scale)
        scores = np.geomspace(0.1, 1000.0, 50)
        display = AnomalyScoreDisplay.from_predictions(scores, ax=ax, alarms=alarms_of((45, 50)))
        display.figure_.canvas.draw()
        highest_score = ax.transData.transform((0, scores.max()))[1]
        bar, label = (one.get_window_extent() for one in (display.alarm_bars_[0], display.alarm_labels_[0]))
        assert highest_score < bar.y0 < bar.y1 < label.y0 < label.y1 <= ax.bbox.y1

    def test_a_bar_of_one_row_among_many_has_an_edge_that_can_be_seen(self):
        display = AnomalyScoreDisplay.from_predictions(np.zeros(100_000), alarms=alarms_of((70_000, 70_001)))
        assert display.alarm_bars_[0].get_window_extent().width < 0.1, "less than a pixel without the edge"
        assert display.alarm_bars_[0].get_linewidth() >= 1

    def test_an_alarm_without_a_leading_channel_has_no_label(self):
        display = AnomalyScoreDisplay.from_predictions(np.arange(9.0), alarms=alarms_of((1, 2), channels=[{}]))
        assert len(display.alarm_bars_) == 1
        assert display.alarm_labels_ == []

    def test_without_alarms_there_is_no_bar(self):
        display = AnomalyScoreDisplay.from_predictions(np.arange(9.0), alarms=alarms_of())
        assert display.alarm_bars_ == display.alarm_labels_ == []
        assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["score"]

    def test_columns_beside_start_and_end_are_optional(self):
        alarms = alarms_of((1, 2))[["start", "end"]]
        assert len(AnomalyScoreDisplay.from_predictions(np.arange(9.0), alarms=alarms).alarm_bars_) == 1

    @pytest.mark.parametrize("through_pipeline", [False, True])
    def test_true_calls_detect(self, make_nearest, waves, through_pipeline):
        detector = make_nearest()
        estimator = Pipeline([("scale", StandardScaler()), ("detect", detector)]) if through_pipeline else detector
        estimator.fit(waves)
        rows = waves.copy()
        rows[100:104] += 9.0
        display = AnomalyScoreDisplay.from_estimator(estimator, pd.DataFrame(rows), alarms=True)
        inner = estimator[:-1].transform(rows) if through_pipeline else rows
        pd.testing.assert_frame_equal(display.alarms, detector.detect(inner))
        assert len(display.alarm_bars_) >= 1

    def test_true_needs_a_detector_that_detects(self, waves):
        with pytest.raises(ValueError, match="alarms=True, but PCA has no method detect"):
            AnomalyScoreDisplay.from_estimator(PCA().fit(waves), waves, alarms=True)

    @pytest.mark.parametrize(
        ("alarms", "message"),
        [
            ([(1, 2)], "alarms must be a DataFrame with the columns start and end"),
            (pd.DataFrame({"begin": [1]}), "alarms must be a DataFrame with the columns start and end"),
            (alarms_of((5, 12)), "alarms has an alarm with start=5 and end=12, but there are 9 scores"),
            (alarms_of((-1, 2)), "alarms has an alarm with start=-1 and end=2"),
            (alarms_of((4, 4)), "start before end"),
            (alarms_of((1, 2)).astype({"start": float}), "alarms has a start or end that is not an integer"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, alarms, message):
        with pytest.raises(ValueError, match=message):
            AnomalyScoreDisplay.from_predictions(np.arange(9.0), alarms=alarms)


class WithoutMasks(AnomalyTransformerDetector):
    def _window_settings(self):
        return replace(super()._window_settings(), n_masks=0)


class TestAssociations:
    @pytest.mark.parametrize("score", ["reconstruction*neighbors", "reconstruction", "reconstruction+discrepancy"])
    def test_the_flagship_has_associations_with_every_score(self, waves, score):
        detector = TimesNetDiscrepancyDetector(**QUICK, anomaly_score=score).fit(waves)
        display = AssociationDisplay.from_estimator(detector, waves, row=120)
        assert list(display.associations) == ["S", "P"]
        assert len(display.images_) == len(display.axes_) == 2

    def test_lines_sum_to_one_and_are_drawn_as_they_are_kept(self, associating, waves):
        display = AssociationDisplay.from_estimator(associating, waves, row=120)
        assert list(display.associations) == ["S", "P"]
        for association, image in zip(display.associations.values(), display.images_, strict=True):
            assert association.shape == (WINDOW, WINDOW)
            np.testing.assert_allclose(association.sum(axis=1), 1, rtol=1e-5)
            np.testing.assert_array_equal(image.get_array(), association)
        display.figure_.canvas.draw()

    def test_their_divergence_is_the_discrepancy_of_the_network(self, waves):
        """With one layer, one head and no masks nothing is averaged."""
        detector = WithoutMasks(**QUICK | {"n_layers": 1, "n_heads": 1}).fit(waves)
        display = AssociationDisplay.from_estimator(detector, waves, row=120)
        drawn = {name: torch.from_numpy(value)[None, None] for name, value in display.associations.items()}
        expected = symmetric_kl(drawn["S"], drawn["P"])  # (batch, time)
        x = torch.from_numpy(detector.scaling_(waves[display.first_row :][:WINDOW]))[None]
        with torch.inference_mode():
            discrepancy = detector.network_(x).discrepancy  # (batch, time, prior)
        torch.testing.assert_close(expected, discrepancy[..., 0], rtol=1e-4, atol=1e-5)

    def test_every_association_has_the_same_colours(self, associating, waves):
        display = AssociationDisplay.from_estimator(associating, waves, row=120)
        assert len({id(image.norm) for image in display.images_}) == 1
        assert display.images_[0].norm.vmin == 0
        assert display.images_[0].norm.vmax == max(value.max() for value in display.associations.values())

    @pytest.mark.parametrize(
        ("row", "first_row"), [(0, 0), (5, 0), (120, 112), (235, 240 - WINDOW), (239, 240 - WINDOW)]
    )
    def test_the_row_is_marked_at_both_ends_in_a_window_inside_the_series(self, associating, waves, row, first_row):
        display = AssociationDisplay.from_estimator(associating, waves, row=row)
        assert display.first_row == first_row
        for marks, image, ax in zip(display.marks_, display.images_, display.axes_, strict=True):
            begin, end = first_row - 0.5, first_row + WINDOW - 0.5
            assert image.get_extent() == [begin, end, end, begin]
            tips = [mark.get_transform().transform(mark.get_xydata()[0]) for mark in marks]
            np.testing.assert_allclose(ax.transData.inverted().transform(tips), [(begin, row), (end, row)], atol=1e-9)

    @pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
    def test_times_of_a_data_frame_are_both_axes(self, associating, waves, zone):
        from matplotlib.dates import date2num

        times = pd.date_range("2026-03-28 22:00", periods=len(waves), freq="min", tz=zone)
        display = AssociationDisplay.from_estimator(associating, pd.DataFrame(waves, index=times), row=120)
        numbers = date2num(times[[112, 127]].tz_localize(None) if zone is None else times[[112, 127]].tz_convert(None))
        begin, end = numbers + np.array([-0.5, 0.5]) / (24 * 60)
        np.testing.assert_allclose(display.images_[0].get_extent(), [begin, end, end, begin], rtol=0, atol=1e-8)
        display.figure_.canvas.draw()
        assert all(":" in label.get_text() for label in display.axes_[0].get_yticklabels())

    def test_the_prior_of_a_long_window_stays_visible(self):
        """A diagonal of single cells, more of them than the picture has pixels."""
        associations = {"S": np.full((1500, 1500), 1 / 1500), "P": np.eye(1500)}
        display = AssociationDisplay(associations=associations, row=700, first_row=0).plot()
        pixels = drawn(display)
        box = display.axes_[1].bbox
        inside = pixels[int(box.y0) + 3 : int(box.y1) - 3, int(box.x0) + 3 : int(box.x1) - 3]
        assert (np.ptp(inside.astype(int), axis=1).max(axis=1) > 60).mean() > 0.95, "in each line of pixels"

    @pytest.mark.parametrize(("row", "first_row"), [(99, 84), (100, 100)])
    def test_the_window_is_inside_the_series_of_the_row(self, associating, waves, row, first_row):
        groups = np.repeat([0, 1], [100, 140])
        display = AssociationDisplay.from_estimator(associating, waves, row=row, groups=groups)
        assert display.first_row == first_row

    def test_a_pipeline_transforms_the_rows_first(self, waves):
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", AnomalyTransformerDetector(**QUICK))]).fit(waves)
        display = AssociationDisplay.from_estimator(pipeline, waves, row=120)
        alone = AssociationDisplay.from_estimator(pipeline["detect"], pipeline[:-1].transform(waves), row=120)
        np.testing.assert_array_equal(display.associations["S"], alone.associations["S"])

    def test_axes_can_be_given(self, associating, waves):
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(1, 2)
        display = AssociationDisplay.from_estimator(associating, waves, row=120, axes=axes)
        assert list(display.axes_) == list(axes)
        assert display.figure_ is figure
        with pytest.raises(ValueError, match="axes has 1 axes; expected 2"):
            display.plot(axes=axes[:1])

    @pytest.mark.parametrize("row", [-1, 240])
    def test_a_row_outside_the_series_is_refused(self, associating, waves, row):
        with pytest.raises(ValueError, match=rf"row={row} .*from 0 to 239"):
            AssociationDisplay.from_estimator(associating, waves, row=row)

    @pytest.mark.parametrize(
        "detector",
        [
            TimesNetDiscrepancyDetector(**QUICK, discrepancy_weight=0),
            TimesNetDetector(window_size=WINDOW, max_epochs=1),
            NearestWindowsDetector(window_size=WINDOW),
            PCA(),
        ],
        ids=lambda detector: type(detector).__name__,
    )
    def test_a_detector_without_associations_is_refused_with_the_remedy(self, waves, detector):
        message = (
            rf"This {type(detector).__name__} has no associations to show. Fit an AnomalyTransformerDetector, or a "
            "TimesNetDiscrepancyDetector with a discrepancy_weight other than 0"
        )
        with pytest.raises(ValueError, match=message):
            AssociationDisplay.from_estimator(clone(detector).fit(waves), waves, row=120)

    def test_an_unfitted_detector_is_refused(self, waves):
        with pytest.raises(NotFittedError):
            AssociationDisplay.from_estimator(AnomalyTransformerDetector(**QUICK), waves, row=120)

    def test_a_display_does_not_change_a_score(self, associating, waves):
        before = associating.decision_function(waves)
        AssociationDisplay.from_estimator(associating, waves, row=120)
        np.testing.assert_array_equal(associating.decision_function(waves), before)


def drawn(display):
    """Colours (height, width, 3) of the picture, the first line at the bottom as in matplotlib's coordinates."""
    display.figure_.canvas.draw()
    return np.asarray(display.figure_.canvas.buffer_rgba())[::-1, :, :3]


N_ROWS = 100_000


@pytest.fixture(scope="module")
def noise():
    """Scores of many rows."""
    return np.random.default_rng(0).gamma(1.5, size=N_ROWS)


class TestManyRows:
    def test_the_picture_has_few_points_whatever_the_labels(self, noise):
        y = np.arange(N_ROWS) % 2
        display = AnomalyScoreDisplay.from_predictions(noise, threshold=5.0, y=y)
        assert len(display.line_.get_xdata()) <= 1000
        assert sum(len(path.vertices) for path in display.range_.get_paths()) < 2100
        assert len(display.spans_) == 1
        picture = BytesIO()
        display.figure_.savefig(picture, format="svg")
        assert len(picture.getvalue()) < 300_000, "bytes"

    @pytest.mark.parametrize("row", [0, 49, 70_000, 99_950, 99_999])
    def test_one_high_row_stays_visible_where_it_is(self, noise, row):
        scores = noise.copy()
        scores[row] = 40.0
        display = AnomalyScoreDisplay.from_predictions(scores)
        assert (row, 40.0) in set(zip(*display.line_.get_data(), strict=True))
        pixels = drawn(display)
        x, y = display.ax_.transData.transform((row, 30.0))
        left, right = (int(np.clip(x + shift, *display.ax_.bbox.intervalx)) for shift in (-3, 4))
        ground = pixels[int(y), int(display.ax_.bbox.x0 + display.ax_.bbox.x1) // 3]
        assert np.abs(pixels[int(y), left:right].astype(int) - ground).sum(axis=1).max() > 90

    def test_the_range_has_the_smallest_and_largest_score_of_each_group(self, noise):
        scores = noise.copy()
        scores[12_345] = -7.0
        display = AnomalyScoreDisplay.from_predictions(scores)
        heights = display.range_.get_paths()[0].vertices[:, 1]
        groups = scores.reshape(1000, 100)
        assert set(heights) == {*groups.min(axis=1), *groups.max(axis=1)}
        x, y = display.line_.get_data()
        np.testing.assert_array_equal(y, groups.max(axis=1))
        np.testing.assert_array_equal(scores[x], y)
        assert (np.diff(x) > 0).all()
        assert display.ax_.get_xlim() == (0, N_ROWS - 1)

    def test_a_missing_score_hides_no_other(self, noise):
        scores = noise.copy()
        scores[::2] = np.nan
        scores[-100:] = np.nan
        _, y = AnomalyScoreDisplay.from_predictions(scores).line_.get_data()
        np.testing.assert_array_equal(y, [*np.nanmax(scores.reshape(1000, 100)[:-1], axis=1), np.nan])

    @pytest.mark.parametrize("n_rows", [1, 2, 999, 2000])
    def test_up_to_2000_rows_are_drawn_one_by_one(self, noise, n_rows):
        display = AnomalyScoreDisplay.from_predictions(noise[:n_rows])
        np.testing.assert_array_equal(display.line_.get_ydata(), noise[:n_rows])
        assert display.range_ is None
        display.figure_.canvas.draw()

    @pytest.mark.parametrize("n_rows", [2001, 2999, 54_321])
    def test_any_number_of_rows_can_be_drawn(self, noise, n_rows):
        display = AnomalyScoreDisplay.from_predictions(noise[:n_rows])
        assert display.line_.get_ydata().max() == noise[:n_rows].max()
        assert 500 < len(display.line_.get_xdata()) <= 1000
        assert display.line_.get_xdata()[-1] < n_rows

    def test_events_less_than_a_group_apart_are_one_shade(self, noise):
        y = np.zeros(N_ROWS)
        y[[1000, 1099, 1200, 2000]] = 1  # 98, 100 and 799 rows between them
        display = AnomalyScoreDisplay.from_predictions(noise, y=y)
        sides = [(span.get_x(), span.get_x() + span.get_width()) for span in display.spans_]
        assert sides == [(999.5, 1099.5), (1199.5, 1200.5), (1999.5, 2000.5)]
        assert all(span.get_linewidth() >= 1 for span in display.spans_), "one row is less than a pixel wide"


ALTERNATING = [
    {
        "epoch": epoch,
        "train_reconstruction": 1 / epoch,
        "valid_reconstruction": 1.2 / epoch,
        "train_discrepancy_minimise": 8 + epoch / 10,
        "train_discrepancy_maximise": 7.5 + epoch / 10,
    }
    for epoch in range(1, 21)
]


def draw_few_rows(ax):
    scores = np.sin(np.arange(1000.0) / 9) + (np.arange(1000) > 950)
    alarms = alarms_of((950, 990), (100, 130))
    return AnomalyScoreDisplay.from_predictions(scores, threshold=1.5, y=np.arange(1000) > 940, alarms=alarms, ax=ax)


def draw_many_rows(ax):
    starts = np.arange(0, 100_000, 500)
    channels = [{f"temperature of hall {number % 50}, an average of twelve sensors": 1.0} for number in range(200)]
    alarms = alarms_of(*zip(starts, starts + 20, strict=True), severity=np.arange(200.0), channels=channels)
    return AnomalyScoreDisplay.from_predictions(
        np.random.default_rng(0).gamma(1.5, size=100_000),
        threshold=6.0,
        y=np.arange(100_000) % 5000 < 40,
        positions=pd.date_range("2026-01-01", periods=100_000, freq="min"),
        alarms=alarms,
        name="TimesNetDiscrepancyDetector",
        ax=ax,
    )


def draw_training(ax):
    return TrainingDisplay(history=ALTERNATING).plot(ax)


def draw_associations(ax, positions=None):
    """Rows with five digits."""
    associations = {"S": np.full((300, 300), 1 / 300), "P": np.eye(300)}
    axes = None if ax is None else ax.figure.subplots(1, 2)
    if ax is not None:
        ax.remove()
    return AssociationDisplay(associations=associations, row=70_010, first_row=69_860, positions=positions).plot(axes)


def draw_associations_of_times(ax):
    return draw_associations(ax, pd.date_range("2026-01-01", periods=300, freq="min").to_numpy())


DRAWINGS = [draw_few_rows, draw_many_rows, draw_training, draw_associations, draw_associations_of_times]


def luminance(colour):
    from matplotlib.colors import to_rgb

    part = np.asarray(to_rgb(colour))
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(colour, ground, alpha=None):
    """Contrast of two colours, from 1 to 21, as the Web Content Accessibility Guidelines define it."""
    from matplotlib.colors import to_rgb

    alpha = 1.0 if alpha is None else alpha
    mixed = alpha * np.asarray(to_rgb(colour)) + (1 - alpha) * np.asarray(to_rgb(ground))
    darker, lighter = sorted([luminance(mixed), luminance(ground)])
    return (lighter + 0.05) / (darker + 0.05)


def visible_texts(figure):
    """Texts that the picture shows; ticks beyond the ends of an axis are not drawn."""
    from matplotlib.text import Text

    figure.canvas.draw()
    ticks = {}
    for ax in figure.axes:
        for axis, interval in ((ax.xaxis, ax.bbox.intervalx), (ax.yaxis, ax.bbox.intervaly)):
            interval = interval if axis.get_visible() else (np.inf, np.inf)
            ticks |= {id(label): (axis is ax.xaxis, interval) for label in axis.get_ticklabels(which="both")}
    shown = []
    for text in figure.findobj(Text):
        extent = text.get_window_extent()
        if not text.get_visible() or not text.get_text().strip() or extent.width == 0:
            continue
        if id(text) in ticks:
            is_horizontal, (low, high) = ticks[id(text)]
            middle = (extent.x0 + extent.x1) / 2 if is_horizontal else (extent.y0 + extent.y1) / 2
            if not low - 2 <= middle <= high + 2:
                continue
        shown.append(text)
    return shown


@pytest.mark.parametrize("draw", DRAWINGS)
class TestReadable:
    @pytest.mark.parametrize("width", [None, 4.5], ids=["own figure", "narrow axes"])
    def test_no_two_texts_overlap(self, draw, width):
        from matplotlib import pyplot as plt

        ax = None if width is None else plt.subplots(figsize=(width, 3.2), layout="constrained")[1]
        texts = visible_texts(draw(ax).figure_)
        assert len(texts) >= 8
        boxes = [text.get_window_extent().padded(-0.5) for text in texts]
        pairs = combinations(zip(texts, boxes, strict=True), 2)
        assert [(a.get_text(), b.get_text()) for (a, one), (b, other) in pairs if one.overlaps(other)] == []

    @pytest.mark.parametrize("style", ["default", "dark_background"])
    def test_texts_frames_lines_and_bars_stand_out_from_the_ground(self, draw, style):
        from matplotlib import pyplot as plt
        from matplotlib.lines import Line2D

        with plt.style.context(style):
            figure = draw(None).figure_
        ground = figure.get_facecolor()  # drawn after the style is over, as in a notebook
        assert {ax.get_facecolor() for ax in figure.axes} == {ground}
        texts = visible_texts(figure)
        weak = [text.get_text() for text in texts if contrast(text.get_color(), ground, text.get_alpha()) < 4.5]
        assert weak == []
        spines = [spine.get_edgecolor() for ax in figure.axes for spine in ax.spines.values()]
        lines = [line for line in figure.findobj(Line2D) if line.get_visible()]
        assert min(contrast(colour, ground) for colour in spines) >= 3
        assert min(contrast(line.get_color(), ground, line.get_alpha()) for line in lines) >= 3
        assert [line for line in lines if str(line.get_color()).startswith("C")] == [], "looked up when drawn"


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def as_seen(colour, vision):
    """CIELAB coordinates of a colour; 2 is about the smallest difference that can be seen."""
    from matplotlib.colors import to_rgb

    part = np.asarray(to_rgb(colour))
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISIONS[vision] @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_colours_differ_for_every_kind_of_colour_vision(style):
    from matplotlib import pyplot as plt

    with plt.style.context(style):
        scores, training = draw_few_rows(None), draw_training(None)
    for one, other in (
        (scores.line_.get_color(), scores.alarm_bars_[0].get_facecolor()),
        (scores.line_.get_color(), scores.threshold_line_.get_color()),
        (training.train_line_.get_color(), training.valid_line_.get_color()),
        (training.train_line_.get_color(), training.discrepancy_lines_["minimise"].get_color()),
    ):
        for vision in VISIONS:
            assert np.linalg.norm(as_seen(one, vision) - as_seen(other, vision)) > 15


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("draw", [draw_few_rows, draw_many_rows, draw_training])
def test_the_legend_covers_nothing(draw, scale):
    from matplotlib import pyplot as plt

    _, ax = plt.subplots(figsize=(9, 3))
    if draw is not draw_few_rows:  # its scores are negative, too
        ax.set_yscale(scale)
    display = draw(ax)
    display.figure_.canvas.draw()
    [legend] = [one.get_legend() for one in display.figure_.axes if one.get_legend()]
    bottom = legend.get_window_extent().y0
    for one in display.figure_.axes:
        for line in one.lines:
            assert line.get_window_extent().y1 <= bottom
        for patch in one.patches:
            assert patch.get_window_extent().y1 <= bottom


def test_two_displays_on_the_same_axes_leave_room_for_both():
    few, many = np.arange(50.0), 9 * np.arange(50.0)
    first = AnomalyScoreDisplay.from_predictions(few, alarms=alarms_of((3, 5)), name="few")
    second = AnomalyScoreDisplay.from_predictions(many, alarms=alarms_of((30, 40)), name="many", ax=first.ax_)
    second.figure_.canvas.draw()
    legend = second.ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["few", "alarm", "many", "alarm"]
    assert second.line_.get_window_extent().y1 < second.alarm_bars_[0].get_window_extent().y0
    assert second.alarm_bars_[0].get_window_extent().y1 < legend.get_window_extent().y0


class TestTraining:
    def test_the_numbers_are_those_of_the_history(self, fitted_network):
        display = TrainingDisplay.from_estimator(fitted_network)
        history = pd.DataFrame(fitted_network.history_)
        for line, column in (
            (display.train_line_, "train_reconstruction"),
            (display.valid_line_, "valid_reconstruction"),
            *((line, f"train_discrepancy_{phase}") for phase, line in display.discrepancy_lines_.items()),
        ):
            np.testing.assert_array_equal(line.get_xdata(), history["epoch"])
            np.testing.assert_array_equal(line.get_ydata(), history[column])
        columns = [column for column in history if column.startswith("train_discrepancy_")]
        assert len(display.discrepancy_lines_) == len(columns)
        assert (display.discrepancy_ax_ is None) == (not columns)
        assert bool(columns) == (not isinstance(fitted_network, TimesNetDetector))
        display.figure_.canvas.draw()

    def test_each_phase_has_a_line_of_its_own_on_the_right_axis(self):
        display = TrainingDisplay(history=ALTERNATING).plot()
        assert list(display.discrepancy_lines_) == ["minimise", "maximise"]
        lines = list(display.discrepancy_lines_.values())
        assert all(line.axes is display.discrepancy_ax_ for line in lines)
        assert lines[0].get_linestyle() != lines[1].get_linestyle()
        assert lines[0].get_marker() != lines[1].get_marker()

    def test_the_kept_epoch_is_the_one_that_training_kept(self, waves, monkeypatch):
        kept = []
        end = EarlyStopping.on_train_end
        monkeypatch.setattr(
            EarlyStopping,
            "on_train_end",
            lambda self, net, **more: (kept.append(self.best_epoch_), end(self, net, **more)),
        )
        errors, epoch = iter([3.0, 1.0, 2.0]), MinimaxNet.run_single_epoch

        def run(net, iterator, training, **more):
            epoch(net, iterator, training=training, **more)
            if not training:
                net.history.record("valid_reconstruction", next(errors))

        monkeypatch.setattr(MinimaxNet, "run_single_epoch", run)
        detector = AnomalyTransformerDetector(**QUICK | {"max_epochs": 3}).fit(waves)
        display = TrainingDisplay.from_estimator(detector)
        assert [display.kept_epoch_] == kept == [2]
        assert set(display.kept_line_.get_xdata()) == set(kept)

    @pytest.mark.parametrize(
        ("errors", "expected"),
        [
            ([3.0, 2.0, 1.0, 2.0], 3),
            ([2.0, 2.0, 2.0], 1),
            ([1.0, 0.99995, 0.9998], 3),
            ([1.0, 0.99995], 1),  # too little to count
            ([1.0 - 3e-5 * epoch for epoch in range(10)], 9),
            ([5.0], 1),
        ],
    )
    def test_the_kept_epoch_follows_the_rule_of_training(self, errors, expected):
        history = [
            {"epoch": number, "train_reconstruction": error, "valid_reconstruction": error}
            for number, error in enumerate(errors, start=1)
        ]
        stopping = EarlyStopping(monitor="valid_reconstruction", patience=len(errors))
        stopping.on_train_begin(None)
        for number in range(1, len(errors) + 1):
            stopping.on_epoch_end(SimpleNamespace(history=History(history[:number]), verbose=0))
        assert stopping.best_epoch_ == expected
        assert TrainingDisplay(history=history).plot().kept_epoch_ == expected

    def test_without_held_out_windows_the_last_epoch_is_kept(self):
        history = [{"epoch": number, "train_reconstruction": float(number)} for number in (1, 2, 3)]
        display = TrainingDisplay(history=history).plot()
        assert display.valid_line_ is None
        assert display.kept_epoch_ == 3

    def test_epochs_are_whole_numbers(self):
        display = TrainingDisplay(history=[{"epoch": 1, "train_reconstruction": 2.0}]).plot()
        display.figure_.canvas.draw()
        low, high = display.ax_.get_xlim()
        assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [1]

    def test_a_pipeline_a_loaded_detector_and_given_axes(self, make_flagship, waves, tmp_path):
        from matplotlib import pyplot as plt

        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_flagship())]).fit(waves)
        pipeline["detect"].save(tmp_path / "detector.safetensors")
        figure, ax = plt.subplots()
        display = TrainingDisplay.from_estimator(pipeline, ax=ax)
        assert display.ax_ is ax
        assert display.figure_ is figure
        again = TrainingDisplay.from_estimator(load(tmp_path / "detector.safetensors"))
        np.testing.assert_array_equal(display.train_line_.get_ydata(), again.train_line_.get_ydata())

    @pytest.mark.parametrize("detector", [NearestWindowsDetector(window_size=WINDOW), PCA()])
    def test_a_detector_without_a_network_is_refused_with_the_remedy(self, waves, detector):
        message = (
            rf"This {type(detector).__name__} has no training to show: it trains no network. Fit a TimesNetDetector"
        )
        with pytest.raises(ValueError, match=message):
            TrainingDisplay.from_estimator(clone(detector).fit(waves))

    def test_an_unfitted_detector_is_refused(self, make_detector):
        with pytest.raises(NotFittedError):
            TrainingDisplay.from_estimator(make_detector())


class TestNotebooks:
    """Detectors as a notebook shows them."""

    def test_the_diagram_has_the_parameters_and_whether_the_detector_is_fitted(self, fitted, make_detector):
        for detector, words in ((make_detector(), "<span>Not fitted</span>"), (fitted, "<span>Fitted</span>")):
            html = detector._repr_html_()
            assert type(detector).__name__ in html
            assert "window_size" in html
            assert words in html
            assert detector._repr_mimebundle_()["text/html"].startswith("<style>")

    def test_the_diagram_of_a_pipeline_has_every_step(self, make_nearest, waves):
        pipeline = Pipeline([("scale", StandardScaler()), ("detect", make_nearest())])
        before, after = pipeline._repr_html_(), pipeline.fit(waves)._repr_html_()
        assert "<span>Not fitted</span>" in before
        assert "<span>Fitted</span>" in after
        for html in (before, after):
            assert "StandardScaler" in html
            assert type(pipeline["detect"]).__name__ in html

    def test_the_text_creates_the_same_detector(self, fitted):
        assert fitted._repr_mimebundle_()["text/plain"] == repr(fitted)
        classes = {type(fitted).__name__: type(fitted)}
        assert eval(repr(fitted), classes).get_params() == fitted.get_params()
        with config_context(display="text"):
            assert list(fitted._repr_mimebundle_()) == ["text/plain"]

    def test_a_diagram_changes_nothing(self, fitted, waves):
        before = fitted.decision_function(waves)
        state = set(vars(fitted))
        fitted._repr_html_()
        assert set(vars(fitted)) == state
        np.testing.assert_array_equal(fitted.decision_function(waves), before)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install timesad\[plots\]"):
        AnomalyScoreDisplay.from_predictions([1.0, 2.0])
