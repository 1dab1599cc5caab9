"""The shipped recording: telemetry of a host and a service with injected faults."""

from __future__ import annotations

import json
from importlib import resources

from sklearn.utils import Bunch

from timesad.datasets._csv import load_csv
from timesad.datasets._series import label_runs

SAMPLING_RATE = 5.0  # rows per second


def load_host_telemetry() -> Bunch:
    """Load 44 minutes of telemetry of a host and a service, with 21 faults in the second half.

    A small service answers requests under a load with cycles of 8 s (40 rows) and 24 s (120 rows).
    14 channels of the host and the service were read five times per second. The first half has no
    faults. The second half has obvious faults, such as a CPU hog, and contextual faults, such as a
    skipped cycle, which keep every channel within its normal range. The label of a row is 1 while a
    fault is active.

    Returns
    -------
    Bunch
        With the keys of :mod:`timesad.datasets`, and

        faults : list of dict
            ``kind`` (str), ``start`` and ``end`` (int, half-open interval of the labelled rows).
        sampling_rate : float
            Rows per second.
        timestamps : ndarray of shape (n_timestamps,), float64
            Seconds since the start of the recording.

        ``DESCR`` is the dataset card: units of the channels, table of faults, licence, and how to
        record the data again.

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
    # Rows come from the labels, which were written row by row. The planned seconds are approximate.
    runs = label_runs(bunch.target)
    bunch.faults = [
        {"kind": fault["kind"], "start": start, "end": end} for fault, (start, end) in zip(planned, runs, strict=True)
    ]
    bunch.train_size = len(bunch.data) // 2
    bunch.sampling_rate = SAMPLING_RATE
    bunch.DESCR = (folder / "descr" / "host_telemetry.rst").read_text(encoding="utf-8")
    return bunch
