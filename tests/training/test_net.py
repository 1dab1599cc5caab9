"""Training: history, the epoch that is kept, errors."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from timesad import TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.exceptions import PeriodFallbackWarning, TrainingError, TrainingWarning
from timesad.nn.minimax import maximise_phase, minimise_phase
from timesad.training import MinimaxNet, Phase

TINY = {"window_size": 24, "model_size": 8, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    rows = np.arange(600)
    rng = np.random.default_rng(0)
    return np.column_stack([np.sin(rows / 3), np.cos(rows / 5)]) + rng.normal(scale=0.1, size=(600, 2))


class ShortEpochs:
    """Fewer windows an epoch."""

    epoch_size = 128

    def _training_settings(self):
        return replace(super()._training_settings(), epoch_size=self.epoch_size)


class Plain(ShortEpochs, TimesNetDetector):
    pass


class Flagship(ShortEpochs, TimesNetDiscrepancyDetector):
    pass


class Alternating(Flagship):
    """The two phases of the paper, each with a step of its own."""

    def _phases(self):
        return Phase("maximise", maximise_phase, 1.0), Phase("minimise", minimise_phase, 1.0)


def parameters(detector):
    return torch.cat([parameter.detach().flatten() for parameter in detector.network_.parameters()])


def test_reconstruction_improves(X):
    history = Plain(**TINY, max_epochs=8).fit(X).history_
    assert history[-1]["valid_reconstruction"] < 0.7 * history[0]["valid_reconstruction"]


@pytest.mark.parametrize(
    ("detector_class", "settings", "phases"),
    [
        (Flagship, {}, ["minimax"]),
        (Alternating, {}, ["maximise", "minimise"]),
        (Flagship, {"discrepancy_weight": 0, "anomaly_score": "reconstruction+discrepancy"}, ["reconstruct"]),
    ],
)
def test_history_has_the_discrepancy_of_each_phase(X, detector_class, settings, phases):
    for record in detector_class(**TINY | settings, max_epochs=2, n_heads=2).fit(X).history_:
        assert {name for name in record if "discrepancy" in name} == {f"train_discrepancy_{p}" for p in phases}
        assert all(0 <= record[f"train_sigma_saturated_{phase}"] <= 1 for phase in phases)
        assert {"epoch", "dur", "train_reconstruction", "valid_reconstruction"} <= set(record)


def test_zero_weight_trains_no_association(X):
    record = Flagship(**TINY, max_epochs=1, discrepancy_weight=0).fit(X).history_[-1]
    assert not any("discrepancy" in name for name in record)


def test_alternating_phases_separate_the_discrepancy(X):
    """The minimise phase computes D after S has moved away from P and before P moves: it is larger there."""
    last = Alternating(**TINY, max_epochs=6, n_heads=2, discrepancy_weight=3.0).fit(X).history_[-1]
    assert last["train_discrepancy_minimise"] > last["train_discrepancy_maximise"]


@pytest.mark.parametrize("score", ["reconstruction", "reconstruction*neighbors"])
@pytest.mark.parametrize("weight", [3.0, "balanced"])
def test_the_minimax_does_not_change_the_other_scores(X, score, weight):
    """The reconstruction equals plain TimesNet's to the bit, with and without trained associations."""
    without, with_association = (
        Flagship(**TINY, max_epochs=2, n_heads=2, discrepancy_weight=value, anomaly_score=score).fit(X)
        for value in (0, weight)
    )
    assert "train_discrepancy_minimax" in with_association.history_[-1]
    np.testing.assert_array_equal(without.decision_scores_, with_association.decision_scores_)
    np.testing.assert_array_equal(without.decision_function(X), with_association.decision_function(X))
    if score == "reconstruction":
        np.testing.assert_array_equal(
            Plain(**TINY, max_epochs=2).fit(X).decision_scores_, with_association.decision_scores_
        )


def test_a_diverging_loss_raises_an_error_that_names_the_parameter(X):
    with pytest.raises(TrainingError, match=r"became (nan|inf).*Lower learning_rate \(now 1e\+30\)"):
        Plain(**TINY, max_epochs=3, learning_rate=1e30).fit(X)


