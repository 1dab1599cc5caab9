from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks import kan_ad
from benchmarks.contract import SEMI_SUPERVISED, UNSUPERVISED, Settings, Setup
from benchmarks.kan_ad import KanAd, KanAdNetwork
from benchmarks.measure import measure
from benchmarks.methods import METHODS
from tests.benchmarks.sines import N_ROWS, TRAIN_ROWS, noisy_sine, target, with_anomaly

WINDOW = 16
TINY = {"window": WINDOW, "max_epochs": 20, "batch_size": 64}
PUBLISHED_WEIGHTS = 274
NOISE = 0.02


@pytest.mark.parametrize("n_channels", [1, 3])
def test_another_shape_is_found_in_new_rows(n_channels):
    X = with_anomaly(n_channels, noise=NOISE)
    scores = KanAd(**TINY).fit(X[:TRAIN_ROWS]).decision_function(X)
    assert scores.shape == (N_ROWS,)
    assert roc_auc_score(target(), scores) > 0.9


def test_the_forecast_is_better_than_the_mean():
    detector = KanAd(**TINY).fit(noisy_sine(noise=NOISE)[:TRAIN_ROWS])
    # The mean absolute deviation of a standardised sine is 0.90.
    assert detector.decision_function(noisy_sine(noise=NOISE))[TRAIN_ROWS:].mean() < 0.3


def test_a_score_is_the_error_of_the_forecast_of_its_row():
    detector = KanAd(**TINY).fit(noisy_sine(noise=NOISE))
    before = detector.decision_function(noisy_sine(noise=NOISE))
    X = noisy_sine(noise=NOISE)
    X[600:] += 3.0  # a step: one difference changes
    changed = np.flatnonzero(~np.isclose(detector.decision_function(X), before, atol=1e-4))
    assert changed.min() == 600
    assert changed.max() <= 600 + WINDOW
    assert np.argmax(detector.decision_function(X)) == 600


def test_rows_before_the_first_forecast_have_its_score():
    scores = KanAd(**TINY).fit(noisy_sine(noise=NOISE)).decision_scores_
    assert (scores[: WINDOW + 1] == scores[WINDOW + 1]).all()
    assert scores[WINDOW + 2] != scores[WINDOW + 1]


def test_training_rows_are_scored_like_new_ones():
    X = noisy_sine(2, noise=NOISE)
    detector = KanAd(**TINY).fit(X)
    np.testing.assert_array_equal(detector.decision_scores_, detector.decision_function(X))


def test_multichannel_scores_are_the_mean_over_channels():
    X = noisy_sine(2, noise=NOISE)
    detector = KanAd(**TINY).fit(X)
    detector.mean_, detector.deviation_ = detector.mean_[:1], detector.deviation_[:1]
    alone = detector.decision_function(X[:, :1])
    detector = KanAd(**TINY).fit(X)
    detector.mean_, detector.deviation_ = detector.mean_[1:], detector.deviation_[1:]
    other = detector.decision_function(X[:, 1:])
    both = KanAd(**TINY).fit(X).decision_scores_
    np.testing.assert_allclose(both, (alone + other) / 2, atol=1e-5)


def test_the_seed_decides_every_score_and_the_global_generators_do_not_move():
    X = noisy_sine(noise=NOISE)
    state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    first = KanAd(**TINY, random_state=1).fit(X).decision_scores_
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002
    torch.rand(1)
    np.testing.assert_array_equal(KanAd(**TINY, random_state=1).fit(X).decision_scores_, first)
    assert not np.array_equal(KanAd(**TINY, random_state=2).fit(X).decision_scores_, first)


@pytest.mark.parametrize("protocol", [SEMI_SUPERVISED, UNSUPERVISED])
def test_the_harness_measures_it(protocol, tiny_groups):
    record = measure(METHODS["kan-ad"], tiny_groups["many"][1], protocol, seed=0, settings=Settings(window=10))
    assert 0.0 < record["raw"]["vus_pr"] <= 1.0


def test_the_network_has_the_published_size():
    detector = METHODS["kan-ad"].build(Setup(window=96, n_channels=1, seed=3))
    assert (detector.window, detector.n_terms, detector.random_state) == (96, 2, 3)
    assert sum(p.numel() for p in KanAdNetwork(96, 2).parameters()) == PUBLISHED_WEIGHTS


def test_the_network_reads_cosines_of_time_and_of_values():
    network = KanAdNetwork(8, 2)
    read = []
    network.blocks.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    x = torch.linspace(-1, 1, 8)[None]
    network.eval()(x)
    functions, time = read[0][0], torch.arange(8) / 8
    expected = torch.stack(
        [torch.cos(2 * torch.pi * time), torch.cos(4 * torch.pi * time), torch.cos(x[0]), torch.cos(2 * x[0]), x[0]]
    )
    torch.testing.assert_close(functions, expected)


def test_training_never_reads_the_held_out_forecasts(monkeypatch):
    taken = []
    take = kan_ad.take
    monkeypatch.setattr(kan_ad, "take", lambda pairs, index, device: taken.append(index) or take(pairs, index, device))
    KanAd(**TINY | {"max_epochs": 1}).fit(noisy_sine(2, noise=NOISE))
    n_forecasts = N_ROWS - 1 - WINDOW
    n_held_out = round(0.2 * n_forecasts)
    trained = torch.cat([index for index in taken if len(index) <= TINY["batch_size"]])
    assert int((trained % n_forecasts).max()) == n_forecasts - n_held_out - 1
    assert len(trained.unique()) == 2 * (n_forecasts - n_held_out)


@pytest.mark.parametrize("n_rows", [1, 2 * WINDOW + 1])
def test_short_series_are_refused_when_fitted(n_rows):
    with pytest.raises(ValueError, match=f"X has {n_rows} rows but window 16 needs 34"):
        KanAd(**TINY).fit(noisy_sine(noise=NOISE)[:n_rows])


def test_the_shortest_series_can_be_fitted():
    assert np.isfinite(KanAd(**TINY).fit(noisy_sine(noise=NOISE)[: 2 * WINDOW + 2]).decision_scores_).all()


def test_short_series_are_refused_when_scored():
    detector = KanAd(**TINY).fit(noisy_sine(noise=NOISE))
    assert detector.decision_function(noisy_sine(noise=NOISE)[: WINDOW + 2]).shape == (WINDOW + 2,)
    with pytest.raises(ValueError, match="17 rows but a forecast with window 16 needs 18"):
        detector.decision_function(noisy_sine(noise=NOISE)[: WINDOW + 1])


def test_constant_channels_have_finite_scores():
    X = np.hstack([noisy_sine(noise=NOISE), np.zeros((N_ROWS, 1))])
    assert np.isfinite(KanAd(**TINY).fit(X).decision_scores_).all()
