"""What would be converted without a word is refused or used as it is meant: dates, masks, times, names of series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator

from timesad._input import read_rows
from timesad.exceptions import IgnoredGroupsWarning, TimeGapWarning

METHODS = ("fit", "decision_function", "predict", "explain", "detect")
HALVES = np.repeat(["north", "south"], 120)
TIMES = pd.date_range("2026-01-01", periods=240, freq="min", tz="Europe/Berlin")
NAIVE = TIMES.tz_localize(None)


class Channels(BaseEstimator):
    """Holds the number of channels."""


@pytest.fixture(params=METHODS)
def call(request, make_nearest, waves):
    """Calls one method of a fitted detector; `fit` of a fresh one."""
    detector = make_nearest().fit(waves)
    return getattr(detector, request.param)


class TestDates:
    def test_a_table_of_dates_only(self, call):
        table = pd.DataFrame({"start": TIMES, "end": TIMES})
        with pytest.raises(ValueError, match=r"column 'start' of X has times.*index of the DataFrame, or drop it"):
            call(table)

    @pytest.mark.parametrize("dates", [TIMES, NAIVE, TIMES - TIMES[0], NAIVE.to_period("h")])
    def test_a_column_of_dates_among_numbers(self, call, waves, dates):
        table = pd.DataFrame({"when": dates, "flow": waves[:, 0]})
        with pytest.raises(ValueError, match="column 'when' of X has times"):
            call(table)

    def test_an_array_of_dates(self, call):
        dates = np.datetime64("2026", "s") + np.arange(480).reshape(240, 2)
        with pytest.raises(ValueError, match=r"X has times \(dtype datetime64\[s\]\)"):
            call(dates)


class TestMasks:
    def test_a_mask_is_refused_with_a_remedy(self, call, waves):
        masked = np.ma.masked_array(waves, mask=np.zeros(waves.shape, dtype=bool))
        masked[7, 1] = np.ma.masked
        with pytest.raises(ValueError, match=r"masked entries, the first in row 7.*filled\(numpy\.nan\).*missing="):
            call(masked)

    def test_without_masked_entries_it_is_an_array(self, make_nearest, waves):
        scores = make_nearest().fit(np.ma.masked_array(waves)).decision_scores_
        np.testing.assert_array_equal(scores, make_nearest().fit(waves).decision_scores_)


class TestNumbersThatAreNone:
    @pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
    def test_the_first_one_is_named_by_row_and_channel(self, call, waves, value, name):
        spoiled = pd.DataFrame(waves.copy(), columns=["flow", "pressure"])
        if call.__name__ != "fit":
            spoiled.columns = [0, 1]
        spoiled.iloc[70, 1] = spoiled.iloc[90, 0] = value
        with pytest.raises(ValueError, match=rf"X has {name} in row 70, channel 1.*Fill or drop"):
            call(spoiled)

    def test_the_channel_has_its_name(self, make_nearest, waves):
        table = pd.DataFrame(waves.copy(), columns=["flow", "pressure"])
        table.iloc[70, 1] = np.nan
        with pytest.raises(ValueError, match=r"channel 1 \('pressure'\).*missing='interpolate' or missing='mask'"):
            make_nearest().fit(table)

    def test_in_the_last_of_many_rows(self, make_nearest, waves):
        long = np.tile(waves, (300, 1))
        long[-1, 0] = np.nan
        with pytest.raises(ValueError, match="NaN in row 71999, channel 0"):
            make_nearest().fit(waves).decision_function(long)

    def test_scikit_learns_assumption_of_finite_numbers_changes_nothing(self, call, waves):
        spoiled = waves.copy()
        spoiled[3, 0] = np.nan
        with sklearn.config_context(assume_finite=True), pytest.raises(ValueError, match="NaN in row 3, channel 0"):
            call(spoiled)


def test_a_fit_on_one_dimension_names_the_remedy(make_nearest, waves):
    with pytest.raises(ValueError, match=r"one-dimensional. Reshape your data: X.reshape\(-1, 1\) has"):
        make_nearest().fit(waves[:, 0])


class TestMissing:
    def test_interpolation_is_a_line_within_each_series(self, waves):
        spoiled = waves.copy()
        spoiled[[0, 50, 51, 119, 120, 239], 0] = np.nan
        rows = read_rows(Channels(), spoiled, HALVES, window_size=16, missing="interpolate", reset=True)
        expected = waves.copy()
        expected[[0, 119, 120, 239], 0] = waves[[1, 118, 121, 238], 0]
        expected[50:52, 0] = waves[49, 0] + (waves[52, 0] - waves[49, 0]) * np.array([1, 2]) / 3
        np.testing.assert_allclose(rows.values, expected, rtol=1e-15)
        np.testing.assert_array_equal(rows.missing, np.isnan(spoiled))

    def test_interpolation_fills_gaps_of_at_most_a_window(self, make_nearest, waves):
        short, long = waves.copy(), waves.copy()
        short[100:116, 1] = long[100:117, 1] = np.nan
        detector = make_nearest(missing="interpolate").fit(short)
        masked = make_nearest(missing="mask").fit(short)
        np.testing.assert_array_equal(detector.decision_scores_, masked.decision_scores_)
        for call in (detector.fit, detector.decision_function):
            with pytest.raises(ValueError, match=r"channel 1 of X has no number in rows 100 to 116.*window_size=16"):
                call(long)
        assert np.isfinite(masked.decision_function(long)).all()

    def test_explain_marks_the_cells(self, make_nearest, waves):
        spoiled = waves.copy()
        spoiled[100:116, 1] = np.nan
        detector = make_nearest(missing="interpolate").fit(waves)
        np.testing.assert_array_equal(detector.explain(spoiled).missing, np.isnan(spoiled))
        assert not detector.explain(waves).missing.any()
        assert "missing" not in make_nearest().fit(waves).explain(waves)

    def test_a_gap_is_no_alarm(self, make_detector, waves):
        new = np.tile(waves, (3, 1))
        new[300:316, 0] = np.nan
        alarms = make_detector(thorough=True, missing="interpolate").fit(np.tile(waves, (2, 1))).detect(new)
        assert not ((alarms["start"] < 316) & (alarms["end"] > 300)).any(), alarms

    def test_a_line_that_was_measured_is_one(self, make_nearest, waves):
        """The channel has a period of 8 rows, so the test above can fail."""
        new = np.tile(waves, (3, 1))
        new[300:316, 0] = np.linspace(new[299, 0], new[316, 0], 16)
        alarms = make_nearest(missing="interpolate").fit(np.tile(waves, (2, 1))).detect(new)
        assert ((alarms["start"] < 316) & (alarms["end"] > 300)).any()

    def test_without_a_missing_number_the_options_are_the_same(self, make_detector, fitted, waves):
        for missing in ("interpolate", "mask"):
            detector = make_detector(missing=missing).fit(waves)
            np.testing.assert_array_equal(detector.decision_scores_, fitted.decision_scores_)
            np.testing.assert_array_equal(detector.decision_function(waves), fitted.decision_function(waves))

    def test_infinity_is_never_missing(self, make_nearest, waves):
        spoiled = waves.copy()
        spoiled[3, 0] = np.inf
        for missing in ("interpolate", "mask"):
            with pytest.raises(ValueError, match="infinity in row 3"):
                make_nearest(missing=missing).fit(spoiled)

    def test_a_channel_without_a_number_is_refused(self, make_nearest, waves):
        spoiled = waves.copy()
        spoiled[120:, 1] = np.nan
        with pytest.raises(ValueError, match=r"channel 1 of X has no number in the series of rows 120 to 239"):
            make_nearest(missing="mask").fit(spoiled, groups=HALVES)

    def test_a_masked_gap_scores_like_normal_rows(self, make_detector, waves):
        spoiled = waves.copy()
        spoiled[100:124, 0] = np.nan
        detector = make_detector(thorough=True, smoothing=1, missing="mask").fit(waves)
        masked = detector.decision_function(spoiled)[100:124]
        assert masked.max() < 1.5 * detector.decision_function(waves).max() + 0.5

    def test_a_line_that_was_measured_does_not(self, make_nearest, waves):
        """The channel has a period of 8 rows, so a line over 24 rows is an anomaly."""
        spoiled, line = waves.copy(), waves.copy()
        spoiled[100:124, 0] = np.nan
        line[100:124, 0] = np.linspace(waves[99, 0], waves[124, 0], 24)
        detector = make_nearest(smoothing=1, missing="mask").fit(waves)
        assert detector.decision_function(line)[100:124].max() > 5
        assert detector.decision_function(spoiled)[100:124].max() < 1

    def test_an_anomaly_beside_a_masked_number_is_found(self, make_detector, waves):
        spoiled = waves.copy()
        spoiled[100, 0] = np.nan
        spoiled[104] += 6.0
        scores = make_detector(thorough=True, smoothing=1, missing="mask").fit(waves).decision_function(spoiled)
        assert abs(int(scores.argmax()) - 104) <= 2

    def test_masked_training_rows_have_a_mask_in_every_part(self, make_detector, waves):
        """Extreme values under the line's ends would otherwise enter the calibration."""
        spoiled = waves.copy()
        spoiled[60:64] = np.nan
        detector = make_detector(missing="mask").fit(spoiled)
        assert np.isfinite(detector.decision_scores_).all()
        assert detector.decision_scores_[60:64].max() < np.quantile(detector.decision_scores_, 0.99) + 1


