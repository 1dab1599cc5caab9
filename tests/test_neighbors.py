"""The memory: what it keeps, how far a window lies from it, and what that does to a score."""

from __future__ import annotations

import numpy as np
import pytest

import timesad.memory
from timesad import AnomalyTransformerDetector, TimesNetDiscrepancyDetector
from timesad.calibration import TailCalibration, smooth
from timesad.memory import NEIGHBOURS, MemoryScorer, WindowMemory, fingerprints
from timesad.windows import WindowSet, window_starts

WINDOW = 12


def windows_of(values, stride=1):
    return WindowSet(values, window_starts([0, len(values)], WINDOW, stride), WINDOW)


@pytest.fixture
def train():
    return np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)


@pytest.fixture
def rows():
    return np.random.default_rng(1).normal(size=(90, 3)).astype(np.float32)


def written_out(memory, train, values, starts, own_counts):
    """The definition, window by window and channel by channel: the window's distance and the row's."""
    kept = np.array([train[start : start + WINDOW] for start in memory.positions])
    every = np.arange(len(train) - WINDOW + 1)
    apart = np.abs(every[:, None] - memory.positions) >= WINDOW
    own_counts = own_counts or apart.sum(axis=1).min() < NEIGHBOURS
    of_window, of_row = ([[] for _ in values] for _ in range(2))
    for start in starts:
        window = values[start : start + WINDOW]
        own = [first for first in every if np.array_equal(train[first : first + WINDOW], window)][:1]
        counted = apart[own[0]] if own and not own_counts else np.full(len(kept), True)
        squares = (window - kept[counted]) ** 2  # (counted, time, channel)
        nearest = np.argsort(squares.mean(axis=1), axis=0)[:NEIGHBOURS, None]  # (neighbour, 1, channel)
        found = np.take_along_axis(squares, nearest, axis=0).mean(axis=0)  # (time, channel)
        for position, row in enumerate(range(start, start + WINDOW)):
            of_window[row].append(found.mean(axis=0))
            of_row[row].append(found[position])
    return np.array([np.max(row, axis=0) for row in of_window]), np.array([np.mean(row, axis=0) for row in of_row])


def distances(memory, values, stride=1, **settings):
    """The window's and the row's distance, (n_rows, n_channels) each."""
    channels = memory.distances(windows_of(values, stride), "cpu", **settings)
    return tuple(np.column_stack(kind) for kind in zip(*channels, strict=True))


@pytest.mark.parametrize("own_counts", [False, True])
@pytest.mark.parametrize("size", [1, 3, 6, 30, 40, 1000])
def test_distances_are_the_definition(train, rows, size, own_counts):
    memory = WindowMemory.learn(windows_of(train), size)
    rows[20:60] = train[100:140]  # some windows are known and some are new
    expected = written_out(memory, train, rows, windows_of(rows, stride=5).starts, own_counts)
    for found, defined in zip(distances(memory, rows, 5, own_counts=own_counts), expected, strict=True):
        np.testing.assert_allclose(found, defined, rtol=1e-5)


def test_a_fingerprint_tells_windows_apart_and_knows_them_again():
    """Over few values, so that many windows are equal and many more nearly so."""
    values = np.random.default_rng(0).integers(0, 2, size=(4000, 2)).astype(np.float32)
    windows = WindowSet(values, np.arange(3997), window_size=4)
    contents = [window.tobytes() for window in windows.batch(range(3997)).numpy()]
    number_of = dict(zip(contents, fingerprints(windows).tolist(), strict=True))
    assert [number_of[content] for content in contents] == fingerprints(windows).tolist()
    assert len(set(number_of.values())) == len(number_of) == 256
    later = WindowSet(values[1000:], np.array([7, 500]), window_size=4)
    np.testing.assert_array_equal(fingerprints(later), fingerprints(windows)[[1007, 1500]])


@pytest.mark.parametrize("change", [lambda x: x[:, ::-1], lambda x: x[::-1], lambda x: np.nextafter(x, np.inf)])
def test_a_fingerprint_sees_order_and_the_last_bit(train, change):
    changed = np.ascontiguousarray(change(train))
    assert not np.isin(fingerprints(windows_of(changed)), fingerprints(windows_of(train))).any()