def test_a_network_that_describes_nothing_is_reported(X):
    """The loss stays finite, so no error is raised; `load_best` keeps an epoch that is as useless as the others."""
    with pytest.warns(TrainingWarning, match=r"worse than the mean of each window.*Lower learning_rate \(now 20\)"):
        Plain(**TINY, max_epochs=3, learning_rate=20.0).fit(X)


@pytest.mark.parametrize("series", [np.full((300, 1), 7.0), np.random.default_rng(0).normal(size=(300, 2))])
def test_a_series_that_nothing_can_describe_is_no_fault_of_the_training(series):
    """A constant and noise: the mean of a window is as good as it gets."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        warnings.simplefilter("ignore", PeriodFallbackWarning)
        Plain(**TINY, max_epochs=3).fit(series)


def test_the_best_epoch_is_kept(X, monkeypatch):
    """Held-out errors of 3, 1 and 2: the weights are those after the second epoch."""
    errors, after = iter([3.0, 1.0, 2.0]), []

    def record(net, iterator, training, **more):
        epoch(net, iterator, training=training, **more)
        if training:
            after.append(torch.cat([weights.detach().flatten().clone() for weights in net.module_.parameters()]))
        else:
            net.history.record("valid_reconstruction", next(errors))

    epoch = MinimaxNet.run_single_epoch
    monkeypatch.setattr(MinimaxNet, "run_single_epoch", record)
    detector = Plain(**TINY, max_epochs=3).fit(X)
    assert [record["valid_reconstruction"] for record in detector.history_] == [3.0, 1.0, 2.0]
    assert torch.equal(parameters(detector), after[1])
    assert not torch.equal(parameters(detector), after[2])


def test_step_sizes_are_one_cycle(X, monkeypatch):
    """From a tenth of the largest to the largest in a quarter of the steps, then down to a thousandth."""
    sizes = []
    step = MinimaxNet.train_step
    monkeypatch.setattr(
        MinimaxNet,
        "train_step",
        lambda net, batch: sizes.append(float(net.optimizer_.param_groups[0]["lr"])) or step(net, batch),
    )
    Plain(**TINY, max_epochs=5, learning_rate=0.01).fit(X)
    assert len(sizes) == 5 * Plain.epoch_size / 16
    assert sizes[0] == pytest.approx(0.001)
    assert max(sizes) == pytest.approx(0.01, rel=0.02)
    largest = int(np.argmax(sizes))
    assert largest / len(sizes) == pytest.approx(0.25, abs=0.03)
    assert sizes[-1] < 5e-5
    assert (np.diff(sizes[: largest + 1]) > 0).all()
    assert (np.diff(sizes[largest:]) < 0).all()


def test_an_interrupt_stops_fit(X, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("timesad.training.net.MinimaxObjective.forward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Plain(**TINY).fit(X)


def test_progress_bar_shows_the_held_out_error(X, capsys):
    Plain(**TINY, max_epochs=2, verbose=1).fit(X)
    assert re.search(r"2/2 .*reconstruction \d", capsys.readouterr().err)


def test_silent_by_default(X, capsys):
    Plain(**TINY, max_epochs=1).fit(X)
    assert capsys.readouterr() == ("", "")


def test_an_epoch_draws_at_most_epoch_size_windows(X, monkeypatch):
    drawn = []
    step = MinimaxNet.train_step
    monkeypatch.setattr(MinimaxNet, "train_step", lambda net, batch: drawn.append(len(batch[0])) or step(net, batch))
    Plain(**TINY, max_epochs=1).fit(X)
    assert sum(drawn) == Plain.epoch_size


def test_a_detached_association_reconstructs_the_window_itself(X):
    """Otherwise the discrepancy alone would train S."""
    detector = Flagship(**TINY, max_epochs=12, batch_size=16, n_heads=2, discrepancy_weight=0.1).fit(X)
    errors = [record["train_side_reconstruction_minimax"] for record in detector.history_]
    assert errors[-1] < 0.7 * errors[0]
