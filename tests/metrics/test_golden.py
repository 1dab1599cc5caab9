"""Every metric of TSB-AD equals its stored value to 1e-9, on seven cases of labels and scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from timesad.metrics import (
    affiliation_f1_score,
    best_f1_score,
    event_f1_score,
    pa_k_f1_score,
    range_f1_score,
    vus_pr_score,
    vus_roc_score,
)

TOLERANCE = 1e-9
CASES = ["random", "good", "shifted", "perfect", "points", "edges", "ties"]
METRICS = {
    "AUC-PR": lambda y, s, buffer: average_precision_score(y, s),
    "AUC-ROC": lambda y, s, buffer: roc_auc_score(y, s),
    "VUS-PR": lambda y, s, buffer: vus_pr_score(y, s, buffer=buffer),
    "VUS-ROC": lambda y, s, buffer: vus_roc_score(y, s, buffer=buffer),
    "Standard-F1": lambda y, s, buffer: best_f1_score(y, s),
    "PA-F1": lambda y, s, buffer: pa_k_f1_score(y, s, k=0),
    "Event-based-F1": lambda y, s, buffer: event_f1_score(y, s),
    "R-based-F1": lambda y, s, buffer: range_f1_score(y, s),
    "Affiliation-F": lambda y, s, buffer: affiliation_f1_score(y, s),
}


@pytest.fixture(scope="module")
def golden(golden_folder: Path) -> dict[str, tuple]:
    expected = {case["name"]: case for case in json.loads((golden_folder / "metrics_tsb_ad.json").read_text())}
    with np.load(golden_folder / "metrics_tsb_ad.npz") as arrays:
        return {
            name: (arrays[f"{name}_y"], arrays[f"{name}_s"], case["buffer"], case["metrics"])
            for name, case in expected.items()
        }


def test_every_stored_case_and_metric_is_compared(golden):
    assert sorted(golden) == sorted(CASES)
    assert all(sorted(metrics) == sorted(METRICS) for *_, metrics in golden.values())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", METRICS)
def test_equals_tsb_ad(golden, case, metric):
    y_true, y_score, buffer, expected = golden[case]
    assert METRICS[metric](y_true, y_score, buffer) == pytest.approx(expected[metric], rel=0, abs=TOLERANCE)
