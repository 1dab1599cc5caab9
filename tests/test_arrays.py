"""What follows the network gives the same numbers with numpy's arrays and with torch's tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from timesad import arrays, scoring
from timesad.arrays import on_host
from timesad.calibration import absolute_level, moving_average, moving_median, root_mean_square, smooth, trailing_median
from timesad.row_errors import RowErrors
from timesad.windows import Series

BORDERS = np.array([0, 7, 8, 200])


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=200).cumsum()


@pytest.mark.parametrize("width", [1, 2, 3, 8, 190, 500])
@pytest.mark.parametrize("origin", [0, -1])
@pytest.mark.parametrize("n_rows", [1, 2, 7, 200])
def test_moving_average(values, width, origin, n_rows):
    origin = max(origin, -(width // 2))  # scipy's filter has no others
    expected = moving_average(values[:n_rows], width, origin)
    found = moving_average(torch.from_numpy(values[:n_rows]), width, origin)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_values", [1, 2, 3, 8, 120, 500])
def test_moving_median(values, n_values):
    found = moving_median(torch.from_numpy(values), n_values)
    np.testing.assert_allclose(found, moving_median(values, n_values), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("width", [1, 4, 31])
@pytest.mark.parametrize(
    "function",
    [smooth, lambda x, *rest: root_mean_square(x**2, *rest), absolute_level],
    ids=["smooth", "root_mean_square", "absolute_level"],
)
def test_averages_within_borders(values, width, function):
    found = function(torch.from_numpy(values), width, BORDERS)
    np.testing.assert_allclose(found, function(values, width, BORDERS), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("width", "step"), [(1, 1), (60, 1), (60, 8), (960, 7)])
def test_trailing_median(values, width, step):
    found = trailing_median(torch.from_numpy(values), width, step, BORDERS)
    np.testing.assert_allclose(found, trailing_median(values, width, step, BORDERS), rtol=1e-12)


def test_columns_are_averaged_one_by_one(values):
    columns = values.reshape(100, 2)
    found = moving_average(torch.from_numpy(columns), 6)
    np.testing.assert_allclose(found, moving_average(columns, 6), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_signed", [0, 2])
def test_row_errors(n_signed):
    generator = np.random.default_rng(1)
    columns = [generator.random((50, n), dtype=np.float32) for n in (2, 2, 1, n_signed)]
    missing, held_out = generator.random((50, 2)) < 0.2, np.arange(50) > 30
    expected = RowErrors(*columns).without(missing).as_unseen(held_out)
    found = RowErrors(*map(torch.from_numpy, columns)).without(missing).as_unseen(held_out)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_detectors_score_as_on_an_accelerator(make_detector, missing, waves, monkeypatch):
    """Rows are tensors, as on an accelerator, of the processor."""
    X = waves.copy()
    if missing == "mask":
        X[10:14, 0] = X[170:173, 1] = np.nan

    def results():
        detector = make_detector(missing=missing, smoothing=8).fit(X[:150])
        explained = detector.explain(X[150:])
        return [
            detector.decision_scores_,
            detector.decision_function(X[150:], context=X[:150]),
            detector.detect(X[150:]).select_dtypes("number").to_numpy(),
            *(explained[name] for name in sorted(explained)),
        ]

    expected = results()
    monkeypatch.setattr(arrays, "is_host", lambda device: False)
    for found, one in zip(results(), expected, strict=True):
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, one, rtol=1e-5, atol=1e-6)


def test_the_score_is_the_first_copy_from_the_device(make_detector, waves, monkeypatch):
    """Tensors on the device "meta" have no values: any read of a result fails."""
    scorer = make_detector().fit(waves[:150]).scorer_
    copied = []
    monkeypatch.setattr(scoring, "on_host", copied.append)
    scorer.score(Series(waves.astype(np.float32), np.array([0, 240])), "meta")
    [score] = copied
    assert (score.device.type, score.shape) == ("meta", (240,))


def test_on_host_keeps_an_array(values):
    assert on_host(values) is values
