"""Checks that a detector of your own keeps the contract of those in timesad."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from .exceptions import TimesadWarning

__all__ = ["CHECKS", "check_detector"]

ROUNDING = 1e-4  # of scores; other batches and threads round differently in single precision
N_WINDOWS = 16  # windows side by side in the series of the checks

Check = Callable[[Any, NDArray[np.float64]], None]


def check_detector(detector: Any, checks: Sequence[Check] | None = None) -> None:
    """Run checks on a detector.

    Parameters
    ----------
    detector : BaseSeriesDetector
        Not fitted, and quick to fit: small, with few epochs. If it has a `random_state`, set it.
    checks : sequence of callable, default=None
        Some of `CHECKS`; None takes all.

    Raises
    ------
    AssertionError
        If a check fails. The message names the check and its reason.

    Examples
    --------
    >>> from timesad import NearestWindowsDetector
    >>> from timesad.testing import check_detector
    >>> check_detector(NearestWindowsDetector(window_size=16, smoothing=4))
    """
    X = example_series(int(detector.window_size))
    for check in CHECKS if checks is None else checks:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TimesadWarning)
                check(clone(detector), X)
        except Exception as error:
            raise AssertionError(
                f"{type(detector).__name__} fails {check.__name__}: {check.__doc__}\n{error}"
            ) from error


def example_series(window_size: int) -> NDArray[np.float64]:
    """Two waves with noise, read-only: `N_WINDOWS` windows side by side."""
    time = np.arange(N_WINDOWS * window_size)
    waves = np.column_stack([np.sin(4 * np.pi * time / window_size), np.cos(5 * np.pi * time / window_size)])
    waves += np.random.default_rng(0).normal(scale=0.1, size=waves.shape)
    waves.setflags(write=False)
    return waves


def equal(found: Any, expected: Any) -> None:
    """Raise AssertionError unless two arrays are equal up to rounding."""
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)


def check_constructor_only_stores(detector: Any, X: NDArray[np.float64]) -> None:
    """The constructor stores its parameters as they are, and nothing else."""
    assert vars(detector) == detector.get_params(deep=False)


def check_needs_a_fit(detector: Any, X: NDArray[np.float64]) -> None:
    """A method that scores raises NotFittedError before `fit`."""
    try:
        detector.decision_function(X)
    except NotFittedError:
        return
    raise AssertionError("no NotFittedError")


def check_one_finite_score_a_row(detector: Any, X: NDArray[np.float64]) -> None:
    """`fit` and all methods that score give one finite number a row, and `fit` returns the detector."""
    parameters = detector.get_params(deep=False)
    assert detector.fit(X) is detector, "fit returns another object"
    assert detector.get_params(deep=False) == parameters, "fit changes a parameter"
    results = [detector.decision_scores_, detector.decision_function(X), detector.predict_proba(X)[:, 1]]
    results += [detector.p_values(X), detector.predict_confidence(X), *detector.explain(X).values()]
    for result in results:
        assert len(result) == len(X), f"{len(result)} results for {len(X)} rows"
        assert np.isfinite(result).all(), "NaN or infinity"
    for labels in (detector.labels_, detector.predict(X)):
        assert set(np.unique(labels)) <= {0, 1}, "labels are 0 and 1"
    assert (detector.predict(X) == (detector.decision_function(X) > detector.threshold_)).all(), "other labels"


def check_a_fault_scores_highest(detector: Any, X: NDArray[np.float64]) -> None:
    """Rows far outside of all training rows have the largest score, and `detect` finds them."""
    spoiled, middle = X.copy(), len(X) // 2
    spoiled[middle : middle + 8] += 20.0
    detector.fit(X)
    margin = detector.scorer_.reach
    assert abs(int(detector.decision_function(spoiled).argmax()) - middle) <= margin, "another row scores higher"
    alarms = detector.detect(spoiled)
    assert ((alarms["start"] <= middle + margin) & (alarms["end"] >= middle - margin)).any(), "no alarm there"


def check_repeatable(detector: Any, X: NDArray[np.float64]) -> None:
    """Two fits with one `random_state` are the same to the bit, one after the other and in two threads."""
    expected = clone(detector).fit(X).decision_function(X)
    np.testing.assert_array_equal(clone(detector).fit(X).decision_function(X), expected)
    with ThreadPoolExecutor(2) as pool:
        for scores in pool.map(lambda _: clone(detector).fit(X).decision_function(X), range(4)):
            np.testing.assert_array_equal(scores, expected)


def check_global_generators(detector: Any, X: NDArray[np.float64]) -> None:
    """The global generators of numpy and torch do not move."""
    before = _generator_states()
    detector.fit(X).decision_function(X)
    after = _generator_states()
    assert before == after


def _generator_states() -> tuple[Any, ...]:
    _, keys, *place = np.random.get_state()  # noqa: NPY002
    return np.asarray(keys).tolist(), place, torch.get_rng_state().tolist()


def check_torch_state(detector: Any, X: NDArray[np.float64]) -> None:
    """Gradients off, and half precision where torch chooses it, change no score."""
    expected = clone(detector).fit(X).decision_function(X)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(detector.fit(X).decision_function(X), expected)


def check_type_and_layout(detector: Any, X: NDArray[np.float64]) -> None:
    """Scores do not depend on the type of numbers or on their order in memory."""
    whole = np.round(20 * X)
    expected = detector.fit(whole).decision_function(whole)
    for other in (whole.astype(np.float32), np.asfortranarray(whole), whole.astype(np.int64), whole.tolist()):
        equal(detector.decision_function(other), expected)


def check_series_do_not_mix(detector: Any, X: NDArray[np.float64]) -> None:
    """A series in `groups` scores as it does alone: no window crosses a border."""
    half = len(X) // 2
    detector.fit(X)
    together = detector.decision_function(X, groups=np.repeat(["a", "b"], [half, len(X) - half]))
    equal(together, np.concatenate([detector.decision_function(X[:half]), detector.decision_function(X[half:])]))


def check_refused_input(detector: Any, X: NDArray[np.float64]) -> None:
    """NaN and too few rows raise ValueError, and a fit that fails leaves the detector as it was."""
    detector.fit(X)
    expected, spoiled = detector.decision_function(X), X.copy()
    spoiled[3, 1] = np.nan
    for wrong in (spoiled, X[:3]):
        for method in (detector.fit, detector.decision_function):
            try:
                method(wrong)
            except ValueError:
                continue
            raise AssertionError(f"{method.__name__} accepts NaN or three rows")
    np.testing.assert_array_equal(detector.decision_function(X), expected)


def check_pickle(detector: Any, X: NDArray[np.float64]) -> None:
    """A pickled detector scores as before. The class must be importable, so not one of a function or of `__main__`."""
    detector.fit(X)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(detector)).decision_function(X), detector.decision_function(X)
    )


def check_rows_before(detector: Any, X: NDArray[np.float64]) -> None:
    """Scores with `context`, and final scores of a stream, are those of the whole series."""
    third = len(X) // 3
    expected = detector.fit(X).decision_function(X)
    equal(detector.decision_function(X[third:], context=X[:third]), expected[third:])
    stream = detector.stream()
    found = [stream.update(part) for part in np.array_split(X, 7)]
    scores = np.concatenate([one.loc[one["final"], "score"] for one in [*found, stream.finish()]])
    equal(scores, expected)


CHECKS: tuple[Check, ...] = (
    check_constructor_only_stores,
    check_needs_a_fit,
    check_one_finite_score_a_row,
    check_a_fault_scores_highest,
    check_repeatable,
    check_global_generators,
    check_torch_state,
    check_type_and_layout,
    check_series_do_not_mix,
    check_refused_input,
    check_pickle,
    check_rows_before,
)
