"""Affiliation metrics: values of the paper, the definition on a fine grid, borders of the zones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from timesad.metrics import affiliation_f1_score, affiliation_precision_score, affiliation_recall_score

POINTS_A_ROW = 40
EVERY_METRIC = [affiliation_precision_score, affiliation_recall_score, affiliation_f1_score]


def series(n_rows, *runs):
    values = np.zeros(n_rows, dtype=int)
    for start, stop in runs:
        values[start:stop] = 1
    return values


def by_brute_force(y_true, y_pred):
    """Precision and recall with both probabilities computed on a fine grid of points."""
    times = (np.arange(len(y_true) * POINTS_A_ROW) + 0.5) / POINTS_A_ROW
    event_borders = np.flatnonzero(np.diff(np.concatenate([[0], y_true, [0]]))).reshape(-1, 2)
    distances = np.array([np.maximum(np.maximum(start - times, times - stop), 0) for start, stop in event_borders])
    zone_of = distances.argmin(axis=0)
    is_flagged = np.repeat(y_pred, POINTS_A_ROW).astype(bool)
    precisions, recalls = [], []
    for zone, (start, stop) in enumerate(event_borders):
        inside = zone_of == zone
        flagged = times[inside & is_flagged]
        event_points = times[(times >= start) & (times < stop)]
        if len(flagged) == 0:
            recalls.append(0.0)
            continue
        to_event = distances[zone][inside]
        precisions.append(np.mean([np.mean(to_event >= d) for d in distances[zone][inside & is_flagged]]))
        nearest = np.abs(event_points[:, None] - flagged).min(axis=1)
        farther = np.abs(event_points[:, None] - times[inside]) >= nearest[:, None]
        recalls.append(farther.mean())
    return np.mean(precisions), np.mean(recalls)


def test_values_of_the_paper():
    """Second event of the figure: zone of 90 minutes, event at 20-40, flagged at 10-30 and 85-90."""
    y_true, y_pred = series(90, (20, 40)), series(90, (10, 30), (85, 90))
    assert affiliation_precision_score(y_true, y_pred, threshold=0.5) == pytest.approx(0.672222222, abs=1e-9)
    assert affiliation_recall_score(y_true, y_pred, threshold=0.5) == pytest.approx(0.944444444, abs=1e-9)


@pytest.mark.parametrize(
    ("true_runs", "flagged_runs"),
    [
        ([(5, 9), (16, 17), (30, 34)], [(2, 4), (8, 20), (33, 40)]),
        ([(0, 3), (37, 40)], [(4, 6), (18, 23)]),
        ([(3, 20), (23, 30)], [(0, 2), (21, 22), (38, 39)]),
        ([(10, 30)], [(12, 13), (20, 22), (29, 31)]),
        ([(4, 6), (9, 11)], [(7, 8)]),  # flagged across the border between two zones
    ],
)
def test_equals_the_definition(true_runs, flagged_runs):
    y_true, y_pred = series(40, *true_runs), series(40, *flagged_runs)
    precision, recall = by_brute_force(y_true, y_pred)
    assert affiliation_precision_score(y_true, y_pred, threshold=0.5) == pytest.approx(precision, abs=0.02)
    assert affiliation_recall_score(y_true, y_pred, threshold=0.5) == pytest.approx(recall, abs=0.02)


def test_recall_of_a_row_between_two_flagged_rows_is_the_mean_over_its_points():
    """Zone of 5 rows; the points of the row are 0 to ½ rows from the nearest flagged row, ¼ on average."""
    recall = affiliation_recall_score(series(5, (2, 3)), series(5, (1, 2), (3, 4)), threshold=0.5)
    assert recall == pytest.approx(1 - 2 * 0.25 / 5, rel=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_flagged_row_next_to_a_border_counts_for_its_own_zone_only(mirrored):
    """Zones are rows 0-6 and 7-13; the flagged row 6 counts for the first event only."""
    y_true, y_pred = series(14, (2, 4), (10, 12)), series(14, (6, 7))
    if mirrored:
        y_true, y_pred = y_true[::-1], y_pred[::-1]
    mean_nearer = 3 + (2.5 + 2.5) / 2  # towards the flagged row, and towards the end of the zone at row 0
    recall = affiliation_recall_score(y_true, y_pred, threshold=0.5)
    assert recall == pytest.approx((1 - mean_nearer / 7) / 2, rel=1e-12)


def test_a_zone_without_flagged_rows_lowers_recall_and_not_precision():
    y_true = series(100, (20, 25), (70, 75))
    y_pred = series(100, (20, 25))
    assert affiliation_precision_score(y_true, y_pred, threshold=0.5) == 1.0
    assert affiliation_recall_score(y_true, y_pred, threshold=0.5) == 0.5


def test_a_nearer_flagged_run_scores_higher():
    y_true = series(100, (50, 55))
    near, far = series(100, (45, 50)), series(100, (5, 10))
    for metric in EVERY_METRIC:
        assert metric(y_true, near, threshold=0.5) > metric(y_true, far, threshold=0.5) + 0.5


def test_precision_and_recall_are_those_of_the_best_f1():
    y_true = series(300, (50, 60), (200, 230))
    y_score = np.random.default_rng(0).normal(size=300) + y_true
    precision = affiliation_precision_score(y_true, y_score)
    recall = affiliation_recall_score(y_true, y_score)
    f1 = affiliation_f1_score(y_true, y_score)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    grid = np.linspace(y_score.min(), y_score.max(), 100)[:-1]
    assert f1 == max(affiliation_f1_score(y_true, y_score, threshold=float(threshold)) for threshold in grid)


@pytest.mark.parametrize("metric", EVERY_METRIC)
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_no_flagged_row_is_0_with_a_warning(metric, threshold):
    """A score equal to the threshold is not flagged."""
    message = rf"^Affiliation \w+ is ill-defined and set to 0.0: no score lies above {threshold}, nothing is flagged\.$"
    with pytest.warns(UndefinedMetricWarning, match=message):
        assert metric([0, 1, 0], [0.1, 0.2, 0.3], threshold=threshold) == 0.0


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_a_constant_score_flags_no_row(metric):
    with pytest.warns(UndefinedMetricWarning, match=r"no score lies above 2, nothing is flagged"):
        assert metric([0, 1, 0], [2.0, 2.0, 2.0]) == 0.0


def test_a_score_equal_to_the_threshold_is_not_flagged():
    """Flagging row 0 as well would lower the precision below 1."""
    assert affiliation_precision_score([0, 0, 0, 1], [0.5, 0.0, 0.0, 1.0], threshold=0.5) == 1.0
