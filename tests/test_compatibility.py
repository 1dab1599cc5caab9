"""Messages about what version 0.1 accepted: its parameters, and its pickles."""

from __future__ import annotations

import copy
import pickle
import re
from inspect import signature
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone

import timesad
from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)
from timesad._compatibility import REMOVED_PARAMETERS
from timesad.exceptions import IncompatiblePickleError

REPOSITORY = Path(__file__).resolve().parents[1]
EXPECTED = Path(__file__).parent / "expected"
DETECTORS = (TimesNetDiscrepancyDetector, TimesNetDetector, AnomalyTransformerDetector, NearestWindowsDetector)
OLD_PARAMETERS = {  # of all constructors of version 0.1
    *("window_size", "top_k", "n_layers", "model_size", "n_kernels", "dropout", "normalize_windows", "n_masks"),
    *("patch_size", "n_heads", "prior", "divergence", "schedule", "discrepancy_weight", "score_rule", "memory_size"),
    *("association_trunk", "smoothing", "level_weight", "clean_training", "score_stride", "max_epochs", "epoch_size"),
    *("batch_size", "learning_rate", "validation_fraction", "patience", "contamination", "device", "random_state"),
    "verbose",
}


def parameters_of_all():
    return {name for detector_class in DETECTORS for name in signature(detector_class).parameters}


class TestRemovedParameters:
    def test_each_one_is_explained(self):
        assert set(REMOVED_PARAMETERS) == OLD_PARAMETERS - parameters_of_all()

    @pytest.mark.parametrize("detector_class", DETECTORS)
    @pytest.mark.parametrize("name", REMOVED_PARAMETERS)
    def test_a_removed_parameter_raises_an_error_that_names_its_successor(self, detector_class, name):
        message = re.escape(f"{detector_class.__name__} has no parameter '{name}': it {REMOVED_PARAMETERS[name]}.")
        with pytest.raises(TypeError, match=message):
            detector_class(**{name: 1})

    @pytest.mark.parametrize(
        ("name", "successor"),
        [
            ("top_k", "n_periods"),
            ("score_rule", "'memory' is 'reconstruction*neighbors', 'sum' is 'reconstruction+discrepancy'"),
            ("memory_size", "max_windows of NearestWindowsDetector"),
            ("patch_size", "min(8, window_size // 4)"),
            ("score_stride", "window_size // 8"),
            ("prior", "the grid prior added nothing in the ablation; benchmarks/ablation_methods.py has it"),
        ],
    )
    def test_the_message_gives_the_new_name_or_value(self, name, successor):
        with pytest.raises(TypeError, match=re.escape(successor)):
            TimesNetDiscrepancyDetector(**{name: 1})

    def test_what_the_messages_refer_to_exists(self):
        text = " ".join(REMOVED_PARAMETERS.values())
        named = re.findall(r"(\w+) of (\w+Detector)", text)
        assert ("max_windows", "NearestWindowsDetector") in named
        for parameter, detector in named:
            assert parameter in signature(getattr(timesad, detector)).parameters
        for parameter in re.findall(r"is called (\w+) now", text):
            assert parameter in parameters_of_all()
        files = re.findall(r"[\w/]+\.py", text)
        assert files
        assert [file for file in files if not (REPOSITORY / file).exists()] == []

    def test_a_subclass_may_define_a_parameter_of_that_name(self):
        class WithPrior(NearestWindowsDetector):
            def __init__(self, *, prior="grid", window_size=96):
                super().__init__(window_size=window_size)
                self.prior = prior

        assert WithPrior(prior="local").prior == "local"


class TestOldPickles:
    """Files that version 0.1 wrote: a flagship fitted on 64 rows, and an unfitted one."""

    @pytest.mark.parametrize("name", ["old-layout.pickle", "old-layout-unfitted.pickle"])
    def test_is_refused_with_a_message_that_says_what_to_do(self, name):
        content = (EXPECTED / name).read_bytes()
        with pytest.raises(IncompatiblePickleError, match=r"layout 1.*reads layout 5.*Fit the detector again, or load"):
            pickle.loads(content)

    def test_by_joblib_too(self):
        with pytest.raises(IncompatiblePickleError, match="Fit the detector again"):
            joblib.load(EXPECTED / "old-layout.pickle")

    def test_the_unfitted_one_is_refused_by_its_class(self):
        with pytest.raises(IncompatiblePickleError, match="This pickle of TimesNetDiscrepancyDetector has layout 1"):
            pickle.loads((EXPECTED / "old-layout-unfitted.pickle").read_bytes())

    @pytest.mark.parametrize("layout", [1, 3, 4, 6, "two"])
    def test_a_state_of_another_layout_is_refused(self, fitted, layout):
        state = fitted.__getstate__()
        [mark] = [key for key in state if "layout" in key]
        with pytest.raises(IncompatiblePickleError, match=rf"has layout {layout}, and .* reads layout 5"):
            clone(fitted).__setstate__(state | {mark: layout})


class TestNewPickles:
    def test_the_mark_of_the_layout_is_no_attribute(self, fitted, waves):
        for loaded in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), copy.copy(fitted)):
            assert set(vars(loaded)) == set(vars(fitted))
            np.testing.assert_array_equal(loaded.decision_function(waves), fitted.decision_function(waves))

    def test_a_copy_of_a_pickled_detector_can_be_pickled_again(self, fitted, waves):
        loaded = fitted
        for _ in range(3):
            loaded = pickle.loads(pickle.dumps(loaded))
        np.testing.assert_array_equal(loaded.decision_function(waves), fitted.decision_function(waves))
