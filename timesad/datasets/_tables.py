"""Reader of delimited text. Errors name the file, the row and the column."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """Cells of one line of a file.

    Parameters
    ----------
    line : int
        Number of the line in the file, counted from 1.
    cells : list of str
        The cells as written.
    """

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """Columns of a file.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    columns : tuple of str
        Names of the numeric columns, in the order of the file.
    values : ndarray of shape (n_rows, n_columns), float64
        Finite numbers.
    texts : dict of str to list of str
        Text columns by name, one entry per row.
    """

    path: Path
    columns: tuple[str, ...]
    values: NDArray[np.float64]  # (row, column)
    texts: dict[str, list[str]]


def is_number(cell: str) -> bool:
    """Whether ``float(cell)`` succeeds; "nan" and "inf" are numbers."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def iterate_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a text file that may be gzip-compressed.

    Parameters
    ----------
    path : Path
        A text file in UTF-8; a name that ends in ``.gz`` is decompressed.
    delimiter : str
        The character between two cells.

    Yields
    ------
    Row
        One per line. Blank lines are accepted at the end of the file only, because a blank line
        between two rows may be a missing value.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the path is a folder, or if the file is not text, is damaged or has a blank line between
        rows.
    """
    blank = 0
    try:
        with _open_text(path) as stream:
            reader = csv.reader(stream, delimiter=delimiter)
            for cells in reader:
                if not cells:
                    blank = blank or reader.line_num
                elif blank:
                    raise ValueError(f"{path}: line {blank} is blank but rows follow. Fill it in or remove it.")
                else:
                    yield Row(reader.line_num, cells)
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        kind = "gzip-compressed text" if path.suffix == ".gz" else "text in UTF-8"
        raise ValueError(f"{path} cannot be read as {kind}: {error}. It is damaged or of another type.") from error


def _open_text(path: Path) -> TextIO:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Check the path, and the folder it is relative to.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, but a file was expected.")
    # utf-8-sig drops the byte order mark that spreadsheets write before the first name.
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def parse_header(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    """Column names from the first line of a file.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    cells : sequence of str
        Cells of the first line.

    Returns
    -------
    tuple of str
        Names of the columns. A first column without a name, the index of pandas, is named "index".

    Raises
    ------
    ValueError
        If all cells are numbers, or if a name is missing or occurs twice.
    """
    if all(is_number(cell) for cell in cells):
        raise ValueError(
            f"{path}: the first line holds only numbers ({', '.join(cells[:3])}, …), but it must name the columns. "
            "Add a header line."
        )
    names = tuple(cell.strip() for cell in cells)
    names = (names[0] or "index", *names[1:])
    for position, name in enumerate(names):
        if not name:
            raise ValueError(f"{path}: column {position + 1} has no name. Give every column one in the first line.")
        if name in names[:position]:
            raise ValueError(f"{path}: two columns are called {name!r}. Give every column its own name.")
    return names


def read_table(
    path: Path, *, delimiter: str = ",", header: Sequence[str] | None = None, text_columns: Sequence[str] = ()
) -> Table:
    """Read a delimited text file whose cells are finite numbers.

    Parameters
    ----------
    path : Path
        The file, plain or gzip-compressed.
    delimiter : str, default=","
        The character between two cells.
    header : sequence of str, default=None
        Column names of a file without a header line. None reads them from the first line.
    text_columns : sequence of str, default=()
        Columns to read as text.

    Returns
    -------
    Table
        The columns, with at least one row.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a text column is missing, if there are no rows, if a row is longer or shorter than the
        header, or if a numeric cell is not a finite number.
    """
    rows = iterate_rows(path, delimiter)
    if header is None:
        first = next(rows, None)
        if first is None:
            raise ValueError(f"{path} is empty. Expected a line with column names and a line for every row.")
        header = parse_header(path, first.cells)
    for name in text_columns:
        if name not in header:
            raise ValueError(f"{path} has no column {name!r}. Its columns are: {', '.join(header)}.")
    texts: dict[str, list[str]] = {name: [] for name in text_columns}
    numeric = [position for position, name in enumerate(header) if name not in texts]
    flat, n_rows = array("d"), 0
    for n_rows, row in enumerate(rows, start=1):
        if len(row.cells) != len(header):
            raise ValueError(
                f"{path}: row {n_rows} (line {row.line}) has {len(row.cells)} cells, but the header has {len(header)}."
            )
        flat.extend(_numbers(path, n_rows, row, header, numeric))
        for name, column in texts.items():
            column.append(row.cells[header.index(name)])
    if not n_rows:
        raise ValueError(f"{path} has no rows. Expected one line of numbers for every timestamp.")
    values = np.array(flat, dtype=np.float64).reshape(n_rows, len(numeric))  # (row, column)
    return Table(path, tuple(header[position] for position in numeric), values, texts)


def _numbers(path: Path, index: int, row: Row, header: Sequence[str], numeric: Sequence[int]) -> list[float]:
    try:
        numbers = [float(row.cells[position]) for position in numeric]
    except ValueError:
        pass
    else:
        # A finite sum has finite terms only, and is faster than a check of each term.
        if math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers)):
            return numbers
    for position in numeric:
        cell = row.cells[position].strip()
        where = f"{path}: column {header[position]!r}, row {index} (line {row.line})"
        if not cell:
            raise ValueError(f"{where}: the cell is blank. Fill in missing values or leave out the row.")
        if not is_number(cell):
            raise ValueError(f"{where}: {cell!r} is not a number (with a decimal point). Leave out columns of text.")
        if not math.isfinite(float(cell)):
            raise ValueError(f"{where}: {cell!r} is not finite. Fill in missing values or leave out the row.")
    raise AssertionError("a row was refused, but each of its cells is a finite number")


def column_of(table: Table, name: str) -> NDArray[np.float64]:
    """Values of one numeric column.

    Parameters
    ----------
    table : Table
        The table.
    name : str
        Name of the column in the file.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        The values.

    Raises
    ------
    ValueError
        If the table has no numeric column of this name.
    """
    if name not in table.columns:
        raise ValueError(f"{table.path} has no column {name!r}. Its columns are: {', '.join(table.columns)}.")
    return table.values[:, table.columns.index(name)]


def labels_of(table: Table, name: str) -> NDArray[np.int64]:
    """Labels of one column.

    Parameters
    ----------
    table : Table
        The table.
    name : str
        Name of the column in the file.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        1 in anomalous rows, 0 elsewhere.

    Raises
    ------
    ValueError
        If the column is missing or has values other than 0 and 1.
    """
    values = column_of(table, name)
    wrong = np.flatnonzero((values != 0) & (values != 1))
    if wrong.size:
        raise ValueError(
            f"{table.path}: column {name!r}, row {wrong[0] + 1}: a label is 0 (normal) or 1 (anomalous), "
            f"got {values[wrong[0]]:g}."
        )
    return values.astype(np.int64)


def without_columns(table: Table, names: Sequence[str]) -> Table:
    """Copy of a table without some of its numeric columns.

    Parameters
    ----------
    table : Table
        The table.
    names : sequence of str
        Numeric columns to leave out.

    Returns
    -------
    Table
        New table with contiguous values.

    Raises
    ------
    ValueError
        If no numeric column remains.
    """
    kept = [position for position, name in enumerate(table.columns) if name not in names]
    if not kept:
        raise ValueError(f"{table.path} has no channel: beside time and label there must be a numeric column.")
    values = np.ascontiguousarray(table.values[:, kept])  # (row, column)
    return Table(table.path, tuple(table.columns[position] for position in kept), values, table.texts)


def timestamps_of(table: Table, name: str) -> NDArray[np.datetime64]:
    """Dates and times of a text column, without a time zone, for example ``2014-02-14 14:30:00``.

    Parameters
    ----------
    table : Table
        A table with the text column `name`.
    name : str
        Name of the column.

    Returns
    -------
    ndarray of shape (n_rows,), datetime64[us]
        Dates and times.

    Raises
    ------
    ValueError
        If a cell is not a date or time of this form.
    """
    try:
        return np.array(table.texts[name], dtype="datetime64[us]")
    except ValueError as error:
        raise ValueError(f"{table.path}: column {name!r} must hold dates and times: {error}.") from error
