"""An accelerator: the same numbers as on the processor, the same every time, and nobody waiting for it.

What needs one is skipped, saying so, where there is none; the rest holds on every machine.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from timesad import TimesNetDiscrepancyDetector
from timesad.accelerator import CALLS_BEFORE, Recorded
from timesad.training import MinimaxNet

CUDA = "cuda"
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}  # for what they return
TOLERANCE = 2e-3  # convolutions on an accelerator round factors to the ten bits of TF32, as torch sets it


@pytest.fixture
def accelerator() -> str:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device here")
    return CUDA


@pytest.fixture
def X():
    rows = np.arange(400)
    rng = np.random.default_rng(0)
    return np.column_stack([np.sin(rows / 3), np.cos(rows / 5)]) + rng.normal(scale=0.1, size=(400, 2))


def within_epochs(enter: Callable[[], Any]) -> Any:
    """Patch the training so that what `enter` returns is open while batches are worked on, and at no other time."""
    original = MinimaxNet.run_single_epoch

    def watched(iterator: Iterable[Any]) -> Iterator[Any]:
        batches = iter(iterator)  # a loader draws a seed for itself, on the host
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


TRAINED = [{}, {"discrepancy_weight": "balanced"}, {"discrepancy_weight": 3.0, "schedule": "alternating"}]


@pytest.mark.parametrize("changes", TRAINED, ids=["plain", "simultaneous", "alternating"])
def test_no_operation_of_an_epoch_is_waited_for(make_detector, X, changes):
    """Adam counts its steps on the host and reads them there; that is no wait, so its update is left out."""
    detector = make_detector(device="cpu", n_masks=2)
    known = detector.get_params()
    counter = CountWaits()
    with within_epochs(lambda: counter), mock.patch.object(torch.optim.Adam, "step", return_value=None):
        detector.set_params(**{name: value for name, value in changes.items() if name in known}).fit(X)
    assert counter.n_operations > 100
    assert not counter.seen


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("changes", TRAINED, ids=["plain", "simultaneous", "alternating"])
def test_the_host_never_waits_within_an_epoch(accelerator, make_detector, X, changes):
    @contextmanager
    def no_waiting() -> Iterator[None]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    detector = make_detector(device=accelerator, n_masks=2, batch_size=8)  # enough batches for a recording
    known = detector.get_params()
    with within_epochs(no_waiting):
        detector.set_params(**{name: value for name, value in changes.items() if name in known}).fit(X)


def test_a_recording_does_what_was_recorded(accelerator):
    recorded = Recorded(lambda x: {"moved": x + 1, "drawn": torch.rand(4, device=x.device)})
    xs = [torch.full((3,), float(number), device=accelerator) for number in range(3 * CALLS_BEFORE)]
    answers = [recorded(x) for x in xs]
    assert [answer["moved"].tolist() for answer in answers] == [(x + 1).tolist() for x in xs]
    assert len({tuple(answer["drawn"].tolist()) for answer in answers}) == len(xs)
    assert recorded(torch.zeros(5, device=accelerator))["moved"].tolist() == [1.0] * 5


def test_a_recorded_fit_learns_as_one_that_is_not(accelerator, make_detector, X):
    """The same steps from the same weights; rows are not hidden, as masks are drawn anew in either."""
    changes = {"device": accelerator, "n_masks": 0, "batch_size": 8, "validation_fraction": 0.0, "max_epochs": 3}
    recorded = make_detector(**changes).fit(X)
    with mock.patch.object(Recorded, "__call__", lambda self, x: self._work(x)):
        asked = make_detector(**changes).fit(X)
    for mine, other in zip(recorded.history_, asked.history_, strict=True):
        assert mine["train_reconstruction"] == pytest.approx(other["train_reconstruction"], rel=1e-3)


@pytest.mark.parametrize(("score_rule", "tolerance"), [("default", 1), ("sum", 1), ("product", 5)])
def test_scores_are_those_of_the_processor(accelerator, make_detector, X, score_rule, tolerance):
    """The product takes exp(-50 D), which makes differences in D fifty times as large in itself."""
    detector = make_detector(device=accelerator)
    if score_rule != "default":
        if "score_rule" not in detector.get_params():
            pytest.skip("this detector has one score")
        detector.set_params(score_rule=score_rule)
    detector.fit(X)
    scores = detector.decision_function(X)
    assert np.isfinite(scores).all()
    on_processor = detector.set_params(device="cpu").decision_function(X)
    np.testing.assert_allclose(scores, on_processor, atol=tolerance * TOLERANCE * np.abs(on_processor).max())


def test_a_fit_is_repeated_bit_for_bit(accelerator, make_detector, X):
    fits = [make_detector(device=accelerator, max_epochs=4).fit(X) for _ in range(2)]
    assert np.array_equal(*[fit.decision_scores_ for fit in fits])


def test_a_fit_leaves_the_generators_alone(accelerator, make_detector, X):
    before = torch.cuda.get_rng_state()
    make_detector(device=accelerator).fit(X)
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_companions_in_a_batch_have_no_influence(accelerator, make_detector, X):
    detector = make_detector(device=accelerator).fit(X)
    one_by_one = detector.set_params(batch_size=1).decision_function(X)
    together = detector.set_params(batch_size=1024).decision_function(X)
    np.testing.assert_allclose(together, one_by_one, atol=TOLERANCE * np.abs(one_by_one).max())


def test_a_pickle_needs_no_accelerator(accelerator, X, make_detector):
    detector = make_detector(device="auto").fit(X)
    assert next(detector.network_.parameters()).device.type == accelerator
    loaded = pickle.loads(pickle.dumps(detector))
    assert next(loaded.network_.parameters()).device.type == "cpu"
    assert np.array_equal(loaded.decision_function(X), detector.decision_function(X))


def test_device_applies_to_a_fitted_detector(X, make_detector):
    detector = make_detector(device="cpu").fit(X)
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        detector.set_params(device="cuda:99").decision_function(X)
    scores = detector.set_params(device="auto").decision_function(X)
    np.testing.assert_allclose(scores, detector.decision_scores_, atol=TOLERANCE * scores.max())


def test_the_default_is_an_accelerator_where_there_is_one(X):
    detector = TimesNetDiscrepancyDetector(window_size=16, patch_size=2, max_epochs=1, epoch_size=32).fit(X)
    expected = CUDA if torch.cuda.is_available() else "cpu"
    assert next(detector.network_.parameters()).device.type == expected
