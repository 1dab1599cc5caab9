"""The score of a row does not depend on other series, the batch, rounding or chance."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.exceptions import TrainingError
from timesad.nn import TimesNetDiscrepancyNetwork, TimesNetNetwork

N_ROWS, WINDOW = 240, 16  # of the fixtures `waves` and `make_detector`
IMPULSE = 8.0


def assert_same_scores(scores, expected):
    """Equal but for float32's rounding, which grows with the range of the scores."""
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4 * np.ptp(expected))


class TestImpulse:
    @pytest.mark.parametrize("row", [0, 1, WINDOW // 2, WINDOW - 1, 117, N_ROWS - WINDOW, N_ROWS - 2, N_ROWS - 1])
    @pytest.mark.parametrize("size", [IMPULSE, -IMPULSE])
    def test_scores_highest_wherever_it_is(self, sharp, waves, row, size):
        spoiled = waves.copy()
        spoiled[row, 1] += size
        assert sharp.decision_function(spoiled).argmax() == row

    def test_impulses_in_the_training_rows_score_highest(self, make_detector, waves):
        rows = [0, 117, N_ROWS - 1]
        spoiled = waves.copy()
        spoiled[rows, 1] += IMPULSE
        detector = make_detector(thorough=True, smoothing=1).fit(spoiled)
        assert set(np.argsort(detector.decision_scores_)[-3:]) == set(rows)
        assert detector.labels_[rows].tolist() == [1, 1, 1]

    def test_keeps_its_row_under_smoothing(self, make_detector, waves):
        detector = make_detector(thorough=True, smoothing=6).fit(waves)
        for row in (40, 117, 200):
            spoiled = waves.copy()
            spoiled[row, 1] += IMPULSE
            assert abs(detector.decision_function(spoiled).argmax() - row) <= 3

    def test_a_larger_impulse_scores_higher(self, sharp, waves):
        scores = []
        for size in (2.0, 4.0, 8.0, 1e3, 1e6, 1e12):
            spoiled = waves.copy()
            spoiled[117, 0] += size
            scores.append(sharp.decision_function(spoiled)[117])
        assert (np.diff(scores) > 0).all()


class TestLength:
    @pytest.mark.parametrize("n_rows", [WINDOW, WINDOW + 1, 2 * WINDOW - 1, 100, N_ROWS])
    def test_there_is_one_finite_score_per_row(self, fitted, waves, n_rows):
        scores = fitted.decision_function(waves[:n_rows])
        assert scores.shape == (n_rows,)
        assert np.isfinite(scores).all()


class TestOtherRows:
    def test_a_window_has_the_same_scores_alone_and_among_other_series(self, fitted, waves):
        pieces = [waves[begin : begin + WINDOW] for begin in range(0, N_ROWS, WINDOW)]
        alone = np.concatenate([fitted.decision_function(piece) for piece in pieces])
        groups = np.repeat(np.arange(len(pieces)), WINDOW)
        assert_same_scores(fitted.decision_function(waves, groups=groups), alone)

    def test_rows_beyond_the_window_and_the_smoothing_have_no_influence(self, fitted, waves):
        spoiled = waves.copy()
        spoiled[200:] *= -50.0
        assert_same_scores(fitted.decision_function(spoiled)[:160], fitted.decision_function(waves)[:160])

    def test_the_order_of_the_series_has_no_influence(self, fitted, waves):
        groups = np.repeat([0, 1], [100, 140])
        forward = fitted.decision_function(waves, groups=groups)
        turned = np.r_[100:240, 0:100]
        backward = fitted.decision_function(waves[turned], groups=groups[turned])
        assert_same_scores(backward, forward[turned])


class TestPast:
    """A score depends on earlier rows of its series, and on few later ones."""

    def test_later_rows_have_no_influence_beyond_window_and_smoothing(self, fitted, waves):
        rows = np.tile(waves, (3, 1))
        reach = fitted.window_size + 4 * fitted.smoothing
        n_first = len(rows) - reach - 50
        whole, first = fitted.decision_function(rows), fitted.decision_function(rows[:n_first])
        assert_same_scores(first[:-reach], whole[: n_first - reach])

    def test_a_fault_that_comes_again_scores_lower(self):
        wave = np.sin(np.arange(3000) * 2 * np.pi / 25)[:, None]
        rows = np.random.default_rng(0).normal(scale=0.1, size=(3000, 1)) + wave
        new = rows[1500:].copy()
        for start in (300, 600, 900, 1200):
            new[start : start + 60, 0] += 3 * np.hanning(60)
        scores = NearestWindowsDetector(window_size=32, smoothing=8).fit(rows[:1500]).decision_function(new)
        first, *_, last = (scores[start : start + 60].max() for start in (300, 600, 900, 1200))
        assert last < 0.8 * first
        assert last > 2 * np.quantile(scores[:250], 0.99)

    def test_a_long_anomaly_in_training_is_not_its_own_neighbour(self):
        """It is longer than a window, so windows that do not overlap are both inside."""
        rows = np.random.default_rng(0).normal(scale=0.1, size=(3000, 1)) + np.sin(np.arange(3000) / 4)[:, None]
        rows[1000:1100] += 3.0
        scores = {
            clean: NearestWindowsDetector(window_size=32, smoothing=8, clean_training=clean).fit(rows).decision_scores_
            for clean in (True, False)
        }
        inside = slice(1030, 1070)
        assert scores[False][inside].min() > 2 * scores[True][inside].max()
        np.testing.assert_allclose(np.median(scores[False]), np.median(scores[True]), atol=0.3)


class TestBorders:
    def test_another_series_has_no_influence(self, fitted, waves):
        groups = np.repeat(["left", "right"], [101, 139])
        spoiled = waves.copy()
        spoiled[101:] += 100.0
        scores = fitted.decision_function(spoiled, groups=groups)
        assert_same_scores(scores[:101], fitted.decision_function(waves[:101]))
        assert_same_scores(scores[101:], fitted.decision_function(spoiled[101:]))

    def test_without_groups_the_next_rows_have_influence(self, fitted, waves):
        """The test above can fail."""
        spoiled = waves.copy()
        spoiled[101:] += 100.0
        assert not np.allclose(fitted.decision_function(spoiled)[:101], fitted.decision_function(waves[:101]))

    def test_no_window_of_the_network_crosses_a_border(self, waves):
        """Neither in training nor in validation nor in scoring. The first channel holds the row number."""
        rows = np.column_stack([np.arange(N_ROWS), waves])
        seen = []

        class Recording(TimesNetDiscrepancyNetwork):
            def embed(self, x, hidden):
                seen.append((self.training, x[:, [0, -1], 0].numpy().copy()))  # first and last row of each window
                return super().embed(x, hidden)

        class RecordingDetector(TimesNetDiscrepancyDetector):
            _network_class = Recording

        borders = np.array([0, 101, 170, 240])
        detector = RecordingDetector(window_size=WINDOW, n_periods=2, max_epochs=2, random_state=0)
        detector.fit(rows, groups=np.repeat(["a", "b", "c"], np.diff(borders)))
        scaled = detector.scaling_(rows)[:, 0]
        assert {training for training, _ in seen} == {True, False}
        for _, ends in seen:
            numbers = np.searchsorted(scaled, ends)
            assert (numbers[:, 1] - numbers[:, 0] == WINDOW - 1).all()
            first, last = np.searchsorted(borders, numbers, side="right").T
            np.testing.assert_array_equal(first, last)

    def test_without_neighbours_training_scores_are_those_of_each_series_alone(self, make_network_detector, waves):
        groups = np.repeat([3, 1], [100, 140])
        detector = make_network_detector()
        if "anomaly_score" in detector.get_params():
            detector.set_params(anomaly_score="reconstruction")
        detector.fit(waves, groups=groups)
        apart = [detector.decision_function(waves[:100]), detector.decision_function(waves[100:])]
        assert_same_scores(detector.decision_scores_, np.concatenate(apart))

    def test_a_training_window_may_have_neighbours_in_another_series(self, make_nearest, waves):
        """Two equal series: each row has an exact neighbour outside of its exclusion zone."""
        twice = np.tile(waves[:120], (2, 1))
        detector = make_nearest(n_neighbors=1).fit(twice, groups=np.repeat([0, 1], 120))
        np.testing.assert_array_equal(detector.decision_scores_, detector.decision_function(twice[:120]).tolist() * 2)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((TimesNetDiscrepancyDetector, {"max_epochs": 2, "random_state": 0}), id="flagship"),
        pytest.param((NearestWindowsDetector, {}), id="nearest"),
    ],
)
def detector_and_series(request):
    """A detector with nearest neighbours in its score, fitted on the first half of a series, and the series."""
    detector_class, settings = request.param
    series = make_anomalous_series(n_rows=4000, period=40, random_state=0)
    training = series.data[: series.train_size]
    return detector_class(window_size=40, contamination=0.05, **settings).fit(training), series


