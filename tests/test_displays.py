"""Displays draw what they computed, on new or on given axes."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from pyod.models.pca import PCA
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)
from timesad.displays import AnomalyScoreDisplay, AssociationDisplay
from timesad.nn import symmetric_kl

mpl = pytest.importorskip("matplotlib", reason="displays need the extra timesad[plots]")
WINDOW = 16
QUICK = {"window_size": WINDOW, "n_layers": 2, "model_size": 8, "n_heads": 2, "max_epochs": 1, "random_state": 0}


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

    def test_a_data_frame_indexed_by_words_is_drawn_by_row_number(self, waves):
        frame = pd.DataFrame(waves, index=[f"row {number}" for number in range(len(waves))])
        display = AnomalyScoreDisplay.from_estimator(PCA().fit(waves), frame)
        np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(len(waves)))

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
    def test_the_row_is_framed_in_a_window_inside_the_series(self, associating, waves, row, first_row):
        display = AssociationDisplay.from_estimator(associating, waves, row=row)
        assert display.first_row == first_row
        for mark, image in zip(display.marks_, display.images_, strict=True):
            assert mark.get_xy() == (first_row - 0.5, row - 0.5)
            assert (mark.get_width(), mark.get_height()) == (WINDOW, 1)
            begin, end = first_row - 0.5, first_row + WINDOW - 0.5
            assert image.get_extent() == [begin, end, end, begin]

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


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install timesad\[plots\]"):
        AnomalyScoreDisplay.from_predictions([1.0, 2.0])
