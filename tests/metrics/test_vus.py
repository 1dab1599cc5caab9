"""VUS: equal to its definition, RAM linear in the rows, and values of small examples computed by hand."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from timesad.metrics import range_auc_pr_score, range_auc_roc_score, vus_pr_score, vus_roc_score

EVERY_METRIC = [vus_pr_score, vus_roc_score, range_auc_pr_score, range_auc_roc_score]


def vus_by_definition(y_true, y_score, buffer, n_thresholds=250):
    """VUS-ROC and VUS-PR after Paparrizos et al., PVLDB 15(11), 2022, with TSB-AD's thresholds, in plain loops."""
    n_rows = len(y_true)
    borders = np.flatnonzero(np.diff(np.concatenate([[0], y_true, [0]]))).reshape(-1, 2)
    events = [(start, stop - 1) for start, stop in borders]
    descending = np.sort(y_score)[::-1]
    thresholds = [descending[int(position)] for position in np.linspace(0, n_rows - 1, n_thresholds)]
    roc_areas, pr_areas = [], []
    for length in range(buffer + 1):
        soft = soft_labels(y_true, events, length)
        ranges = buffered_ranges(events, length // 2, n_rows)
        curve = [(0.0, 0.0, 1.0)]
        for threshold in thresholds:
            flagged = y_score >= threshold
            true_positives = soft[flagged].sum()
            positives = (y_true.sum() + soft[flagged | (y_true == 1)].sum()) / 2
            found = np.mean([flagged[first : last + 1].any() for first, last in ranges])
            recall = min(true_positives / positives, 1.0) * found
            fall_out = (flagged.sum() - true_positives) / (n_rows - positives)
            curve.append((fall_out, recall, true_positives / flagged.sum()))
        pr_areas.append(sum((b[1] - a[1]) * b[2] for a, b in pairwise(curve)))
        curve.append((1.0, 1.0, np.nan))
        roc_areas.append(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve)))
    return np.mean(roc_areas), np.mean(pr_areas)


