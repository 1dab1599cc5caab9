"""Loader of the UCR anomaly archive: one univariate series per file, train size and anomaly in the file name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from timesad.datasets._series import existing_folder, files_by_name, select_series, series_bunch

NAME = re.compile(r"(?P<id>\d+)_UCR_Anomaly_(?P<title>.+)_(?P<train>\d+)_(?P<first>\d+)_(?P<last>\d+)")
EXPECTED = "the archive's files ID_UCR_Anomaly_NAME_TRAIN_FIRST_LAST.txt"
DESCRIPTION = """\
{name}, a series of the UCR time series anomaly archive.

Source: https://www.cs.ucr.edu/~eamonn/time_series_data_2018/ (Hexagon ML / UCR, 2021), free for research.
Fitting: the first {train_size} rows, from the file name. The only anomaly covers the values number {first} to {last},
counted from 1, both included.
Reference: Wu and Keogh, "Current Time Series Anomaly Detection Benchmarks are Flawed and are Creating the Illusion of
Progress", IEEE TKDE 35(3), 2023.
"""


def load_ucr_anomaly(folder: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> list[Bunch]:
    r"""Load series of the UCR anomaly archive.

    Parameters
    ----------
    folder : str or path-like
        Folder of files such as ``135_UCR_Anomaly_InternalBleeding16_1200_4187_4199.txt`` (in the
        full download: ``FilesAreInHere/UCR_Anomaly_FullData``).
    names : sequence of str, default=None
        Series to load, in this order: file names without ``.txt``. None loads all, sorted by name.

    Returns
    -------
    list of Bunch
        With the keys of :mod:`timesad.datasets`. The last three numbers of a file name are
        `train_size` and the first and last anomalous value. The archive counts from 1, so
        ``4187_4199`` gives the anomalous rows 4186 to 4198.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or has no such files.
    TypeError
        If `names` is a string.
    ValueError
        If a name is not in the folder, if a file has anything but finite numbers, or if it is
        shorter than its name states (the message names the file).

    References
    ----------
    Wu and Keogh, "Current Time Series Anomaly Detection Benchmarks are Flawed and are Creating the
    Illusion of Progress", IEEE TKDE 35(3), 2023.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from timesad.datasets import load_ucr_anomaly
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "001_UCR_Anomaly_demo_3_5_6.txt").write_text("1\n2\n1\n2\n9\n9\n1\n")
    ...     (demo,) = load_ucr_anomaly(folder)
    >>> demo.train_size, demo.target.tolist()
    (3, [0, 0, 0, 0, 1, 1, 0])
    """
    directory = existing_folder(folder, EXPECTED)
    files = files_by_name(directory.glob("*_UCR_Anomaly_*.txt"), ".txt")
    matches = {name: match for name in files if (match := NAME.fullmatch(name))}
    bunches = []
    for name, match in select_series(matches, names, directory, EXPECTED):
        values = _read_values(files[name])
        train_size, first, last = int(match["train"]), int(match["first"]), int(match["last"])
        if not 1 <= first <= last <= len(values):
            raise ValueError(
                f"{files[name]} has {len(values)} values, but its name puts the anomaly at the values {first} to "
                f"{last}. The file is cut off or misnamed."
            )
        target = np.zeros(len(values), dtype=np.int64)
        target[first - 1 : last] = 1
        bunches.append(
            series_bunch(
                name=name,
                data=values[:, None],
                target=target,
                feature_names=["value"],
                train_size=train_size,
                description=DESCRIPTION.format(name=name, train_size=train_size, first=first, last=last),
            )
        )
    return bunches


def _read_values(path: Path) -> NDArray[np.float64]:
    """All numbers of a text file. Most files have one number per line, a few have all in one line."""
    try:
        values = np.array(path.read_text(encoding="ascii").split(), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path} must hold numbers separated by blanks or line ends: {error}.") from error
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise ValueError(f"{path}: value number {wrong[0] + 1} is {values[wrong[0]]}, expected a finite number.")
    return values
