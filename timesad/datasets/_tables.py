"""Reader of delimited text. Errors name the file, the row and the column."""

from __future__ import annotations

import csv
import gzip
import math
import reprlib
import unicodedata
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO, cast

import numpy as np
from numpy.typing import NDArray

LINE_BREAKS = "\n\r"
BYTE_ORDER_MARK = "\ufeff"
START_CHARACTERS = 4096  # enough to find the first character that is not blank
CELLS = reprlib.Repr()  # an unclosed quote makes a cell of many lines
CELLS.maxstring = 80  # characters of a cell in a message


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
    first_line : int
        Line of the first row in the file. The other rows follow without blank lines.
    """

    path: Path
    columns: tuple[str, ...]
    values: NDArray[np.float64]  # (row, column)
    texts: dict[str, list[str]]
    first_line: int

    def where(self, index: int) -> str:
        """Row, counted from 1, and line in the file of one index of `values`."""
        return f"row {index + 1} (line {self.first_line + index})"


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
            try:
                for cells in reader:
                    if not cells:
                        blank = blank or reader.line_num
                    elif blank:
                        raise ValueError(f"{path}: line {blank} is blank but rows follow. Fill it in or remove it.")
                    else:
                        yield Row(reader.line_num, cells)
            except csv.Error as error:
                raise ValueError(
                    f"{path}: line {reader.line_num} cannot be read: {error}. The file is damaged or is not CSV."
                ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
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


def first_character(path: Path) -> str:
    """First character of a file that is not blank.

    Parameters
    ----------
    path : Path
        The file, plain or gzip-compressed.

    Returns
    -------
    str
        One character. Empty if the file begins with blanks only, or cannot be read as text.
    """
    with suppress(OSError, EOFError, zlib.error, ValueError), _open_text(path) as stream:
        return stream.read(START_CHARACTERS).lstrip()[:1]
    return ""


def _control_character(text: str, allowed: str) -> str | None:
    """First control character or byte order mark that is not allowed."""
    if text.isprintable():
        return None
    refused = (c for c in text if (unicodedata.category(c) == "Cc" or c == BYTE_ORDER_MARK) and c not in allowed)
    return next(refused, None)


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
        If all cells are numbers, or if a name is missing, occurs twice or holds a control character
        other than a tab or a line break.
    """
    if all(is_number(cell) for cell in cells):
        raise ValueError(
            f"{path}: the first line holds only numbers ({', '.join(cells[:3])}, …), but it must name the columns. "
            "Add a header line."
        )
    for position, cell in enumerate(cells):
        if control := _control_character(cell, allowed="\t" + LINE_BREAKS):
            raise ValueError(
                f"{path}: the name of column {position + 1}, {CELLS.repr(cell)}, holds the control character "
                f"{control!r}. Remove it from the first line."
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
        header, if a cell holds a control character other than a tab, or if a numeric cell is not a
        finite number.
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
    flat, n_rows, first_line = array("d"), 0, 0
    for n_rows, row in enumerate(rows, start=1):
        if len(row.cells) != len(header):
            raise ValueError(
                f"{path}: row {n_rows} (line {row.line}) has {len(row.cells)} cells, but the header has {len(header)}."
            )
        _refuse_control_characters(path, n_rows, row, header)
        flat.extend(_numbers(path, n_rows, row, header, numeric))
        first_line = first_line or row.line
        for name, column in texts.items():
            column.append(row.cells[header.index(name)])
    if not n_rows:
        raise ValueError(f"{path} has no rows. Expected one line of numbers for every timestamp.")
    values = np.array(flat, dtype=np.float64).reshape(n_rows, len(numeric))  # (row, column)
    return Table(path, tuple(header[position] for position in numeric), values, texts, first_line)


def _refuse_control_characters(path: Path, index: int, row: Row, header: Sequence[str]) -> None:
    """`float` and `str.strip` differ in the control characters that they skip, so no cell may hold one."""
    if "".join(row.cells).isprintable():
        return
    for name, cell in zip(header, row.cells, strict=True):
        if control := _control_character(cell, allowed="\t"):
            raise ValueError(
                f"{_where(path, index, row, name)}: {CELLS.repr(cell)} holds the control character {control!r}. "
                "Remove it."
            )


def _numbers(path: Path, index: int, row: Row, header: Sequence[str], numeric: Sequence[int]) -> list[float]:
    try:
        numbers = [float(row.cells[position]) for position in numeric]
    except ValueError:
        pass
    else:
        # A finite sum has finite terms only, and is faster than a check of each term.
        if math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers)):
            return numbers
    return [_number(row.cells[position], _where(path, index, row, header[position])) for position in numeric]


def _number(cell: str, where: str) -> float:
    shown = CELLS.repr(cell.strip())
    if not cell.strip():
        raise ValueError(f"{where}: the cell is blank. Fill in missing values or leave out the row.")
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(
            f"{where}: {shown} is not a number (with a decimal point). Leave out columns of text."
        ) from None
    if not math.isfinite(number):
        raise ValueError(f"{where}: {shown} is not finite. Fill in missing values or leave out the row.")
    return number


def _where(path: Path, index: int, row: Row, name: str) -> str:
    return f"{path}: column {CELLS.repr(name)}, row {index} (line {row.line})"


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
    return replace(table, columns=tuple(table.columns[position] for position in kept), values=values)


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