def soft_labels(y_true, events, length):
    """1 inside events; each event adds √(1 - distance / length) to the rows of its buffer; at most 1 in sum."""
    soft = y_true.astype(float)
    for first, last in events:
        for distance in range(1, length // 2 + 1):
            for row in (first - distance, last + distance):
                if 0 <= row < len(soft):
                    soft[row] += np.sqrt(1 - distance / length)
    return np.minimum(soft, 1.0)


def buffered_ranges(events, reach, n_rows):
    """First and last row of every event with `reach` rows on both sides; ranges that share a row are merged."""
    ranges = []
    for first, last in events:
        if ranges and first - reach <= ranges[-1][1]:
            first = ranges.pop()[0] + reach
        ranges.append((first - reach, last + reach))
    return [(max(first, 0), min(last, n_rows - 1)) for first, last in ranges]


def labels_with_events(n_rows, events):
    y_true = np.zeros(n_rows, dtype=int)
    for start, stop in events:
        y_true[start:stop] = 1
    return y_true


EVENTS = {
    "one": [(60, 80)],
    "at both ends": [(0, 3), (190, 200)],
    "points in a row": [(50, 51), (52, 53), (54, 55), (57, 58)],
    "buffers that just touch": [(40, 50), (60, 70), (80, 85)],
    "buffers of three events": [(90, 92), (96, 97), (100, 108)],
    "mostly anomalous": [(0, 80), (83, 150), (160, 199)],
}


@pytest.mark.parametrize("events", EVENTS.values(), ids=EVENTS.keys())
@pytest.mark.parametrize("n_levels", [3, 1000])
def test_equals_the_definition(events, n_levels):
    """With ties (few levels) and with more thresholds than rows."""
    y_true = labels_with_events(200, events)
    y_score = np.random.default_rng(1).integers(0, n_levels, size=200) / n_levels + 0.3 * y_true
    roc, pr = vus_by_definition(y_true, y_score, buffer=21)
    assert vus_roc_score(y_true, y_score, buffer=21) == pytest.approx(roc, rel=0, abs=1e-12)
    assert vus_pr_score(y_true, y_score, buffer=21) == pytest.approx(pr, rel=0, abs=1e-12)


def test_is_the_mean_of_range_auc_over_all_buffers():
    y_true = labels_with_events(300, [(50, 70), (85, 90), (200, 240)])
    y_score = np.random.default_rng(2).normal(size=300) + y_true
    for volume, area in [(vus_pr_score, range_auc_pr_score), (vus_roc_score, range_auc_roc_score)]:
        slices = [area(y_true, y_score, buffer=length) for length in range(16)]
        assert volume(y_true, y_score, buffer=15) == pytest.approx(np.mean(slices), rel=1e-12)


def test_ram_is_linear_in_the_rows_and_independent_of_the_buffer():
    """An array of rows × buffer lengths or of rows × thresholds would take more than 100 times the scores."""
    n_rows = 50_000
    y_true = labels_with_events(n_rows, [(start, start + 40) for start in range(500, n_rows, 1000)])
    y_score = np.random.default_rng(3).normal(size=n_rows)
    tracemalloc.start()
    vus_pr_score(y_true, y_score, buffer=125)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25 * y_score.nbytes


def test_only_the_order_of_scores_matters():
    y_true = labels_with_events(400, [(100, 130), (300, 310)])
    y_score = np.random.default_rng(4).normal(size=400) + y_true
    assert vus_pr_score(y_true, np.exp(3 * y_score)) == vus_pr_score(y_true, y_score)
    assert vus_pr_score(y_true, -y_score) < vus_pr_score(y_true, y_score)


def test_a_buffer_gives_a_late_score_within_half_its_length_a_higher_value():
    y_true = labels_with_events(1000, [(300, 320), (700, 720)])
    late = np.roll(y_true, 8).astype(float)
    much_too_late = np.roll(y_true, 100).astype(float)
    assert vus_pr_score(y_true, late, buffer=40) > vus_pr_score(y_true, late, buffer=0) + 0.2
    assert vus_pr_score(y_true, much_too_late, buffer=40) < 0.1


def test_a_random_score_gives_about_the_share_of_anomalous_rows():
    y_true = labels_with_events(20_000, [(start, start + 50) for start in range(500, 20_000, 1000)])
    y_score = np.random.default_rng(5).normal(size=20_000)
    assert vus_pr_score(y_true, y_score, buffer=0) == pytest.approx(0.05, abs=0.01)
    assert vus_roc_score(y_true, y_score, buffer=0) == pytest.approx(0.5, abs=0.03)


def test_a_missed_event_lowers_recall():
    """The same number of flagged anomalous rows gives less if all are in one of the two events."""
    y_true = labels_with_events(500, [(100, 120), (300, 320)])
    both, one = np.zeros(500), np.zeros(500)
    both[[*range(100, 110), *range(300, 310)]] = 1
    one[100:120] = 1
    assert range_auc_pr_score(y_true, both, buffer=10) > range_auc_pr_score(y_true, one, buffer=10) + 0.1


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_auto_buffer_is_the_period_of_the_series(metric):
    X = np.sin(np.arange(600) * 2 * np.pi / 30)
    y_true = labels_with_events(600, [(100, 120)])
    y_score = np.random.default_rng(6).normal(size=600) + y_true
    assert metric(y_true, y_score, buffer="auto", X=X) == metric(y_true, y_score, buffer=30)
    assert metric(y_true, y_score, buffer="auto", X=X) != metric(y_true, y_score)


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_defaults_are_a_buffer_of_100_rows_and_250_thresholds(metric):
    y_true = labels_with_events(600, [(100, 120), (400, 410)])
    y_score = np.random.default_rng(7).normal(size=600) + y_true
    value = metric(y_true, y_score)
    assert value == metric(y_true, y_score, buffer=100, n_thresholds=250)
    assert value not in {metric(y_true, y_score, buffer=99), metric(y_true, y_score, n_thresholds=249)}


def test_one_row_of_buffer_by_hand():
    """Row 1 is the event, row 0 its buffer of length 2 with soft label √½, and row 0 has the higher score."""
    soft = np.sqrt(0.5)
    positives = 1 + soft / 2
    recall = soft / positives  # of the first threshold; the second one has recall 1
    precision = (1 + soft) / 2  # of the second threshold
    pr_area = soft * recall + precision * (1 - recall)
    assert range_auc_pr_score([0, 1], [1, 0], buffer=2) == pytest.approx(pr_area, rel=1e-12)
    fall_out = (1 - soft) / (2 - positives)  # of both thresholds
    roc_area = fall_out * recall / 2 + (1 - fall_out)
    assert range_auc_roc_score([0, 1], [1, 0], buffer=2) == pytest.approx(roc_area, rel=1e-12)


def test_an_event_of_the_first_row_is_found():
    assert range_auc_pr_score([1, 0, 0, 0], [4, 1, 2, 3], buffer=0) == 1.0


def test_all_rows_anomalous_gives_1_as_average_precision_does():
    assert vus_pr_score([1, 1, 1], [0.3, 0.1, 0.2], buffer=4) == pytest.approx(1.0)