@pytest.mark.parametrize("size", [1, 2, 7, 20, 289])
def test_keeps_only_the_rows_that_its_windows_touch(train, size):
    every = windows_of(train).thinned(size)
    memory = WindowMemory.learn(windows_of(train), size)
    assert len(memory.windows) == size
    assert len(memory.windows.values) == min(len(train), size * WINDOW) or size == 20
    np.testing.assert_array_equal(memory.windows.batch(range(size)), every.batch(range(size)))


def test_rows_learned_from_are_judged_as_any_others(train):
    """A window of the training series finds itself; that must not make it look more usual than unseen ones."""
    unseen = np.random.default_rng(2).normal(size=train.shape).astype(np.float32)
    memory = WindowMemory.learn(windows_of(train), 1000)
    for seen, new in zip(distances(memory, train), distances(memory, unseen), strict=True):
        assert seen.mean() == pytest.approx(new.mean(), rel=0.15)  # finding themselves they would lie a quarter nearer


def test_what_happened_once_is_known_when_it_comes_again():
    """Only a window of the training series is kept from what it finds first: a new one finds something else there."""
    noise = np.random.default_rng(0).normal(scale=0.05, size=(400, 1))
    once = np.zeros((400, 1))
    once[200:260, 0] = 5.0 * np.hanning(60)
    train, again = once.astype(np.float32), (once + noise).astype(np.float32)
    memory = WindowMemory.learn(windows_of(train), 1000)
    for alone, seen in zip(distances(memory, train), distances(memory, again), strict=True):
        assert seen[225:235].max() < 0.2 * alone[225:235].min()


def test_an_anomaly_does_not_vouch_for_itself():
    series = np.tile(np.sin(np.arange(10) * 2 * np.pi / 10), 40).astype(np.float32)[:, None]
    series[200:212] += 5.0
    for distance in distances(WindowMemory.learn(windows_of(series), 1000), series):
        assert distance[200:212].min() > 10 * distance[:180].max()


def test_a_row_is_told_from_its_window():
    """All rows of the windows that hold a spike are in strange company; only the spike itself is strange."""
    series = np.tile(np.sin(np.arange(10) * 2 * np.pi / 10), 40).astype(np.float32)[:, None]
    memory = WindowMemory.learn(windows_of(series), 1000)
    series[200] += 5.0
    of_window, of_row = distances(memory, series)
    assert of_window[189:212].min() > 100 * of_window[:180].max()
    assert of_row[200] > 10 * np.delete(of_row, 200).max()


def test_an_anomaly_in_training_hardly_sets_the_unit():
    """It lies near itself. In units of the distance to other windows it would be as strange as training rows get: 1."""
    rows = np.random.default_rng(0).normal(size=(600, 1)).astype(np.float32)
    rows[200:260, 0] += 20.0 * np.hanning(60).astype(np.float32)
    memory = WindowMemory.learn(windows_of(rows), 1000)
    for distance in distances(memory, rows):
        root = np.sqrt(distance[:, 0].astype(float))
        assert TailCalibration.learn(root, 1)(root).max() < 1.6
    assert MemoryScorer.learn(memory, windows_of(rows), 1, np.array([0, 600]), "cpu")[1].max() > 3


