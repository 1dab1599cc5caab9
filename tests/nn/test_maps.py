"""The compiled maps and their gradients equal those of torch's operations, at every vector width."""

from __future__ import annotations

import pytest
import torch

from timesad import AnomalyTransformerDetector
from timesad.nn.maps import backend_for, compiled, operations
from timesad.nn.minimax import Route

needs_compiled = pytest.mark.skipif(not compiled.LANES, reason="the package was built without a C compiler")
# (batch, time, head, feature): whole vectors and rows, parts of them, less than one, more than one.
SIZES = [(2, 96, 4, 16), (3, 100, 2, 4), (2, 37, 3, 5), (1, 1, 1, 1), (4, 7, 2, 40), (1, 130, 1, 64), (5, 16, 2, 33)]
ROUTES = [Route(0.7, -1.3), Route(1.0, 0.0), Route(0.0, 1.0)]


def some_maps(size, seed=0, spread=1.0):
    batch, time, heads, feature = size
    generator = torch.Generator().manual_seed(seed)
    qkv = spread * torch.randn(batch, time, 3, heads, feature, generator=generator)
    sigma = 0.01 + 2 * torch.rand(batch, heads, time, generator=generator)
    return qkv, 0.5 / sigma**2


def some_gradients(qkv, precision):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(qkv[:, :, 0].shape, generator=generator), torch.randn(precision.shape, generator=generator)


def doubled(*tensors):
    return [tensor.double() for tensor in tensors]


def assert_same(found, expected):
    """Equal up to single-precision rounding, relative to the largest entry of each tensor."""
    for single, double in zip(found, expected, strict=True):
        scale = float(double.abs().max()) + 1e-6
        torch.testing.assert_close(single.double() / scale, double / scale, rtol=0, atol=3e-6)


@needs_compiled
@pytest.mark.parametrize("lanes", compiled.LANES)
class TestEqualsOperations:
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_values(self, lanes, size):
        maps = some_maps(size)
        assert_same(compiled.forward(*maps, lanes), operations.forward(*doubled(*maps)))
        assert_same([compiled.attend(maps[0], lanes)], [operations.attend(maps[0].double())])

    @pytest.mark.parametrize("size", SIZES, ids=str)
    @pytest.mark.parametrize("route", ROUTES, ids=str)
    def test_gradients(self, lanes, size, route):
        maps = some_maps(size)
        gradients = some_gradients(*maps)
        expected = operations.backward(*doubled(*maps, *gradients), route)
        assert_same(compiled.backward(*maps, *gradients, route, lanes), expected)

    @pytest.mark.parametrize("spread", [0.0, 30.0])
    def test_flat_and_sharp_associations(self, lanes, spread):
        maps = some_maps((2, 50, 2, 8), spread=spread)
        assert_same(compiled.forward(*maps, lanes), operations.forward(*doubled(*maps)))

    @pytest.mark.parametrize("sigma", [1e-5, 0.3, 2.0, 25.0, 1e4])
    def test_prior_widths_from_tiny_to_huge(self, lanes, sigma):
        qkv, precision = some_maps((2, 50, 2, 8))
        maps = qkv, torch.full_like(precision, 0.5 / sigma**2)
        gradients = some_gradients(*maps)
        assert_same(compiled.forward(*maps, lanes), operations.forward(*doubled(*maps)))
        expected = operations.backward(*doubled(*maps, *gradients), ROUTES[0])
        assert_same(compiled.backward(*maps, *gradients, ROUTES[0], lanes), expected)

    def test_nan_stays_in_its_window(self, lanes):
        qkv, precision = some_maps((2, 20, 2, 8))
        for part in range(3):
            spoilt = qkv.clone()
            spoilt[0, 5, part] = torch.nan
            mixed, discrepancy = compiled.forward(spoilt, precision, lanes)
            assert mixed[0, 5].isnan().all()
            assert part == 2 or discrepancy[0, :, 5].isnan().all()
            assert mixed[1].isfinite().all()
            assert discrepancy[1].isfinite().all()


@needs_compiled
def test_results_do_not_depend_on_the_number_of_threads():
    maps = some_maps((9, 40, 2, 8))
    gradients = some_gradients(*maps)
    threads, found = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 5):
            torch.set_num_threads(n_threads)
            found.append((*compiled.forward(*maps), *compiled.backward(*maps, *gradients, ROUTES[0])))
    finally:
        torch.set_num_threads(threads)
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


@needs_compiled
def test_non_contiguous_inputs():
    qkv, precision = some_maps((3, 20, 2, 8))
    turned = qkv.transpose(0, 1).contiguous().transpose(0, 1)
    widths = precision.transpose(1, 2).contiguous().transpose(1, 2)
    for one, other in zip(compiled.forward(turned, widths), compiled.forward(qkv, precision), strict=True):
        assert torch.equal(one, other)


def test_operations_are_the_fallback(monkeypatch):
    single = torch.zeros(1)
    assert backend_for(single.double()) is operations
    assert backend_for(single.to("meta")) is operations
    monkeypatch.setattr(compiled, "LANES", [])
    assert backend_for(single) is operations


@needs_compiled
def test_needs_gnu_openmp_or_one_thread(monkeypatch):
    monkeypatch.setattr(compiled._compiled, "has_threads", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not compiled.usable(torch.zeros(1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert compiled.usable(torch.zeros(1))


@needs_compiled
def test_detector_scores_are_equal_with_and_without_compiled_maps(waves, monkeypatch):
    def scores():
        detector = AnomalyTransformerDetector(
            window_size=32, max_epochs=2, anomaly_score="reconstruction+discrepancy", random_state=0
        )
        return torch.from_numpy(detector.fit(waves).decision_scores_)

    compiled_scores = scores()
    monkeypatch.setattr(compiled, "LANES", [])
    torch.testing.assert_close(scores(), compiled_scores, rtol=1e-3, atol=1e-6)
