"""How much the scores of a chunk differ from those of the whole series, with and without the rows around it.

``python -m benchmarks.chunks`` fits each detector on the training rows of the shipped recording, scores later rows as a
whole and in chunks, and writes `docs/results/chunks.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from timesad import NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.datasets import load_host_telemetry

from .contract import FloatArray
from .page import write_page

CHUNK_ROWS = 300
ALIGNED, SHIFTED = 0, 5  # rows between the start of a chunk and the whole series' grid of windows

HEAD = """# Scores of a chunk and of the whole series

`python -m benchmarks.chunks`: {n_rows} new rows of the shipped recording, in chunks of about {chunk_rows} rows. The
table has the difference of a score from the same row's score in the whole series, and the share of rows whose label
differs.

"Near" rows are the `window_size + 4 * smoothing` rows before a chunk, and as many after it. They are passed with the
chunk and their scores are dropped. A chunk on the grid begins a multiple of `window_size // 8` rows after the start of
the series, together with the rows before it. A slice of a DataFrame has its windows where the whole has them.

| detector | `use_past` | rows around | on the grid | mean difference | largest | other label |
|---|---|---|---|---|---|---|
"""

DETECTORS = {
    "NearestWindowsDetector": (NearestWindowsDetector, {}),
    "TimesNetDetector": (TimesNetDetector, {"random_state": 0}),
    "TimesNetDiscrepancyDetector": (TimesNetDiscrepancyDetector, {"random_state": 0}),
}


def reach(detector: Any) -> int:
    """Rows to each side that a score depends on with ``use_past=False``, as a multiple of the stride."""
    stride = detector.window_size // 8
    return -(-(detector.window_size + 4 * detector.smoothing) // stride) * stride


def chunk_scores(detector: Any, X: Any, n_before: int | None, shift: int) -> Iterator[tuple[slice, FloatArray]]:
    """Rows of each chunk and their scores, with `n_before` rows before the chunk (None is all of them)."""
    n_after = reach(detector)
    stride = detector.window_size // 8
    length = CHUNK_ROWS // stride * stride
    for begin in range(n_after + shift, len(X) - length - n_after, length):
        first = 0 if n_before is None else begin - n_before
        scores = detector.decision_function(X[first : begin + length + (0 if n_before == 0 else n_after)])
        yield slice(begin, begin + length), scores[begin - first : begin - first + length]


def differences(detector: Any, X: Any, n_before: int | None, shift: int) -> tuple[float, float, float]:
    """Mean and largest difference of a score from the whole series', and share of labels that differ."""
    whole = detector.decision_function(X)
    found, expected = [], []
    for rows, scores in chunk_scores(detector, X, n_before, shift):
        found.append(scores)
        expected.append(whole[rows])
    one, other = np.concatenate(found), np.concatenate(expected)
    labels = (one > detector.threshold_) != (other > detector.threshold_)
    return float(np.abs(one - other).mean()), float(np.abs(one - other).max()), float(labels.mean())


def table() -> str:
    """The page."""
    telemetry = load_host_telemetry()
    train, new = np.split(telemetry.data, [telemetry.train_size])
    new = new[:6000]
    lines = HEAD.format(n_rows=len(new), chunk_rows=CHUNK_ROWS).splitlines()
    for name, (detector_class, parameters) in DETECTORS.items():
        for use_past in (True, False):
            detector = detector_class(use_past=use_past, device="cpu", **parameters).fit(train)
            cases = [
                ("none", 0, ALIGNED),
                ("near", reach(detector), ALIGNED),
                ("near", reach(detector), SHIFTED),
                ("near, DataFrame", reach(detector), SHIFTED),
            ]
            if use_past:
                cases.append(("all before, near after", None, ALIGNED))
            for what, n_before, shift in cases:
                mean, largest, labels = differences(
                    detector, pd.DataFrame(new) if "DataFrame" in what else new, n_before, shift
                )
                on_grid = "yes" if shift == ALIGNED else "no"
                cells = [f"`{name}`", str(use_past), what, on_grid, f"{mean:.2g}", f"{largest:.2g}", f"{labels:.1%}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_page("chunks.md", __doc__, table)