class TestNumberTypes:
    """`predict` of the same rows flags the same share, whatever their type or rounding."""

    @pytest.mark.parametrize("part", ["new rows", "training rows"])
    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param(lambda X: X.astype(np.float32), id="float32"),
            pytest.param(lambda X: np.round(X, 6), id="rounded"),
            pytest.param(lambda X: X.copy(), id="copy"),
        ],
    )
    def test_flags_the_same_rows(self, detector_and_series, part, changed):
        detector, series = detector_and_series
        X = series.data[series.train_size :] if part == "new rows" else series.data[: series.train_size]
        labels = detector.predict(X)
        assert part == "training rows" or 0 < labels.mean() < 1
        assert (detector.predict(changed(X)) != labels).mean() <= 0.002

    @pytest.mark.parametrize("changed", [lambda X: X.astype(np.float32), lambda X: np.round(X, 6)])
    def test_fits_to_the_same_labels(self, changed):
        series = make_anomalous_series(n_rows=2000, period=40, random_state=0)
        fits = [NearestWindowsDetector(window_size=40).fit(X) for X in (series.data, changed(series.data))]
        assert (fits[0].labels_ != fits[1].labels_).mean() <= 0.002


class TestReproducibility:
    @pytest.mark.parametrize("random_state", [7, "a generator"])
    def test_one_random_state_gives_the_same_scores_bit_for_bit(self, make_network_detector, waves, random_state):
        def fit():
            seed = np.random.RandomState(3) if random_state == "a generator" else random_state
            return make_network_detector(random_state=seed).fit(waves)

        first, second = fit(), fit()
        np.testing.assert_array_equal(first.decision_scores_, second.decision_scores_)
        np.testing.assert_array_equal(first.decision_function(waves[::-1]), second.decision_function(waves[::-1]))
        for before, after in zip(first.network_.parameters(), second.network_.parameters(), strict=True):
            assert torch.equal(before, after)

    def test_without_a_network_nothing_is_random(self, make_nearest, waves):
        np.testing.assert_array_equal(*(make_nearest().fit(waves).decision_scores_ for _ in range(2)))

    def test_the_global_generators_have_no_influence(self, make_detector, fitted, waves):
        before = np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
        try:
            np.random.seed(99)  # noqa: NPY002
            torch.manual_seed(99)
            np.testing.assert_array_equal(make_detector().fit(waves).decision_scores_, fitted.decision_scores_)
        finally:
            np.random.set_state(before[0])  # noqa: NPY002
            torch.random.set_rng_state(before[1])

    @pytest.mark.parametrize("seed", [1, None])
    def test_another_random_state_gives_other_scores(self, make_network_detector, fitted_network, waves, seed):
        """None is fresh entropy, not a constant."""
        scores = make_network_detector(random_state=seed).fit(waves).decision_scores_
        assert not np.array_equal(scores, fitted_network.decision_scores_)

    @pytest.mark.parametrize("random_state", [0, None])
    def test_neither_fit_nor_scoring_moves_a_global_generator(self, make_network_detector, waves, random_state):
        def states():
            name, keys, *rest = np.random.get_state()  # noqa: NPY002
            return random.getstate(), name, keys.tolist(), rest, torch.random.get_rng_state().tolist()

        before = states()
        detector = make_network_detector(random_state=random_state).fit(waves)
        assert states() == before
        detector.decision_function(waves)
        detector.predict_proba(waves)
        assert states() == before

    def test_a_given_generator_moves_on(self, make_network_detector, waves):
        """Two detectors that share a RandomState differ, as everywhere in scikit-learn."""
        generator = np.random.RandomState(0)
        first = make_network_detector(random_state=generator).fit(waves)
        second = make_network_detector(random_state=generator).fit(waves)
        assert not np.array_equal(first.decision_scores_, second.decision_scores_)

    def test_fit_does_not_change_the_mode_of_torch(self, make_detector, waves):
        make_detector().fit(waves).decision_function(waves)
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() is torch.float32


