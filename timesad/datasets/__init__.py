"""Labelled series: a shipped recording, CSV files, public benchmarks and a generator.

Every loader returns one ``sklearn.utils.Bunch`` per series, with the same keys:

- ``data``: ndarray of shape (n_timestamps, n_channels), float64.
- ``target``: ndarray of shape (n_timestamps,), int: 1 in anomalous rows, 0 elsewhere. None if a CSV file has no labels.
- ``feature_names``: list of str.
- ``train_size``: number of first rows for fitting in the semi-supervised protocol. None if `load_csv` gets none.
- ``groups``: ndarray of shape (n_timestamps,), int: number of the uninterrupted recording that each row belongs to.
  None if there is only one.
- ``name``: str.
- ``DESCR``: str: source of the series, its licence and the changes by the loader.
"""

from __future__ import annotations

from timesad.datasets._csv import load_csv
from timesad.datasets._fetch import fetch_archive
from timesad.datasets._generator import make_anomalous_series
from timesad.datasets._host_telemetry import load_host_telemetry
from timesad.datasets._nab import load_nab
from timesad.datasets._skab import load_skab
from timesad.datasets._smap_msl import load_smap_msl
from timesad.datasets._tsb import load_tsb_ad, load_tsb_uad
from timesad.datasets._ucr import load_ucr_anomaly

__all__ = [
    "fetch_archive",
    "load_csv",
    "load_host_telemetry",
    "load_nab",
    "load_skab",
    "load_smap_msl",
    "load_tsb_ad",
    "load_tsb_uad",
    "load_ucr_anomaly",
    "make_anomalous_series",
]