class TestTimes:
    def test_times_in_order_are_used_as_labels_and_change_no_score(self, make_nearest, waves):
        table = pd.DataFrame(waves, index=TIMES)
        detector = make_nearest().fit(table)
        np.testing.assert_array_equal(detector.decision_scores_, make_nearest().fit(waves).decision_scores_)
        assert "start_time" in detector.detect(table)

    @pytest.mark.parametrize(
        ("order", "message"),
        [
            (np.r_[0:100, 101, 100, 102:240], r"row 101 \(2026-01-01 01:40:00\+01:00\) follows 2026-01-01 01:41:00"),
            (np.r_[0:100, 99:239], r"row 100 \(2026-01-01 01:39:00\+01:00\) follows 2026-01-01 01:39:00"),
            (np.arange(240)[::-1], r"row 1 "),
        ],
        ids=["shuffled", "repeated", "descending"],
    )
    def test_other_orders_are_refused(self, call, waves, order, message):
        with pytest.raises(ValueError, match=f"times of X do not increase: {message}"):
            call(pd.DataFrame(waves, index=TIMES[order]))

    def test_a_missing_time_is_refused(self, call, waves):
        index = TIMES.where(np.arange(240) != 9)
        with pytest.raises(ValueError, match="no time in row 9"):
            call(pd.DataFrame(waves, index=index))

    def test_a_gap_is_reported(self, call, waves):
        index = TIMES + pd.to_timedelta(np.where(np.arange(240) >= 100, 30, 0), unit="min")
        message = r"1 steps are longer.*between row 99 \(2026-01-01 01:39:00\+01:00\) and the next"
        with pytest.warns(TimeGapWarning, match=message) as caught:
            call(pd.DataFrame(waves, index=index))
        assert caught[0].filename == __file__

    def test_each_series_has_times_of_its_own(self, make_nearest, waves):
        index = TIMES[:120].append(TIMES[:120])
        make_nearest().fit(pd.DataFrame(waves, index=index), groups=HALVES)

    def test_periods_and_durations_are_times(self, call, waves):
        for index in (pd.period_range("2026", periods=240, freq="M"), pd.timedelta_range(0, periods=240, freq="s")):
            with pytest.raises(ValueError, match="times of X do not increase"):
                call(pd.DataFrame(waves, index=index[::-1]))


