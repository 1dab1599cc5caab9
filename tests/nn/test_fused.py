"""The fused attention and its gradients equal those of the attention that stores maps."""

from __future__ import annotations

import pytest
import torch

from benchmarks.grid_prior import GridPrior, jensen_shannon
from timesad.nn import AnomalyAttention, LocalPrior, symmetric_kl
from timesad.nn.fused import FusedAttention
from timesad.nn.maps import operations
from timesad.nn.minimax import Route, simultaneous, straight

TIME, FEATURES, HEADS = 12, 8, 2
PRIORS = {
    "local": lambda: [LocalPrior(TIME)],
    "grid": lambda: [GridPrior(TIME, [5], [1.0])],
    "contrast": lambda: [LocalPrior(TIME), GridPrior(TIME, [5], [1.0])],
}


@pytest.fixture
def x():
    return torch.randn(7, TIME, FEATURES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of two windows; the last has one."""
    monkeypatch.setattr(operations, "MAP_SIZE", 2 * HEADS * TIME * TIME)


def both(prior="local"):
    torch.manual_seed(0)
    by_maps = AnomalyAttention(FEATURES, HEADS, PRIORS[prior]()).double()
    by_pieces = FusedAttention(FEATURES, HEADS, PRIORS[prior]()).double()
    by_pieces.load_state_dict(by_maps.state_dict())
    return by_maps, by_pieces


def loss(output, comparison):
    """Weights that differ for every entry, so swapped entries change the loss."""
    weights = torch.linspace(-1.0, 2.0, output.numel(), dtype=output.dtype).reshape(output.shape)
    rows = torch.linspace(0.5, 1.5, comparison.discrepancy.numel(), dtype=output.dtype)
    return (output * weights).sum() + (comparison.discrepancy.flatten() * rows).sum()


def gradients(attention, x, route, divergence):
    x = x.clone().requires_grad_()
    leaves = [x, *attention.parameters()]
    found = torch.autograd.grad(loss(*attention.compare(x, route, divergence)), leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf) if gradient is None else gradient for leaf, gradient in zip(leaves, found, strict=True)
    ]


@pytest.mark.usefixtures("small_pieces", "float64")
class TestEqualsMaps:
    @pytest.mark.parametrize("prior", PRIORS)
    @pytest.mark.parametrize("divergence", [symmetric_kl, jensen_shannon])
    def test_values(self, x, prior, divergence):
        by_maps, by_pieces = both(prior)
        output, comparison = by_pieces.compare(x, straight, divergence)
        expected_output, expected = by_maps.compare(x, straight, divergence)
        torch.testing.assert_close(output, expected_output, rtol=0, atol=1e-12)
        torch.testing.assert_close(comparison.discrepancy, expected.discrepancy, rtol=0, atol=1e-10)
        assert torch.equal(comparison.width_share, expected.width_share)

    @pytest.mark.parametrize("route", [Route(series, prior) for series in (-1, 0, 1) for prior in (-1, 0, 1)], ids=str)
    def test_gradients_on_every_route(self, x, route):
        for found, expected in zip(*(gradients(each, x, route, symmetric_kl) for each in both()), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)

    def test_gradient_of_one_of_the_two_results(self, x):
        for pick in (lambda output, comparison: output.sum(), lambda output, comparison: comparison.discrepancy.sum()):
            by_maps, by_pieces = (
                torch.autograd.grad(pick(*each.compare(x, simultaneous, symmetric_kl)), each.query_key_value.weight)[0]
                for each in both()
            )
            torch.testing.assert_close(by_pieces, by_maps, rtol=1e-9, atol=1e-10)

    def test_output_alone(self, x):
        by_maps, by_pieces = both()
        torch.testing.assert_close(by_pieces.attend(x), by_maps.attend(x), rtol=0, atol=1e-12)

    def test_associations_are_equal(self, x):
        by_maps, by_pieces = both()
        assert torch.equal(by_pieces(x)[1].series, by_maps(x)[1].series)


def test_output_alone_has_its_gradient(x):
    """In single precision as well, where the compiled code computes the value without a gradient."""
    by_maps, by_pieces = (each.float() for each in both())
    results = []
    for each in (by_maps, by_pieces):
        leaf = x.float().requires_grad_()
        output = each.attend(leaf)
        results.append([output, *torch.autograd.grad(output.square().sum(), [leaf, each.query_key_value.weight])])
        with torch.no_grad():
            torch.testing.assert_close(each.attend(leaf), output, rtol=1e-4, atol=1e-5)
    for found, expected in zip(*reversed(results), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_window_does_not_depend_on_the_others(x):
    _, attention = both()
    attention, x = attention.float(), x.float()
    alone = attention.compare(x[3:4], straight, symmetric_kl)[1].discrepancy
    together = attention.compare(x, straight, symmetric_kl)[1].discrepancy[3:4]
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


def test_stores_no_map():
    """Tensors saved for the backward pass grow with the rows and not with their square."""
    long = 10 * TIME
    attention = FusedAttention(FEATURES, HEADS, [LocalPrior(long)])
    x = torch.randn(2, long, FEATURES, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.numel()) or tensor, lambda x: x):
        attention.compare(x, simultaneous, symmetric_kl)
    assert max(saved) < len(x) * HEADS * long * long


def test_extreme_inputs_stay_finite():
    torch.manual_seed(0)
    attention = both()[1].float()
    x = (1e3 * torch.randn(4, TIME, FEATURES)).requires_grad_()
    loss(*attention.compare(x, simultaneous, symmetric_kl)).backward()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())
