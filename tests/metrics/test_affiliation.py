"""Affiliation metrics: the paper's numbers, the definition by brute force, and the zones' borders."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from timesad.metrics import affiliation_f1_score, affiliation_precision_score, affiliation_recall_score

POINTS_A_ROW = 40


def series(n_rows, *runs):
    values = np.zeros(n_rows, dtype=int)
    for start, stop in runs:
        values[start:stop] = 1
    return values


def by_brute_force(y_true, y_pred):
    """Precision and recall with both probabilities estimated on a fine grid of points."""
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


def test_gives_the_numbers_of_the_paper():
    """The second event of the paper's figure: zone of 90 minutes, event at 20-40, flagged 10-30 and 85-90."""
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
def test_agrees_with_the_definition(true_runs, flagged_runs):
    y_true, y_pred = series(40, *true_runs), series(40, *flagged_runs)
    precision, recall = by_brute_force(y_true, y_pred)
    assert affiliation_precision_score(y_true, y_pred, threshold=0.5) == pytest.approx(precision, abs=0.02)
    assert affiliation_recall_score(y_true, y_pred, threshold=0.5) == pytest.approx(recall, abs=0.02)


def test_a_row_between_two_flagged_ones_is_found_as_well_as_its_points_are():
    """Its points are 0 to ½ from the nearest flag, ¼ in the mean, in a zone of 5 rows."""
    recall = affiliation_recall_score(series(5, (2, 3)), series(5, (1, 2), (3, 4)), threshold=0.5)
    assert recall == pytest.approx(1 - 2 * 0.25 / 5, rel=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_flag_next_to_the_border_finds_nothing_beyond_it(mirrored):
    """Zones of rows 0-6 and 7-13: the flag in row 6 counts for the first event alone."""
    y_true, y_pred = series(14, (2, 4), (10, 12)), series(14, (6, 7))
    if mirrored:
        y_true, y_pred = y_true[::-1], y_pred[::-1]
    mean_nearer = 3 + (2.5 + 2.5) / 2  # on the side of the flag, and on the other where the zone ends at row 0
    recall = affiliation_recall_score(y_true, y_pred, threshold=0.5)
    assert recall == pytest.approx((1 - mean_nearer / 7) / 2, rel=1e-12)


def test_a_zone_without_flags_costs_recall_and_not_precision():
    y_true = series(100, (20, 25), (70, 75))
    y_pred = series(100, (20, 25))
    assert affiliation_precision_score(y_true, y_pred, threshold=0.5) == 1.0
    assert affiliation_recall_score(y_true, y_pred, threshold=0.5) == 0.5


def test_nearer_is_better():
    y_true = series(100, (50, 55))
    near, far = series(100, (45, 50)), series(100, (5, 10))
    for metric in (affiliation_precision_score, affiliation_recall_score, affiliation_f1_score):
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


@pytest.mark.parametrize("metric", [affiliation_precision_score, affiliation_recall_score, affiliation_f1_score])
def test_nothing_flagged_is_0_with_a_warning(metric):
    with pytest.warns(UndefinedMetricWarning, match="nothing is flagged"):
        assert metric([0, 1, 0], [0.1, 0.2, 0.3], threshold=0.5) == 0.0
