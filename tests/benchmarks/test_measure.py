from __future__ import annotations

import numpy as np
import pytest

from benchmarks.contract import NO_SCALING, SEMI_SUPERVISED, STANDARD_SCALING, UNSUPERVISED, Method, Settings
from benchmarks.measure import METRICS, measure, moving_average, n_fit_rows, scaled, window_length


@pytest.mark.parametrize("length", [1, 4, 5, 50])
def test_moving_average_is_the_mean_of_the_neighbours_there_are(length):
    scores = np.random.default_rng(0).random(30)
    width = min(length, len(scores))
    before = width // 2
    expected = [scores[max(0, row - before) : row - before + width].mean() for row in range(len(scores))]
    np.testing.assert_allclose(moving_average(scores, length), expected, rtol=1e-12)


def test_moving_average_survives_scores_of_thirty_orders_of_magnitude():
    scores = np.ones(40)
    scores[5] = 1e30
    assert moving_average(scores, 4)[20:].tolist() == [1.0] * 20


def test_scaling_takes_its_units_from_the_rows_to_fit_alone(tiny_groups):
    data = tiny_groups["many"][0].data
    rows = scaled(data, 120, STANDARD_SCALING)
    np.testing.assert_allclose(rows[:120].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(rows[:120].std(axis=0), 1, rtol=1e-12)
    assert scaled(data, 120, NO_SCALING) is data


def test_window_is_the_number_or_the_period_and_at_most_a_quarter_of_the_rows():
    rows = np.sin(2 * np.pi * np.arange(400) / 25)[:, None]
    assert window_length(64, rows) == 64
    assert window_length("period", rows) == 25
    assert window_length(1000, rows) == 100


@pytest.mark.parametrize(("protocol", "n_fit"), [(SEMI_SUPERVISED, 120), (UNSUPERVISED, 300)])
def test_protocol_decides_the_rows_to_fit_and_all_rows_are_evaluated(protocol, n_fit, tiny_groups, toys):
    series = tiny_groups["many"][0]
    assert n_fit_rows(series, protocol) == n_fit
    record = measure(Method("toy", "toy", toys.toy), series, protocol, 0, Settings(window=10))
    assert set(record["raw"]) == set(record["smoothed"]) == set(METRICS)
    assert record["window"] == 10


def test_smoothing_helps_a_noisy_score_of_a_long_anomaly_and_leaves_raw_alone(tiny_groups, toys):
    series = tiny_groups["one"][0]
    method = Method("toy", "toy", toys.toy)
    smooth = measure(method, series, UNSUPERVISED, 0, Settings(window=10, smoothing=15))
    none = measure(method, series, UNSUPERVISED, 0, Settings(window=10, smoothing=1))
    assert none["smoothed"] == none["raw"] == smooth["raw"]
    assert smooth["smoothed"]["vus_pr"] != smooth["raw"]["vus_pr"]


def test_score_that_is_not_finite_is_an_error_that_counts_them(tiny_groups, toys):
    method = Method("toy", "toy", toys.not_finite)
    with pytest.raises(ValueError, match="7 of 300 scores that are not finite"):
        measure(method, tiny_groups["one"][0], UNSUPERVISED, 0, Settings(window=10))


def test_score_of_the_wrong_length_is_an_error(tiny_groups, toys):
    method = Method("toy", "toy", toys.too_short)
    with pytest.raises(ValueError, match=r"shape \(299,\) for 300 rows"):
        measure(method, tiny_groups["one"][0], SEMI_SUPERVISED, 0, Settings(window=10))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"window": 1}, "window"),
        ({"smoothing": 0}, "smoothing"),
        ({"scaling": "x"}, "scaling"),
        ({"threads": 0}, "threads"),
    ],
)
def test_settings_out_of_range_name_the_parameter(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)
