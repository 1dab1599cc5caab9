"""VUS by its definition against timesad's: the same numbers, how many times faster, and in how much memory.

    python -m benchmarks.vus_speed
    python -m benchmarks.vus_speed --rows 5000 --buffer 50 --large-rows 100000

The definition is written down below as plainly as it reads: for every buffer length and every
threshold, soften the labels, flag the rows, count. It is the reference that the tests compare with,
too.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from timesad.metrics import vus_pr_score, vus_roc_score

EVENT_ROWS = (5, 60)  # shortest and longest event of the made-up labels
ROWS_AN_EVENT = 500  # one event in so many rows
AGREEMENT = 1e-9


def vus_by_definition(
    y_true: NDArray[np.integer], y_score: NDArray[np.floating], buffer: int, n_thresholds: int = 250
) -> tuple[float, float]:
    """VUS-ROC and VUS-PR after Paparrizos et al., PVLDB 15(11), 2022, with TSB-AD's thresholds; slow on purpose."""
    n_rows = len(y_true)
    events = [(first, last) for first, last in _runs(y_true)]
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
    return float(np.mean(roc_areas)), float(np.mean(pr_areas))


def soft_labels(y_true: NDArray[np.integer], events: list[tuple[int, int]], length: int) -> NDArray[np.float64]:
    """1 inside events; every event adds √(1 - distance / length) to the rows of its buffer; at most 1 in all."""
    soft = y_true.astype(float)
    for first, last in events:
        for distance in range(1, length // 2 + 1):
            for row in (first - distance, last + distance):
                if 0 <= row < len(soft):
                    soft[row] += np.sqrt(1 - distance / length)
    return np.minimum(soft, 1.0)


def buffered_ranges(events: list[tuple[int, int]], reach: int, n_rows: int) -> list[tuple[int, int]]:
    """First and last row of every event with `reach` rows on both sides; those that share a row are one."""
    ranges: list[tuple[int, int]] = []
    for first, last in events:
        if ranges and first - reach <= ranges[-1][1]:
            first = ranges.pop()[0] + reach
        ranges.append((first - reach, last + reach))
    return [(max(first, 0), min(last, n_rows - 1)) for first, last in ranges]


def _runs(y_true: NDArray[np.integer]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for row in np.flatnonzero(y_true):
        if runs and runs[-1][1] == row - 1:
            runs[-1] = (runs[-1][0], int(row))
        else:
            runs.append((int(row), int(row)))
    return runs


def made_up_series(n_rows: int, seed: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Labels with events of various lengths, and a score that sees them through noise."""
    rng = np.random.default_rng(seed)
    y_true = np.zeros(n_rows, dtype=int)
    for start in rng.integers(0, n_rows, size=max(n_rows // ROWS_AN_EVENT, 1)):
        y_true[start : start + rng.integers(*EVENT_ROWS)] = 1
    return y_true, y_true + rng.normal(size=n_rows)


def seconds_and_bytes(function: Callable[[], object]) -> tuple[float, int, object]:
    """Time of one plain run, peak memory of a second one under tracemalloc, and the result."""
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000, help="rows that the definition is asked for")
    parser.add_argument("--buffer", type=int, default=100, help="buffer in rows")
    parser.add_argument("--large-rows", type=int, default=100_000, help="rows for timesad alone")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    y_true, y_score = made_up_series(arguments.rows, arguments.seed)
    start = time.perf_counter()
    by_definition = vus_by_definition(y_true, y_score, arguments.buffer)
    slow = time.perf_counter() - start
    fast, _, ours = seconds_and_bytes(
        lambda: (
            vus_roc_score(y_true, y_score, buffer=arguments.buffer),
            vus_pr_score(y_true, y_score, buffer=arguments.buffer),
        )
    )
    difference = float(np.max(np.abs(np.subtract(by_definition, ours))))
    if difference > AGREEMENT:
        raise SystemExit(f"definition {by_definition} and timesad {ours} differ by {difference:.1e}")

    y_true, y_score = made_up_series(arguments.large_rows, arguments.seed)
    large, peak, _ = seconds_and_bytes(lambda: vus_pr_score(y_true, y_score, buffer=arguments.buffer))

    print(f"buffer {arguments.buffer}, 250 thresholds; VUS-ROC and VUS-PR together in the first two lines")
    print(f"{'':12}{'rows':>9}{'seconds':>11}{'':4}")
    print(f"{'definition':12}{arguments.rows:>9}{slow:>11.3f}")
    print(f"{'timesad':12}{arguments.rows:>9}{fast:>11.3f}    {slow / fast:.0f} times faster, off by {difference:.0e}")
    print(
        f"{'timesad':12}{arguments.large_rows:>9}{large:>11.3f}    VUS-PR alone, peak memory "
        f"{peak / 2**20:.1f} MiB = {peak / y_score.nbytes:.1f} times the scores"
    )


if __name__ == "__main__":
    main()
