"""Loader of CSV files."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, time
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch
from sklearn.utils.validation import check_scalar

from timesad._input import GAP_STEPS, long_steps
from timesad.datasets._series import series_bunch, series_name
from timesad.datasets._tables import (
    COMMA,
    NumberReader,
    Table,
    column_of,
    first_character,
    is_number,
    iterate_rows,
    labels_of,
    lines_of_first_row,
    number_of,
    parse_header,
    read_table,
    readable,
    sniff_delimiter,
    without_columns,
)
from timesad.exceptions import TimeGapWarning, warn

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
        "normal/attack",
        "outlier",
        "target",
    }
)
# These names have no other meaning. A column with another name of the list may be a measurement, such as a target.
SURE_LABEL_NAMES = frozenset({"anomaly", "is_anomaly", "label", "labels"})
INDEX_NAMES = frozenset({"index", "unnamed: 0"})
TIME_NAMES = INDEX_NAMES | {"date", "date_time", "datetime", "seconds", "time", "time_stamp", "timestamp"}
# Time columns if they begin with an epoch; with other numbers they are channels.
EPOCH_NAMES = frozenset({"epoch", "epoch_ms", "time_ms", "timestamp_ms", "ts", "unix", "unix_time", "unixtime"})
EPOCH_RANGE = (631_152_000, 4_102_444_800)  # seconds since 1970: the years 1990 to 2099
EPOCH_UNITS = (1, 10**3, 10**6, 10**9)  # per second; their ranges do not overlap
MICROSECONDS = 10**6  # per second
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
CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %H:%M:%S,%f", " %I:%M %p", " %I:%M:%S %p")

# Times of each row by the names of their columns: numbers as in the file, or dates, in UTC if they have offsets.
Times = dict[tuple[str, ...], NDArray[np.float64] | pd.DatetimeIndex]

# Whether a column is read as text, for labels: its name, and whether its first cell is text.
IsLabel = Callable[[str, bool], bool]


def load_csv(
    path: str | os.PathLike[str],
    *,
    train_size: int | None = None,
    label: str | None = AUTO,
    labels_path: str | os.PathLike[str] | None = None,
    allow_nan: bool = False,
) -> Bunch:
    r"""Load a series from a CSV file: a header line, then one line per timestamp, oldest first.

    The delimiter is the one of comma, semicolon and tab that splits the header into most columns.

    Between commas, numbers have a decimal point. Between semicolons or tabs, the first number with a point
    or a comma decides: this is the decimal mark of the whole file. The other mark, or a second one in a
    number, is an error. So 1,234 is never 1234: write numbers without thousands separators.

    A time column is not part of the data. A column is a time column in three cases:

    - its name is time, date, datetime, date_time, timestamp, time_stamp, seconds or index (in any case), or
      it is the first column and has no name;
    - it is the first column, and its first cell is a date or a time of day;
    - its name is epoch, epoch_ms, time_ms, timestamp_ms, ts, unix, unix_time or unixtime (in any case), and
      its first number is an epoch.

    An epoch is a number of seconds, milliseconds, microseconds or nanoseconds since 1970 that lies in the
    years 1990 to 2099.

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
      is_outlier, normal/attack, outlier or target (in any case) that hold only 0 and 1, or text.

    Rename such a column if it is a channel. The other columns are the channels.

    A label is a number or a word, in any case. Any other word is an error.

    - Normal rows: 0, no, n, false, f, normal, benign, nominal, ok.
    - Anomalous rows: 1, yes, y, true, t, anomaly, anomalous, abnormal, attack, fault, faulty, malicious,
      outlier.

    Parameters
    ----------
    path : str or path-like
        The file, in UTF-8. A file named ``.gz`` is decompressed by gzip.
    train_size : int, default=None
        Number of first rows for fitting. None sets ``train_size`` of the result to None, and
        ``data[:train_size]`` is every row.
    label : str, default="auto"
        Name, in any case, of the column of labels. It becomes ``target``. "auto" takes the only
        column of labels, as described above; without one, ``target`` is None. None reads no labels.
        Other columns of labels are left out.
    labels_path : str or path-like, default=None
        A second CSV file with the labels, one per row of the first file. `label` names its column;
        "auto" also takes the only column beside times, whatever its name. Where both files have a time
        column of one name, its cells must be equal. One column of 0 and 1 needs no header. Columns of
        labels in the first file are then left out.
    allow_nan : bool, default=False
        Whether cells of channels may be missing: blank, or nan, na, n/a, null or none in any case. They
        are NaN in ``data``.

    Returns
    -------
    Bunch
        With the keys of :mod:`timesad.datasets`, and

        timestamps : ndarray of shape (n_timestamps,), or None
            The time column as written. Numbers are float64, text is str; several text columns are
            joined by blanks.
        index : DatetimeIndex of length n_timestamps, or None
            The times, if the only time column, or several text columns joined, hold dates or epochs; an
            index beside them does not count. In UTC for epochs and for dates with an offset, else without
            a time zone.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    TypeError
        If `train_size` is not an integer, or `label` is neither a string nor None.
    ValueError
        If the file is empty, is damaged, is not CSV, or has no header or no channel; if a cell is
        missing, is not a number or holds a control character (the message names row and column); if
        times do not increase; if labels are neither 0 and 1 nor the words above; if the column of labels is
        missing or ambiguous; if the two files differ in their times or numbers of rows; or if
        `train_size` is not between 1 and the number of rows.

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
    ...     _ = path.write_text("timestamp;flow;state\n1700000000;1,5;Normal\n1700000001;9,5;Attack\n")
    ...     attacked = load_csv(path, label="state")
    >>> pump.data.shape, pump.feature_names
    ((3, 2), ['flow', 'pressure'])
    >>> pump.target.tolist(), pump.timestamps.tolist()
    ([0, 0, 1], [0.0, 1.0, 2.0])
    >>> attacked.data.tolist(), attacked.target.tolist(), str(attacked.index[0])
    ([[1.5], [9.5]], [0, 1], '2023-11-14 22:13:20+00:00')
    """
    path = Path(path)
    if train_size is not None:
        check_scalar(train_size, "train_size", numbers.Integral)
    if label is not None and not isinstance(label, str):
        raise TypeError(f'label is {label!r}; expected the name of a column (a string), "auto" or None.')
    if label is None and labels_path is not None:
        raise ValueError(f"label=None reads no labels, but labels_path is {str(labels_path)!r}. Pass one of them.")
    table = _read(path, lambda name, is_text: is_text and _may_be_label(name, label), allow_nan)
    label_columns = _find_label_columns(table)
    label_column = _choose_label_column(table, label if labels_path is None else None, label_columns)
    left_out = [name for name in (*table.columns, *table.texts) if name in label_columns or _is_named(name, label)]
    time_columns = _find_time_columns(table, left_out)
    dates = {name: cells for name, cells in _dates(table).items() if name not in left_out}
    times = _readable_times(table, dates, time_columns)
    _check_times(table, times)
    target = None if label_column is None else labels_of(table, label_column)
    if labels_path is not None:
        target = _labels_of_file(Path(labels_path), label, table)
    timestamps = _timestamps(dates, table, time_columns)
    index = _index(dates, times)
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
    bunch.timestamps, bunch.index = timestamps, index
    return bunch


def _read(path: Path, is_label: IsLabel, allow_nan: bool) -> Table:
    try:
        delimiter = sniff_delimiter(path)
        rows = list(islice(iterate_rows(path, delimiter), 2))
        texts = []
        if len(rows) == 2:  # else read_table raises the error
            header = parse_header(path, rows[0].cells, delimiter)
            texts = _text_columns(header, rows[1].cells, delimiter, is_label)
        return read_table(path, delimiter=delimiter, text_columns=texts, allow_nan=allow_nan)
    except ValueError as error:
        # Only now: the names of a valid CSV may be in brackets, such as <DATE>.
        first = first_character(path)
        if first not in OTHER_TYPES:
            raise
        raise ValueError(
            f"{path} does not look like CSV: it begins with {first!r}, as {OTHER_TYPES[first]} does. Expected a line "
            f"with column names and a line of numbers for every row. Read as CSV: {error}"
        ) from error


def _text_columns(header: Sequence[str], cells: Sequence[str], delimiter: str, is_label: IsLabel) -> list[str]:
    """Columns of times whose cell in the first row is text, and columns of labels to be read as text."""
    is_text = {
        name: bool(cell.strip()) and not is_number(cell, decimal_comma=delimiter != COMMA)
        for name, cell in zip(header, cells, strict=False)
    }
    times = [name for name in is_text if is_text[name] and name.lower() in TIME_NAMES]
    if not times and cells and _is_moment(cells[0]):
        times = [header[0]]
    return times + [name for name in is_text if name not in times and is_label(name, is_text[name])]


def _may_be_label(name: str, label: str | None) -> bool:
    return name.casefold() in LABEL_NAMES or _is_named(name, label)


def _is_named(name: str, label: str | None) -> bool:
    """Whether a column is the one that the user named."""
    return label not in (None, AUTO) and name.casefold() == str(label).casefold()


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
        return bool(((values == 0) | (values == 1) | np.isnan(values)).all())

    named = [name for name in (*table.columns, *table.texts) if name.casefold() in LABEL_NAMES]
    return [name for name in named if name.casefold() in SURE_LABEL_NAMES or name in table.texts or is_binary(name)]


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
    columns = (*table.columns, *table.texts)
    found = [name for name in columns if _is_named(name, label)]
    if not found:
        raise ValueError(f"label={label!r}, but {table.path} has no such column. It has: {', '.join(columns)}.")
    if len(found) > 1:
        raise ValueError(
            f"label={label!r}, but {table.path} has {len(found)} columns of this name: {_quoted(found)}. "
            "Case is ignored. Rename one of them."
        )
    return found[0]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _labels_of_file(path: Path, label: str | None, series: Table) -> NDArray[np.int64]:
    """Labels in a second file, which has the rows of the series."""
    first = next(iterate_rows(path, COMMA), None)
    if first is not None and len(first.cells) == 1 and is_number(first.cells[0]):
        table = read_table(path, header=["label"])
    else:
        table = _read(path, lambda name, _: name.lower() not in TIME_NAMES | EPOCH_NAMES, allow_nan=False)
    times = [*_dates(table), *_find_time_columns(table, [])]
    columns = _find_label_columns(table)
    if label == AUTO and not columns:
        columns = [name for name in (*table.columns, *table.texts) if name not in times]
        if len(columns) != 1:
            raise ValueError(
                f"{path} has {len(columns)} columns beside times: {_quoted(columns)}. Pass label=<name> with the "
                "column of labels."
            )
    column = _choose_label_column(table, label, columns)
    assert column is not None
    target = labels_of(table, column)
    if len(target) != len(series.values):
        raise ValueError(
            f"{path} has {len(target)} labels, but {series.path} has {len(series.values)} rows. Pass one label for "
            "each row, in the same order, below the name of the column."
        )
    for name in times:
        if name in series.columns or name in series.texts:
            _check_equal(table, series, name)
    return target


def _check_equal(table: Table, series: Table, name: str) -> None:
    """Raise an error if a column differs between two files."""
    for row, (one, other) in enumerate(zip(_cells(table, name), _cells(series, name), strict=True)):
        if one != other:
            raise ValueError(
                f"{table.path}: column {name!r}, {table.where(row)}: {_written(table, name, row)}, but {series.path} "
                f"has {_written(series, name, row)} there. Pass labels of the same rows, or remove this column from "
                "the file of labels."
            )


def _cells(table: Table, name: str) -> Sequence[object]:
    return [cell.strip() for cell in table.texts[name]] if name in table.texts else column_of(table, name).tolist()


def _dates(table: Table) -> dict[str, list[str]]:
    """Text columns of times."""
    return {name: cells for name, cells in table.texts.items() if name.lower() in TIME_NAMES or _is_moment(cells[0])}


def _find_time_columns(table: Table, left_out: Sequence[str]) -> list[str]:
    """Numeric time columns, an index last: it may count the rows in another order."""
    found = [name for name in table.columns if _is_time(name, column_of(table, name)[0]) and name not in left_out]
    return sorted(found, key=_is_index)


def _is_time(name: str, first: float | None) -> bool:
    """Whether a numeric column is one of times, by its name and its first number."""
    begins_with_epoch = first is not None and _epoch_unit(first) is not None
    return name.lower() in TIME_NAMES or (name.lower() in EPOCH_NAMES and begins_with_epoch)


def _is_index(name: str) -> bool:
    return name.lower() in INDEX_NAMES


def _timestamps(
    dates: Mapping[str, Sequence[str]], table: Table, time_columns: Sequence[str]
) -> NDArray[np.float64] | NDArray[np.str_] | None:
    if dates:
        return np.array([" ".join(cells) for cells in zip(*dates.values(), strict=True)])
    return column_of(table, time_columns[0]).copy() if time_columns else None


def _index(dates: Mapping[str, Sequence[str]], times: Times) -> pd.DatetimeIndex | None:
    """The times as dates, if one column or several joined ones hold them."""
    if len(times) != 1:
        return None
    [(names, moments)] = times.items()
    if not isinstance(moments, pd.DatetimeIndex):
        return epoch_dates(moments)
    first = " ".join(dates[name][0].strip() for name in names)
    has_offset = pd.to_datetime([first], format="ISO8601", errors="coerce").tz is not None
    return moments if has_offset else moments.tz_localize(None)


def epoch_dates(values: NDArray[np.float64]) -> pd.DatetimeIndex | None:
    """Dates in UTC, to the microsecond, of increasing epochs; None if the first and the last have no common unit."""
    unit = _epoch_unit(values[0])
    if unit is None or _epoch_unit(values[-1]) != unit:
        return None
    ticks = (values * (MICROSECONDS / unit)).round().astype(np.int64)
    return pd.DatetimeIndex(ticks.astype("datetime64[us]"), tz="UTC")


def _epoch_unit(number: float) -> int | None:
    """Units per second of a number that may be an epoch."""
    low, high = EPOCH_RANGE
    return next((unit for unit in EPOCH_UNITS if low <= number / unit < high), None)


def _readable_times(table: Table, dates: Mapping[str, Sequence[str]], time_columns: Sequence[str]) -> Times:
    """Times that can be compared, text columns first. Empty if a text column cannot be read."""
    times = _parse_texts(dates)
    if dates and not times:
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


def _parse_times(cells: Sequence[str]) -> pd.DatetimeIndex | None:
    """Dates in ISO 8601 or in the format of the first cell. None if a cell has no date or another format."""
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


def _parse_format(cells: Sequence[str], text_format: str) -> pd.DatetimeIndex | None:
    # In UTC, clocks that change between summer and winter time stay in order if the file has their offsets.
    moments = pd.to_datetime(cells, format=text_format, errors="coerce", utc=True)
    return None if moments.hasnans else moments


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
    return plain(column_of(table, name)[row])


def plain(number: float) -> str:
    """All digits of a number, without the point of an integer."""
    return repr(float(number)).removesuffix(".0")


def _rows_not_later(times: Sequence[NDArray[np.float64] | pd.DatetimeIndex]) -> NDArray[np.intp]:
    """Rows that are not later than the row before. Equal times are compared in the next array."""
    n_steps = len(times[0]) - 1
    later, equal = np.zeros(n_steps, dtype=bool), np.ones(n_steps, dtype=bool)
    for values in times:
        later |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    return np.flatnonzero(~later) + 1


def _rows_after_gaps(times: NDArray[np.float64] | pd.DatetimeIndex) -> NDArray[np.intp]:
    """Rows after a gap. None if times repeat: then the median step may be zero."""
    ticks = times.asi8 if isinstance(times, pd.DatetimeIndex) else times
    with np.errstate(over="ignore"):
        steps = np.diff(ticks.astype(np.float64))
        if not len(steps) or not (steps > 0).all():
            return np.empty(0, dtype=np.intp)
        return long_steps(steps) + 1


def iterate_csv(
    lines: Iterator[str], path: Path, channels: Sequence[str] | int, *, allow_nan: bool = False
) -> Iterator[tuple[list[float], str | None]]:
    """Rows of a CSV file that may grow, by the rules of `load_csv`.

    A column of text and one of an unknown name are skipped. Times need not increase.

    Parameters
    ----------
    lines : iterator of str
        Whole lines of the file.
    path : Path
        The file, for error messages.
    channels : sequence of str or int
        Names of the columns to read, in this order; or the number of columns that hold neither times nor labels.
    allow_nan : bool, default=False
        Whether cells may be missing.

    Yields
    ------
    values : list of float
        Numbers of the channels.
    time : str or None
        The time as `shown_times` gives it; None without a time column.

    Raises
    ------
    ValueError
        If the channels are absent, or a row cannot be read.
    """
    with readable(path):
        head = lines_of_first_row(lines)
        delimiter = sniff_delimiter(path, head)
        rows = iterate_rows(path, delimiter, chain(head, lines))
        first = next(rows, None)
        if first is None:
            raise ValueError(f"{path} is empty. Expected a line with column names and a line for every row.")
        header = parse_header(path, first.cells, delimiter)
        if not isinstance(channels, int) and not set(channels) <= set(header):
            raise ValueError(_other_columns(path, header, channels))
        numbers = NumberReader(path, header, delimiter, allow_nan=allow_nan)
        dates: list[int] = []
        clock: list[int] = []
        places: list[int] = []
        for index, row in enumerate(rows, start=1):
            if index == 1:
                dates, clock, places = _columns_of_stream(path, header, row.cells, delimiter, channels)
            values = numbers.read(index, row, places + clock)
            time = " ".join(row.cells[place].strip() for place in dates) or None
            if clock:
                time = _shown_time(values.pop())
            yield values, time


def _columns_of_stream(
    path: Path, header: Sequence[str], cells: Sequence[str], delimiter: str, channels: Sequence[str] | int
) -> tuple[list[int], list[int], list[int]]:
    """Positions of the text columns of times, or else of one numeric one, and of the channels, by the first row."""
    named = () if isinstance(channels, int) else channels
    texts = _text_columns(header, cells, delimiter, lambda *_: False)
    dates = [name for name in texts if name not in named]
    clocks = [
        name
        for name, cell in zip(header, cells, strict=False)
        if name not in (*dates, *named) and _is_time(name, number_of(cell, decimal_comma=delimiter != COMMA))
    ]
    if isinstance(channels, int):
        named = [name for name in header if name not in (*dates, *clocks) and not _may_be_label(name, None)]
        if len(named) != channels:
            raise ValueError(_other_columns(path, header, channels))
    clock = [] if dates else sorted(clocks, key=_is_index)[:1]
    find = header.index
    return list(map(find, dates)), list(map(find, clock)), list(map(find, named))


def _other_columns(path: Path, header: Sequence[str], channels: Sequence[str] | int) -> str:
    expected = f"{channels} channels" if isinstance(channels, int) else f"the channels {_quoted(channels)}"
    return (
        f"{path} has the columns {_quoted(header)}, and the detector was fitted on {expected}. Pass a CSV file that "
        "has them, with their names in the first line."
    )


def shown_times(series: Bunch) -> list[str] | None:
    """Times of a series for a report: text as written, epochs as dates in UTC, other numbers with all digits."""
    if series.timestamps is None:
        return None
    if series.timestamps.dtype.kind == "U":
        return [time.strip() for time in series.timestamps.tolist()]
    return list(map(plain, series.timestamps) if series.index is None else map(str, series.index))


def _shown_time(number: float) -> str:
    dates = epoch_dates(np.array([number]))
    return plain(number) if dates is None else str(dates[0])
