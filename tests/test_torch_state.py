"""Torch's state around a call changes no score, and no call changes that state."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from timesad import _base
from timesad.accelerator import repeatable_convolutions
from timesad.exceptions import SlowDeviceWarning
from timesad.torch_state import Building


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


STATES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


def state():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
        torch.backends.cudnn.deterministic,
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize("name", STATES)
class TestStateOfTheCaller:
    def test_fit_and_scores_are_the_same_to_the_bit(self, make_detector, fitted, waves, name):
        with STATES[name]():
            before = state()
            detector = make_detector().fit(waves)
            scores, labels, parts = detector.decision_function(waves), detector.predict(waves), detector.explain(waves)
            alarms = detector.detect(waves * 2)
            assert state() == before
        np.testing.assert_array_equal(detector.decision_scores_, fitted.decision_scores_)
        np.testing.assert_array_equal(scores, fitted.decision_function(waves))
        np.testing.assert_array_equal(labels, fitted.predict(waves))
        assert alarms.equals(fitted.detect(waves * 2))
        for part, expected in fitted.explain(waves).items():
            np.testing.assert_array_equal(parts[part], expected)

    def test_it_is_restored_after_an_error(self, make_detector, waves, name):
        with STATES[name]():
            before = state()
            with pytest.raises(ValueError, match="rows"):
                make_detector().fit(waves[:3])
            assert state() == before


class TestBuilding:
    def test_all_weights_come_from_the_generator(self, make_network_detector, waves):
        """Those of torch's own layers, and those that the networks draw themselves."""
        detector = make_network_detector().fit(waves)
        with Building(torch.Generator().manual_seed(3)):
            first = detector._build_network()
        before = torch.get_rng_state()
        with Building(torch.Generator().manual_seed(3)), default_dtype(torch.float64):
            second = detector._build_network().float()
        assert torch.equal(torch.get_rng_state(), before)
        for (name, one), (_, other) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
            assert torch.equal(one, other), name

    def test_draws_are_those_of_a_seeded_global_generator(self):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            expected = torch.nn.Linear(4, 3)
        with Building(torch.Generator().manual_seed(5)):
            layer = torch.nn.Linear(4, 3)
        assert torch.equal(layer.weight, expected.weight)
        assert torch.equal(layer.bias, expected.bias)


class TestRepeatableConvolutions:
    CUDA = torch.device("cuda")

    def test_overlapping_contexts_restore_the_setting(self):
        """As of two fits in two threads, of which the first ends first."""
        assert not torch.backends.cudnn.deterministic
        first, second = repeatable_convolutions(self.CUDA), repeatable_convolutions(self.CUDA)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.backends.cudnn.deterministic
        second.__exit__(None, None, None)
        assert not torch.backends.cudnn.deterministic

    def test_a_processor_does_not_touch_it(self):
        with repeatable_convolutions(torch.device("cpu")):
            assert not torch.backends.cudnn.deterministic


class TestAnAcceleratorThatCannotBeUsed:
    """As in a process that was forked from one that has used the accelerator."""

    @pytest.fixture
    def broken(self, monkeypatch):
        usable = _base._usable

        def fail(name):
            if str(name).startswith("cuda"):
                raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
            return usable(name)

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(_base, "_usable", fail)

    def test_auto_scores_on_the_processor_and_says_so(self, fitted, waves, request):
        expected = fitted.decision_function(waves)
        request.getfixturevalue("broken")
        with pytest.warns(SlowDeviceWarning, match=r"Cannot re-initialize CUDA.*The CPU computes.*spawn"):
            scores = fitted.decision_function(waves)
        np.testing.assert_array_equal(scores, expected)

    @pytest.mark.usefixtures("broken")
    def test_auto_fits_nearest_windows_on_the_processor_and_says_so(self, make_nearest, waves):
        """Networks are another matter: torch's optimisers ask the accelerator for its stream, and may fail there."""
        with pytest.warns(SlowDeviceWarning, match="The CPU computes"):
            make_nearest().fit(waves)

    @pytest.mark.usefixtures("broken")
    def test_the_device_by_its_name_is_refused(self, make_nearest, waves):
        with pytest.raises(ValueError, match="device='cuda' cannot be used here"):
            make_nearest(device="cuda").fit(waves)