class TestGroupsByPosition:
    """``fit(X, groups)`` passes them as y, which is ignored, and ``predict(X, groups)`` as `return_confidence`."""

    @pytest.mark.parametrize("names", [HALVES, HALVES.tolist(), pd.Series(HALVES), pd.Categorical(HALVES)])
    def test_names_as_y_are_refused(self, make_nearest, waves, names):
        with pytest.raises(ValueError, match=r"y holds 2 values.*looks like names of series.*fit\(X, groups=groups\)"):
            make_nearest().fit(waves, names)

    def test_three_numbers_in_runs_may_be_classes(self, make_nearest, waves):
        with pytest.warns(IgnoredGroupsWarning, match="y holds 3 values"):
            make_nearest().fit(waves, np.repeat([5, 3, 4], 80))

    @pytest.mark.parametrize(
        "labels",
        [
            np.arange(240) > 200,
            (np.arange(240) % 50 == 0).astype(float),
            np.where(np.arange(240) % 60 > 50, "attack", "normal"),
            np.arange(240),
            np.zeros((240, 2)),
            [None] * 240,
        ],
    )
    def test_labels_are_ignored(self, make_nearest, waves, labels):
        scores = make_nearest().fit(waves, labels).decision_scores_
        np.testing.assert_array_equal(scores, make_nearest().fit(waves).decision_scores_)

    @pytest.mark.parametrize("method", ["predict", "predict_proba"])
    def test_names_as_return_confidence_are_refused(self, make_nearest, waves, method):
        call = getattr(make_nearest().fit(waves), method)
        with pytest.raises(ValueError, match=r"return_confidence is a ndarray.*groups by name"):
            call(waves, return_confidence=HALVES)

    @pytest.mark.parametrize("method", ["decision_function", "explain", "predict_confidence", "p_values", "detect"])
    def test_other_methods_have_groups_by_name_only(self, make_nearest, waves, method):
        with pytest.raises(TypeError, match="positional argument"):
            getattr(make_nearest().fit(waves), method)(waves, HALVES)


