"""Loader of SMAP and MSL: telemetry of two spacecraft, published with telemanom."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from timesad.datasets._series import existing_folder, select_series, series_bunch
from timesad.datasets._tables import iterate_rows

EXPECTED = "telemanom's labeled_anomalies.csv and, in it or in data/, the folders train/ and test/ with ID.npy"
ID_COLUMN, SPACECRAFT_COLUMN, ANOMALIES_COLUMN = "chan_id", "spacecraft", "anomaly_sequences"
DESCRIPTION = """\
{name}, a telemetry channel of the {spacecraft} spacecraft, with one-hot commands beside it.

Source: https://github.com/khundman/telemanom, public data of NASA/JPL.
Fitting: the first {train_size} rows, the file train/{name}.npy. The rows after them are test/{name}.npy. The two are
separate recordings, numbered in `groups`. Some labels are imprecise.
Reference: Hundman et al., "Detecting Spacecraft Anomalies Using LSTMs and Nonparametric Dynamic Thresholding",
KDD 2018.
"""


@dataclass
class Channel:
    """Labels of one channel.

    Parameters
    ----------
    spacecraft : str
        Spacecraft, "SMAP" or "MSL".
    anomalies : list of list of int
        First and last row of each anomaly in the test recording, both included.
    """

    spacecraft: str
    anomalies: list[list[int]] = field(default_factory=list)


def load_smap_msl(folder: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> list[Bunch]:
    r"""Load telemetry channels of the spacecraft SMAP and MSL (Curiosity).

    Parameters
    ----------
    folder : str or path-like
        A copy of telemanom's repository with its data: ``labeled_anomalies.csv``, and the folders
        ``train/`` and ``test/`` (in it or in ``data/``) with files such as ``P-1.npy``.
    names : sequence of str, default=None
        Channels to load, in this order, for example ``["P-1", "M-3"]``. None loads all channels
        with labels, sorted by name.

    Returns
    -------
    list of Bunch
        With the keys of :mod:`timesad.datasets`. `data` is the training recording followed by the
        test recording. `train_size` is the length of the training recording; `groups` is 0 in the
        training rows and 1 in the test rows. Channel 0 is the telemetry, the others are commands.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist, or if a file is missing in it.
    TypeError
        If `names` is a string.
    ValueError
        If a name has no labels, or if a file is malformed (the message names the file).

    References
    ----------
    Hundman et al., "Detecting Spacecraft Anomalies Using LSTMs and Nonparametric Dynamic
    Thresholding", KDD 2018.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from timesad.datasets import load_smap_msl
    >>> labels = 'chan_id,spacecraft,anomaly_sequences,class,num_values\nP-1,SMAP,"[[2, 3]]",[point],5\n'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for part in ("train", "test"):
    ...         Path(folder, part).mkdir()
    ...         np.save(Path(folder, part, "P-1.npy"), np.ones((5, 2)))
    ...     _ = Path(folder, "labeled_anomalies.csv").write_text(labels)
    ...     (power,) = load_smap_msl(folder)
    >>> power.train_size, power.target.tolist()
    (5, [0, 0, 0, 0, 0, 0, 0, 1, 1, 0])
    """
    directory = existing_folder(folder, EXPECTED)
    channels = _read_labels(directory / "labeled_anomalies.csv")
    recordings = directory / "data" if (directory / "data" / "train").is_dir() else directory
    bunches = []
    for name, channel in select_series(channels, names, directory, EXPECTED):
        train = _read_recording(recordings / "train" / f"{name}.npy")
        test = _read_recording(recordings / "test" / f"{name}.npy")
        if train.shape[1] != test.shape[1]:
            raise ValueError(
                f"{recordings / 'test' / name}.npy has {test.shape[1]} channels, but the one in train/ has "
                f"{train.shape[1]}."
            )
        lengths = (len(train), len(test))
        target = np.concatenate([np.zeros(len(train), dtype=np.int64), _labels(channel, len(test), directory, name)])
        bunches.append(
            series_bunch(
                name=name,
                data=np.concatenate([train, test]),
                target=target,
                feature_names=["telemetry", *(f"command_{number}" for number in range(1, train.shape[1]))],
                train_size=len(train),
                groups=np.repeat(np.arange(len(lengths)), lengths),
                description=DESCRIPTION.format(name=name, spacecraft=channel.spacecraft, train_size=len(train)),
            )
        )
    return bunches


def _read_labels(path: Path) -> dict[str, Channel]:
    rows = iterate_rows(path, ",")
    header = next(rows, None)
    columns = (ID_COLUMN, SPACECRAFT_COLUMN, ANOMALIES_COLUMN)
    if header is None or not set(columns) <= set(header.cells):
        raise ValueError(f"{path} must begin with a line of column names, among them {', '.join(columns)}.")
    channels: dict[str, Channel] = {}
    for row in rows:
        cells = dict(zip(header.cells, row.cells, strict=False))
        try:
            name, spacecraft = cells[ID_COLUMN], cells[SPACECRAFT_COLUMN]
            anomalies = [[int(first), int(last)] for first, last in json.loads(cells[ANOMALIES_COLUMN])]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: line {row.line} must hold a channel, a spacecraft and anomalies such as [[2149, 2349]], "
                f"got {row.cells} ({error})."
            ) from error
        # telemanom lists one channel in two lines; both apply.
        channels.setdefault(name, Channel(spacecraft)).anomalies.extend(anomalies)
    return channels


def _read_recording(path: Path) -> NDArray[np.float64]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, but labeled_anomalies.csv lists its channel.")
    try:
        recording = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (EOFError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a NumPy file of numbers: {error}.") from error
    if recording.ndim != 2 or not recording.size:
        raise ValueError(f"{path} must have the shape (rows, channels), got {recording.shape}.")
    wrong = np.argwhere(~np.isfinite(recording))
    if wrong.size:
        row, column = wrong[0]
        raise ValueError(f"{path}: row {row}, channel {column} is {recording[row, column]}, expected a finite number.")
    return recording


def _labels(channel: Channel, n_rows: int, directory: Path, name: str) -> NDArray[np.int64]:
    target = np.zeros(n_rows, dtype=np.int64)
    for first, last in channel.anomalies:
        # Older copies of the file have ends after the last row. A start after the last row means a wrong file.
        if not 0 <= first <= last or first >= n_rows:
            raise ValueError(
                f"{directory / 'labeled_anomalies.csv'} puts an anomaly of {name} at the test rows {first} to {last}, "
                f"but test/{name}.npy has {n_rows} rows."
            )
        target[first : last + 1] = 1
    return target
