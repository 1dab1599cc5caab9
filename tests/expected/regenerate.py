"""Expected scores of the shipped telemetry: ``python -m tests.expected.regenerate`` writes `scores.npz` anew.

Run it only after a change that is meant to change scores, and say in the commit by how much they change.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector
from timesad.datasets import load_host_telemetry
from timesad.scaling import ChannelScaling
from timesad.scoring import SeriesScorer
from timesad.windows import Series

SCORES = Path(__file__).with_name("scores.npz")
EVERY = 20  # rows
NOISE = 1e-3  # of a channel's deviation


def telemetry():
    """The shipped telemetry, with noise: among neighbours at equal distances, rounding would choose."""
    found = load_host_telemetry()
    noise = np.random.default_rng(0).normal(scale=NOISE, size=found.data.shape)
    return found.data + noise * found.data.std(axis=0), found.train_size


def drawn_network_scores():
    """The flagship with default parameters and weights drawn by numpy: no training, so no rounding adds up."""
    data, train_size = telemetry()
    train, new = np.split(data, [train_size])
    scaling = ChannelScaling.fit(train)
    series, new_series = (Series(scaling(rows), np.array([0, len(rows)])) for rows in (train, new))
    detector = TimesNetDiscrepancyDetector()
    detector.n_features_in_ = series.n_channels
    detector._analyse(series)
    network = detector._build_network().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            draw = np.random.default_rng(crc32(name.encode())).normal(size=tuple(parameter.shape))
            inputs = parameter[0].numel() if parameter.ndim > 1 else 100
            center = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(torch.from_numpy(center + draw / np.sqrt(inputs)))
    scorer, training_scores, _ = SeriesScorer.fit(network, series, detector._score_settings(), "cpu")
    parts = scorer.explain(new_series, "cpu")
    return {
        "drawn_training": training_scores[::EVERY],
        "drawn_score": parts.score[::EVERY],
        "drawn_reconstruction": parts.reconstruction[::EVERY],
        "drawn_level": parts.level[::EVERY],
        "drawn_neighbors": parts.neighbors[::EVERY],
        "drawn_discrepancy": parts.discrepancy[::EVERY],
    }


def nearest_windows_scores():
    """NearestWindowsDetector with default parameters, fitted on half of the training rows."""
    data, _ = telemetry()
    detector = NearestWindowsDetector(device="cpu").fit(data[:3300])
    return {
        "nearest_training": detector.decision_scores_[::EVERY],
        "nearest_score": detector.decision_function(data[6600:9900])[::EVERY],
    }


def trained_scores():
    """The flagship after two epochs, fitted on half of the training rows."""
    data, _ = telemetry()
    detector = TimesNetDiscrepancyDetector(max_epochs=2, random_state=0, device="cpu").fit(data[:3300])
    return {
        "trained_training": detector.decision_scores_[::EVERY],
        "trained_score": detector.decision_function(data[6600:9900])[::EVERY],
    }


if __name__ == "__main__":
    found = drawn_network_scores() | nearest_windows_scores() | trained_scores()
    np.savez_compressed(SCORES, **{name: scores.astype(np.float32) for name, scores in found.items()})
