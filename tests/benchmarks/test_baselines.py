from __future__ import annotations

import numpy as np
import pytest

from benchmarks.baselines import centre_padded, flat_windows, overlap_mean
from benchmarks.contract import SEMI_SUPERVISED, UNSUPERVISED, Settings
from benchmarks.measure import measure
from benchmarks.methods import METHODS, SIMPLE

WINDOW = 10
N_WINDOWS = 13


def test_windows_hold_the_rows_in_order():
    X = np.arange(12.0).reshape(6, 2)
    windows = flat_windows(X, 3)
    assert windows.shape == (4, 6)
    np.testing.assert_array_equal(windows[1].reshape(2, 3).T, X[1:4])


def test_windows_longer_than_the_series_are_refused():
    with pytest.raises(ValueError, match="6 rows but window is 7"):
        flat_windows(np.zeros((6, 1)), 7)


def test_overlap_mean_is_the_mean_of_the_windows_that_hold_the_row():
    scores = np.random.default_rng(0).random(N_WINDOWS)
    n_rows = N_WINDOWS + WINDOW - 1
    expected = [np.mean([s for i, s in enumerate(scores) if i <= row < i + WINDOW]) for row in range(n_rows)]
    np.testing.assert_allclose(overlap_mean(scores, WINDOW), expected, rtol=1e-12)


@pytest.mark.parametrize("window", [9, 10])
def test_centre_mapping_puts_a_window_on_its_middle_row(window):
    scores = np.zeros(N_WINDOWS)
    scores[5] = 1.0
    rows = centre_padded(scores, window)
    assert len(rows) == N_WINDOWS + window - 1
    assert np.flatnonzero(rows).tolist() == [5 + window // 2]


@pytest.mark.parametrize("protocol", [SEMI_SUPERVISED, UNSUPERVISED])
@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.family == SIMPLE])
def test_simple_methods_score_every_row(name, protocol, tiny_groups):
    for series in (tiny_groups["many"][1], tiny_groups["one"][0]):
        record = measure(METHODS[name], series, protocol, seed=0, settings=Settings(window=WINDOW))
        assert 0.0 < record["raw"]["vus_pr"] <= 1.0


@pytest.mark.parametrize("name", ["window-pca", "window-kmeans", "window-knn", "z-score"])
def test_simple_methods_find_a_level_shift_that_chance_does_not(name, tiny_groups):
    settings = Settings(window=WINDOW)
    series = tiny_groups["many"][0]
    found = measure(METHODS[name], series, SEMI_SUPERVISED, seed=0, settings=settings)["raw"]["vus_pr"]
    chance = measure(METHODS["random-score"], series, SEMI_SUPERVISED, seed=0, settings=settings)["raw"]["vus_pr"]
    assert found > 2 * chance
