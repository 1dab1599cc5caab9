from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks import paano
from benchmarks.contract import SEMI_SUPERVISED, UNSUPERVISED, Settings, Setup
from benchmarks.devices import own_generator
from benchmarks.measure import measure
from benchmarks.methods import METHODS
from benchmarks.paano import (
    MARGIN,
    SHIFT,
    PaAno,
    PatchEncoder,
    choose_memory,
    draw_positives,
    pretext_loss,
    triplet_loss,
    view_patches,
)
from tests.benchmarks.sines import N_ROWS, TRAIN_ROWS, noisy_sine, target, with_anomaly

WINDOW = 16
TINY = {"window": WINDOW, "n_iterations": 4, "batch_size": 32}


@pytest.mark.parametrize("n_channels", [1, 3])
def test_another_shape_is_found_in_new_rows(n_channels):
    X = with_anomaly(n_channels)
    detector = PaAno(**TINY).fit(X[:TRAIN_ROWS])
    scores = detector.decision_function(X)
    assert scores.shape == (N_ROWS,)
    assert roc_auc_score(target(), scores) > 0.9


def test_a_level_and_a_scale_change_nothing():
    X = noisy_sine()
    detector = PaAno(**TINY).fit(X)
    np.testing.assert_allclose(detector.decision_function(10 * X + 5), detector.decision_scores_, atol=1e-3)


def test_training_rows_are_scored_like_new_ones():
    X = noisy_sine(2)
    detector = PaAno(**TINY).fit(X)
    np.testing.assert_array_equal(detector.decision_scores_, detector.decision_function(X))


def test_the_seed_decides_every_score_and_the_global_generators_do_not_move():
    X = noisy_sine()
    state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    first = PaAno(**TINY, random_state=1).fit(X).decision_scores_
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002
    torch.rand(1)
    np.testing.assert_array_equal(PaAno(**TINY, random_state=1).fit(X).decision_scores_, first)
    assert not np.array_equal(PaAno(**TINY, random_state=2).fit(X).decision_scores_, first)


@pytest.mark.parametrize("protocol", [SEMI_SUPERVISED, UNSUPERVISED])
def test_the_harness_measures_it(protocol, tiny_groups, monkeypatch):
    monkeypatch.setattr("benchmarks.methods.PaAno", lambda **settings: PaAno(**settings, n_iterations=2))
    record = measure(METHODS["paano"], tiny_groups["many"][0], protocol, seed=0, settings=Settings(window=10))
    assert 0.0 < record["raw"]["vus_pr"] <= 1.0


def test_the_registered_method_has_the_published_size():
    detector = METHODS["paano"].build(Setup(window=96, n_channels=1, seed=3))
    assert (detector.n_iterations, detector.batch_size, detector.random_state) == (100, 512, 3)
    n_weights = sum(p.numel() for p in PatchEncoder(1, standardise=True).blocks.parameters())
    assert 0.25e6 < n_weights < 0.35e6


@pytest.mark.parametrize("n_rows", [WINDOW - 1, 2 * WINDOW - 1])
def test_short_series_are_refused_when_fitted(n_rows):
    with pytest.raises(ValueError, match=f"X has {n_rows} rows but .* need 32"):
        PaAno(**TINY).fit(noisy_sine()[:n_rows])


def test_the_shortest_series_can_be_fitted():
    scores = PaAno(**TINY).fit(noisy_sine()[: 2 * WINDOW]).decision_scores_
    assert np.isfinite(scores).all()


def test_short_series_are_refused_when_scored():
    detector = PaAno(**TINY).fit(noisy_sine())
    assert detector.decision_function(noisy_sine()[:WINDOW]).shape == (WINDOW,)
    with pytest.raises(ValueError, match="15 rows but window is 16"):
        detector.decision_function(noisy_sine()[: WINDOW - 1])


def test_constant_channels_have_finite_scores():
    X = np.hstack([noisy_sine(), np.zeros((N_ROWS, 1))])
    assert np.isfinite(PaAno(**TINY).fit(X).decision_scores_).all()


def test_patches_are_a_view_of_the_rows_in_order():
    X = noisy_sine(2)
    patches = view_patches(X, WINDOW)
    assert patches.shape == (2, N_ROWS - WINDOW + 1, WINDOW)
    assert patches.untyped_storage().nbytes() == X.size * 4
    np.testing.assert_array_equal(patches[:, 7].T, X[7 : 7 + WINDOW].astype(np.float32))


def test_positives_lie_near_their_anchor_and_inside_the_series():
    anchors = torch.arange(10).repeat(200)
    shifts = draw_positives(anchors, 10) - anchors
    assert set(shifts.tolist()) == {-2, -1, 1, 2}
    assert int(shifts.abs().max()) == SHIFT
    assert set(shifts[anchors == 0].tolist()) == {1, 2}
    assert set(shifts[anchors == 9].tolist()) == {-1, -2}


@torch.no_grad()
def test_triplet_loss_against_its_definition():
    with own_generator(torch.device("cpu"), 0):
        encoder = PatchEncoder(1, standardise=True)
    generator = torch.Generator().manual_seed(0)
    anchors, positives = torch.randn((2, 6, paano.EMBEDDING_SIZE), generator=generator)
    expected = []
    for i in range(6):
        distances = [1 - torch.cosine_similarity(anchors[i], other, dim=0) for other in anchors]
        farthest = anchors[int(np.argmax([float(d) for d in distances]))]
        a, p, n = (encoder.project(h) for h in (anchors[i], positives[i], farthest))
        difference = torch.cosine_similarity(a, n, dim=0) - torch.cosine_similarity(a, p, dim=0)
        expected.append(max(0.0, float(difference) + MARGIN))
    assert min(expected) == 0.0 < max(expected)
    assert float(triplet_loss(encoder, anchors, positives)) == pytest.approx(np.mean(expected), abs=1e-6)


@torch.no_grad()
def test_pretext_loss_is_small_for_a_classifier_that_separates_the_pairs():
    encoder = PatchEncoder(1, standardise=True)
    anchors = torch.ones(8, paano.EMBEDDING_SIZE)
    has_before = torch.tensor([True] * 3 + [False] * 5)
    before = -torch.ones(3, paano.EMBEDDING_SIZE)
    encoder.classify.weight.zero_()
    encoder.classify.weight[0, -1] = -10.0  # reads the last number of the second patch
    encoder.classify.bias.zero_()
    assert float(pretext_loss(encoder, anchors, before, has_before)) < 1e-3
    assert float(pretext_loss(encoder, anchors, -before, has_before)) > 9
    assert float(pretext_loss(encoder, anchors, before[:0], torch.zeros(8, dtype=torch.bool))) < 1e-3


def test_memory_holds_training_embeddings_only(monkeypatch):
    monkeypatch.setattr(paano, "MEMORY_MINIMUM", 5)
    embeddings = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32)
    memory = choose_memory(embeddings, random_state=0)
    assert memory.shape == (10, 4)
    assert {tuple(row) for row in memory} <= {tuple(row) for row in embeddings}
    np.testing.assert_array_equal(choose_memory(embeddings[:5], random_state=0), embeddings[:5])
