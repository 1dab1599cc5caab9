"""Throughput of `timesad.many` on one machine: ``python -m benchmarks.many`` writes `docs/results/many.md`.

Each detector is fitted on many short series and scores them, by one job and by two. Every job has one thread, so two
jobs use two cores.
"""

from __future__ import annotations

import time
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import clone

from timesad import NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.many import fit_many, score_many

from .contract import FloatArray
from .page import write_page

N_ROWS = 2000
JOBS = (1, 2)
DETECTORS = (
    (NearestWindowsDetector(device="cpu"), 200),
    (TimesNetDetector(device="cpu", random_state=0), 8),
    (TimesNetDiscrepancyDetector(device="cpu", random_state=0), 8),
)
HEAD = """# Many series on one machine

`python -m benchmarks.many`: series of {n_rows} rows and 3 channels, detectors with their defaults, one thread a job.
Seconds of `fit_many` and of `score_many` for all series, and series a second for both together.

| detector | series | jobs | fit, s | score, s | series a second | speed-up |
|---|---|---|---|---|---|---|
"""


def series(number: int) -> FloatArray:
    """One series, another for each number."""
    made = make_anomalous_series(n_rows=N_ROWS, train_size=N_ROWS // 2, period=25, random_state=number)
    return np.asarray(made.data, dtype=np.float64)


def seconds(detector: Any, data: dict[int, FloatArray], n_jobs: int) -> tuple[float, float]:
    """Seconds of fits and of scores."""
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        fit_many(
            clone(detector).set_params(**_quick(detector)), [data[0], data[1]], n_jobs=n_jobs
        )  # begins the workers
        begun = time.perf_counter()
        detectors = fit_many(detector, data, n_jobs=n_jobs)
        fitted = time.perf_counter()
        score_many(detectors, data, n_jobs=n_jobs)
        return fitted - begun, time.perf_counter() - fitted


def _quick(detector: Any) -> dict[str, Any]:
    return {"max_epochs": 1} if "max_epochs" in detector.get_params() else {}


def table() -> str:
    """The page."""
    torch.set_num_threads(1)
    lines = HEAD.format(n_rows=N_ROWS).splitlines()
    for detector, n_series in DETECTORS:
        data = {number: series(number) for number in range(n_series)}
        alone = None
        for n_jobs in JOBS:
            fit, score = seconds(detector, data, n_jobs)
            rate = n_series / (fit + score)
            alone = alone or rate
            cells = [f"`{type(detector).__name__}`", str(n_series), str(n_jobs), f"{fit:.1f}", f"{score:.1f}"]
            lines.append(f"| {' | '.join([*cells, f'{rate:.2g}', f'{rate / alone:.2f}'])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_page("many.md", __doc__, table)
