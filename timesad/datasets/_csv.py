"""Loader of CSV files."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, time
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch
from sklearn.utils.validation import check_scalar

from timesad._input import GAP_STEPS, long_steps
from timesad.datasets._series import series_bunch, series_name
from timesad.datasets._tables import (
    Table,
    column_of,
    first_character,
    is_number,
    iterate_rows,
    labels_of,
    parse_header,
    read_table,
    without_columns,
)
from timesad.exceptions import TimeGapWarning, warn

DELIMITERS = (",", ";", "\t")
OTHER_TYPES = {"{": "JSON", "[": "JSON", "<": "HTML or XML"}  # by the first character of a file
AUTO = "auto"
LABEL_NAMES = frozenset(
    {
        "anomalies",
        "anomaly",
        "attack",
        "changepoint",
        "fault",
        "ground_truth",
        "is_anomaly",
        "is_attack",
        "is_fault",
        "is_outlier",
        "label",
        "labels",
        "outlier",
        "target",
    }
)
# These names have no other meaning. A column with another name of the list may be a measurement, such as a target.
SURE_LABEL_NAMES = frozenset({"anomaly", "is_anomaly", "label", "labels"})
INDEX_NAMES = frozenset({"index", "unnamed: 0"})
TIME_NAMES = INDEX_NAMES | {"date", "date_time", "datetime", "seconds", "time", "time_stamp", "timestamp"}
# The order of day and month may be either: `_parse_times` tries both.
DATE_FORMATS = (
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%Y/%m/%d",
    "%Y-%m-%d",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%b-%y",
)
CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")

# Times of each row by the names of their columns: numbers as in the file, or integers for dates.
Times = dict[tuple[str, ...], NDArray[np.float64] | NDArray[np.int64]]


def load_csv(path: str | os.PathLike[str], *, train_size: int | None = None, label: str | None = AUTO) -> Bunch:
    r"""Load a series from a CSV file: a header line, then one line per timestamp, oldest first.

    The delimiter is the one of comma, semicolon and tab that splits the header into most columns.

    A time column is not part of the data. A column is a time column in two cases:

    - its name is time, date, datetime, date_time, timestamp, time_stamp, seconds or index (in any case);
    - it is the first column, and its first cell is a date or a time of day.

    Times must increase from row to row. With several time columns, the next one decides where one
    repeats. Three kinds of times are not checked:

    - an index beside another time column;
    - times of day without a date, which start again at midnight;
    - text in which a cell is neither a date in ISO 8601 nor in the format of the first cell, such as
      22.11.2026 14:13. If day and month may have either order, the one with increasing times is used.

    Columns of labels are not part of the data either, so that no detector can read labels. Two kinds of
    columns are never channels:

    - columns named label, labels, anomaly or is_anomaly (in any case);
    - columns named anomalies, attack, changepoint, fault, ground_truth, is_attack, is_fault,
      is_outlier, outlier or target (in any case) that hold only 0 and 1.

    Rename such a column if it is a channel. The other columns are the channels.

    Parameters
    ----------
    path : str or path-like
        The file, in UTF-8. A file named ``.gz`` is decompressed by gzip.
    train_size : int, default=None
        Number of first rows for fitting. None sets ``train_size`` of the result to None, and
        ``data[:train_size]`` is every row.
    label : str, default="auto"
        Name, in any case, of the column that is 1 in anomalous rows and 0 elsewhere. It becomes
        ``target``. "auto" takes the only column of labels, as described above; without one,
        ``target`` is None. None reads no labels. Other columns of labels are left out.

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
        If `train_size` is not an integer, or `label` is neither a string nor None.
    ValueError
        If the file is empty, is damaged, is not CSV, or has no header or no channel; if a cell is
        missing, is not a number or holds a control character (the message names row and column); if
        times do not increase; if labels are not 0 and 1; if the column of labels is missing or
        ambiguous; or if `train_size` is not between 1 and the number of rows.

    Warns
    -----
    TimeGapWarning
        If a step in time is longer than 1.5 median steps.

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
    if label is not None and not isinstance(label, str):
        raise TypeError(f'label is {label!r}; expected the name of a column (a string), "auto" or None.')
    table = _read(path)
    label_columns = _find_label_columns(table)
    label_column = _choose_label_column(table, label, label_columns)
    target = None if label_column is None else labels_of(table, label_column)
    left_out = [*label_columns, *([] if label_column is None else [label_column])]
    time_columns = _find_time_columns(table, left_out)
    _check_times(table, _readable_times(table, time_columns))
    timestamps = _timestamps(table, time_columns)
    table = without_columns(table, [*left_out, *time_columns])
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


