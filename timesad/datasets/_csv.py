"""Loader of CSV files."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, time
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch
from sklearn.utils.validation import check_scalar

from timesad.datasets._series import series_bunch, series_name
from timesad.datasets._tables import (
    Table,
    column_of,
    is_number,
    iterate_rows,
    labels_of,
    parse_header,
    read_table,
    without_columns,
)

DELIMITERS = (",", ";", "\t")
DEFAULT_LABEL = "label"
TIME_NAMES = frozenset(
    {"date", "date_time", "datetime", "index", "seconds", "time", "time_stamp", "timestamp", "unnamed: 0"}
)
# Tried on one cell only, to distinguish a date from other text, so the order of day and month does not matter.
DATE_FORMATS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d")


def load_csv(
    path: str | os.PathLike[str], *, train_size: int | None = None, label: str | None = DEFAULT_LABEL
) -> Bunch:
    r"""Load a series from a CSV file: a header line, then one line per timestamp, oldest first.

    The delimiter is the one of comma, semicolon and tab that splits the header into most columns.

    A time column is not part of the data. A column is a time column in two cases:

    - its name is time, date, datetime, timestamp, seconds or index (in any case), and it holds text
      or non-decreasing numbers;
    - it is the first column, and its first cell is a date or a time of day.

    The other columns, except the labels, are the channels.

    Parameters
    ----------
    path : str or path-like
        The file, in UTF-8. A file named ``.gz`` is decompressed by gzip.
    train_size : int, default=None
        Number of first rows for fitting. None sets ``train_size`` of the result to None, and
        ``data[:train_size]`` is every row.
    label : str, default="label"
        Name, in any case, of the column that is 1 in anomalous rows and 0 elsewhere. It becomes
        ``target`` and is not part of the data. If the file has no column of the default name,
        ``target`` is None; a column of another name must exist. None reads no labels.

    Returns
    -------
    Bunch
        With the keys of :mod:`timesad.datasets`, and ``timestamps``: the time column as written,
        shape (n_timestamps,), or None. Numbers are float64, text is str; several text columns are
        joined by blanks.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    TypeError
        If `train_size` is not an integer.
    ValueError
        If the file is empty, is damaged or has no header or no channel; if a cell is missing or not
        a number (the message names row and column); if labels are not 0 and 1; or if `train_size`
        is not between 1 and the number of rows.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from timesad.datasets import load_csv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "pump.csv")
    ...     _ = path.write_text("time,flow,pressure,label\n0,1.0,5.1,0\n1,1.1,5.0,0\n2,9.0,5.2,1\n")
    ...     pump = load_csv(path, train_size=2)
    >>> pump.data.shape, pump.feature_names
    ((3, 2), ['flow', 'pressure'])
    >>> pump.target.tolist(), pump.timestamps.tolist()
    ([0, 0, 1], [0.0, 1.0, 2.0])
    """
    path = Path(path)
    if train_size is not None:
        check_scalar(train_size, "train_size", numbers.Integral)
    delimiter = _sniff_delimiter(path)
    table = read_table(path, delimiter=delimiter, text_columns=_find_text_columns(path, delimiter))
    label_column = _find_label_column(table, label)
    target = None if label_column is None else labels_of(table, label_column)
    time_columns = _find_time_columns(table)
    timestamps = _timestamps(table, time_columns)
    table = without_columns(table, time_columns if label_column is None else [*time_columns, label_column])
    n_rows, n_channels = table.values.shape
    bunch = series_bunch(
        name=series_name(path, ".csv"),
        data=table.values,
        target=target,
        feature_names=table.columns,
        train_size=None if train_size is None else int(train_size),
        description=f"{path.name}: {n_rows} rows of {n_channels} channels, read by timesad.datasets.load_csv.",
    )
    bunch.timestamps = timestamps
    return bunch


def _sniff_delimiter(path: Path) -> str:
    def n_columns(delimiter: str) -> int:
        first = next(iterate_rows(path, delimiter), None)
        return 0 if first is None else len(first.cells)

    return max(DELIMITERS, key=n_columns)


def _find_text_columns(path: Path, delimiter: str) -> list[str]:
    """Time columns whose first cell is not a number."""
    rows = list(islice(iterate_rows(path, delimiter), 2))
    if len(rows) < 2:
        return []  # read_table raises the error
    header, cells = parse_header(path, rows[0].cells), rows[1].cells
    named = [
        name
        for name, cell in zip(header, cells, strict=False)
        if name.lower() in TIME_NAMES and cell.strip() and not is_number(cell)
    ]
    return named or ([header[0]] if _is_moment(cells[0]) else [])


def _is_moment(cell: str) -> bool:
    text = cell.strip().removesuffix("Z")
    if is_number(text):
        return False
    readers: tuple[Callable[[str], object], ...] = (datetime.fromisoformat, time.fromisoformat, _parse_date)
    for reader in readers:
        with suppress(ValueError):
            reader(text)
            return True
    return False


def _parse_date(text: str) -> datetime:
    date = text.partition(" ")[0]
    for date_format in DATE_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(date, date_format)
    raise ValueError(f"{text!r} begins with no date")


def _find_label_column(table: Table, label: str | None) -> str | None:
    if label is None:
        return None
    found = next((name for name in table.columns if name.casefold() == label.casefold()), None)
    if found is None and label != DEFAULT_LABEL:
        raise ValueError(
            f"label={label!r}, but {table.path} has no such numeric column. It has: {', '.join(table.columns)}."
        )
    return found


def _find_time_columns(table: Table) -> list[str]:
    """Numeric time columns: by name, with non-decreasing numbers that are not constant."""
    found = []
    for name in table.columns:
        if name.lower() in TIME_NAMES:
            values = column_of(table, name)
            if (np.diff(values) >= 0).all() and (values[0] < values[-1] or len(values) == 1):
                found.append(name)
    return found


def _timestamps(table: Table, time_columns: list[str]) -> NDArray[np.float64] | NDArray[np.str_] | None:
    if table.texts:
        return np.array([" ".join(cells) for cells in zip(*table.texts.values(), strict=True)])
    return column_of(table, time_columns[0]).copy() if time_columns else None
