"""Files of each released format, which must load for ever: ``python -m tests.expected.saved.write FORMAT``.

Each holds a detector that is fitted on `series`, and ``scores-FORMAT.npz`` its scores of the same rows. Files of a
format that was released are never written again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from timesad import AnomalyTransformerDetector, NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.saving import FORMAT

FOLDER = Path(__file__).parent
SMALL = {"window_size": 16, "n_layers": 1, "model_size": 4, "max_epochs": 2, "random_state": 0, "smoothing": 4}
SMALL |= {"batch_size": 64, "learning_rate": 2e-3}  # the defaults when the files of format 1 were written


def series():
    """Two waves and a table with names; the last rows are one standard deviation higher."""
    time = np.arange(160)
    waves = np.column_stack([np.sin(time / 2), np.cos(time / 3)])
    waves += np.random.default_rng(0).normal(scale=0.1, size=waves.shape)
    waves[150:] += 1.0
    return pd.DataFrame(waves, columns=["flow", "pressure"])


def detectors():
    """One unfitted detector for each file, by name."""
    return {
        "nearest": NearestWindowsDetector(window_size=16, smoothing=4, clean_training=False),
        "timesnet": TimesNetDetector(**SMALL, n_periods=2),
        "anomaly-transformer": AnomalyTransformerDetector(
            **SMALL, n_heads=2, anomaly_score="reconstruction+discrepancy"
        ),
        "flagship": TimesNetDiscrepancyDetector(**SMALL, n_periods=2, contamination=0.05),
    }


def path_of(name, file_format):
    """Path of a file of a format."""
    return FOLDER / f"{name}-{file_format}.safetensors"


if __name__ == "__main__":
    if sys.argv[1:] != [str(FORMAT)]:
        raise SystemExit(f"this version writes format {FORMAT}: python -m tests.expected.saved.write {FORMAT}")
    scores = {}
    for name, detector in detectors().items():
        path = path_of(name, FORMAT)
        if path.exists():
            raise SystemExit(f"{path} exists. If its format was released, it must stay; else delete it first.")
        detector.fit(series()).save(path)
        scores[name] = detector.decision_function(series())
    np.savez_compressed(FOLDER / f"scores-{FORMAT}.npz", **scores)
