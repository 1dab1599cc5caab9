"""Series to try detectors on: a shipped recording, your own CSV, public benchmarks, a generator.

Every loader returns :class:`sklearn.utils.Bunch` objects of one format, a series each:

data : ndarray of shape (n_timestamps, n_channels), float64
target : ndarray of shape (n_timestamps,), int
    1 where the row is anomalous, 0 elsewhere (None where a CSV of your own has no labels).
feature_names : list of str
train_size : int
    The first rows, meant for fitting in the semi-supervised protocol (None where a CSV of your own
    came without it).
groups : ndarray of shape (n_timestamps,), int, or None
    Which rows belong to one uninterrupted recording; None where all of them do.
name : str
DESCR : str
    Where the series comes from, its licence, and what the loader did to it.
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