class FailingThresholder:
    def fit(self, scores):
        raise ValueError("no threshold today")

    def predict(self, scores):
        raise NotImplementedError


def with_training(detector, **changes):
    """The detector as a subclass with other training settings."""

    class Changed(type(detector)):
        def _training_settings(self):
            return replace(super()._training_settings(), **changes)

    return Changed(**detector.get_params())


class TestTrainingThatFails:
    def test_an_interrupt_is_raised(self, make_network_detector, waves, monkeypatch):
        def interrupt(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr("timesad.training.net.MinimaxObjective.forward", interrupt)
        detector = make_network_detector()
        with pytest.raises(KeyboardInterrupt):
            detector.fit(waves)
        assert not hasattr(detector, "decision_scores_")

    @pytest.mark.parametrize("changes", [{}, {"validation_fraction": 0.0, "max_epochs": 1}], ids=["any", "one step"])
    def test_an_exploding_loss_raises_an_error_with_the_remedy(self, make_network_detector, waves, changes):
        """After one step the loss is finite, but the weights are not."""
        detector = with_training(make_network_detector(learning_rate=1e30, batch_size=256), **changes)
        with pytest.raises(TrainingError, match="Lower learning_rate"):
            detector.fit(waves)
        assert not hasattr(detector, "threshold_")

    @pytest.mark.parametrize(
        "failing",
        [
            pytest.param("timesad._base.ChannelScaling.fit", id="before training"),
            pytest.param("timesad.scoring.SeriesScorer.fit", id="after training"),
        ],
    )
    def test_an_interrupted_fit_leaves_the_detector_unchanged(self, make_detector, waves, monkeypatch, failing):
        """Half a fit would have the scaling of one series and the network of another."""
        fitted, unfitted = make_detector().fit(waves), make_detector()
        expected = fitted.decision_function(waves)
        monkeypatch.setattr(failing, mock.Mock(side_effect=KeyboardInterrupt))
        for detector in (fitted, unfitted):
            with pytest.raises(KeyboardInterrupt):
                detector.fit(waves[:100, :1])
        np.testing.assert_array_equal(fitted.decision_function(waves), expected)
        assert vars(unfitted) == unfitted.get_params()

    def test_a_thresholder_that_fails_leaves_the_detector_unchanged(self, make_detector, waves):
        detector = make_detector().fit(waves)
        expected = detector.decision_function(waves)
        with pytest.raises(ValueError, match="no threshold today"):
            detector.set_params(contamination=FailingThresholder()).fit(waves[:100, :1])
        np.testing.assert_array_equal(detector.decision_function(waves), expected)

    def test_a_refused_series_leaves_the_detector_unchanged(self, make_detector, waves):
        detector = make_detector().fit(waves)
        expected = detector.decision_function(waves)
        with pytest.raises(ValueError, match="X has 5 rows"):
            detector.fit(waves[:5, :1])
        np.testing.assert_array_equal(detector.decision_function(waves), expected)


class TestFlagship:
    """The default trains the associations beside the reconstruction, and the score does not contain them."""

    def test_the_minimax_is_trained_and_explained_by_default(self, make_flagship, waves):
        detector = make_flagship().fit(waves)
        assert detector.get_params()["discrepancy_weight"] == "balanced"
        assert isinstance(detector.network_, TimesNetDiscrepancyNetwork)
        for epoch in detector.history_:
            assert epoch["train_discrepancy_minimax"] > 0
            assert 0 <= epoch["train_sigma_saturated_minimax"] <= 1
        assert np.ptp(detector.explain(waves).discrepancy) > 0

    @pytest.mark.parametrize("score", ["reconstruction*neighbors", "reconstruction"])
    @pytest.mark.parametrize("discrepancy_weight", ["balanced", 3.0])
    def test_scores_are_those_without_the_associations_bit_for_bit(
        self, make_flagship, waves, score, discrepancy_weight
    ):
        settings = {"anomaly_score": score, "n_layers": 2, "thorough": True}
        with_associations = make_flagship(discrepancy_weight=discrepancy_weight, **settings).fit(waves)
        without = make_flagship(discrepancy_weight=0, **settings).fit(waves)
        np.testing.assert_array_equal(with_associations.decision_scores_, without.decision_scores_)
        np.testing.assert_array_equal(with_associations.decision_function(waves), without.decision_function(waves))
        assert [epoch["valid_reconstruction"] for epoch in with_associations.history_] == [
            epoch["valid_reconstruction"] for epoch in without.history_
        ]

    def test_a_weight_of_0_trains_no_associations(self, make_flagship, waves):
        detector = make_flagship(discrepancy_weight=0).fit(waves)
        assert type(detector.network_) is TimesNetNetwork
        assert not any("discrepancy" in name for name in detector.history_[0])
        assert "discrepancy" not in detector.explain(waves)

    def test_the_associations_learn(self, make_flagship, waves):
        """The minimax changes the weights of the associations and no others."""
        trained = make_flagship(discrepancy_weight=3.0).fit(waves).network_.state_dict()
        other = make_flagship(discrepancy_weight=0.5).fit(waves).network_.state_dict()
        changed = {name for name, value in trained.items() if not torch.equal(value, other[name])}
        assert changed
        assert all(name.startswith(("association.", "side_projection.")) for name in changed)

    def test_the_score_with_the_discrepancy_is_a_sum(self, make_flagship, waves):
        parts = make_flagship(anomaly_score="reconstruction+discrepancy").fit(waves).explain(waves)
        np.testing.assert_array_equal(parts.score, parts.reconstruction + parts.level + parts.discrepancy)


@pytest.mark.parametrize(("at_most", "expected"), [(1000, [113]), (113, [113]), (20, [20, 113])])
def test_windows_that_calibrate_are_not_run_again_if_they_are_all(waves, monkeypatch, at_most, expected):
    """Each window goes through the network once per mask in `fit`, after training."""
    seen = []

    class Counting(TimesNetDiscrepancyNetwork):
        def embed(self, x, hidden):
            if torch.is_inference_mode_enabled():
                seen.append(len(x))
            return super().embed(x, hidden)

    class CountingDetector(TimesNetDiscrepancyDetector):
        _network_class = Counting

    monkeypatch.setattr("timesad.reconstruction.CALIBRATION_WINDOWS", at_most)
    detector = CountingDetector(window_size=WINDOW, n_periods=2, max_epochs=1, random_state=0).fit(waves)
    assert sum(seen) == len(detector.network_.masks) * sum(expected)


class TestArraysOfExplain:
    def test_no_part_is_another_part_under_a_second_name(self, make_detector, waves):
        """A caller who changes one must not change another."""
        parts = make_detector().fit(waves[:, :1]).explain(waves[:, :1])
        names = sorted(parts)
        for index, name in enumerate(names):
            for other in names[index + 1 :]:
                assert not np.shares_memory(parts[name], parts[other]), (name, other)
