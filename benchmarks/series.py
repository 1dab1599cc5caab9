"""The development series, by group.

Results are reported per group, because the sources differ: anomalies are a third of a SKAB file and a hundredth of a
SMAP one. All groups but ``telemetry`` are read from the folder named by ``TIMESAD_DATA``, or ``../shared/data``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from timesad.datasets import (
    load_host_telemetry,
    load_nab,
    load_skab,
    load_smap_msl,
    load_tsb_ad,
    load_tsb_uad,
    load_ucr_anomaly,
)

DATA_VARIABLE = "TIMESAD_DATA"
REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_DATA = REPOSITORY.parent / "shared" / "data"

# The electrocardiogram has 230,000 rows and several peers are quadratic in rows: it is cut, and every table says so.
# Fitting takes the first tenth, as TSB-UAD does. One anomaly lies in it; choosing cleaner rows would use the labels.
ECG_NAME = "MBA_ECG805_data"
ECG_ROWS = 20_000
ECG_TRAIN_ROWS = 2_000


def data_folder(folder: str | Path | None = None) -> Path:
    """Return the folder of the development series.

    Parameters
    ----------
    folder : path or None, default=None
        The folder itself; None looks at ``TIMESAD_DATA`` and then beside the repository.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    path = Path(folder or os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)
    if not path.is_dir():
        raise FileNotFoundError(
            f"No folder of development series at {path}. Pass --data or set {DATA_VARIABLE}; "
            "the group 'telemetry' needs no folder."
        )
    return path


def _electrocardiogram(folder: Path) -> Bunch:
    (series,) = load_tsb_uad(folder / "ECG", names=[ECG_NAME])
    series.data, series.target = series.data[:ECG_ROWS], series.target[:ECG_ROWS]
    series.train_size = ECG_TRAIN_ROWS
    series.name = f"{series.name}-first-{ECG_ROWS}"
    return series


def _univariate(folder: Path) -> list[Bunch]:
    return [*load_tsb_ad(folder / "TSB-AD-U"), *load_ucr_anomaly(folder / "UCR"), _electrocardiogram(folder)]


FOLDER_GROUPS: dict[str, Callable[[Path], list[Bunch]]] = {
    "tsb-ad-m": lambda folder: load_tsb_ad(folder / "TSB-AD-M"),
    "telemanom": lambda folder: load_smap_msl(folder / "telemanom"),
    "skab": lambda folder: load_skab(folder / "SKAB"),
    "nab": lambda folder: load_nab(folder / "NAB"),
    "tsb-ad-u": _univariate,
}
SHIPPED_GROUP = "telemetry"
GROUP_NAMES = ("tsb-ad-m", "telemanom", "skab", SHIPPED_GROUP, "nab", "tsb-ad-u")


def check_series(series: Bunch) -> None:
    """Raise ValueError where a series cannot be measured: it must hold both labels and rows to fit on.

    No method is given the borders between recordings (``groups``), since most have no parameter for them.
    """
    name = series.name
    if series.target is None or set(np.unique(series.target)) != {0, 1}:
        raise ValueError(f"Series {name!r} must have rows labelled 0 and rows labelled 1.")
    if not 0 < (series.train_size or 0) <= len(series.data):
        raise ValueError(f"Series {name!r} has {len(series.data)} rows but train_size {series.train_size}.")


def load_groups(names: Iterable[str], folder: str | Path | None = None) -> dict[str, list[Bunch]]:
    """Load development groups.

    Parameters
    ----------
    names : iterable of str
        Of ``GROUP_NAMES``.
    folder : path or None, default=None
        See :func:`data_folder`.

    Returns
    -------
    dict
        Group name to list of Bunch, in the order asked for.
    """
    groups: dict[str, list[Bunch]] = {}
    for name in names:
        if name == SHIPPED_GROUP:
            groups[name] = [load_host_telemetry()]
        elif name in FOLDER_GROUPS:
            groups[name] = list(FOLDER_GROUPS[name](data_folder(folder)))
        else:
            raise ValueError(f"Unknown group {name!r}; choose from {', '.join(GROUP_NAMES)}.")
        for series in groups[name]:
            check_series(series)
    return groups
