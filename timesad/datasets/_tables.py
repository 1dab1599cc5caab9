"""Reader of delimited text. Errors name the file, the row and the column."""

from __future__ import annotations

import csv
import gzip
import math
import re
import reprlib
import unicodedata
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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

DELIMITERS = (",", ";", "\t")
POINT, COMMA = ".", ","
SWAPPED = str.maketrans(".,", ",.")
THOUSANDS = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u202f]\d{3})+([.,]\d*)?")
MISSING_WORDS = frozenset({"", "n/a", "na", "nan", "none", "null"})
# Words of a column of labels, without blanks and in lower case.
NORMAL_WORDS = ("normal", "benign", "nominal", "ok")
ANOMALOUS_WORDS = ("anomaly", "anomalous", "abnormal", "attack", "fault", "faulty", "malicious", "outlier")
TRUTHS = {"n": 0, "no": 0, "f": 0, "false": 0, "y": 1, "yes": 1, "t": 1, "true": 1}
LABEL_WORDS = TRUTHS | dict.fromkeys(NORMAL_WORDS, 0) | dict.fromkeys(ANOMALOUS_WORDS, 1)


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
        Finite numbers; NaN in missing cells, where they are allowed.
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


def number_of(cell: str, *, decimal_comma: bool = False) -> float | None:
    """The number in a cell, which may have a decimal comma where it is allowed; None if there is none."""
    with suppress(ValueError):
        return float(cell.replace(COMMA, POINT) if decimal_comma else cell)
    return None


def is_number(cell: str, *, decimal_comma: bool = False) -> bool:
    """Whether a cell holds a number; "nan" and "inf" are numbers."""
    return number_of(cell, decimal_comma=decimal_comma) is not None


def sniff_delimiter(path: Path, lines: Sequence[str] | None = None) -> str:
    """The delimiter that splits the first row into most cells; arguments as of `iterate_rows`."""

    def n_cells(delimiter: str) -> int:
        first = next(iterate_rows(path, delimiter, lines), None)
        return 0 if first is None else len(first.cells)

    return max(DELIMITERS, key=n_cells)


def lines_of_first_row(lines: Iterator[str]) -> list[str]:
    """Take the lines of the first row: several if a line break stands in quotes."""
    taken: list[str] = []
    n_quotes = 0
    for line in lines:
        taken.append(line)
        n_quotes += line.count('"')
        if n_quotes % 2 == 0:
            break
    return taken


def iterate_rows(path: Path, delimiter: str, lines: Iterable[str] | None = None) -> Iterator[Row]:
    """Yield the rows of a text file that may be gzip-compressed.

    Parameters
    ----------
    path : Path
        A text file in UTF-8; a name that ends in ``.gz`` is decompressed.
    delimiter : str
        The character between two cells.
    lines : iterable of str, default=None
        The lines of the file, where they are read elsewhere. None opens the file.

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
    if lines is None:
        with readable(path), _open_text(path) as stream:
            yield from iterate_rows(path, delimiter, stream)
        return
    blank = 0
    reader = csv.reader(lines, delimiter=delimiter)
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


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file where it is no text, or is damaged."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        kind = "gzip-compressed text" if path.suffix == ".gz" else "text in UTF-8"
        raise ValueError(
            f"{path} cannot be read as {kind}: {error}. It is damaged, or of another type or encoding. Save it as CSV "
            "in UTF-8."
        ) from error


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


def parse_header(path: Path, cells: Sequence[str], delimiter: str = COMMA) -> tuple[str, ...]:
    """Column names from the first line of a file.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    cells : sequence of str
        Cells of the first line.
    delimiter : str, default=","
        The character between two cells.

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
    if all(is_number(cell, decimal_comma=delimiter != COMMA) for cell in cells):
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