def _read(path: Path) -> Table:
    try:
        delimiter = _sniff_delimiter(path)
        return read_table(path, delimiter=delimiter, text_columns=_find_text_columns(path, delimiter))
    except ValueError as error:
        # Only now: the names of a valid CSV may be in brackets, such as <DATE>.
        first = first_character(path)
        if first not in OTHER_TYPES:
            raise
        raise ValueError(
            f"{path} does not look like CSV: it begins with {first!r}, as {OTHER_TYPES[first]} does. Expected a line "
            f"with column names and a line of numbers for every row. Read as CSV: {error}"
        ) from error


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


def _find_label_columns(table: Table) -> list[str]:
    """Columns that hold labels by their name and, where the name may mean something else, by their values."""

    def is_binary(name: str) -> bool:
        values = column_of(table, name)
        return bool(((values == 0) | (values == 1)).all())

    named = [name for name in table.columns if name.casefold() in LABEL_NAMES]
    return [name for name in named if name.casefold() in SURE_LABEL_NAMES or is_binary(name)]


def _choose_label_column(table: Table, label: str | None, label_columns: Sequence[str]) -> str | None:
    if label is None:
        return None
    if label != AUTO:
        return _column_named(table, label)
    for name in label_columns:  # a column with a sure name may hold other values
        try:
            labels_of(table, name)
        except ValueError as error:
            raise ValueError(f"{error} Pass label=None, or the name of the column of labels.") from None
    if len(label_columns) > 1:
        raise ValueError(
            f"{table.path} has {len(label_columns)} columns of labels: {_quoted(label_columns)}. "
            "Pass label=<name> with one of them (rename it first if two names differ in case only), or label=None."
        )
    return label_columns[0] if label_columns else None


def _column_named(table: Table, label: str) -> str:
    found = [name for name in table.columns if name.casefold() == label.casefold()]
    if not found:
        raise ValueError(
            f"label={label!r}, but {table.path} has no such numeric column. It has: {', '.join(table.columns)}."
        )
    if len(found) > 1:
        raise ValueError(
            f"label={label!r}, but {table.path} has {len(found)} columns of this name: {_quoted(found)}. "
            "Case is ignored. Rename one of them."
        )
    return found[0]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _find_time_columns(table: Table, left_out: Sequence[str]) -> list[str]:
    """Numeric time columns, an index last: it may count the rows in another order."""
    found = [name for name in table.columns if name.lower() in TIME_NAMES and name not in left_out]
    return sorted(found, key=_is_index)


def _is_index(name: str) -> bool:
    return name.lower() in INDEX_NAMES


def _timestamps(table: Table, time_columns: Sequence[str]) -> NDArray[np.float64] | NDArray[np.str_] | None:
    if table.texts:
        return np.array([" ".join(cells) for cells in zip(*table.texts.values(), strict=True)])
    return column_of(table, time_columns[0]).copy() if time_columns else None


def _readable_times(table: Table, time_columns: Sequence[str]) -> Times:
    """Times that can be compared, text columns first. Empty if a text column cannot be read."""
    times = _parse_texts(table.texts)
    if table.texts and not times:
        return {}
    has_other = bool(times) or not all(map(_is_index, time_columns))
    for name in time_columns:
        if not (has_other and _is_index(name)):
            times[name,] = column_of(table, name)
    return times


