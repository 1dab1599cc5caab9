"""Training: what it records, when it stops, how it fails."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from timesad import TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.exceptions import TrainingError
from timesad.scoring import SCORE_RULES
from timesad.training import MinimaxNet

TINY = {"window_size": 24, "patch_size": 3, "model_size": 8, "n_kernels": 2, "epoch_size": 128, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    rows = np.arange(600)
    rng = np.random.default_rng(0)
    return np.column_stack([np.sin(rows / 3), np.cos(rows / 5)]) + rng.normal(scale=0.1, size=(600, 2))


def parameters(detector):
    return torch.cat([parameter.detach().flatten() for parameter in detector.network_.parameters()])


def test_reconstruction_improves(X):
    history = TimesNetDetector(**TINY, max_epochs=8).fit(X).history_
    assert history[-1]["valid_reconstruction"] < 0.7 * history[0]["valid_reconstruction"]


@pytest.mark.parametrize(
    ("schedule", "phases"),
    [("simultaneous", ["simultaneous"]), ("alternating", ["maximise", "minimise"]), ("off", ["reconstruct"])],
)
def test_history_has_the_discrepancy_of_each_phase(X, schedule, phases):
    history = TimesNetDiscrepancyDetector(**TINY, max_epochs=2, n_heads=2, schedule=schedule, discrepancy_weight=1.0)
    for record in history.fit(X).history_:
        assert {name for name in record if "discrepancy" in name} == {f"train_discrepancy_{p}" for p in phases}
        assert all(0 <= record[f"train_sigma_saturated_{phase}"] <= 1 for phase in phases)
        assert {"epoch", "dur", "train_reconstruction", "valid_reconstruction"} <= set(record)


def test_alternating_phases_separate_the_discrepancy(X):
    """S has just fled when P follows: D measured in the minimise phase lies above D in the maximise phase."""
    detector = TimesNetDiscrepancyDetector(
        **TINY, max_epochs=6, patience=6, n_heads=2, schedule="alternating", discrepancy_weight=3.0
    )
    last = detector.fit(X).history_[-1]
    assert last["train_discrepancy_minimise"] > last["train_discrepancy_maximise"]


def test_stops_early_and_keeps_the_best_epoch(X):
    detector = TimesNetDetector(**TINY, max_epochs=50, patience=2, learning_rate=0.05).fit(X)
    errors = [record["valid_reconstruction"] for record in detector.history_]
    best = int(np.argmin(errors))
    assert len(errors) < 50
    until_best = TimesNetDetector(**TINY, max_epochs=best + 1, patience=50, learning_rate=0.05).fit(X)
    assert torch.equal(parameters(detector), parameters(until_best))


def test_zero_weight_is_the_plain_detector_bit_for_bit(X):
    plain = TimesNetDetector(**TINY, max_epochs=2).fit(X)
    flagship = TimesNetDiscrepancyDetector(
        **TINY, max_epochs=2, n_heads=2, discrepancy_weight=0, score_rule="reconstruction"
    ).fit(X)
    assert np.array_equal(plain.decision_scores_, flagship.decision_scores_)


@pytest.mark.parametrize("trunk", ["detached", "joint"])
@pytest.mark.parametrize("rule", SCORE_RULES)
def test_the_default_trains_associations_where_a_score_differs_by_it(X, rule, trunk):
    parameters = TINY | {"max_epochs": 1, "score_rule": rule, "association_trunk": trunk}
    record = TimesNetDiscrepancyDetector(**parameters).fit(X).history_[-1]
    trained = "train_discrepancy_simultaneous" in record
    assert trained == (trunk == "joint" or rule in ("discrepancy", "sum", "product"))


@pytest.mark.parametrize("schedule", ["simultaneous", "off"])
def test_detached_association_does_no_harm(X, schedule):
    """With the association trained beside it, the reconstruction is still the plain detector's, bit for bit."""
    plain = TimesNetDetector(**TINY, max_epochs=2).fit(X)
    beside = TimesNetDiscrepancyDetector(
        **TINY,
        max_epochs=2,
        n_heads=2,
        discrepancy_weight=3.0,
        score_rule="reconstruction",
        schedule=schedule,
        association_trunk="detached",
    ).fit(X)
    assert np.array_equal(plain.decision_scores_, beside.decision_scores_)


def test_a_joint_trunk_feels_the_discrepancy(X):
    plain = TimesNetDetector(**TINY, max_epochs=2).fit(X)
    joint = TimesNetDiscrepancyDetector(
        **TINY, max_epochs=2, n_heads=2, discrepancy_weight=3.0, association_trunk="joint"
    ).fit(X)
    assert not np.allclose(plain.decision_scores_, joint.decision_scores_, rtol=1e-2, atol=1e-2)


def test_a_diverging_loss_is_an_error_that_says_what_to_do(X):
    with pytest.raises(TrainingError, match=r"became (nan|inf).*Lower learning_rate"):
        TimesNetDetector(**TINY, max_epochs=3, learning_rate=1e30).fit(X)


def test_an_interrupt_is_not_swallowed(X, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("timesad.training.net.MinimaxObjective.forward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        TimesNetDetector(**TINY).fit(X)


def test_progress_bar_shows_the_held_out_error(X, capsys):
    TimesNetDetector(**TINY, max_epochs=2, verbose=1).fit(X)
    assert re.search(r"2/2 .*reconstruction \d", capsys.readouterr().err)


def test_silent_by_default(X, capsys):
    TimesNetDetector(**TINY, max_epochs=1).fit(X)
    assert capsys.readouterr() == ("", "")


def test_an_epoch_draws_no_more_windows_than_asked(X, monkeypatch):
    seen = []
    step = MinimaxNet.train_step
    monkeypatch.setattr(MinimaxNet, "train_step", lambda net, batch: seen.append(len(batch[0])) or step(net, batch))
    TimesNetDetector(**TINY | {"epoch_size": 100}, max_epochs=1).fit(X)
    assert sum(seen) == 100


def test_a_detached_association_rebuilds_the_window_by_itself(X):
    """Otherwise S would be trained by the discrepancy alone, and mean nothing."""
    detector = TimesNetDiscrepancyDetector(
        **TINY, max_epochs=12, batch_size=16, n_heads=2, discrepancy_weight=0.1, association_trunk="detached"
    ).fit(X)
    errors = [record["train_side_reconstruction_simultaneous"] for record in detector.history_]
    assert errors[-1] < 0.7 * errors[0]