class NumberReader:
    """Reads numbers from the rows of one file, which have the same decimal mark throughout.

    Between commas it is the point. Between semicolons or tabs it is the mark of the first number that has one: a point
    or a comma. Any other use of the two is an error, so no thousands separator is read as a decimal mark.

    Parameters
    ----------
    path : Path
        The file, for error messages.
    header : sequence of str
        Names of the columns.
    delimiter : str, default=","
        The character between two cells.
    allow_nan : bool, default=False
        Whether a cell may be missing: blank, or one of "nan", "na", "n/a", "null" and "none", in any case. It is NaN.
    """

    def __init__(self, path: Path, header: Sequence[str], delimiter: str = COMMA, *, allow_nan: bool = False) -> None:
        self._path = path
        self._header = header
        self._delimiter = delimiter
        self._allow_nan = allow_nan
        self._mark = POINT if delimiter == COMMA else ""  # empty until a number has one
        self._marked = ""  # the first number with a mark and its place, for error messages

    def read(self, index: int, row: Row, columns: Sequence[int]) -> list[float]:
        """Numbers in some columns of a row.

        Parameters
        ----------
        index : int
            Number of the row, counted from 1, for error messages.
        row : Row
            All cells of the row.
        columns : sequence of int
            Positions of the columns.

        Returns
        -------
        list of float
            One number per column.

        Raises
        ------
        ValueError
            If the row is longer or shorter than the header, if any cell holds a control character other than a tab, or
            if a cell of the columns is not a finite number and not missing.
        """
        if len(row.cells) != len(self._header):
            raise ValueError(
                f"{self._path}: row {index} (line {row.line}) has {len(row.cells)} cells, but the header has "
                f"{len(self._header)}. Write one name and one number for each column. If commas are decimal marks, "
                "separate the columns by semicolons."
            )
        self._refuse_control_characters(index, row)
        cells = [row.cells[column] for column in columns]
        if not self._mark:
            self._find_mark(index, row, columns)
        try:
            numbers = [float(cell.translate(SWAPPED) if self._mark == COMMA else cell) for cell in cells]
        except ValueError:
            pass
        else:
            # A finite sum has finite terms only, and is faster than a check of each term.
            if math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers)):
                return numbers
        return [self._number(index, row, column) for column in columns]

    def _refuse_control_characters(self, index: int, row: Row) -> None:
        """`float` and `str.strip` differ in the control characters that they skip, so no cell may hold one."""
        if "".join(row.cells).isprintable():
            return
        for column, cell in enumerate(row.cells):
            if control := _control_character(cell, allowed="\t"):
                raise ValueError(
                    f"{self._where(index, row, column)}: {CELLS.repr(cell)} holds the control character {control!r}. "
                    "Remove it."
                )

    def _find_mark(self, index: int, row: Row, columns: Sequence[int]) -> None:
        for column in columns:
            cell = row.cells[column]
            if (POINT in cell or COMMA in cell) and is_number(cell, decimal_comma=True):
                self._mark = COMMA if COMMA in cell else POINT
                self._marked = f"{CELLS.repr(cell.strip())} in row {index} (line {row.line})"
                return

    def _number(self, index: int, row: Row, column: int) -> float:
        cell = row.cells[column].strip()
        where, shown = self._where(index, row, column), CELLS.repr(cell)
        if cell.casefold() in MISSING_WORDS:
            if self._allow_nan:
                return math.nan
            what = f"{shown} is a missing value" if cell else "the cell is blank"
            raise ValueError(f"{where}: {what}. Fill it in, leave out the row, or allow missing values.")
        try:
            number = float(cell.translate(SWAPPED) if self._mark == COMMA else cell)
        except ValueError:
            raise ValueError(f"{where}: {shown} {self._fault(cell)}") from None
        if not math.isfinite(number):
            raise ValueError(f"{where}: {shown} is not finite. Write a finite number or leave out the row.")
        return number

    def _fault(self, cell: str) -> str:
        """What is wrong with a cell that is not a number."""
        one_mark = is_number(cell, decimal_comma=True)
        if one_mark and self._delimiter == COMMA:
            return (
                "is not a number (with a decimal point and without thousands separators). Decimal commas are read "
                "where semicolons or tabs separate the columns."
            )
        if one_mark:
            other = "point" if self._mark == COMMA else "comma"
            return (
                f"has a decimal {other}, but {self._marked} has the other mark. Write all numbers with one decimal "
                "mark and without thousands separators."
            )
        if THOUSANDS.fullmatch(cell):
            return "has thousands separators. Write all numbers without them."
        return "is not a number (with a decimal point). Leave out columns of text, or pass the name of one of labels."

    def _where(self, index: int, row: Row, column: int) -> str:
        return f"{self._path}: column {CELLS.repr(self._header[column])}, row {index} (line {row.line})"


def read_table(
    path: Path,
    *,
    delimiter: str = COMMA,
    header: Sequence[str] | None = None,
    text_columns: Sequence[str] = (),
    allow_nan: bool = False,
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
    allow_nan : bool, default=False
        Whether cells may be missing, as in `NumberReader`.

    Returns
    -------
    Table
        The columns, with at least one row.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a text column is missing, if there are no rows, or if a row cannot be read by `NumberReader`.
    """
    rows = iterate_rows(path, delimiter)
    if header is None:
        first = next(rows, None)
        if first is None:
            raise ValueError(f"{path} is empty. Expected a line with column names and a line for every row.")
        header = parse_header(path, first.cells, delimiter)
    for name in text_columns:
        if name not in header:
            raise ValueError(f"{path} has no column {name!r}. Its columns are: {', '.join(header)}.")
    texts: dict[str, list[str]] = {name: [] for name in text_columns}
    numeric = [position for position, name in enumerate(header) if name not in texts]
    numbers = NumberReader(path, header, delimiter, allow_nan=allow_nan)
    flat, n_rows, first_line = array("d"), 0, 0
    for n_rows, row in enumerate(rows, start=1):
        flat.extend(numbers.read(n_rows, row, numeric))
        first_line = first_line or row.line
        for name, column in texts.items():
            column.append(row.cells[header.index(name)])
    if not n_rows:
        raise ValueError(f"{path} has no rows. Expected one line of numbers for every timestamp.")
    values = np.array(flat, dtype=np.float64).reshape(n_rows, len(numeric))  # (row, column)
    return Table(path, tuple(header[position] for position in numeric), values, texts, first_line)


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
    """Labels of one column: 0 and 1 or, in a text column, also the words of `LABEL_WORDS`.

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
        If the column is missing or has other values or words.
    """
    if name in table.texts:
        labels = list(map(_label, table.texts[name]))
        if None in labels:
            row = labels.index(None)
            raise ValueError(
                f"{table.path}: column {name!r}, {table.where(row)}: a label is one of 0, no, false, "
                f"{', '.join(NORMAL_WORDS)}, or one of 1, yes, true, {', '.join(ANOMALOUS_WORDS)}, got "
                f"{CELLS.repr(table.texts[name][row].strip())}. Replace it."
            )
        return np.array(labels, dtype=np.int64)
    values = column_of(table, name)
    others = np.flatnonzero((values != 0) & (values != 1))
    if others.size:
        raise ValueError(
            f"{table.path}: column {name!r}, {table.where(others[0])}: a label is 0 (normal) or 1 (anomalous), "
            f"got {values[others[0]]:g}."
        )
    return values.astype(np.int64)


def _label(cell: str) -> int | None:
    word = "".join(cell.split()).casefold()
    number = number_of(word)
    return LABEL_WORDS.get(word) if number is None else {0.0: 0, 1.0: 1}.get(number)


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
