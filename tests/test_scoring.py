"""From evidence to scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.historic_mistakes import AddsDiscrepancy
from timesad import TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.evidence import judge_windows
from timesad.scoring import SCORE_RULES
from timesad.windows import OverlapAverage

TINY = {
    "window_size": 32,
    "patch_size": 4,
    "model_size": 8,
    "n_kernels": 2,
    "epoch_size": 128,
    "max_epochs": 2,
    "smoothing": 4,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    rows = np.arange(800)
    return np.column_stack([np.sin(rows / 3), np.cos(rows / 5)]) + rng.normal(scale=0.1, size=(800, 2))


@pytest.mark.parametrize("rule", SCORE_RULES)
def test_parts_add_up_to_the_score(X, rule):
    detector = TimesNetDiscrepancyDetector(**TINY, n_heads=2, prior="contrast", score_rule=rule).fit(X)
    parts = detector.explain(X)
    np.testing.assert_array_equal(parts.score, detector.decision_function(X))
    np.testing.assert_allclose(parts.channels.sum(axis=1), parts.reconstruction + parts.level)
    total = parts.reconstruction + parts.level + parts.discrepancy.sum(axis=1)
    if rule == "memory":
        factors = np.maximum(1 + total, 0.05), np.maximum(1 + parts.memory, 0.05)
        np.testing.assert_allclose(np.sqrt(factors[0] * factors[1]) - 1, parts.score)
    elif rule != "product":
        np.testing.assert_allclose(total, parts.score)
    assert parts.memory.any() == (rule == "memory")
    assert parts.discrepancy.shape[1] == (2 if rule in ("discrepancy", "sum") else 0)


@pytest.mark.parametrize(("n_rows", "weight"), [(160, 0.0), (176, 0.5), (192, 1.0)])
def test_a_short_memory_counts_less(X, n_rows, weight):
    """Not at all in five windows of training rows or fewer: then the rows rank as by their reconstruction."""
    parts = TimesNetDiscrepancyDetector(**TINY, n_heads=2).fit(X[:n_rows]).explain(X)
    reconstruction = np.maximum(1 + parts.reconstruction + parts.level, 0.05)
    memory = np.maximum(1 + parts.memory, 0.05)
    np.testing.assert_allclose((1 + parts.score) ** 2, reconstruction * memory**weight)


def test_the_guilty_channel_is_named(X):
    spoiled = X.copy()
    spoiled[400:410, 1] += 5.0
    parts = TimesNetDetector(**TINY).fit(X).explain(spoiled)
    assert (parts.channels[400:410].argmax(axis=1) == 1).all()


def test_no_position_of_a_window_is_systematically_low(X):
    """The published softmax puts edges at zero. Here stationary rows score alike wherever the windows' edges fall."""
    detector = TimesNetDiscrepancyDetector(**TINY, n_heads=2, score_rule="sum").fit(X)
    borders = np.array([0, len(X)])
    windows = detector._scoring_windows(detector.scaling_(X), borders)
    assert windows.starts[1] == TINY["window_size"] // 8
    position = np.arange(64, 736) % 4
    score = detector.decision_function(X)[64:736]
    means = np.array([score[position == p].mean() for p in range(4)])
    assert means.std() < 0.25 * score.std()


def test_scores_of_different_calls_are_comparable(X):
    """A calm series scored alone is not stretched to look like one with anomalies."""
    detector = TimesNetDetector(**TINY).fit(X)
    spoiled = X.copy()
    spoiled[300:340] += 4.0
    assert detector.decision_function(X).max() < 0.5 * detector.decision_function(spoiled).max()


def test_parameters_set_after_fit_wait_for_the_next_fit(X):
    detector = TimesNetDiscrepancyDetector(**TINY).fit(X)
    before = detector.decision_function(X)
    detector.set_params(window_size=64, smoothing=1, level_weight=0.0, score_rule="product", n_masks=0)
    np.testing.assert_array_equal(detector.decision_function(X), before)


def assert_score_falls_with_discrepancy(detector_class, X):
    """The paper's sign: an anomaly associates with its neighbours, as a local prior does, so its D is small."""
    detector = detector_class(**TINY | {"smoothing": 1}, n_heads=2, score_rule="discrepancy").fit(X)
    rows = OverlapAverage(len(X), 1)
    for starts, x in detector._scoring_windows(detector.scaling_(X), np.array([0, len(X)])).batches(64):
        rows.add(starts, judge_windows(detector.network_, x, with_discrepancy=True)[1].numpy())
    assert np.corrcoef(detector.decision_scores_, rows.average()[:, 0])[0, 1] < -0.3


def test_score_falls_with_discrepancy(X):
    assert_score_falls_with_discrepancy(TimesNetDiscrepancyDetector, X)


def test_a_score_that_adds_discrepancy_is_caught(X):
    with pytest.raises(AssertionError):
        assert_score_falls_with_discrepancy(AddsDiscrepancy, X)


@pytest.fixture(scope="module")
def scored(X):
    """Evidence and scores of a series with a fault in the rows 400 to 411."""
    spoiled = X.copy()
    spoiled[400:412] += 2.0
    detector = TimesNetDetector(**TINY | {"max_epochs": 20, "smoothing": 8}).fit(X)
    return detector._judge(spoiled, None)[0], detector.decision_function(spoiled)


class TestHorizons:
    """A fault of 12 rows in a series without any, seen through windows of 32."""

    def test_the_agreed_error_is_less_spread_by_windows_that_hold_the_fault(self, scored):
        evidence, _ = scored
        beside, within = np.r_[375:398, 414:437], np.arange(400, 412)
        assert spread(evidence.agreed, beside, within) < 0.8 * spread(evidence.error, beside, within)

    def test_the_fault_stands_above_its_neighbourhood(self, scored):
        _, score = scored
        assert score[402:410].min() > np.delete(score, np.s_[388:424]).max()


def spread(error, beside, within):
    return error[beside].mean() / error[within].mean()


def test_no_position_of_a_window_is_rebuilt_worse_than_others():
    """On rows that were not seen in training, with every row in one window: the first and last of a series are, too."""
    rng = np.random.default_rng(0)
    X = np.sin(np.arange(12_800) / 3)[:, None] + rng.normal(scale=0.1, size=(12_800, 2))
    train, rest = np.split(X, 2)
    detector = TimesNetDetector(**TINY | {"score_stride": TINY["window_size"]}).fit(train)
    levelled = unevenness(detector, rest)
    flat = np.ones(TINY["window_size"])
    detector.position_calibration_ = replace(detector.position_calibration_, error=flat)
    assert levelled < 0.6 * unevenness(detector, rest)


def unevenness(detector, X):
    """Standard deviation over in-window positions of the mean error there, relative to the mean of all."""
    evidence, _ = detector._judge(X, None)
    by_position = evidence.error.mean(axis=1).reshape(-1, TINY["window_size"]).mean(axis=0)
    return by_position.std() / by_position.mean()


def test_a_channel_spoiled_in_training_is_still_heard(X):
    spoiled = X.copy()
    spoiled[150:200, 1] += 4.0
    normal = np.r_[0:100, 250:800]
    heard = [
        TimesNetDiscrepancyDetector(**TINY, discrepancy_weight=0, clean_training=clean).fit(spoiled)
        for clean in (True, False)
    ]
    clean, mixed = (
        detector.decision_scores_[160:190].mean() / detector.decision_scores_[normal].max() for detector in heard
    )
    assert mixed > clean
