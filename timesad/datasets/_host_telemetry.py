"""The recording that ships with the library: a host and its service, with faults injected."""

from __future__ import annotations

import json
from importlib import resources

from sklearn.utils import Bunch

from timesad.datasets._csv import load_csv
from timesad.datasets._series import label_runs

SAMPLING_RATE = 5.0  # rows a second


def load_host_telemetry() -> Bunch:
    """Load 44 minutes of telemetry of a host and a service, with 21 faults in the second half.

    A small service answers requests under a load that repeats every 8 s (40 rows), with a slower
    cycle of 24 s (120 rows). 14 channels of the host and the service were read five times a second.
    The first half is free of faults. In the second half faults were injected: obvious ones, such as
    a CPU hog, and contextual ones that keep every channel inside its normal range, such as a
    skipped cycle. A row is labelled 1 exactly while a fault was switched on.

    Returns
    -------
    Bunch
        In the format of :mod:`timesad.datasets`, and

        faults : list of dict
            ``kind`` (str), ``start`` and ``end`` (int): the rows from `start` up to, not including,
            `end` are labelled.
        sampling_rate : float
            Rows a second.
        timestamps : ndarray of shape (n_timestamps,), float64
            Seconds since the recording began.

        ``DESCR`` is the dataset card: units of all channels, the table of faults, the licence, how
        to record it anew.

    Examples
    --------
    >>> from timesad.datasets import load_host_telemetry
    >>> telemetry = load_host_telemetry()
    >>> telemetry.data.shape, telemetry.train_size, len(telemetry.faults)
    ((13200, 14), 6600, 21)
    >>> int(telemetry.target[: telemetry.train_size].sum())
    0
    """
    folder = resources.files("timesad.datasets")
    with resources.as_file(folder / "data" / "host_telemetry.csv.gz") as path:
        bunch = load_csv(path)
    planned = json.loads((folder / "data" / "host_telemetry_faults.json").read_text(encoding="utf-8"))
    # The labels were written row by row, as each fault was on or off: they, not the plan's seconds, are exact.
    runs = label_runs(bunch.target)
    bunch.faults = [
        {"kind": fault["kind"], "start": start, "end": end} for fault, (start, end) in zip(planned, runs, strict=True)
    ]
    bunch.train_size = len(bunch.data) // 2
    bunch.sampling_rate = SAMPLING_RATE
    bunch.DESCR = (folder / "descr" / "host_telemetry.rst").read_text(encoding="utf-8")
    return bunch
