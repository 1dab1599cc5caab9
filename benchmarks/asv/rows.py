"""The rows that are fitted and scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PERIODS, NOISE = (50, 20, 10), 0.1  # rows, and standard deviations


def made_up_rows(n_rows: int, n_channels: int) -> NDArray[np.float64]:
    """Sines of three periods with a phase for each channel, and noise, (n_rows, n_channels)."""
    generator = np.random.default_rng(0)
    phases = generator.uniform(0, 2 * np.pi, size=(len(PERIODS), n_channels))
    rows = NOISE * generator.standard_normal((n_rows, n_channels))
    for period, phase in zip(PERIODS, phases, strict=True):
        rows += np.sin(2 * np.pi * np.arange(n_rows)[:, None] / period + phase)
    return rows
