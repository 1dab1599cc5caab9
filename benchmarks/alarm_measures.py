"""What a list of alarms is worth: functions of row ranges, labels and scores.

Alarms and events are arrays of half-open ranges (n_ranges, 2): first row, and the row after the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import FloatArray

Ranges = NDArray[np.intp]
Mask = NDArray[np.bool_]

FAR_ROWS = 200  # a normal row at least so many rows from any anomaly is far
MERGE_ROWS = 48  # runs with fewer rows between them are one alarm, where runs are merged
ORACLE_THRESHOLDS = 50
ORACLE_LARGEST_SHARE = 0.5  # of the rows above the lowest of them
ORACLE_NORMAL_SHARE = 0.5  # of the normal rows; the oracle's alarms hold at most so many
RATE_ROWS = 10_000  # alarms are counted per so many rows


# Ranges of rows


def runs(is_flagged: Mask, merge: int = 0) -> Ranges:
    """Return the runs of True, (n_runs, 2); runs with fewer than `merge` rows between them are one."""
    padded = np.concatenate([[False], is_flagged, [False]])
    found = np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
    joined = found[1:, 0] - found[:-1, 1] < merge  # (n_runs - 1,)
    edges = np.delete(found.ravel(), np.flatnonzero(np.repeat(joined, 2)) + 1)
    return edges.reshape(-1, 2)


def rows_in(ranges: Ranges, n_rows: int) -> Mask:
    """Return which of the rows are in any range, (n_rows,)."""
    inside = np.zeros(n_rows, dtype=bool)
    for start, end in ranges:
        inside[start:end] = True
    return inside


def far_rows(target: NDArray[np.integer], distance: int = FAR_ROWS) -> Mask:
    """Return which rows are at least so many rows from any anomaly, (n_rows,)."""
    near = runs(target == 1) + np.array([1 - distance, distance - 1])
    return ~rows_in(near.clip(min=0), len(target))


def ranges_after(alarms: Ranges, first: int) -> Ranges:
    """Return the parts of the alarms from row `first` on, counted from it."""
    kept = alarms[alarms[:, 1] > first]
    return np.maximum(kept - first, 0)


# Measures


def event_f1(n_true: int, n_alarms: int, n_hit: int, n_events: int) -> float:
    """Return 2 P R / (P + R) of the alarms' precision P and the events' recall R; 0 where no event is hit."""
    if not n_true or not n_hit:
        return 0.0
    precision, recall = n_true / n_alarms, n_hit / n_events
    return 2 * precision * recall / (precision + recall)


def overlaps(alarms: Ranges, events: Ranges) -> NDArray[np.intp]:
    """Return the common rows of each alarm and event, (n_alarms, n_events)."""
    starts = np.maximum(alarms[:, None, 0], events[None, :, 0])
    ends = np.minimum(alarms[:, None, 1], events[None, :, 1])
    return np.maximum(ends - starts, 0)


def oracle_threshold(scores: FloatArray, events: Ranges) -> float:
    """Return the threshold with the largest event F1, the highest of equal ones.

    Fifty thresholds are tried, quantiles of the scores: from one row above to half of the rows, in equal ratios. Merged
    runs may hold at most half of the normal rows: one alarm over all rows has the event F1 1.
    """
    shares = np.geomspace(1 / len(scores), ORACLE_LARGEST_SHARE, ORACLE_THRESHOLDS)
    normal = ~rows_in(events, len(scores))
    best, best_f1 = float(scores.max()), 0.0
    for threshold in np.quantile(scores, 1 - shares):
        alarms = runs(scores > threshold, MERGE_ROWS)
        if rows_in(alarms, len(scores))[normal].sum() > ORACLE_NORMAL_SHARE * normal.sum():
            break  # a lower threshold flags more
        common = overlaps(alarms, events) > 0
        f1 = event_f1(int(common.any(axis=1).sum()), len(alarms), int(common.any(axis=0).sum()), len(events))
        if f1 > best_f1:
            best, best_f1 = float(threshold), f1
    return best


def share_of(flagged: Mask, rows: Mask) -> float | None:
    """Return the share of `rows` that are flagged; None where there is no such row."""
    return float(flagged[rows].mean()) if rows.any() else None


def measure_alarms(alarms: Ranges, events: Ranges, far: Mask) -> dict[str, Any]:
    """Return the measures of one series.

    Parameters
    ----------
    alarms, events : ndarray of shape (n_ranges, 2), int
        Of the evaluated rows, counted from the first of them.
    far : ndarray of shape (n_rows,), bool
        The normal rows far from any anomaly.

    Returns
    -------
    dict
        ``iou`` and ``delay`` are lists with an entry for each event that is hit: the largest intersection over union
        with one alarm, and the rows from the event's first row to its first flagged one.
    """
    n_rows, flagged = len(far), rows_in(alarms, len(far))
    common = overlaps(alarms, events)
    hit = (common > 0).any(axis=0)
    union = np.diff(alarms) + np.diff(events).T - common  # (n_alarms, n_events)
    return {
        "n_rows": n_rows,
        "alarms": len(alarms),
        "true_alarms": int((common > 0).any(axis=1).sum()),
        "events": len(events),
        "hit": int(hit.sum()),
        "far_rows": int(far.sum()),
        "far_share": share_of(flagged, far),
        "flagged_share": float(flagged.mean()),
        "alarms_per_10000": RATE_ROWS * len(alarms) / n_rows,
        "iou": (common / union).max(axis=0, initial=0.0)[hit].tolist(),
        "delay": [int(flagged[start:end].argmax()) for start, end in events[hit]],
    }


def known(values: Sequence[float | None]) -> list[float]:
    """Return the values that are not None."""
    return [value for value in values if value is not None]


def pool(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return sums of counts, and means and medians, over series; None where there is nothing to divide by.

    ``far_mean`` and ``far_median`` are over series with far rows, ``iou`` and ``delay`` over all events that were hit.
    """
    sums = {name: sum(one[name] for one in measured) for name in ("alarms", "true_alarms", "events", "hit")}
    far = known([one["far_share"] for one in measured])
    ious, delays = ([value for one in measured for value in one[name]] for name in ("iou", "delay"))
    return sums | {
        "precision": sums["true_alarms"] / sums["alarms"] if sums["alarms"] else None,
        "recall": sums["hit"] / sums["events"] if sums["events"] else None,
        "f1": event_f1(sums["true_alarms"], sums["alarms"], sums["hit"], sums["events"]),
        "far_mean": fmean(far) if far else None,
        "far_median": median(far) if far else None,
        "flagged_share": fmean(one["flagged_share"] for one in measured),
        "alarms_per_10000": RATE_ROWS * sums["alarms"] / sum(one["n_rows"] for one in measured),
        "iou": fmean(ious) if ious else None,
        "delay": median(delays) if delays else None,
    }