def _parse_texts(texts: Mapping[str, Sequence[str]]) -> Times:
    """Times of the joined text columns, or else of each. Empty if a cell is not a date."""
    for groups in ([tuple(texts)], [(name,) for name in texts]):
        times: Times = {}
        for names in groups:
            cells = zip(*(texts[name] for name in names), strict=True)
            moments = _parse_times([" ".join(map(str.strip, row)) for row in cells])
            if moments is not None:
                times[names] = moments
        if len(times) == len(groups):
            return times
    return {}


def _parse_times(cells: Sequence[str]) -> NDArray[np.int64] | None:
    """Ticks of dates in ISO 8601 or in the format of the first cell. None if a cell has no date or another format."""
    if not cells:
        return None
    moments = _parse_format(cells, "ISO8601")
    if moments is not None:
        return moments
    formats = [date + clock for date in DATE_FORMATS for clock in CLOCK_FORMATS if _has_format(cells[0], date + clock)]
    readings = [moments for text_format in formats if (moments := _parse_format(cells, text_format)) is not None]
    # 01/02 and 02/02 are two days or two months: the reading with the fewest faults is right.
    return min(
        readings, key=lambda moments: (len(_rows_not_later([moments])), len(_rows_after_gaps(moments))), default=None
    )


def _has_format(cell: str, text_format: str) -> bool:
    with suppress(ValueError):
        datetime.strptime(cell, text_format)
        return True
    return False


def _parse_format(cells: Sequence[str], text_format: str) -> NDArray[np.int64] | None:
    # In UTC, clocks that change between summer and winter time stay in order if the file has their offsets.
    moments = pd.to_datetime(cells, format=text_format, errors="coerce", utc=True)
    return None if moments.hasnans else np.asarray(moments.asi8)


def _check_times(table: Table, times: Times) -> None:
    """Raise an error if times do not increase, and warn about gaps."""
    if not times:
        return
    columns = [name for names in times for name in names]
    where = f"{table.path}: column{'s' * (len(columns) > 1)} {_quoted(columns)}"

    def step(row: int) -> str:
        before, after = (" ".join(_written(table, name, index) for name in columns) for index in (row - 1, row))
        return f"{table.where(row)}: {after} follows {before}"

    wrong = _rows_not_later(list(times.values()))
    if wrong.size:
        raise ValueError(
            f"{where}, {step(wrong[0])}, but times must increase from row to row. Sort the rows by time and drop "
            "repeated ones. If the file holds several series, split it into one file per series. If the column is a "
            "channel, give it another name."
        )
    gaps = _rows_after_gaps(next(iter(times.values())))
    if gaps.size:
        warn(
            f"{where}: {gaps.size} gap{'s' * (gaps.size > 1)} (steps of more than {GAP_STEPS} median steps), the first "
            f"at {step(gaps[0])}. A window must not cross a gap: fill it with rows, or treat the parts as separate "
            "series (groups).",
            TimeGapWarning,
        )


def _written(table: Table, name: str, row: int) -> str:
    if name in table.texts:
        return table.texts[name][row].strip()
    return repr(float(column_of(table, name)[row])).removesuffix(".0")


def _rows_not_later(times: Sequence[NDArray[np.float64] | NDArray[np.int64]]) -> NDArray[np.intp]:
    """Rows that are not later than the row before. Equal times are compared in the next array."""
    n_steps = len(times[0]) - 1
    later, equal = np.zeros(n_steps, dtype=bool), np.ones(n_steps, dtype=bool)
    for values in times:
        later |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    return np.flatnonzero(~later) + 1


def _rows_after_gaps(times: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.intp]:
    """Rows after a gap. None if times repeat: then the median step may be zero."""
    with np.errstate(over="ignore"):
        steps = np.diff(times.astype(np.float64))
        if not len(steps) or not (steps > 0).all():
            return np.empty(0, dtype=np.intp)
        return long_steps(steps) + 1