def test_the_score_is_the_definition(train, rows):
    """Half the window's root distance and half the larger of the row's, smoothed over 5 and over 13 rows."""
    memory, borders, ends = WindowMemory.learn(windows_of(train), 1000), np.array([0, 300]), np.array([0, 90])
    scorer, _ = MemoryScorer.learn(memory, windows_of(train), 5, borders, "cpu")
    counted = distances(memory, train, own_counts=True)
    of_window, of_row = zip(distances(memory, train), counted, distances(memory, rows), strict=True)
    calibrated = []
    for kinds, width in ((of_window, 1), (of_row, 5), (of_row, 13)):
        scored, unit, new = (
            np.sqrt(smooth(kind.astype(float), width, where))
            for kind, where in zip(kinds, (borders, borders, ends), strict=True)
        )
        height = np.sort(unit, axis=0)[-5:].mean(axis=0) - np.median(unit, axis=0)
        calibrated.append((new - np.median(scored, axis=0)) / np.maximum(height, 0.1))
    found = scorer(windows_of(rows), ends, "cpu")
    window, near, far = calibrated
    np.testing.assert_allclose(found, ((window + np.maximum(near, far)) / 2).max(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("n_rows", "weight"), [(2 * WINDOW, 0.0), (5 * WINDOW, 0.0), (11 * WINDOW // 2, 0.5), (6 * WINDOW, 1.0), (300, 1.0)]
)
def test_a_short_memory_should_count_less(train, n_rows, weight):
    short = windows_of(train[:n_rows])
    memory = WindowMemory.learn(short, 1000)
    assert MemoryScorer.learn(memory, short, 5, np.array([0, n_rows]), "cpu")[0].weight == weight


def test_training_rows_are_scored_as_any_rows(train):
    """Calibrating goes through them once and says of them what the scorer says when it is asked again."""
    windows, borders = windows_of(train), np.array([0, 140, 300])
    scorer, said = MemoryScorer.learn(WindowMemory.learn(windows, 1000), windows, 5, borders, "cpu")
    np.testing.assert_array_equal(scorer(windows, borders, "cpu"), said)


def test_what_is_typical_of_training_rows_scores_zero(wave):
    memory = TimesNetDiscrepancyDetector(**SMALL).fit(wave).explain(wave).memory
    assert abs(np.median(memory)) < 0.05


def test_far_values_lose_no_digits(train):
    """The expanded square of two long vectors has no digit left of a small distance between them."""
    far = train * 1e-2 + 900.0
    memory = WindowMemory.learn(windows_of(far), 1)
    strange = windows_of(far + np.float32(1.0), stride=300)
    for distance in memory.distances(WindowSet(strange.values[:WINDOW], np.array([0]), WINDOW), "cpu"):
        np.testing.assert_allclose(distance, 1.0, rtol=1e-4)


def test_chunks_change_nothing_but_rounding(train, rows, monkeypatch):
    memory = WindowMemory.learn(windows_of(train), 200)
    expected = distances(memory, rows)
    monkeypatch.setattr(timesad.memory, "CHUNK_WINDOWS", 7)
    np.testing.assert_allclose(distances(memory, rows), expected, rtol=1e-5)


SMALL = {
    "window_size": 32,
    "patch_size": 4,
    "model_size": 8,
    "epoch_size": 128,
    "max_epochs": 2,
    "smoothing": 4,
    "score_rule": "memory",
    "random_state": 0,
}


@pytest.fixture(scope="module")
def wave():
    rows = np.arange(800)
    return np.sin(rows * 2 * np.pi / 25)[:, None] + np.random.default_rng(0).normal(scale=0.05, size=(800, 1))


@pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, AnomalyTransformerDetector])
def test_a_shape_that_never_was_is_remembered_as_strange(detector_class, wave):
    detector = detector_class(**SMALL).fit(wave)
    strange = wave.copy()
    strange[400:432] = np.sign(strange[400:432])
    memory = detector.explain(strange).memory
    assert memory[400:432].min() > max(memory[:360].max(), memory[472:].max())


def test_the_minimax_leaves_the_default_score_as_it_is(wave):
    """With a detached trunk the default's score is the same to the bit, whether associations are trained or not."""
    trained, bare = (
        TimesNetDiscrepancyDetector(**SMALL, discrepancy_weight=weight).fit(wave) for weight in ("balanced", "auto")
    )
    assert "train_discrepancy_simultaneous" in trained.history_[-1]
    assert not any("discrepancy" in name for name in bare.history_[-1])
    np.testing.assert_array_equal(trained.decision_scores_, bare.decision_scores_)


def test_only_the_rule_memory_remembers(wave):
    assert TimesNetDiscrepancyDetector(**SMALL | {"score_rule": "reconstruction"}).fit(wave).memory_scorer_ is None
    memory = TimesNetDiscrepancyDetector(**SMALL, memory_size=10).fit(wave).memory_scorer_.memory
    assert len(memory.windows) == 10
