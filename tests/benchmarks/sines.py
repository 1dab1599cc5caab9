"""A noisy sine, and the same with another period in one place."""

from __future__ import annotations

import numpy as np

N_ROWS, TRAIN_ROWS = 700, 400
ANOMALY = slice(550, 580)


def noisy_sine(n_channels: int = 1, *, noise: float = 0.1) -> np.ndarray:
    """Sines of 20 rows, shifted from channel to channel, (N_ROWS, n_channels)."""
    time = np.arange(N_ROWS)[:, None]
    errors = noise * np.random.default_rng(0).standard_normal((N_ROWS, n_channels))
    return np.sin(2 * np.pi * time / 20 + np.arange(n_channels)) + errors


def with_anomaly(n_channels: int = 1, *, noise: float = 0.1) -> np.ndarray:
    """A sine of another period, of the same mean and scale, in channel 0."""
    X = noisy_sine(n_channels, noise=noise)
    X[ANOMALY, 0] = np.sin(2 * np.pi * np.arange(N_ROWS)[ANOMALY] / 7)
    return X


def target() -> np.ndarray:
    """1 in the anomaly, (N_ROWS,)."""
    y = np.zeros(N_ROWS, dtype=int)
    y[ANOMALY] = 1
    return y