class TestNamesOfSeries:
    @pytest.mark.parametrize(
        "names",
        [
            [1] * 120 + ["one"] * 120,
            [True] * 120 + [0.5] * 120,
            pd.Series(HALVES, index=range(7, 247)),
            pd.Categorical(HALVES, categories=["east", "north", "south"]),
            pd.array(HALVES, dtype="string"),
            pd.Index(HALVES),
            [(1, 2)] * 120 + [(1, 3)] * 120,
            TIMES[:2].repeat(120),
        ],
    )
    def test_may_be_of_any_type(self, make_nearest, waves, names):
        detector = make_nearest()
        expected = make_nearest().fit(waves, groups=HALVES)
        np.testing.assert_array_equal(detector.fit(waves, groups=names).decision_scores_, expected.decision_scores_)
        assert len(detector.detect(waves * 3, groups=names)) == len(expected.detect(waves * 3, groups=HALVES))

    @pytest.mark.parametrize("absent", [None, np.nan, pd.NA, pd.NaT])
    def test_a_missing_name_is_refused_by_row(self, call, waves, absent):
        with pytest.raises(ValueError, match=r"groups has no name in row 239.*every row"):
            call(waves, groups=[*HALVES[:-1], absent])

    def test_a_category_that_is_missing(self, call, waves):
        with pytest.raises(ValueError, match="groups has no name in row 120"):
            call(waves, groups=pd.Categorical.from_codes([0] * 120 + [-1] * 120, categories=["north"]))

    def test_names_that_cannot_be_compared(self, call, waves):
        with pytest.raises(ValueError, match="groups has names that cannot be compared"):
            call(waves, groups=[[1]] * 240)
