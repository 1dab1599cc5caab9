"""Seconds to fit, score and detect."""

from __future__ import annotations

from typing import Any

import torch

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)

from .rows import made_up_rows

N_ROWS, N_CHANNELS = 2000, 5
DETECTORS = {
    one.__name__: one
    for one in (NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector, AnomalyTransformerDetector)
}


def detector_of(name: str) -> Any:
    """A detector with its defaults, but for one epoch: early stopping would compare different numbers of epochs."""
    epochs = {} if name == "NearestWindowsDetector" else {"max_epochs": 1, "random_state": 0}
    return DETECTORS[name](device="cpu", **epochs)


class EachDetector:
    """Fit on half of the rows, score the other half and find alarms in it."""

    params = (list(DETECTORS),)
    param_names = ("detector",)
    timeout = 300.0

    def setup(self, name):
        torch.set_num_threads(1)
        rows = made_up_rows(2 * N_ROWS, N_CHANNELS)
        self.train, self.new = rows[:N_ROWS], rows[N_ROWS:]
        self.detector = detector_of(name)
        self.fitted = detector_of(name).fit(self.train)

    def time_fit(self, name):
        self.detector.fit(self.train)

    def time_score(self, name):
        self.fitted.decision_function(self.new)

    def time_detect(self, name):
        self.fitted.detect(self.new)


class Neighbors:
    """Search for the nearest windows of 2,000 rows: among the training windows, and the earlier ones."""

    params = ([25, 100],)
    param_names = ("channels",)
    timeout = 300.0

    def setup(self, n_channels):
        torch.set_num_threads(1)
        rows = made_up_rows(2 * N_ROWS, n_channels)
        self.new = rows[N_ROWS:]
        self.fitted = NearestWindowsDetector(device="cpu").fit(rows[:N_ROWS])

    def time_search(self, n_channels):
        self.fitted.decision_function(self.new)
