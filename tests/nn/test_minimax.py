"""Gradients and steps of the minimax. Each check is also run on a known mistake, where it must fail."""

from __future__ import annotations

import copy

import pytest
import torch

from benchmarks.grid_prior import jensen_shannon
from benchmarks.historic_mistakes import MixedNetwork, double_maximise, identical_losses, swapped_phases
from timesad.nn import (
    AssociationSettings,
    BlockSettings,
    LocalPrior,
    TimesNetDiscrepancyNetwork,
    WindowSettings,
    symmetric_kl,
)
from timesad.nn.minimax import Route, maximise_phase, minimise_phase, simultaneous, straight
from timesad.training import MinimaxObjective, Phase

WEIGHT = 3.0
maximise_without_reversal = Route(1, 0)
WINDOW = WindowSettings(
    n_channels=2, window_size=20, model_size=8, dropout=0.0, normalize=True, n_masks=0, patch_size=4
)
BLOCKS = BlockSettings(n_layers=2, periods=[5, 10], n_kernels=2)


def build(detached=False, network_class=TimesNetDiscrepancyNetwork, divergence=symmetric_kl):
    torch.manual_seed(0)
    association = AssociationSettings(BLOCKS.n_layers, 2, lambda: [LocalPrior(WINDOW.window_size)], divergence)
    return network_class(WINDOW, BLOCKS, association, detached=detached).double()


@pytest.fixture
def x():
    return torch.randn(6, 20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradients(network, loss):
    parameters = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
    }


def is_sigma(name):
    return ".widths." in name


def is_query_key(name):
    return ".query_key_value." in name


def part(found, wanted):
    return torch.cat([gradient.flatten() for name, gradient in found.items() if wanted(name)])


def step_gradients(network, x, route, reconstructions=2.0):
    phase = Phase("tested", route, reconstructions)
    objective = MinimaxObjective(WEIGHT)
    return gradients(network, objective(network(x, None, route), x, None, phase)["loss"])


def reconstruction_gradients(network, x):
    return gradients(network, MinimaxObjective(0.0).reconstruction(network.reconstruct(x), x, None))


def mean_discrepancy(network, x):
    return network(x).discrepancy.mean()


@pytest.mark.parametrize("divergence", [symmetric_kl, jensen_shannon])
def test_one_backward_pass_equals_the_two_of_the_official_code(x, divergence):
    network = build(divergence=divergence)
    once = step_gradients(network, x, simultaneous)
    twice = {name: torch.zeros_like(gradient) for name, gradient in once.items()}
    for sign, stop in ((-1, maximise_without_reversal), (1, minimise_phase)):
        output = network(x, None, stop)
        loss = ((output.reconstruction - x) ** 2).mean() + sign * WEIGHT * output.discrepancy.mean()
        for name, gradient in gradients(network, loss).items():
            twice[name] += gradient
    for name, gradient in once.items():
        torch.testing.assert_close(gradient, twice[name], rtol=1e-9, atol=1e-12)


class TestGradientRouting:
    def test_series_term_has_no_gradient_on_sigma(self, x):
        network = build()
        output = network(x, None, maximise_phase)
        found = gradients(network, output.discrepancy.mean())
        assert not part(found, is_sigma).any()
        assert part(found, is_query_key).abs().max() > 0

    def test_prior_term_has_a_gradient_on_sigma_alone(self, x):
        network = build()
        output = network(x, None, minimise_phase)
        found = gradients(network, output.discrepancy.mean())
        assert part(found, is_sigma).abs().max() > 0
        assert not part(found, lambda name: not is_sigma(name)).any()

    def test_detached_branch_does_not_change_gradients_of_the_trunk(self, x):
        network = build(detached=True)

        def is_trunk(name):
            return "association" not in name and "side" not in name

        combined = step_gradients(network, x, simultaneous, reconstructions=1.0)
        plain = reconstruction_gradients(network, x)
        torch.testing.assert_close(part(combined, is_trunk), part(plain, is_trunk), rtol=0, atol=0)


def assert_discrepancy_reaches(network, x, route):
    """The combined gradient differs from that of the reconstruction, for sigma and for queries and keys."""
    combined, plain = step_gradients(network, x, route), reconstruction_gradients(network, x)
    for wanted in (is_sigma, is_query_key):
        assert (part(combined, wanted) - 2.0 * part(plain, wanted)).abs().max() > 1e-6


def assert_signs(network, x, route):
    """A descent step moves P towards S (down the slope of D) and S away from P (up the slope of D)."""
    combined, plain = step_gradients(network, x, route), reconstruction_gradients(network, x)
    slope = gradients(network, mean_discrepancy(network, x))
    on_sigma = torch.dot(part(combined, is_sigma), part(slope, is_sigma))
    pushed = part(combined, is_query_key) - 2.0 * part(plain, is_query_key)
    on_series = torch.dot(pushed, part(slope, is_query_key))
    assert on_sigma > 0, "P is not moved towards S"
    assert on_series < 0, "S is not moved away from P"


