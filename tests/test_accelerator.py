"""An accelerator gives the numbers of the processor, the same every time, and the host does not wait for it.

Tests that need one are skipped without it, with the reason.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.utils._python_dispatch import TorchDispatchMode

import timesad
from timesad import AnomalyTransformerDetector, TimesNetDiscrepancyDetector
from timesad.accelerator import CALLS_BEFORE, Recorded
from timesad.training import MinimaxNet

CUDA = "cuda"
# Operations whose result the host must wait for.
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}
TOLERANCE = 2e-3  # relative; convolutions on an accelerator round factors to the ten bits of TF32


@pytest.fixture
def accelerator() -> str:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    return CUDA


@pytest.fixture
def X():
    rows = np.arange(400)
    rng = np.random.default_rng(0)
    return np.column_stack([np.sin(rows / 3), np.cos(rows / 5)]) + rng.normal(scale=0.1, size=(400, 2))


def within_epochs(enter: Callable[[], Any]) -> Any:
    """Patch the training: the context that `enter` returns is open while batches are processed, and only then."""
    original = MinimaxNet.run_single_epoch

    def watched(iterator: Iterable[Any]) -> Iterator[Any]:
        batches = iter(iterator)  # the loader draws a seed on the host
        with enter():
            yield from batches

    def run_single_epoch(self: MinimaxNet, iterator: Iterable[Any] | None, *args: Any, **kwargs: Any) -> None:
        original(self, None if iterator is None else watched(iterator), *args, **kwargs)

    return mock.patch.object(MinimaxNet, "run_single_epoch", run_single_epoch)


class CountWaits(TorchDispatchMode):
    """Counts operations whose result the host must wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.n_operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n_operations += 1
        if func._schema.name in WAITS:
            self.seen.append(func._schema.name)
        return func(*args, **(kwargs or {}))


WEIGHTS = pytest.mark.parametrize("discrepancy_weight", [0, "balanced", 3.0])


def with_weight(detector: Any, discrepancy_weight: float | str) -> Any:
    """The detector with this weight, where it has the parameter."""
    if "discrepancy_weight" in detector.get_params():
        detector.set_params(discrepancy_weight=discrepancy_weight)
    return detector


@WEIGHTS
def test_the_host_reads_no_result_within_an_epoch(make_network_detector, X, discrepancy_weight):
    """Adam reads its number of steps on the host, which is no wait, so its update is left out."""
    detector = with_weight(make_network_detector(device="cpu"), discrepancy_weight)
    counter = CountWaits()
    with within_epochs(lambda: counter), mock.patch.object(torch.optim.Adam, "step", return_value=None):
        detector.fit(X)
    assert counter.n_operations > 100
    assert not counter.seen


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@WEIGHTS
def test_the_host_never_waits_within_an_epoch(accelerator, make_network_detector, X, discrepancy_weight):
    @contextmanager
    def no_waiting() -> Iterator[None]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    detector = make_network_detector(device=accelerator, batch_size=8)  # enough batches for a recording
    with within_epochs(no_waiting):
        with_weight(detector, discrepancy_weight).fit(X)


def test_a_recording_repeats_the_recorded_function(accelerator):
    recorded = Recorded(lambda x, other: {"moved": x + (1 if other is None else other)})
    xs = [torch.full((3,), float(number), device=accelerator) for number in range(3 * CALLS_BEFORE)]
    for others in ([None] * len(xs), [2 * x for x in xs]):
        outputs = [recorded(x, other) for x, other in zip(xs, others, strict=True)]
        expected = [x + (1 if other is None else other) for x, other in zip(xs, others, strict=True)]
        assert [output["moved"].tolist() for output in outputs] == [one.tolist() for one in expected]
    assert recorded(torch.zeros(5, device=accelerator), None)["moved"].tolist() == [1.0] * 5


def without_masks(detector: Any) -> Any:
    """The detector as a subclass that hides no rows and trains on all of them: masks are random in each fit."""

    class WithoutMasks(type(detector)):  # type: ignore[misc]
        def _window_settings(self) -> Any:
            return replace(super()._window_settings(), n_masks=0)

        def _training_settings(self) -> Any:
            return replace(super()._training_settings(), validation_fraction=0.0)

    return WithoutMasks(**detector.get_params())


