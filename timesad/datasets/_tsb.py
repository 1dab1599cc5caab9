"""Loaders of TSB-AD and TSB-UAD: one file per series, labels in the last column."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from sklearn.utils import Bunch

from timesad.datasets._series import existing_folder, files_by_name, select_series, series_bunch
from timesad.datasets._tables import labels_of, read_table, without_columns

TSB_AD_NAME = re.compile(r"(?P<index>\d+)_(?P<dataset>.+)_id_(?P<id>\d+)_(?P<domain>.+)_tr_(?P<train>\d+)_1st_\d+")
TSB_AD_EXPECTED = "TSB-AD's files INDEX_DATASET_id_ID_DOMAIN_tr_N_1st_M.csv, plain or with .gz"
TSB_AD_DESCRIPTION = """\
{name}, a series of the benchmark TSB-AD.

Source: https://github.com/TheDatumOrg/TSB-AD (domain {domain}, from {dataset}). The curation is under Apache-2.0;
values keep the licence of the dataset they come from.
Fitting: the first {train_size} rows, from the file name.
Reference: Liu and Paparrizos, "The Elephant in the Room: Towards A Reliable Time-Series Anomaly Detection Benchmark",
NeurIPS 2024.
"""

TSB_UAD_COLUMNS = ("value", "label")
TSB_UAD_EXPECTED = "TSB-UAD's files NAME.out with value,label lines, plain or with .gz"
TSB_UAD_TRAIN_FRACTION = 0.1  # of the rows
TSB_UAD_DESCRIPTION = """\
{name}, a univariate series of TSB-UAD.

Source: https://github.com/TheDatumOrg/TSB-UAD; values keep the licence of the dataset they come from.
Fitting: the first tenth of the rows, TSB-UAD's ratio for semi-supervised methods. It may contain anomalies.
Reference: Paparrizos et al., "TSB-UAD: An End-to-End Benchmark Suite for Univariate Time-Series Anomaly Detection",
PVLDB 15(8), 2022.
"""


def load_tsb_ad(folder: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> list[Bunch]:
    r"""Load series of TSB-AD, univariate (TSB-AD-U) or multivariate (TSB-AD-M).

    Parameters
    ----------
    folder : str or path-like
        Folder of files such as ``003_MSL_id_2_Sensor_tr_883_1st_1238.csv``, plain or
        gzip-compressed. Files with other names are ignored.
    names : sequence of str, default=None
        Series to load, in this order: file names without ``.csv``. None loads all, sorted by name.

    Returns
    -------
    list of Bunch
        With the keys of :mod:`timesad.datasets`; `train_size` is ``tr_N`` of the file name.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or has no such files.
    TypeError
        If `names` is a string.
    ValueError
        If a name is not in the folder, or if a file is malformed (the message names the file).

    References
    ----------
    Liu and Paparrizos, "The Elephant in the Room: Towards A Reliable Time-Series Anomaly Detection
    Benchmark", NeurIPS 2024.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from timesad.datasets import load_tsb_ad
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "001_Pump_id_1_Facility_tr_2_1st_2.csv")
    ...     _ = path.write_text("0,1,Label\n1.0,5.1,0\n1.1,5.0,0\n9.0,5.2,1\n")
    ...     (pump,) = load_tsb_ad(folder)
    >>> pump.name, pump.train_size, pump.target.tolist()
    ('001_Pump_id_1_Facility_tr_2_1st_2', 2, [0, 0, 1])
    """
    directory = existing_folder(folder, TSB_AD_EXPECTED)
    files = files_by_name([*directory.glob("*.csv"), *directory.glob("*.csv.gz")], ".csv")
    matches = {name: match for name in files if (match := TSB_AD_NAME.fullmatch(name))}
    bunches = []
    for name, match in select_series(matches, names, directory, TSB_AD_EXPECTED):
        table = read_table(files[name])
        train_size = int(match["train"])
        target = labels_of(table, "Label")
        channels = without_columns(table, ["Label"])
        description = TSB_AD_DESCRIPTION.format(
            name=name, domain=match["domain"], dataset=match["dataset"], train_size=train_size
        )
        bunches.append(
            series_bunch(
                name=name,
                data=channels.values,
                target=target,
                feature_names=channels.columns,
                train_size=train_size,
                description=description,
            )
        )
    return bunches


def load_tsb_uad(folder: str | os.PathLike[str], *, names: Sequence[str] | None = None) -> list[Bunch]:
    r"""Load univariate series of TSB-UAD, such as electrocardiograms.

    Parameters
    ----------
    folder : str or path-like
        Folder of files such as ``MBA_ECG805_data.out``, plain or gzip-compressed, with lines
        ``value,label`` and no header.
    names : sequence of str, default=None
        Series to load, in this order: file names without ``.out``. None loads all, sorted by name.

    Returns
    -------
    list of Bunch
        With the keys of :mod:`timesad.datasets`. `train_size` is a tenth of the rows, TSB-UAD's
        training ratio for semi-supervised methods; these rows may contain anomalies.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or has no such files.
    TypeError
        If `names` is a string.
    ValueError
        If a name is not in the folder, or if a file is malformed (the message names the file).

    References
    ----------
    Paparrizos et al., "TSB-UAD: An End-to-End Benchmark Suite for Univariate Time-Series Anomaly
    Detection", PVLDB 15(8), 2022.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from timesad.datasets import load_tsb_uad
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "pulse.out").write_text("0.1,0\n" * 19 + "7.0,1\n")
    ...     (pulse,) = load_tsb_uad(folder)
    >>> pulse.data.shape, pulse.train_size, int(pulse.target.sum())
    ((20, 1), 2, 1)
    """
    directory = existing_folder(folder, TSB_UAD_EXPECTED)
    files = files_by_name([*directory.glob("*.out"), *directory.glob("*.out.gz")], ".out")
    bunches = []
    for name, path in select_series(files, names, directory, TSB_UAD_EXPECTED):
        table = read_table(path, header=TSB_UAD_COLUMNS)
        target = labels_of(table, "label")
        channel = without_columns(table, ["label"])
        bunches.append(
            series_bunch(
                name=name,
                data=channel.values,
                target=target,
                feature_names=channel.columns,
                train_size=max(1, int(TSB_UAD_TRAIN_FRACTION * len(target))),
                description=TSB_UAD_DESCRIPTION.format(name=name),
            )
        )
    return bunches
