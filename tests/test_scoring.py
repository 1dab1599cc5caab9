"""From parts to one score per row."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.fixed_networks import FixedAssociations, FixedNetwork
from timesad import AnomalyTransformerDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.neighbors import NeighborScorer, TrainingWindows
from timesad.reconstruction import ReconstructionScorer
from timesad.row_errors import PositionCalibration, average_over_windows, window_errors
from timesad.scoring import (
    NEIGHBORS,
    RECONSTRUCTION,
    RECONSTRUCTION_AND_NEIGHBORS,
    RECONSTRUCTION_PLUS_DISCREPANCY,
    ScoreSettings,
    SeriesScorer,
    geometric_mean,
    joined_mean,
)
from timesad.windows import OverlapAverage, Series

CPU = torch.device("cpu")


class TestMeans:
    def test_joined_mean_is_between_the_arithmetic_and_the_geometric_mean(self):
        first, second = np.array([0.0, 3.0, 3.0, 8.0]), np.array([0.0, 0.0, 3.0, 3.0])
        arithmetic = (first + second) / 2
        geometric = geometric_mean(first, second)
        np.testing.assert_allclose(geometric, [0, 1, 3, 5])
        np.testing.assert_allclose(joined_mean(first, second), (arithmetic + geometric) / 2)

    @pytest.mark.parametrize(("weight", "expected"), [(0.0, 3.0), (1.0, 8.0), (3.0, 11.25)])
    def test_weight_is_that_of_the_neighbors(self, weight, expected):
        """Roots 2 and 4, so the mean is 2, 3 or 3.5."""
        assert joined_mean(np.array([3.0]), np.array([15.0]), weight)[0] == pytest.approx(expected)

    def test_both_factors_are_at_least_a_twentieth(self):
        first, second = np.array([-5.0, 4.0, -5.0]), np.array([4.0, -5.0, -5.0])
        np.testing.assert_allclose(geometric_mean(first, second), [-0.5, -0.5, -0.95])
        mixed = ((np.sqrt(0.05) + np.sqrt(5)) / 2) ** 2 - 1
        np.testing.assert_allclose(joined_mean(first, second), [mixed, mixed, -0.95])


class TestScoreSettings:
    @pytest.mark.parametrize(("window_size", "stride"), [(4, 1), (15, 1), (16, 2), (96, 12)])
    def test_stride_is_an_eighth_of_the_window(self, window_size, stride):
        assert ScoreSettings(RECONSTRUCTION, window_size, 64).stride == stride

    @pytest.mark.parametrize(
        ("score", "uses"),
        [
            (RECONSTRUCTION, (True, False, False)),
            (NEIGHBORS, (False, True, False)),
            (RECONSTRUCTION_AND_NEIGHBORS, (True, True, False)),
            (RECONSTRUCTION_PLUS_DISCREPANCY, (True, False, True)),
        ],
    )
    def test_parts_of_each_score(self, score, uses):
        settings = ScoreSettings(score, 8, 4)
        assert (settings.uses_network, settings.uses_neighbors, settings.uses_discrepancy) == uses

    def test_defaults(self):
        settings = ScoreSettings(RECONSTRUCTION, 8, 4)
        assert (settings.clean_training, settings.n_neighbors, settings.max_windows) == (True, 5, 4096)
        assert settings.uses_past

    def test_names_of_scores(self):
        names = {RECONSTRUCTION, NEIGHBORS, RECONSTRUCTION_AND_NEIGHBORS, RECONSTRUCTION_PLUS_DISCREPANCY}
        assert names == {"reconstruction", "neighbors", "reconstruction*neighbors", "reconstruction+discrepancy"}


@pytest.mark.parametrize(("score", "network"), [(NEIGHBORS, "a network"), (RECONSTRUCTION_AND_NEIGHBORS, None)])
def test_a_score_and_a_network_that_do_not_fit_are_refused(score, network):
    with pytest.raises(ValueError, match=rf"score='{re.escape(score)}' with .*needs a network"):
        SeriesScorer.fit(network, noise(64), ScoreSettings(score, 8, 4), "cpu")


def noise(n_rows, seed=0):
    values = np.random.default_rng(seed).normal(size=(n_rows, 2)).astype(np.float32)
    return Series(values, np.array([0, n_rows // 3, n_rows]))


MISS = [1.0, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5, 1.0] * 2


def fit(score, series, network_class=FixedNetwork, smoothing=4, **settings):
    network = None if score == NEIGHBORS else network_class(MISS, n_channels=2)
    return SeriesScorer.fit(network, series, ScoreSettings(score, 16, smoothing, **settings), "cpu")


class TestSeriesScorer:
    @pytest.mark.parametrize("clean_training", [True, False])
    @pytest.mark.parametrize("uses_past", [True, False])
    def test_fits_both_parts_with_the_settings(self, clean_training, uses_past):
        """Where training may hold anomalies, the zone is wider, and the neighbours count three times."""
        series = noise(900)
        scorer, training_scores, _ = fit(
            RECONSTRUCTION_AND_NEIGHBORS,
            series,
            clean_training=clean_training,
            uses_past=uses_past,
            n_neighbors=3,
            max_windows=50,
        )
        network = scorer.reconstruction.network
        reconstruction, parts, _ = ReconstructionScorer.fit(
            network, series, stride=2, smoothing=4, clean_training=True, device=CPU, uses_past=uses_past
        )
        training = TrainingWindows.fit(series, window_size=16, n_neighbors=3, max_windows=50)
        neighbors, distance, _ = NeighborScorer.fit(
            training,
            series,
            stride=2,
            smoothing=4,
            device=CPU,
            half_width=1 if clean_training else 5,
            uses_past=uses_past,
        )
        assert scorer.reconstruction.channels == reconstruction.channels
        assert scorer.neighbors.channels == neighbors.channels
        np.testing.assert_array_equal(scorer.neighbors.training.positions, training.positions)
        weight = 1 if clean_training else 3
        np.testing.assert_array_equal(training_scores, joined_mean(parts.score, distance, weight))
        new = noise(90, seed=1)
        expected = joined_mean(
            reconstruction(new, CPU, with_discrepancy=False).score, neighbors(new, CPU, neighbors.past(new)), weight
        )
        np.testing.assert_array_equal(scorer.score(new, "cpu"), expected)

    @pytest.mark.parametrize(
        ("n_rows", "n_neighbors", "weight"),
        [(60, 5, 0.0), (80, 5, 0.0), (84, 5, 0.25), (88, 5, 0.5), (96, 5, 1.0), (300, 5, 1.0), (40, 2, 0.5)],
    )
    def test_neighbors_of_a_short_series_count_less(self, n_rows, n_neighbors, weight):
        """The weight of training rows is clip(n_rows / 16 - n_neighbors, 0, 1)."""
        series = noise(n_rows) if n_rows > 60 else Series(noise(n_rows).values, np.array([0, n_rows]))
        scorer, training_scores, _ = fit(RECONSTRUCTION_AND_NEIGHBORS, series, n_neighbors=n_neighbors)
        _, parts, _ = ReconstructionScorer.fit(
            scorer.reconstruction.network, series, stride=2, smoothing=4, clean_training=True, device=CPU
        )
        _, distance, _ = NeighborScorer.fit(scorer.neighbors.training, series, stride=2, smoothing=4, device=CPU)
        np.testing.assert_array_equal(training_scores, joined_mean(parts.score, distance, weight))

    def test_neighbors_count_more_as_the_past_grows(self):
        """72 training rows of 4.5 windows: the weight is 0 until 8 earlier rows can be compared, and 1 from 24 on."""
        series, new = Series(noise(72).values, np.array([0, 72])), noise(90, seed=1)
        scorer, *_ = fit(RECONSTRUCTION_AND_NEIGHBORS, series)
        parts = scorer.explain(new, "cpu")
        past = [max(0, (row - 16) // 2 + 1) * 2 if row >= 16 else 0 for length in (30, 60) for row in range(length)]
        assert (scorer.settings.stride * scorer.neighbors.past(new).n_before_rows()).tolist() == past
        weight = np.clip((np.array(past) + 72) / 16 - 5, 0, 1)
        assert weight.min() == 0
        assert weight.max() == 1
        np.testing.assert_array_equal(
            parts.score, joined_mean(parts.reconstruction + parts.level, parts.neighbors, weight)
        )

    def test_neighbors_alone_need_no_network(self):
        series, new = noise(200), noise(90, seed=1)
        scorer, training_scores, _ = fit(NEIGHBORS, series)
        assert scorer.reconstruction is None
        training = TrainingWindows.fit(series, window_size=16, n_neighbors=5, max_windows=4096)
        expected, training_expected, _ = NeighborScorer.fit(training, series, stride=2, smoothing=4, device=CPU)
        np.testing.assert_array_equal(training_scores, training_expected)
        np.testing.assert_array_equal(scorer.score(new, "cpu"), expected(new, CPU, expected.past(new)))
        explained = scorer.explain(new, "cpu")
        assert set(explained) == {"score", "neighbors", "neighbors_by_channel"}
        np.testing.assert_array_equal(explained.score, explained.neighbors)

    @pytest.mark.parametrize(
        ("score", "network_class", "discrepancy"),
        [
            (RECONSTRUCTION, FixedNetwork, False),
            (RECONSTRUCTION, FixedAssociations, True),
            (RECONSTRUCTION_AND_NEIGHBORS, FixedNetwork, False),
            (RECONSTRUCTION_AND_NEIGHBORS, FixedAssociations, True),
            (RECONSTRUCTION_PLUS_DISCREPANCY, FixedAssociations, True),
        ],
    )
    def test_parts_add_up_to_the_score(self, score, network_class, discrepancy):
        series, new = noise(300), noise(90, seed=1)
        scorer, training_scores, _ = fit(score, series, network_class)
        parts = scorer.explain(new, "cpu")
        np.testing.assert_array_equal(parts.score, scorer.score(new, "cpu"))
        total = parts.reconstruction + parts.level
        np.testing.assert_allclose(parts.reconstruction_by_channel.sum(axis=1), total)
        assert ("discrepancy" in parts) == discrepancy
        assert ("neighbors" in parts) == ("neighbors_by_channel" in parts) == (score == RECONSTRUCTION_AND_NEIGHBORS)
        if score == RECONSTRUCTION_AND_NEIGHBORS:
            np.testing.assert_array_equal(parts.neighbors_by_channel.sum(axis=1), parts.neighbors)
            total = joined_mean(total, parts.neighbors)
        elif score == RECONSTRUCTION_PLUS_DISCREPANCY:
            total = total + parts.discrepancy
        np.testing.assert_array_equal(parts.score, total)
        if score != RECONSTRUCTION_AND_NEIGHBORS:
            np.testing.assert_array_equal(training_scores, scorer.score(series, "cpu"))

    def test_a_fit_computes_on_the_device(self):
        with pytest.raises(NotImplementedError, match="meta"):
            SeriesScorer.fit(None, noise(300), ScoreSettings(NEIGHBORS, 16, 4), "meta")

    def test_associations_run_only_for_the_score_that_contains_them(self):
        scorer, *_ = fit(RECONSTRUCTION, noise(300), FixedAssociations)
        scorer.reconstruction.network.forward = None
        scorer.score(noise(90), "cpu")

    def test_a_part_that_the_score_needs_is_not_silently_left_out(self):
        scorer, *_ = fit(RECONSTRUCTION_PLUS_DISCREPANCY, noise(300), FixedAssociations)
        with pytest.raises(AssertionError, match="^this score needs a network with associations$"):
            scorer.join(scorer.reconstruction(noise(90), CPU, with_discrepancy=False), None, np.ones(90))
        with pytest.raises(AssertionError, match="^a score without a network has neighbours$"):
            scorer.join(None, None, np.ones(90))


# With trained networks

TINY = {"window_size": 32, "model_size": 8, "max_epochs": 2, "smoothing": 4, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    rows = np.arange(800)
    clean = np.column_stack([np.sin(rows / 3), np.cos(rows / 5)])
    return clean + np.random.default_rng(0).normal(scale=0.1, size=(800, 2))


@pytest.fixture(scope="module")
def detector(X):
    return TimesNetDetector(**TINY).fit(X)


def test_the_abnormal_channel_has_the_score(X, detector):
    abnormal = X.copy()
    abnormal[400:410, 1] += 5.0
    parts = detector.explain(abnormal)
    assert (parts.reconstruction_by_channel[400:410].argmax(axis=1) == 1).all()


def test_scores_of_different_calls_are_comparable(X, detector):
    abnormal = X.copy()
    abnormal[300:340] += 4.0
    assert detector.decision_function(X).max() < 0.5 * detector.decision_function(abnormal).max()
    alone = detector.decision_function(X[:200])[:100]
    np.testing.assert_allclose(alone, detector.decision_function(X)[:100], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, AnomalyTransformerDetector])
def test_no_position_of_a_window_has_low_scores(X, detector_class):
    """The published softmax over time gives edges a score of zero. Here stationary rows score alike everywhere."""
    score = detector_class(**TINY, anomaly_score=RECONSTRUCTION_PLUS_DISCREPANCY).fit(X).decision_function(X)[64:736]
    position = np.arange(len(score)) % 4  # a scoring window starts every four rows
    means = np.array([score[position == p].mean() for p in range(4)])
    assert means.std() < 0.25 * score.std()


def assert_score_falls_with_discrepancy(X):
    """The paper's sign: an anomaly associates with its neighbours, as a local prior does, so its D is small."""
    detector = TimesNetDiscrepancyDetector(
        **TINY | {"smoothing": 1}, anomaly_score=RECONSTRUCTION_PLUS_DISCREPANCY
    ).fit(X)
    windows = detector._scaled_series(X, None).windows(32, 4)
    average = OverlapAverage(len(X), 1)
    for starts, _, discrepancy in window_errors(detector.network_, windows, CPU, with_discrepancy=True):
        average.add(starts, discrepancy)
    parts = detector.explain(X)
    part = parts.score - parts.reconstruction - parts.level
    assert np.corrcoef(part, average.average()[:, 0])[0, 1] < -0.3


