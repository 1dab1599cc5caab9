"""Any input gives a correct result or an error that names the fault and the remedy; never a NaN."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)
from timesad.exceptions import PeriodFallbackWarning, ShortSeriesWarning

N_ROWS, WINDOW = 240, 16  # of the fixtures `waves` and `make_detector`
METHODS = ("decision_function", "predict", "predict_proba", "predict_confidence", "explain")
FALLBACK = pytest.mark.filterwarnings("ignore::timesad.exceptions.PeriodFallbackWarning")
SHORT = pytest.mark.filterwarnings("ignore::timesad.exceptions.ShortSeriesWarning")


def spoil(series, value):
    spoiled = series.copy()
    spoiled[50, 1] = value
    return spoiled


def assert_sound(detector):
    """The fitted attributes are finite, and the labels are 0 and 1."""
    assert np.isfinite(detector.decision_scores_).all()
    assert np.isfinite(detector.threshold_)
    assert set(detector.labels_) <= {0, 1}


class TestSeriesThatCannotBeUsed:
    CASES = (
        pytest.param(lambda X: X[:10], r"X has 10 rows.*window_size is 16.*window_size of at most 10", id="short"),
        pytest.param(lambda X: spoil(X, np.nan), r"X .*NaN.*[Ff]ill or drop", id="NaN"),
        pytest.param(lambda X: spoil(X, np.inf), r"X .*infinity.*[Ff]ill or drop", id="infinity"),
        pytest.param(lambda X: spoil(X, -np.inf), r"X .*infinity.*[Ff]ill or drop", id="minus infinity"),
        pytest.param(lambda X: X[:0], r"X .*0 sample\(s\).*n_rows, n_channels", id="no rows"),
        pytest.param(lambda X: X[:, :0], r"X .*0 feature\(s\).*n_rows, n_channels", id="no channels"),
        pytest.param(lambda X: X[None], r"X .*dim 3.*n_rows, n_channels", id="3-D"),
        pytest.param(lambda X: X[:, 0], r"X .*one-dimensional.*n_rows, n_channels", id="1-D"),
        pytest.param(lambda X: np.full(X.shape, "high"), r"X .*'high'.*finite numbers", id="strings"),
        pytest.param(lambda X: X.astype(complex), r"X .*[Cc]omplex.*finite numbers", id="complex"),
    )

    @pytest.mark.parametrize(("unusable", "message"), CASES)
    def test_is_refused_at_fit(self, make_detector, waves, unusable, message):
        detector = make_detector()
        with pytest.raises(ValueError, match=f"(?s){message}"):
            detector.fit(unusable(waves))
        assert not hasattr(detector, "decision_scores_")

    @pytest.mark.parametrize(("unusable", "message"), CASES)
    @pytest.mark.parametrize("method", METHODS)
    def test_is_refused_afterwards(self, fitted, waves, unusable, message, method):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            getattr(fitted, method)(unusable(waves))

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("n_channels", [1, 3])
    def test_another_number_of_channels_is_refused(self, fitted, waves, method, n_channels):
        wrong = np.column_stack([waves, waves])[:, :n_channels]
        with pytest.raises(ValueError, match=rf"(?s)X has {n_channels} features.*expecting 2.*same order"):
            getattr(fitted, method)(wrong)

    @pytest.mark.parametrize("method", METHODS)
    def test_scoring_before_fit_is_refused(self, make_detector, waves, method):
        with pytest.raises(NotFittedError):
            getattr(make_detector(), method)(waves)


@pytest.fixture(scope="module")
def whole(waves):
    """A series of whole numbers, which every type of number represents exactly."""
    return np.round(20 * waves)


@pytest.fixture(scope="module")
def reference(make_flagship, whole):
    """A detector fitted on `whole` as float64."""
    return make_flagship().fit(whole)


@pytest.fixture(scope="module")
def expected(reference, whole):
    """Scores of `whole` as new rows."""
    return reference.decision_function(whole)


class TestSeriesThatCanBeUsed:
    @pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int32, np.int8, ">f8", object])
    def test_types_of_numbers(self, make_flagship, whole, reference, expected, dtype):
        """float32 is not copied, and its statistics are computed in float64: scores differ by rounding only."""
        X = whole.astype(dtype)
        detector = make_flagship().fit(X)
        np.testing.assert_allclose(detector.decision_scores_, reference.decision_scores_, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(detector.decision_function(X), expected, rtol=1e-5, atol=1e-5)

    def test_booleans(self, make_flagship, whole):
        assert_sound(make_flagship().fit(whole > 0))

    @pytest.mark.parametrize(
        "laid_out",
        [
            pytest.param(np.asfortranarray, id="column by column"),
            pytest.param(lambda X: np.repeat(X, 2, axis=0)[::2], id="every second row"),
            pytest.param(lambda X: X[::-1].copy()[::-1], id="backwards"),
            pytest.param(lambda X: np.repeat(X, 3, axis=1)[:, ::3], id="every third column"),
            pytest.param(lambda X: X.tolist(), id="lists"),
            pytest.param(lambda X: torch.from_numpy(X.copy()), id="torch tensor"),
        ],
    )
    def test_layouts_in_memory(self, make_flagship, whole, reference, expected, laid_out):
        X = laid_out(whole)
        detector = make_flagship().fit(X)
        np.testing.assert_array_equal(detector.decision_scores_, reference.decision_scores_)
        np.testing.assert_array_equal(detector.decision_function(X), expected)

    def test_read_only_arrays(self, make_flagship, whole, expected):
        X = whole.copy()
        X.setflags(write=False)
        detector = make_flagship().fit(X)
        np.testing.assert_array_equal(detector.decision_function(X), expected)

    @pytest.mark.parametrize("mode", ["r", "c"])
    def test_memory_maps(self, make_flagship, whole, expected, tmp_path, mode):
        np.save(tmp_path / "series.npy", whole)
        X = np.load(tmp_path / "series.npy", mmap_mode=mode)
        np.testing.assert_array_equal(make_flagship().fit(X).decision_function(X), expected)

    def test_the_input_is_not_changed(self, make_flagship, whole):
        X = whole.copy()
        make_flagship().fit(X).predict_proba(X)
        np.testing.assert_array_equal(X, whole)

    def test_one_channel_may_be_scored_as_one_dimensional_input(self, make_detector, waves):
        detector = make_detector().fit(waves[:, :1])
        expected = detector.decision_function(waves[:, :1])
        np.testing.assert_array_equal(detector.decision_function(waves[:, 0]), expected)
        np.testing.assert_array_equal(detector.predict(waves[:, 0].tolist()), expected > detector.threshold_)
        assert detector.predict_proba(waves[:, 0]).shape == (N_ROWS, 2)

    def test_many_channels(self, make_detector, waves):
        assert_sound(make_detector().fit(np.tile(waves, 30)))


class TestLength:
    @FALLBACK
    @SHORT
    def test_exactly_a_window(self, make_detector, waves):
        detector = make_detector().fit(waves[:WINDOW])
        assert_sound(detector)
        assert detector.decision_scores_.shape == detector.decision_function(waves[:WINDOW]).shape == (WINDOW,)

    @FALLBACK
    def test_a_series_that_cannot_be_divided_trains_for_all_epochs(self, make_network_detector, waves):
        """100 rows cannot hold a window of 90 rows in the training part and in the held-out part."""
        detector = make_network_detector(window_size=90, max_epochs=3).fit(waves[:100])
        assert_sound(detector)
        assert len(detector.history_) == 3
        assert "valid_reconstruction" not in detector.history_[-1]

    def test_a_window_larger_than_the_series_is_refused_with_a_size_that_fits(self, make_detector, waves):
        with pytest.raises(ValueError, match=r"X has 240 rows.*window_size is 300.*at most 240 \(at most 120 is"):
            make_detector(window_size=300).fit(waves)

    def test_a_short_series_among_others_is_refused(self, make_detector, fitted, waves):
        groups = np.repeat([0, 1, 2], [100, 130, 10])
        for method in (make_detector().fit, fitted.decision_function):
            with pytest.raises(ValueError, match=r"shortest series in groups has 10 rows.*window_size is 16"):
                method(waves, groups=groups)

    def test_a_series_too_short_for_the_exclusion_zone_gives_a_warning_with_the_remedies(self, make_nearest, waves):
        """Of 40 rows in windows of 16, the middle windows leave fewer than 5 windows that do not overlap them."""
        message = r"(?s)too short: with window_size=16.*n_neighbors=5.*smaller window_size or fewer n_neighbors"
        with pytest.warns(ShortSeriesWarning, match=message) as warned:
            detector = make_nearest().fit(waves[:40])
        assert_sound(detector)
        assert warned[0].filename == __file__, "the warning points to the call of fit"

    def test_the_shortest_series_for_the_exclusion_zone_gives_no_warning(self, make_nearest, waves):
        """With one neighbour, a window of 16 rows in the middle needs 16 rows on one side: 2 · 16 + 15 rows."""
        assert_sound(make_nearest(n_neighbors=1).fit(waves[:47]))
        with pytest.warns(ShortSeriesWarning):
            make_nearest(n_neighbors=1).fit(waves[:46])


class TestConstantSeries:
    def test_a_constant_channel_is_harmless(self, make_detector, waves):
        assert_sound(make_detector().fit(np.column_stack([waves, np.full(N_ROWS, 21.5)])))

    def test_a_change_in_a_constant_channel_is_found(self, make_detector, waves):
        X = np.column_stack([waves, np.full(N_ROWS, 21.5)])
        detector = make_detector(thorough=True).fit(X)
        changed = X.copy()
        changed[120:128, 2] += 5.0
        assert 112 <= detector.decision_function(changed).argmax() < 136

    @pytest.mark.parametrize("level", [0.0, 3.7, -1e9, 1e-300])
    @FALLBACK
    def test_a_constant_series_gives_finite_results(self, make_detector, level):
        detector = make_detector().fit(np.full((N_ROWS, 2), level))
        assert_sound(detector)
        X = np.full((50, 2), level)
        X[25] += 1.0
        for method in ("linear", "unify"):
            assert np.isfinite(detector.predict_proba(X, method=method)).all()
        assert np.isfinite(detector.predict_confidence(X)).all()

    @pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, TimesNetDetector])
    def test_a_constant_series_gives_a_warning_about_its_periods(self, detector_class):
        detector = detector_class(window_size=WINDOW, n_periods=2, max_epochs=1, random_state=0)
        with pytest.warns(PeriodFallbackWarning, match="0 "):
            detector.fit(np.ones((N_ROWS, 2)))
        assert len(set(detector.periods_.tolist())) == 2

    @FALLBACK
    def test_a_single_step(self, make_detector):
        assert_sound(make_detector().fit(np.repeat([0.0, 1.0], 120)[:, None]))


class TestHugeValues:
    @pytest.mark.parametrize("size", [1e6, 1e30, 1e150, 1e300, 1e308])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_huge_value_in_the_rows_scored_is_the_most_abnormal(self, sharp, waves, size, sign):
        scores = sharp.decision_function(spoil(waves, sign * size))
        assert np.isfinite(scores).all()
        assert scores.argmax() == 50

    def test_a_huge_value_in_units_of_a_tiny_channel(self, make_detector, waves):
        detector = make_detector(smoothing=1).fit(waves * 1e-20)
        scores = detector.decision_function(spoil(waves * 1e-20, 1e300))
        assert np.isfinite(scores).all()
        assert scores.argmax() == 50

    @pytest.mark.parametrize("unit", [1e-300, 1e-100, 1e-12, 1e12, 1e100, 1e300])
    def test_any_unit_of_a_channel_gives_the_same_scores(self, make_detector, fitted, waves, unit):
        scores = make_detector().fit(waves * [1.0, unit]).decision_scores_
        np.testing.assert_allclose(scores, fitted.decision_scores_, rtol=1e-3, atol=1e-3)

    def test_values_that_have_no_mean_are_refused_by_channel(self, make_detector, waves):
        for X in (spoil(waves, 1e308), waves * [1.0, 1e308]):
            with pytest.raises(ValueError, match=r"channel 1 of X has values up to .*Rescale the channel"):
                make_detector().fit(X)

    @pytest.mark.parametrize("size", [1e200, 1e300, 1e308])
    def test_a_huge_constant_has_a_variance(self, make_detector, waves, size):
        X = np.column_stack([waves, np.full(N_ROWS, size)])
        scores = make_detector().fit(X).decision_scores_
        harmless = make_detector().fit(np.column_stack([waves, np.zeros(N_ROWS)])).decision_scores_
        np.testing.assert_array_equal(scores, harmless)

    def test_float32_at_its_limit(self, make_detector, waves):
        """Twice the largest float32 is infinite as float32; the statistics are computed in float64."""
        shares = (waves - waves.min()) / np.ptp(waves)
        X = shares.astype(np.float32) * np.finfo(np.float32).max
        assert_sound(make_detector().fit(X))


class TestParameters:
    OF_ALL = (
        {"window_size": 3},
        {"window_size": 16.0},
        {"window_size": "16"},
        {"smoothing": 0},
        {"contamination": 0.6},
        {"device": 0},
    )
    OF_NETWORKS = (
        {"clean_training": 2},
        {"n_layers": 0},
        {"model_size": 1},
        {"max_epochs": 0},
        {"batch_size": 0},
        {"smoothing": 10**8},
        {"smoothing": 2**62},
        {"n_layers": 10**9},
        {"model_size": 10**9},
        {"use_past": "yes"},
        {"missing": "drop"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"random_state": "zero"},
        {"verbose": -1},
    )
    OF_ASSOCIATIONS = (
        {"n_heads": 0},
        {"n_heads": 10**9},
        {"discrepancy_weight": 1e39},
        {"discrepancy_weight": -1.0},
        {"discrepancy_weight": "auto"},
        {"anomaly_score": "best"},
        {"anomaly_score": "product"},
    )

    def assert_refused(self, detector, waves, changes):
        [(name, value)] = changes.items()
        with pytest.raises(ValueError, match=rf"The '{name}' parameter.*must be.*Got .*{re.escape(repr(value))}"):
            detector.set_params(**changes).fit(waves)

    @pytest.mark.parametrize("changes", OF_ALL, ids=str)
    def test_out_of_range_is_refused_by_name_and_value(self, make_detector, waves, changes):
        self.assert_refused(make_detector(), waves, changes)

    @pytest.mark.parametrize("changes", OF_NETWORKS, ids=str)
    def test_of_networks_too(self, make_network_detector, waves, changes):
        self.assert_refused(make_network_detector(), waves, changes)

    @pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, AnomalyTransformerDetector])
    @pytest.mark.parametrize("changes", OF_ASSOCIATIONS, ids=str)
    def test_of_associations_too(self, waves, detector_class, changes):
        self.assert_refused(detector_class(), waves, changes)

    @pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, TimesNetDetector])
    def test_of_periods_too(self, waves, detector_class):
        self.assert_refused(detector_class(), waves, {"n_periods": 0})

    @pytest.mark.parametrize("changes", [{"n_neighbors": 0}, {"n_neighbors": 1.0}, {"max_windows": 0}], ids=str)
    def test_of_nearest_windows_too(self, waves, changes):
        self.assert_refused(NearestWindowsDetector(), waves, changes)

    def test_the_anomaly_transformer_has_no_score_with_neighbours(self, waves):
        with pytest.raises(ValueError, match=r"The 'anomaly_score' parameter of AnomalyTransformerDetector must be"):
            AnomalyTransformerDetector(anomaly_score="reconstruction*neighbors").fit(waves)

    @pytest.mark.parametrize("n_periods", [16, 50])
    def test_more_periods_than_a_window_has_are_refused(self, make_flagship, waves, n_periods):
        message = rf"n_periods={n_periods} .*window_size=16.*window_size of at least {n_periods + 1}"
        with pytest.raises(ValueError, match=message):
            make_flagship(n_periods=n_periods).fit(waves)

    @FALLBACK
    def test_as_many_periods_as_a_window_has_are_accepted(self, make_flagship, waves):
        detector = make_flagship(n_periods=WINDOW - 1).fit(waves)
        assert sorted(detector.periods_) == list(range(2, WINDOW + 1))
        assert_sound(detector)

    @FALLBACK
    @pytest.mark.parametrize("window_size", [4, 5, 7, 8, 20, 31, 40])
    @pytest.mark.parametrize(
        "detector_class",
        [TimesNetDiscrepancyDetector, TimesNetDetector, AnomalyTransformerDetector, NearestWindowsDetector],
    )
    def test_every_window_size_works_without_another_parameter(self, waves, detector_class, window_size):
        detector = detector_class(window_size=window_size).fit(waves)
        assert_sound(detector)
        assert np.isfinite(detector.decision_function(waves[:window_size])).all()

    @pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, AnomalyTransformerDetector])
    @pytest.mark.parametrize(("n_heads", "proposed"), [(3, 2), (16, 8)])
    def test_heads_that_do_not_divide_the_features_are_refused(self, waves, detector_class, n_heads, proposed):
        with pytest.raises(ValueError, match=rf"n_heads={n_heads} .*model_size=8.*for example {proposed}"):
            detector_class(window_size=WINDOW, model_size=8, n_heads=n_heads).fit(waves)

    @pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta"])
    def test_a_device_that_does_not_exist_is_refused(self, make_detector, waves, device):
        with pytest.raises(ValueError, match=rf"device='{device}' cannot be used here.*'auto', 'cpu'"):
            make_detector(device=device).fit(waves)

    def test_a_misspelt_parameter_is_refused(self, make_detector):
        with pytest.raises(TypeError, match="windowsize"):
            make_detector(windowsize=10)

    def test_a_refused_fit_does_not_change_the_next_fit(self, make_flagship, waves):
        detector = make_flagship()
        for unusable in (waves[:5], spoil(waves, np.nan)):
            with pytest.raises(ValueError, match="X"):
                detector.fit(unusable)
        np.testing.assert_array_equal(detector.fit(waves).decision_scores_, make_flagship().fit(waves).decision_scores_)


class TestGroups:
    CASES = (
        pytest.param(np.zeros(N_ROWS - 1), r"groups has shape \(239,\) but X has 240 rows", id="short"),
        pytest.param(np.zeros((N_ROWS, 2)), r"groups has shape \(240, 2\) but X has 240 rows", id="2-D"),
        pytest.param(np.arange(N_ROWS) % 2, r"groups has the series 0 in 120 separate places.*Sort", id="scattered"),
        pytest.param(
            np.repeat(["a", "b", "a"], 80), r"groups has the series 'a' in 2 separate places.*Sort", id="returning"
        ),
        pytest.param(np.arange(N_ROWS), r"shortest series in groups has 1 rows", id="each row by itself"),
    )

    @pytest.mark.parametrize(("groups", "message"), CASES)
    def test_unusable_groups_are_refused(self, make_detector, fitted, waves, groups, message):
        for method in (make_detector().fit, fitted.decision_function, fitted.predict, fitted.predict_proba):
            with pytest.raises(ValueError, match=message):
                method(waves, groups=groups)

    @pytest.mark.parametrize(
        "groups",
        [
            np.repeat([1.5, -2.0], 120),
            ["x"] * 120 + ["y"] * 120,
            np.repeat(np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]"), 120),
            np.repeat([True, False], 120),
        ],
        ids=["floats", "a list", "dates", "booleans"],
    )
    def test_groups_may_have_any_names(self, fitted, waves, groups):
        expected = fitted.decision_function(waves, groups=np.repeat([0, 1], 120))
        np.testing.assert_array_equal(fitted.decision_function(waves, groups=groups), expected)
