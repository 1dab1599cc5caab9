"""Seconds of an update of a stream whose memory is full."""

from __future__ import annotations

import torch

from timesad import NearestWindowsDetector

from .rows import made_up_rows

N_TRAINING, N_CHANNELS = 2000, 5


class Update:
    """One row or 100 rows, with and without alarms, for a stream that compares with earlier windows or does not."""

    params = ([1, 100], [False, True], [True, False])
    param_names = ("rows", "alarms", "use_past")
    timeout = 300.0

    def setup(self, n_rows, alarms, use_past):
        torch.set_num_threads(1)
        train = made_up_rows(N_TRAINING, N_CHANNELS)
        detector = NearestWindowsDetector(device="cpu", use_past=use_past).fit(train)
        rows = made_up_rows(detector.stream().memory_rows, N_CHANNELS)
        self.stream = detector.stream(history=rows)
        self.rows = rows[:n_rows]
        self.stream.update(self.rows, alarms=alarms)  # the first one computes the evidence of the history

    def time_update(self, n_rows, alarms, use_past):
        self.stream.update(self.rows, alarms=alarms)