def test_score_falls_with_discrepancy(X):
    assert_score_falls_with_discrepancy(X)


def test_a_score_that_adds_discrepancy_fails(X, monkeypatch):
    closeness = PositionCalibration.closeness
    monkeypatch.setattr(PositionCalibration, "closeness", lambda self, discrepancy: -closeness(self, discrepancy))
    with pytest.raises(AssertionError):
        assert_score_falls_with_discrepancy(X)


def test_geometric_mean_error_is_smaller_beside_an_anomaly(X):
    """An anomaly of 12 rows, through windows of 32: errors of normal rows beside it, relative to its own."""
    abnormal = X.copy()
    abnormal[400:412] += 2.0
    detector = TimesNetDetector(**TINY | {"max_epochs": 20, "smoothing": 8}).fit(X)
    series, scorer = detector._scaled_series(abnormal, None), detector.scorer_.reconstruction
    batches = window_errors(detector.network_, series.windows(32, 4), CPU, with_discrepancy=False)
    errors = average_over_windows(batches, scorer.positions, *X.shape)
    beside, within = np.r_[375:398, 414:437], np.arange(400, 412)
    geometric, mean = (error[beside].mean() / error[within].mean() for error in (errors.geometric_mean, errors.mean))
    assert geometric < 0.8 * mean
    score = detector.decision_function(abnormal)
    assert score[402:410].min() > np.delete(score, np.s_[388:424]).max()


