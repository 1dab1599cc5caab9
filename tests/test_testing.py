"""`check_detector` passes what keeps the contract, and names the check that a detector fails."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from timesad import NearestWindowsDetector
from timesad.testing import CHECKS, check_detector

counter = itertools.count()


def test_the_detectors_of_this_library_pass(make_detector):
    check_detector(make_detector(thorough=True))


class ComputesInItsConstructor(NearestWindowsDetector):
    def __init__(self, *, window_size=16, **further):
        super().__init__(window_size=window_size)
        self.stride = window_size // 8


class GivesNaN(NearestWindowsDetector):
    def decision_function(self, X, **named):
        scores = super().decision_function(X, **named)
        scores[0] = np.nan
        return scores


class Inverted(NearestWindowsDetector):
    def decision_function(self, X, **named):
        return -super().decision_function(X, **named)


class Drifts(NearestWindowsDetector):
    def decision_function(self, X, **named):
        return super().decision_function(X, **named) + 1e-9 * next(counter)


class DrawsFromTheGlobalGenerator(NearestWindowsDetector):
    def decision_function(self, X, **named):
        np.random.random()  # noqa: NPY002
        return super().decision_function(X, **named)


class FillsGaps(NearestWindowsDetector):
    def fit(self, X, y=None, **named):
        return super().fit(np.nan_to_num(X), y, **named)


class ForgetsBorders(NearestWindowsDetector):
    def decision_function(self, X, *, groups=None, context=None):
        return super().decision_function(X, context=context)


@pytest.mark.parametrize(
    ("detector_class", "failing"),
    [
        (ComputesInItsConstructor, "check_constructor_only_stores"),
        (GivesNaN, "check_one_finite_score_a_row"),
        (Inverted, "check_a_fault_scores_highest"),
        (Drifts, "check_repeatable"),
        (DrawsFromTheGlobalGenerator, "check_global_generators"),
        (FillsGaps, "check_refused_input"),
        (ForgetsBorders, "check_series_do_not_mix"),
    ],
)
def test_a_detector_that_breaks_the_contract_is_found_by_name(detector_class, failing):
    detector = detector_class(window_size=16)
    detector.smoothing = 4
    checks = [check for check in CHECKS if check.__name__ == failing]
    assert checks
    with pytest.raises(AssertionError, match=f"{detector_class.__name__} fails {failing}"):
        check_detector(detector, checks)
