"""Loader of NAB: univariate series of servers, traffic, tweets and advertisements."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from timesad.datasets._series import existing_folder, files_by_name, select_series, series_bunch
from timesad.datasets._tables import column_of, read_table, timestamps_of

EXPECTED = "NAB's folders data/ (CATEGORY/NAME.csv) and labels/ (combined_windows.json)"
TIME_COLUMN, VALUE_COLUMN = "timestamp", "value"
PROBATION_FRACTION = 0.15  # of the rows
PROBATION_ROWS = 5000  # rows of a series that the fraction is applied to, at most
DESCRIPTION = """\
{name}, a series of the Numenta Anomaly Benchmark (NAB).

Source: https://github.com/numenta/NAB, MIT licence (AGPL-3.0 in older releases).
Labels: a row is anomalous inside the windows of labels/combined_windows.json, both ends included. NAB's windows are
wide by design: together they cover a tenth of the series, and many of their rows are normal.
Fitting: the first {train_size} rows, NAB's probationary period (15 % of the rows, of 5000 rows at most).
Reference: Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark",
ICMLA 2015.
"""


def load_nab(folder: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> list[Bunch]:
    r"""Load series of the Numenta Anomaly Benchmark (NAB).

    Parameters
    ----------
    folder : str or path-like
        A copy of NAB's repository, with ``labels/combined_windows.json`` and series such as
        ``data/realTweets/Twitter_volume_AAPL.csv``.
    names : sequence of str, default=None
        Series to load, in this order, for example ``["realTweets/Twitter_volume_AAPL"]``. None
        loads all, sorted by name.

    Returns
    -------
    list of Bunch
        With the keys of :mod:`timesad.datasets`, and ``timestamps`` (datetime64) of shape
        (n_timestamps,). `target` is 1 inside NAB's combined windows, both ends included.
        `train_size` is NAB's probationary period: 15 % of the rows, at most 750 rows.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or has no series or no file of windows.
    TypeError
        If `names` is a string.
    ValueError
        If a name is not in the folder, or if a file is malformed or missing in the file of windows
        (the message names the file).

    References
    ----------
    Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly
    Benchmark", ICMLA 2015.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from timesad.datasets import load_nab
    >>> lines = ["timestamp,value"] + [f"2014-02-14 14:{minute}:00,{minute % 3}" for minute in range(10, 50)]
    >>> windows = {"demo/load.csv": [["2014-02-14 14:40:00.000000", "2014-02-14 14:42:00.000000"]]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "data", "demo").mkdir(parents=True)
    ...     Path(folder, "labels").mkdir()
    ...     _ = Path(folder, "data", "demo", "load.csv").write_text("\n".join(lines))
    ...     _ = Path(folder, "labels", "combined_windows.json").write_text(json.dumps(windows))
    ...     (load,) = load_nab(folder)
    >>> load.name, load.train_size, load.target.nonzero()[0].tolist()
    ('demo/load', 6, [30, 31, 32])
    """
    directory = existing_folder(folder, EXPECTED)
    files = {
        f"{category.name}/{name}": path
        for category in sorted(directory.glob("data/*/"))
        for name, path in files_by_name([*category.glob("*.csv"), *category.glob("*.csv.gz")], ".csv").items()
    }
    selected = select_series(files, names, directory, EXPECTED)
    windows_path = directory / "labels" / "combined_windows.json"
    windows = _read_windows(windows_path)
    bunches = []
    for name, path in selected:
        table = read_table(path, text_columns=[TIME_COLUMN])
        values, timestamps = column_of(table, VALUE_COLUMN), timestamps_of(table, TIME_COLUMN)
        key = f"{name}.csv"
        if key not in windows:
            raise ValueError(f"{windows_path} has no entry {key!r}, which {path} needs.")
        train_size = int(PROBATION_FRACTION * min(len(values), PROBATION_ROWS))
        bunch = series_bunch(
            name=name,
            data=values[:, None],
            target=_inside(windows_path, key, windows[key], timestamps),
            feature_names=[VALUE_COLUMN],
            train_size=train_size,
            description=DESCRIPTION.format(name=name, train_size=train_size),
        )
        bunch.timestamps = timestamps
        bunches.append(bunch)
    return bunches


def _read_windows(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Expected NAB's windows of anomalies, by file.")
    try:
        windows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(windows, dict):
        raise ValueError(f"{path} must map file names to windows, got a {type(windows).__name__}.")
    return windows


def _inside(path: Path, key: str, windows: Any, timestamps: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Labels: 1 in the rows of any window, both ends included."""
    try:
        ends = np.array(windows, dtype="datetime64[us]").reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: entry {key!r} must be a list of [first, last] timestamps: {error}.") from error
    target = np.zeros(len(timestamps), dtype=np.int64)
    for first, last in ends:
        target[(timestamps >= first) & (timestamps <= last)] = 1
    return target