def assert_output_ignores_prior(network_class, x):
    """The reconstruction has no gradient with respect to sigma."""
    network = build(network_class=network_class)
    assert not part(reconstruction_gradients(network, x), is_sigma).any()


def test_discrepancy_reaches_series_and_prior(x):
    assert_discrepancy_reaches(build(), x, simultaneous)


def test_signs_are_the_papers(x):
    assert_signs(build(), x, simultaneous)


def test_reconstruction_does_not_train_the_prior(x):
    assert_output_ignores_prior(TimesNetDiscrepancyNetwork, x)


class TestChecksFailOnMistakes:
    """Each check fails on the mistake that it is meant to find."""

    def test_identical_losses(self, x):
        with pytest.raises(AssertionError):
            assert_discrepancy_reaches(build(), x, identical_losses)

    @pytest.mark.parametrize("mistake", [swapped_phases, double_maximise])
    def test_wrong_signs(self, x, mistake):
        with pytest.raises(AssertionError):
            assert_signs(build(), x, mistake)

    def test_prior_in_the_output(self, x):
        with pytest.raises(AssertionError):
            assert_output_ignores_prior(MixedNetwork, x)

    def test_plain_maximisation_without_reversal(self, x):
        with pytest.raises(AssertionError):
            assert_signs(build(), x, straight)


def descend(network, x, phase, steps=20):
    """Steps on the discrepancy of one phase alone."""
    trained = copy.deepcopy(network)
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        trained(x, None, phase.route).discrepancy.mean().backward()
        optimizer.step()
    return trained


class TestSteps:
    """Effect of twenty steps of a phase on D and on S."""

    def series(self, network, x):
        return torch.stack([layer.series for layer in network.associations(x)])

    def test_series_term_alone_raises_discrepancy(self, x):
        network = build()
        trained = descend(network, x, Phase("maximise", maximise_phase, 1.0))
        assert mean_discrepancy(trained, x) > mean_discrepancy(network, x) + 0.01

    def test_prior_term_leaves_series_untouched(self, x):
        """Steps on the prior term alone lower D; S stays bit-identical (PyOD's port fails this)."""
        network = build()
        trained = descend(network, x, Phase("minimise", minimise_phase, 1.0))
        assert mean_discrepancy(trained, x) < mean_discrepancy(network, x) - 0.01
        assert torch.equal(self.series(network, x), self.series(trained, x))

    def test_double_maximise_raises_discrepancy_by_the_prior(self, x):
        """The same steps with PyOD's sign raise D, so the test above fails on that mistake."""
        network = build()
        trained = descend(network, x, Phase("mistake", Route(0, double_maximise.prior), 0.0))
        assert mean_discrepancy(trained, x) > mean_discrepancy(network, x)


class TestObjective:
    def test_balanced_weight_makes_both_terms_equal(self, x):
        network = build()
        output = network(x, None, simultaneous)
        objective = MinimaxObjective("balanced")
        reconstruction = objective.reconstruction(output.reconstruction, x, None)
        discrepancy = output.discrepancy.mean()
        torch.testing.assert_close(objective.scale(reconstruction, discrepancy) * discrepancy, reconstruction)
        assert not objective.scale(reconstruction, discrepancy).requires_grad

    def test_error_is_over_hidden_rows_only(self, x):
        network = build()
        hidden = torch.zeros(6, 20, dtype=torch.bool)
        hidden[:, :5] = True
        output = network(x, hidden)
        expected = ((output.reconstruction - x) ** 2)[:, :5].mean()
        torch.testing.assert_close(MinimaxObjective(0.0).reconstruction(output.reconstruction, x, hidden), expected)


class TestReconstructionAlone:
    @pytest.mark.parametrize("detached", [True, False])
    def test_equals_that_of_the_whole_forward(self, x, detached):
        network = build(detached)
        hidden = torch.zeros(6, 20, dtype=torch.bool)
        hidden[:, 4:8] = True
        alone, whole = network.reconstruct(x, hidden), network(x, hidden).reconstruction
        torch.testing.assert_close(alone, whole, rtol=0, atol=0 if detached else 1e-12)

    def test_computes_no_detached_association(self, x, monkeypatch):
        """Otherwise associations take most of the time of validation and of scoring by reconstruction."""
        network = build(detached=True)
        monkeypatch.delattr(TimesNetDiscrepancyNetwork, "associate")
        network.reconstruct(x)


def test_every_parameter_is_trained(x):
    """The loss has a gradient with respect to every parameter."""
    for detached in (True, False):
        for name, gradient in step_gradients(build(detached), x, simultaneous).items():
            assert gradient.any(), name
