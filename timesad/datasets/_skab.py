"""Loader of SKAB: experiments on a water-circulation testbed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sklearn.utils import Bunch

from timesad.datasets._series import existing_folder, files_by_name, select_series, series_bunch
from timesad.datasets._tables import labels_of, read_table, timestamps_of, without_columns

EXPECTED = "SKAB's folder data/ with EXPERIMENT/NUMBER.csv in it"
ANOMALY_FREE = "anomaly-free"
TIME_COLUMN, LABEL_COLUMN, CHANGE_COLUMN = "datetime", "anomaly", "changepoint"
TRAIN_SIZE = 400  # rows
DESCRIPTION = """\
{name}, an experiment of the Skoltech Anomaly Benchmark (SKAB): a pump, a tank and two valves, eight sensors, one row
a second, one fault.

Source: https://github.com/waico/SKAB, GPL-3.0.
Fitting: the first {train_size} rows of the same file, as in SKAB's notebooks. SKAB's separate recording of normal
operation (anomaly-free.csv) is not used: it was made weeks earlier at another operating point.
Reference: Katser and Kozitsin, "Skoltech Anomaly Benchmark (SKAB)", Kaggle, 2020, doi:10.34740/KAGGLE/DSV/1693952.
"""


def load_skab(folder: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> list[Bunch]:
    r"""Load experiments of the Skoltech Anomaly Benchmark (SKAB).

    Parameters
    ----------
    folder : str or path-like
        A copy of SKAB's repository, with experiments such as ``data/valve1/0.csv``.
    names : sequence of str, default=None
        Experiments to load, in this order, for example ``["valve1/0", "other/11"]``. None loads
        all, sorted by name.

    Returns
    -------
    list of Bunch
        With the keys of :mod:`timesad.datasets`, and ``timestamps`` (datetime64) and
        ``changepoint`` (int, 1 where SKAB marks a change of state), each of shape (n_timestamps,).
        `train_size` is 400, as in SKAB's notebooks. The separate recording of normal operation is
        not included; :func:`~timesad.datasets.load_csv` reads it, and labelled files with
        ``label="anomaly"``.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or has no experiments.
    TypeError
        If `names` is a string.
    ValueError
        If a name is not in the folder, or if a file is malformed (the message names the file).

    References
    ----------
    Katser and Kozitsin, "Skoltech Anomaly Benchmark (SKAB)", Kaggle, 2020,
    doi:10.34740/KAGGLE/DSV/1693952.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from timesad.datasets import load_skab
    >>> lines = ["datetime;Pressure;anomaly;changepoint"]
    >>> lines += [f"2020-03-09 10:{row // 60:02}:{row % 60:02};0.1;{int(row > 450)};0" for row in range(500)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "data", "valve1").mkdir(parents=True)
    ...     _ = Path(folder, "data", "valve1", "0.csv").write_text("\n".join(lines))
    ...     (valve,) = load_skab(folder)
    >>> valve.name, valve.train_size, valve.feature_names, int(valve.target.sum())
    ('valve1/0', 400, ['Pressure'], 49)
    """
    directory = existing_folder(folder, EXPECTED) / "data"
    files = {
        f"{experiment.name}/{number}": path
        for experiment in sorted(directory.glob("*/"))
        if experiment.name != ANOMALY_FREE
        for number, path in files_by_name([*experiment.glob("*.csv"), *experiment.glob("*.csv.gz")], ".csv").items()
    }
    bunches = []
    for name, path in select_series(files, names, directory.parent, EXPECTED):
        table = read_table(path, delimiter=";", text_columns=[TIME_COLUMN])
        channels = without_columns(table, [LABEL_COLUMN, CHANGE_COLUMN])
        bunch = series_bunch(
            name=name,
            data=channels.values,
            target=labels_of(table, LABEL_COLUMN),
            feature_names=channels.columns,
            train_size=TRAIN_SIZE,
            description=DESCRIPTION.format(name=name, train_size=TRAIN_SIZE),
        )
        bunch.timestamps = timestamps_of(table, TIME_COLUMN)
        bunch.changepoint = labels_of(table, CHANGE_COLUMN)
        bunches.append(bunch)
    return bunches