def test_position_calibration_levels_unseen_rows():
    """With every row in one window: the mean error at a position varies less than without the calibration."""
    rng = np.random.default_rng(0)
    rows = np.sin(np.arange(12_800) / 3)[:, None] + rng.normal(scale=0.1, size=(12_800, 2))
    detector = TimesNetDetector(**TINY).fit(rows[:6400])
    series, positions = detector._scaled_series(rows[6400:], None), detector.scorer_.reconstruction.positions
    spreads = []
    for calibration in (positions, replace(positions, error=np.ones(32))):
        batches = window_errors(detector.network_, series.windows(32, 32), CPU, with_discrepancy=False)
        errors = average_over_windows(batches, calibration, 6400, 2).mean
        by_position = errors.mean(axis=1).reshape(-1, 32).mean(axis=0)
        spreads.append(by_position.std() / by_position.mean())
    assert spreads[0] < 0.6 * spreads[1]


def test_a_channel_with_anomalies_in_training_keeps_its_weight(X):
    contaminated = X.copy()
    contaminated[150:200, 1] += 4.0
    normal = np.r_[0:100, 250:800]
    clean, mixed = (
        scores[160:190].mean() / scores[normal].max()
        for scores in (
            TimesNetDetector(**TINY, clean_training=clean).fit(contaminated).decision_scores_ for clean in (True, False)
        )
    )
    assert mixed > clean


@pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector])
def test_a_shape_that_training_lacks_is_far_from_its_neighbors(detector_class):
    rows = np.arange(800)
    wave = np.sin(rows * 2 * np.pi / 25)[:, None] + np.random.default_rng(0).normal(scale=0.05, size=(800, 1))
    detector = detector_class(**TINY).fit(wave)
    abnormal = wave.copy()
    abnormal[400:432] = np.sign(abnormal[400:432])
    neighbors = detector.explain(abnormal).neighbors
    assert neighbors[400:432].min() > max(neighbors[:360].max(), neighbors[472:].max())


class TestEvidence:
    """What alarms are made of."""

    @pytest.mark.parametrize("score", [NEIGHBORS, RECONSTRUCTION, RECONSTRUCTION_AND_NEIGHBORS])
    def test_score_is_that_of_the_scorer(self, score):
        scorer, training_scores, unseen = fit(score, noise(300))
        new = noise(90, seed=1)
        np.testing.assert_array_equal(scorer.evidence(new, "cpu").score, scorer.score(new, "cpu"))
        np.testing.assert_array_equal(unseen.score, training_scores)  # no row is held out

    @pytest.mark.parametrize("score", [NEIGHBORS, RECONSTRUCTION, RECONSTRUCTION_AND_NEIGHBORS])
    def test_is_the_definition(self, score):
        scorer, *_ = fit(score, noise(300), smoothing=8)
        new = noise(90, seed=1)
        found = scorer.evidence(new, "cpu")
        locals_ = []
        if scorer.reconstruction is not None:
            locals_.append(scorer.reconstruction(new, CPU, with_discrepancy=False, with_local=True).local)
        if scorer.neighbors is not None:
            locals_.append(scorer.neighbors.with_local(new, CPU, scorer.neighbors.past(new))[1])
        first, last = locals_[0].largest, locals_[-1].largest
        joined = first if len(locals_) == 1 else geometric_mean(first, last)
        np.testing.assert_array_equal(found.local, joined[:, 2])
        np.testing.assert_array_equal(found.alarm, np.maximum(geometric_mean(found.score, joined[:, 0]), joined[:, 1]))
        by_last = last[:, 2] > first[:, 2]
        np.testing.assert_array_equal(found.channel, np.where(by_last, locals_[-1].channel, locals_[0].channel))
        np.testing.assert_array_equal(found.deviation, np.where(by_last, locals_[-1].deviation, locals_[0].deviation))

    def test_held_out_rows_scale_the_errors_of_the_others(self):
        series = noise(300)
        held_out = np.arange(300) >= 240
        network = FixedNetwork(MISS, n_channels=2)
        settings = ScoreSettings(RECONSTRUCTION, 16, 4)
        scorer, scores, unseen = SeriesScorer.fit(network, series, settings, "cpu", held_out)
        errors = average_over_windows(
            window_errors(network, series.windows(16, 2), CPU, with_discrepancy=False),
            scorer.reconstruction.positions,
            300,
            2,
            signed=True,
        )
        expected = scorer.reconstruction.parts(errors.as_unseen(held_out), series).score
        np.testing.assert_allclose(unseen.score, expected, rtol=1e-6)
        np.testing.assert_array_equal(scores, scorer.score(series, "cpu"))
