"""Any input to any public method: finite results of the right shape, or an error that names what to change.

Hypothesis draws the inputs: a few with every run of the tests, a thousand of each property with ``make test-all``.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from timesad.exceptions import TimesadWarning, TrainingError
from timesad.windows import runs

WINDOW = 16  # of the fixture `fitted`
SCORING = ("decision_function", "predict", "predict_proba", "predict_confidence", "p_values", "explain")
METHODS = (*SCORING, "detect", "check_threshold")
DOCUMENTED = (ValueError, TypeError, TrainingError)
FLOATS = ["f2", "f4", "f8", ">f4", ">f8", np.longdouble]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i8", "?"]
CONTAINERS = ["frame", "objects", "masked", "sparse", "3-D", "1-D", "times", "text", "None"]


def memory_map(X):
    path = Path(tempfile.mkdtemp(), "X.npy")
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


LAYOUTS = {
    "as it is": lambda X: X.copy(),
    "column by column": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: X[::-1].copy()[::-1],
    "a column of a wider array": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "read-only": read_only,
    "memory map": memory_map,
    "lists": lambda X: X.tolist(),
    "tuples": lambda X: tuple(map(tuple, X.tolist())),
    "objects": lambda X: X.astype(object),
    "decimals": lambda X: [[Decimal(float(one)) for one in row] for row in X],
    "fractions": lambda X: np.array([[Fraction(float(one)) for one in row] for row in X], dtype=object),
    "torch": lambda X: torch.from_numpy(X.copy()),
    "masked array without a mask": lambda X: np.ma.masked_array(X),
    "numbers as text": lambda X: X.astype(float).astype(str).astype(object),
    "DataFrame": lambda X: pd.DataFrame(X),
    "DataFrame with times": lambda X: pd.DataFrame(X, index=pd.date_range("2026", periods=len(X), freq="s")),
    "DataFrame with periods": lambda X: pd.DataFrame(X, index=pd.period_range("2026", periods=len(X), freq="h")),
    "DataFrame of objects": lambda X: pd.DataFrame(X.astype(object)),
    "DataFrame that may have gaps": lambda X: pd.DataFrame(X).astype("Float64"),
    "DataFrame of several types": lambda X: pd.DataFrame(X).astype({0: "f4"}),
}


def snapshot(X):
    """What must not change."""
    if isinstance(X, torch.Tensor):
        return X.clone()
    return copy.deepcopy(X)


def unchanged(X, before):
    if isinstance(X, torch.Tensor):
        return torch.equal(X, before)
    if isinstance(X, (pd.DataFrame, pd.Series)):
        return X.equals(before)
    if scipy.sparse.issparse(X):
        return X.data.tobytes() == before.data.tobytes() and np.array_equal(X.indices, before.indices)
    if np.ma.isMaskedArray(X):
        return X.data.tobytes() == before.data.tobytes() and np.array_equal(X.mask, before.mask)
    if isinstance(X, np.ndarray):
        if X.dtype == object:
            return repr(X.tolist()) == repr(before.tolist())
        return X.dtype == before.dtype and X.tobytes() == before.tobytes()
    return repr(X) == repr(before)


def call(detector, method, X, /, **named):
    """The result, or None for a documented error with a message; other warnings than ours are errors."""
    before = snapshot(X)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", TimesadWarning)
            result = getattr(detector, method)(X, **named)
    except DOCUMENTED as error:
        result, message = None, str(error)
    else:
        message = "none, since there is a result"
    assert len(message) > 20
    assert unchanged(X, before)
    return result


def assert_sound(result, method, n_rows):
    """Finite numbers, and as many rows as X has."""
    if method == "fit":
        result = {
            "scores": result.decision_scores_,
            "threshold": np.full(n_rows, result.threshold_),
            "labels": result.labels_,
        }
    if method == "detect":
        assert (result["start"] < result["end"]).all()
        assert result["end"].max() <= n_rows or result.empty
        return
    if method == "check_threshold":
        assert np.isfinite(result).all(axis=None)
        assert result["seen"].max() <= n_rows
        return
    parts = result.values() if isinstance(result, dict) else [result]
    for part in parts:
        assert len(part) == n_rows
        assert np.isfinite(part).all()


@st.composite
def tame_series(draw, n_channels=2):
    """Numbers that float32 and small integers represent, of at least a window."""
    n_rows = draw(st.integers(WINDOW, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(-60, 61, size=(n_rows, n_channels)).astype(np.float64)


@st.composite
def hostile_series(draw):
    """Numbers of any size, with what cannot be used among them."""
    n_rows = draw(st.one_of(st.integers(0, 3), st.integers(WINDOW - 1, WINDOW + 3), st.integers(20, 90)))
    n_channels = draw(st.sampled_from([0, 1, 2, 2, 2, 2, 3, 7]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n_rows, n_channels))
    for channel in range(n_channels):
        kind = draw(st.sampled_from(["noise", "noise", "constant", "copy", "step", "sparse", "steps of rounding"]))
        if kind == "constant":
            X[:, channel] = X[0, channel] if n_rows else 0
        elif kind == "copy":
            X[:, channel] = X[:, 0]
        elif kind == "step":
            X[n_rows // 2 :, channel] += 1e6
        elif kind == "sparse":
            X[:, channel] *= rng.random(n_rows) < 0.1
        elif kind == "steps of rounding":
            X[:, channel] = 1e6 + np.round(X[:, channel]) * 1e-10
        with np.errstate(over="ignore"):
            X[:, channel] *= 10.0 ** draw(st.sampled_from([0, 0, 0, -30, 30, -150, 150, -300, 300, 306]))
    dtype = draw(st.sampled_from(["f8", "f8", "f8", *FLOATS, *INTEGERS, "c16"]))
    with np.errstate(all="ignore"):
        X = X.astype(dtype)
    for value in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -1e308, 1e39, 5e-324]), max_size=2)):
        if X.size and X.dtype.kind == "f":
            with np.errstate(all="ignore"):
                X.flat[draw(st.integers(0, X.size - 1))] = value
    container = draw(st.sampled_from(["array", "array", *CONTAINERS]))
    if container == "frame":
        index = draw(st.sampled_from(["count", "times", "shuffled", "repeated", "gap", "NaT"]))
        times = pd.date_range("2026", periods=n_rows, freq="min").to_series().reset_index(drop=True)
        if index == "shuffled":
            times = times.sample(frac=1, random_state=0)
        elif index == "repeated" and n_rows > 1:
            times.iloc[1] = times.iloc[0]
        elif index == "gap":
            times.iloc[n_rows // 2 :] += pd.Timedelta("1h")
        elif index == "NaT" and n_rows:
            times.iloc[-1] = pd.NaT
        return pd.DataFrame(X, index=None if index == "count" else pd.DatetimeIndex(times))
    if container == "objects":
        X = X.astype(object)
        if X.size:
            X.flat[0] = draw(st.sampled_from([None, "high", pd.NA, 10**400, [1], {"a": 1}, 1.5, pd.Timestamp("2026")]))
        return X
    if container == "masked":
        return np.ma.masked_array(X, mask=rng.random(X.shape) < 0.01)
    if container == "sparse":
        return scipy.sparse.csr_matrix(X.real.astype("f8"))
    if container == "3-D":
        return X[None]
    if container == "1-D":
        return X[:, 0] if n_channels else X
    if container == "times":
        return np.datetime64("2026", "s") + np.arange(2 * n_rows).reshape(n_rows, 2)
    if container == "text":
        return X.astype(str)
    return None if container == "None" else X


@st.composite
def any_groups(draw, n_rows):
    """Names of series: in runs, scattered, missing, of several types, too many or too few."""
    kind = draw(st.sampled_from(["none", "runs", "runs", "scattered", "missing", "mixed", "longer", "2-D", "odd"]))
    if kind == "none":
        return None
    pieces = draw(st.integers(1, 4))
    names = np.sort(np.arange(n_rows) * pieces // max(n_rows, 1))
    if kind == "scattered":
        return names[np.random.default_rng(0).permutation(n_rows)]
    if kind == "missing":
        absent = draw(st.sampled_from([None, np.nan, pd.NA, pd.NaT]))
        return [absent if row == n_rows - 1 else int(name) for row, name in enumerate(names)]
    if kind == "mixed":
        return [("a" if name % 2 else int(name)) for name in names]
    if kind == "longer":
        return np.append(names, 9)
    if kind == "2-D":
        return names[:, None]
    if kind == "odd":
        return draw(st.sampled_from([5, "abc", {"a": 1}, [[1], [2]] * (n_rows // 2), object()]))
    as_type = draw(st.sampled_from(["array", "text", "categories", "Series", "times", "booleans", "bytes"]))
    if as_type == "text":
        return names.astype(str).tolist()
    if as_type == "categories":
        return pd.Categorical(names, categories=[0, 1, 2, 3, 99])
    if as_type == "Series":
        return pd.Series(names, index=names + 7)
    if as_type == "times":
        return pd.to_datetime(names, unit="D")
    if as_type == "booleans":
        return names > 0
    return names.astype("S") if as_type == "bytes" else names


class TestEquivalentInputs:
    @given(X=tame_series(), layout=st.sampled_from(sorted(LAYOUTS)), dtype=st.sampled_from([*FLOATS, *INTEGERS]))
    def test_scores_do_not_depend_on_type_or_layout(self, fitted, X, layout, dtype):
        if np.dtype(dtype).kind in "ub":
            X = np.abs(X) if np.dtype(dtype).kind == "u" else (X > 0).astype(float)
        expected = fitted.decision_function(X)
        typed = X.astype(dtype)
        if layout == "torch" and not (typed.dtype.isnative and typed.dtype != np.longdouble):
            typed = X
        scores = call(fitted, "decision_function", LAYOUTS[layout](typed))
        assert scores is not None
        np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)

    @given(X=tame_series(), exponents=st.lists(st.integers(-1000, 1000), min_size=2, max_size=2))
    def test_the_unit_of_a_channel_does_not_matter(self, make_nearest, X, exponents):
        """Units are powers of two, which round nothing."""
        units = 2.0 ** np.array(exponents)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TimesadWarning)
            expected = make_nearest().fit(X).decision_scores_
            np.testing.assert_allclose(make_nearest().fit(X * units).decision_scores_, expected, rtol=1e-5, atol=1e-5)


class TestManyChannels:
    def test_five_hundred(self, make_detector):
        X = np.random.default_rng(0).normal(size=(70, 500))
        detector = call(make_detector(**quick(make_detector)), "fit", X)
        assert_sound(detector, "fit", len(X))
        spoiled = X.copy()
        spoiled[40:44, 321] += 30.0
        for method in METHODS:
            assert_sound(call(detector, method, spoiled), method, len(X))
        assert 321 in max(detector.detect(spoiled)["channels"], key=lambda shares: max(shares.values()))


class TestHostileInputs:
    @given(data=st.data(), X=hostile_series(), method=st.sampled_from(METHODS))
    def test_scoring(self, fitted, data, X, method):
        n_rows = len(X) if X is not None and not scipy.sparse.issparse(X) else 40
        groups = data.draw(any_groups(n_rows))
        result = call(fitted, method, X, groups=groups)
        if result is not None and X is not None:
            assert_sound(result, method, len(X))

    @given(data=st.data(), X=hostile_series(), missing=st.sampled_from(["error", "interpolate", "mask"]))
    def test_fitting(self, make_detector, data, X, missing):
        n_rows = len(X) if X is not None and not scipy.sparse.issparse(X) else 40
        detector = make_detector(missing=missing, **quick(make_detector))
        groups = data.draw(any_groups(n_rows))
        result = call(detector, "fit", X, groups=groups)
        if result is None:
            assert not hasattr(detector, "decision_scores_")
            return
        assert_sound(result, "fit", len(X))
        method = data.draw(st.sampled_from(METHODS))
        scored = call(detector, method, X, groups=groups)
        assert scored is not None, "what can be fitted can be scored"
        assert_sound(scored, method, len(X))

    @given(
        X=tame_series(), n_missing=st.integers(1, 60), missing=st.sampled_from(["interpolate", "mask"]), data=st.data()
    )
    def test_missing_numbers_never_give_a_missing_score(self, make_detector, X, n_missing, missing, data):
        spoiled = X.copy()
        places = data.draw(st.lists(st.integers(0, X.size - 1), min_size=n_missing, max_size=n_missing))
        spoiled.flat[places] = np.nan
        detector = make_detector(missing=missing, **quick(make_detector))
        gaps = [stop - start for channel in spoiled.T for start, stop in runs(np.isnan(channel))]
        if missing == "interpolate" and max(gaps) > detector.window_size:
            with pytest.raises(ValueError, match="has no number in"):
                detector.fit(spoiled)
            return
        if np.isnan(spoiled).all(axis=0).any():
            with pytest.raises(ValueError, match="has no number"):
                detector.fit(spoiled)
            return
        for method in ("fit", *METHODS):
            result = call(detector, method, spoiled)
            assert result is not None
            assert_sound(result, method, len(X))


def quick(make_detector):
    """One epoch, where the detector has a network."""
    return {"max_epochs": 1} if "max_epochs" in make_detector().get_params() else {}


NUMBERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint64]
HOSTILE_VALUES = [
    *(None, "", "high", b"1", [], [1], (), {}, object(), 1j, float, True, False, np.bool_(True)),
    *(np.nan, np.inf, -np.inf, -1, 0, -(2**70), 2**31, 2**63, 2**70, 10**400, -1e300, 1e300, 5e-324, 0.5, 1.5),
    *(np.float16(0.1), np.float32(0.2), np.array(3), np.array([3]), Decimal("0.1"), Fraction(1, 10)),
]
OPTIONS = [
    *(f"detect.{name}" for name in ("merge", "min_duration", "min_severity", "false_alarms_per", "direction", "index")),
    *("detect.follow_drift", "predict.return_confidence", "predict_proba.method", "predict_proba.return_confidence"),
]


class TestHostileParameters:
    @given(data=st.data())
    def test_any_value_of_any_parameter(self, make_detector, waves, data):
        """`max_epochs` is left out: a large number is a long fit and no mistake."""
        X = waves[:60]
        detector = make_detector(**quick(make_detector))
        name = data.draw(st.sampled_from(sorted(set(detector.get_params()) - {"max_epochs", "verbose"})))
        value = data.draw(st.sampled_from(HOSTILE_VALUES))
        detector.set_params(**{name: value})
        if call(detector, "fit", X) is None:
            assert not hasattr(detector, "decision_scores_")
            return
        assert getattr(detector, name) is value, "fit changes no parameter"
        assert_sound(detector, "fit", len(X))
        assert_sound(call(detector, "decision_function", X), "decision_function", len(X))

    @given(name=st.sampled_from(OPTIONS), value=st.sampled_from(HOSTILE_VALUES))
    def test_any_value_of_any_option_of_a_method(self, fitted, waves, name, value):
        X = waves[:60] * 3
        method, option = name.split(".")
        result = call(fitted, method, X, **{option: value})
        if result is not None and not isinstance(result, tuple):
            assert_sound(result, method, len(X))

    @given(data=st.data(), number=st.sampled_from(NUMBERS))
    def test_an_integer_of_numpy_is_one_of_python(self, make_detector, waves, data, number):
        X = waves[:100]
        detector = make_detector(**quick(make_detector))
        integers = {name: value for name, value in detector.get_params().items() if type(value) is int}
        name = data.draw(st.sampled_from(sorted(set(integers) - {"verbose"})))
        value = max(1, min(integers[name], 64))
        expected = detector.set_params(**{name: value}).fit(X).decision_scores_
        found = detector.set_params(**{name: number(value)}).fit(X)
        np.testing.assert_array_equal(found.decision_scores_, expected)
        assert type(getattr(found, name)) is number
        np.testing.assert_array_equal(found.decision_function(X), detector.decision_function(X))

    @given(data=st.data())
    def test_parameters_that_change_after_fit_are_not_read(self, fitted, waves, data):
        name = data.draw(st.sampled_from(sorted(set(fitted.get_params()) - {"device"})))
        changed = copy.copy(fitted).set_params(**{name: data.draw(st.sampled_from(HOSTILE_VALUES))})
        X = waves[:60]
        for method in METHODS:
            result, expected = call(changed, method, X), call(fitted, method, X)
            if method in ("detect", "check_threshold"):
                pd.testing.assert_frame_equal(result, expected)
            elif method == "explain":
                for part, values in expected.items():
                    np.testing.assert_array_equal(result[part], values)
            else:
                np.testing.assert_array_equal(result, expected)