def test_a_recorded_fit_has_the_losses_of_one_that_is_not(accelerator, make_network_detector, X):
    detector = without_masks(make_network_detector(device=accelerator, batch_size=8, max_epochs=3))
    recorded = clone(detector).fit(X)
    with mock.patch.object(Recorded, "__call__", lambda self, *inputs: self._work(*inputs)):
        direct = clone(detector).fit(X)
    for mine, other in zip(recorded.history_, direct.history_, strict=True):
        assert mine["train_reconstruction"] == pytest.approx(other["train_reconstruction"], rel=1e-3)


def assert_scores_of_the_processor(detector: Any, X: Any) -> None:
    scores = detector.decision_function(X)
    assert np.isfinite(scores).all()
    on_processor = detector.set_params(device="cpu").decision_function(X)
    np.testing.assert_allclose(scores, on_processor, atol=TOLERANCE * np.abs(on_processor).max())


def test_scores_are_those_of_the_processor(accelerator, make_detector, X):
    assert_scores_of_the_processor(make_detector(device=accelerator).fit(X), X)


@pytest.mark.parametrize("detector_class", [TimesNetDiscrepancyDetector, AnomalyTransformerDetector])
def test_scores_with_the_discrepancy_are_those_of_the_processor(accelerator, detector_class, X):
    detector = detector_class(
        window_size=16, anomaly_score="reconstruction+discrepancy", max_epochs=2, device=accelerator
    )
    assert_scores_of_the_processor(detector.fit(X), X)


def test_a_fit_is_repeated_bit_for_bit(accelerator, make_detector, X):
    fits = [make_detector(device=accelerator).fit(X) for _ in range(2)]
    assert np.array_equal(*[fit.decision_scores_ for fit in fits])


def test_a_fit_does_not_move_the_generators(accelerator, make_detector, X):
    before = torch.cuda.get_rng_state()
    make_detector(device=accelerator).fit(X)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_other_windows_in_a_batch_have_no_influence(accelerator, make_detector, X):
    detector = make_detector(device=accelerator).fit(X)
    pieces = np.split(X, len(X) // 16)  # of one window each
    one_by_one = np.concatenate([detector.decision_function(piece) for piece in pieces])
    together = detector.decision_function(X, groups=np.repeat(np.arange(len(pieces)), 16))
    np.testing.assert_allclose(together, one_by_one, atol=TOLERANCE * np.abs(one_by_one).max())


def test_a_pickle_needs_no_accelerator(accelerator, X, make_network_detector):
    detector = make_network_detector(device="auto").fit(X)
    assert next(detector.network_.parameters()).device.type == accelerator
    loaded = pickle.loads(pickle.dumps(detector))
    assert next(loaded.network_.parameters()).device.type == "cpu"
    assert np.array_equal(loaded.decision_function(X), detector.decision_function(X))


def test_a_saved_file_needs_no_accelerator(accelerator, X, make_detector, tmp_path):
    detector = make_detector(device=accelerator).fit(X)
    detector.save(tmp_path / "fitted")
    loaded = timesad.load(tmp_path / "fitted")
    assert np.array_equal(loaded.decision_function(X), detector.decision_function(X))
    assert_scores_of_the_processor(loaded, X)


@pytest.mark.parametrize("missing", ["interpolate", "mask"])
def test_missing_numbers(accelerator, X, make_detector, missing):
    spoiled = X.copy()
    spoiled[20:30, 0] = np.nan
    assert_scores_of_the_processor(make_detector(device=accelerator, missing=missing).fit(spoiled), spoiled)


def test_the_device_takes_effect_at_the_next_call(X, make_detector):
    detector = make_detector(device="cpu").fit(X)
    expected = detector.decision_function(X)
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        detector.set_params(device="cuda:99").decision_function(X)
    scores = detector.set_params(device="auto").decision_function(X)
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE * np.abs(expected).max())


def test_the_default_is_an_accelerator_where_there_is_one(X, make_network_detector):
    detector = make_network_detector().fit(X)
    expected = CUDA if torch.cuda.is_available() else "cpu"
    assert next(detector.network_.parameters()).device.type == expected
