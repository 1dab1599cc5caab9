"""The compiled maps and their gradients equal those of torch's operations, at every vector width."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.c_function import RefusesLanesAndThreads
from timesad import AnomalyTransformerDetector, c_code
from timesad.nn.maps import backend_for, compiled, operations
from timesad.nn.minimax import Route

needs_compiled = pytest.mark.skipif(not c_code.LANES, reason="the package was built without a C compiler")
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
@pytest.mark.parametrize("lanes", c_code.LANES)
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


@needs_compiled
class TestRefusesTensorsThatTheCCodeCannotRead:
    @pytest.fixture
    def arguments(self):
        qkv, precision = some_maps((2, 20, 3, 8))
        from_mixed, from_discrepancy = some_gradients(qkv, precision)
        return {"qkv": qkv, "precision": precision, "from_mixed": from_mixed, "from_discrepancy": from_discrepancy}

    @pytest.mark.parametrize("name", ["qkv", "precision", "from_mixed", "from_discrepancy"])
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (Tensor.double, TypeError),
            (Tensor.half, TypeError),
            (Tensor.long, TypeError),
            (lambda x: x.to("meta"), ValueError),
            (lambda x: x[:, :-1], ValueError),
            (lambda x: x[:1], ValueError),
            (lambda x: x[..., :0], ValueError),
            (lambda x: torch.cat([x, x], dim=-1), ValueError),
            (lambda x: x.transpose(1, 2), ValueError),
            (lambda x: x[0], ValueError),
            (lambda x: x[..., None], ValueError),
        ],
    )
    def test_another_dtype_device_or_shape(self, arguments, name, change, error):
        changed = arguments | {name: change(arguments[name])}
        with pytest.raises(error, match=r"^(qkv|precision|from_mixed|from_discrepancy) (is|has)"):
            compiled.backward(**changed, route=ROUTES[0])
        if name == "precision":
            with pytest.raises(error, match="^precision "):
                compiled.forward(changed["qkv"], changed["precision"])

    @pytest.mark.parametrize(
        ("change", "error"),
        [(Tensor.double, TypeError), (lambda x: x.to("meta"), ValueError), (lambda x: x[:, :, :2], ValueError)],
    )
    def test_attention_alone(self, arguments, change, error):
        with pytest.raises(error, match="^qkv "):
            compiled.attend(change(arguments["qkv"]))

    def test_a_vector_width_that_the_processor_has_not(self, arguments):
        for lanes in (0, 4, 32, -8):
            with pytest.raises(ValueError, match=f"lanes is {lanes}"):
                compiled.attend(arguments["qkv"], lanes)

    def test_no_window_has_no_result(self, arguments):
        none = {name: tensor[:0] for name, tensor in arguments.items()}
        assert compiled.attend(none["qkv"]).shape == (0, 20, 3, 8)
        found = (*compiled.forward(none["qkv"], none["precision"]), *compiled.backward(**none, route=ROUTES[0]))
        assert [tuple(x.shape) for x in found] == [(0, 20, 3, 8), (0, 3, 20), (0, 20, 3, 3, 8), (0, 3, 20)]


SIZE = ["lanes", "n_threads", "batch", "time", "heads", "feature", "floor"]
FORWARD = [*SIZE, "qkv", "precision", "mixed", "discrepancy"]
BACKWARD = [
    *SIZE,
    "qkv",
    "precision",
    "from_mixed",
    "from_discrepancy",
    "to_series",
    "to_prior",
    "on_qkv",
    "on_precision",
]
OUTPUTS = ("mixed", "discrepancy", "on_qkv", "on_precision")


@needs_compiled
@pytest.mark.parametrize(
    ("function", "names"), [("forward", FORWARD), ("backward", BACKWARD)], ids=["forward", "backward"]
)
class TestCFunctionsRaise(RefusesLanesAndThreads):
    """For what would read or write memory of others, or end the process."""

    @pytest.fixture
    def call(self, function, names):
        memory = torch.ones(3 * 2 * 5 * 3 * 4)  # as large as qkv, for each tensor
        arguments = dict.fromkeys(names, memory.data_ptr())
        arguments |= {"lanes": c_code.LANES[0], "n_threads": 1, "batch": 2, "time": 5, "heads": 3, "feature": 4}
        arguments |= {name: 1.0 for name in ("floor", "to_series", "to_prior") if name in names}
        outputs = {name: torch.empty_like(memory) for name in names if name in OUTPUTS}
        arguments |= {name: tensor.data_ptr() for name, tensor in outputs.items()}

        def changed(**changes: object) -> None:
            getattr(c_code.code, function)(*(arguments | changes).values())
            assert outputs  # alive until here

        changed()
        return changed

    @pytest.mark.parametrize("name", ["batch", "time", "heads", "feature"])
    @pytest.mark.parametrize("size", [0, -1, -(2**63), 2**63 - 1, 2**62, 2**58])
    def test_sizes(self, call, name, size):
        with pytest.raises(ValueError, match="sizes"):
            call(**{name: size})

    def test_sizes_whose_product_overflows_to_a_small_one(self, call):
        with pytest.raises(ValueError, match="sizes"):
            call(batch=2**32, time=2**32)
        with pytest.raises(ValueError, match="sizes"):
            call(heads=2**31, feature=2**33)

    def test_memory_that_cannot_be_had(self, call):
        with pytest.raises(MemoryError):
            call(batch=1, heads=1, time=2**50)

    @pytest.mark.parametrize("size", [2**63, -(2**63) - 1])
    def test_sizes_that_are_no_long(self, call, size):
        with pytest.raises(OverflowError):
            call(time=size)

    def test_addresses_of_0(self, call, names):
        for name in names[len(SIZE) :]:
            if name not in ("to_series", "to_prior"):
                with pytest.raises(ValueError, match="address"):
                    call(**{name: 0})

    def test_arguments_of_another_type(self, call, names):
        for name in names:
            with pytest.raises(TypeError):
                call(**{name: None})

    def test_another_number_of_arguments(self, call, function):
        with pytest.raises(TypeError):
            getattr(c_code.code, function)()


def test_operations_are_the_fallback(monkeypatch):
    single = torch.zeros(1)
    assert backend_for(single.double()) is operations
    assert backend_for(single.to("meta")) is operations
    monkeypatch.setattr(c_code, "LANES", [])
    assert backend_for(single) is operations


@needs_compiled
def test_needs_gnu_openmp_or_one_thread(monkeypatch):
    monkeypatch.setattr(c_code.code, "has_threads", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not c_code.usable(torch.zeros(1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert c_code.usable(torch.zeros(1))


@needs_compiled
def test_detector_scores_are_equal_with_and_without_compiled_maps(waves, monkeypatch):
    def scores():
        detector = AnomalyTransformerDetector(
            window_size=32, max_epochs=2, anomaly_score="reconstruction+discrepancy", random_state=0
        )
        return torch.from_numpy(detector.fit(waves).decision_scores_)

    compiled_scores = scores()
    monkeypatch.setattr(c_code, "LANES", [])
    torch.testing.assert_close(scores(), compiled_scores, rtol=1e-3, atol=1e-6)
