"""From what a user passes to rows and borders: anything else raises a ValueError that says what to change."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from .exceptions import IgnoredGroupsWarning, TimeGapWarning, warn
from .windows import runs, series_borders

__all__ = [
    "ERROR",
    "GAP_STEPS",
    "MISSING",
    "Rows",
    "check_ignored",
    "check_return_confidence",
    "check_times",
    "first_row",
    "group_names",
    "index_of",
    "long_steps",
    "plain_number",
    "read_next_rows",
    "read_rows",
    "row_labels",
    "with_context",
]

ERROR, INTERPOLATE, MASK = MISSING = ("error", "interpolate", "mask")
CHUNK_ROWS = 65_536
GAP_STEPS = 1.5  # median steps; a longer step is a gap

REMEDY = "Pass finite numbers of shape (n_rows, n_channels), rows in time order"


@dataclass(frozen=True)
class Rows:
    """Rows that can be used.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
        Finite numbers, float64 or float32.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end.
    missing : ndarray of bool, shape (n_rows, n_channels), or None
        Cells that were NaN and are interpolated; None if there are none.
    first_row : int
        Number of the first row in a longer series, by the index of a DataFrame; 0 if it is not known.
    """

    values: NDArray[np.floating]
    borders: NDArray[np.intp]
    missing: NDArray[np.bool_] | None
    first_row: int


def read_rows(
    detector: Any, X: ArrayLike, groups: ArrayLike | None, *, window_size: int, missing: str, reset: bool
) -> Rows:
    """Validate X and its groups.

    Parameters
    ----------
    detector : estimator
        Has, or with `reset` gets, the number of channels and their names.
    X : array-like of shape (n_rows, n_channels)
        Never changed, and not copied if it is a floating-point array without NaN.
    groups : array-like of shape (n_rows,) or None
        Series of each row.
    window_size : int
        Rows of a window; every series must hold one.
    missing : {"error", "interpolate", "mask"}
        Whether NaN is refused, may stand in gaps of at most `window_size` rows, or in any gap.
    reset : bool
        Whether X is fitted.

    Raises
    ------
    ValueError
        If X or groups cannot be used.
    TypeError
        If X holds objects that are no numbers.

    Warns
    -----
    TimeGapWarning
        If the times of a DataFrame are not evenly spaced.
    """
    if not reset and detector.n_features_in_ == 1 and np.ndim(X) == 1:
        X = X.to_frame() if isinstance(X, pd.Series) else np.asanyarray(X).reshape(-1, 1)
    values = _validated(detector, X, reset=reset)
    names = None if groups is None else group_names(groups, len(values))
    borders = series_borders(len(values), names)
    check_times(row_times(X), borders)
    cells = _check_finite(values, missing, getattr(detector, "feature_names_in_", None))
    shortest = int(np.diff(borders).min())
    if shortest < window_size:
        which = "X has" if groups is None else "the shortest series in groups has"
        raise ValueError(
            f"{which} {shortest} rows (n_samples={shortest}) but window_size is {window_size}. Pass a longer "
            f"series or a window_size of at most {shortest} (at most {max(shortest // 2, 1)} is advisable: a "
            "series should hold several windows). In cross-validation every fold must hold a window."
        )
    longest = window_size if missing == INTERPOLATE else len(values)
    filled = values if cells is None else _interpolated(values, cells, borders, longest)
    return Rows(filled, borders, cells, 0 if reset or groups is not None else first_row(X))


def read_next_rows(detector: Any, rows: ArrayLike, missing: str) -> tuple[NDArray[np.floating], pd.Index | None]:
    """Validate the next rows of a stream, one or more; NaN stays NaN where it may be missing.

    Returns
    -------
    values : ndarray of shape (n_rows, n_channels)
    times : Index or None
        Time of each row, if it has one; not checked.
    """
    n_channels = detector.n_features_in_
    if isinstance(rows, pd.Series):
        rows = rows.to_frame().T if n_channels > 1 else rows.to_frame()
    elif not isinstance(rows, pd.DataFrame) and np.ndim(rows) < 2:
        rows = np.asanyarray(rows).reshape(-1, n_channels if np.size(rows) == n_channels else 1)
    values = _validated(detector, rows, reset=False, least_rows=1)
    _check_finite(values, missing, getattr(detector, "feature_names_in_", None))
    return values, row_times(rows)


def _validated(detector: Any, X: ArrayLike, *, reset: bool, least_rows: int = 2) -> NDArray[np.floating]:
    """X as floating-point numbers, not copied if it holds them, which may be NaN or infinite."""
    _refuse_other_types(X)
    try:
        if getattr(X, "ndim", None) == 1:
            raise ValueError("It is one-dimensional. Reshape your data: X.reshape(-1, 1) has one channel.")
        with np.errstate(over="ignore"):  # an overflow gives an infinity, which is refused below
            values: NDArray[np.floating] = validate_data(
                detector,
                X,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                ensure_min_samples=least_rows,
            )
    except (TypeError, ValueError, OverflowError) as error:
        same = "" if reset else ", with the channels of fit in the same order"
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X is not a series that can be used. {error}\n{REMEDY}{same}.") from error
    return values


def index_of(X: Any) -> pd.Index | None:
    """The index of X, if it has one."""
    return X.index if isinstance(X, (pd.DataFrame, pd.Series)) else None


def first_row(X: Any) -> int:
    """Row number at which a slice of a DataFrame begins, if its index counts the rows."""
    index = index_of(X)
    return index.start // index.step if isinstance(index, pd.RangeIndex) and index.step > 0 else 0


def _refuse_other_types(X: Any) -> None:
    """Raise ValueError for what scikit-learn would convert to numbers without a word."""
    if np.ma.isMaskedArray(X) and np.ma.getmaskarray(X).any():
        row = int(np.argwhere(np.ma.getmaskarray(X))[0][0])
        raise ValueError(
            f"X is a masked array with masked entries, the first in row {row}. The mask would be lost: pass "
            "X.filled(numpy.nan) with missing='interpolate' or 'mask', or fill them first."
        )
    if isinstance(X, pd.DataFrame):
        dtypes = list(zip(X.columns, X.dtypes, strict=True))
    elif isinstance(X, pd.Series):
        dtypes = [(X.name, X.dtype)]
    else:
        dtypes = [(None, getattr(X, "dtype", None))]
    for name, dtype in dtypes:
        if getattr(dtype, "kind", None) in ("m", "M") or isinstance(dtype, (pd.PeriodDtype, pd.DatetimeTZDtype)):
            which = "X" if name is None else f"column {name!r} of X"
            raise ValueError(
                f"{which} has times (dtype {dtype}), which are no measurements. {REMEDY}; make a column of times the "
                "index of the DataFrame, or drop it."
            )


def _check_finite(values: NDArray[np.floating], missing: str, names: Any) -> NDArray[np.bool_] | None:
    """The cells that are NaN, or None; ValueError for infinity, and for NaN unless it may be interpolated."""
    found_nan = False
    for begin in range(0, len(values), CHUNK_ROWS):
        chunk = values[begin : begin + CHUNK_ROWS]
        if np.isfinite(chunk).all():
            continue
        wrong = np.isinf(chunk) if missing != ERROR else ~np.isfinite(chunk)
        if wrong.any():
            row, channel = (int(number) for number in np.argwhere(wrong)[0])
            what = "NaN" if np.isnan(chunk[row, channel]) else "infinity"
            named = "" if names is None else f" ({names[channel]!r})"
            remedy = "Fill or drop it first"
            if what == "NaN":
                remedy += ", or use missing='interpolate' or missing='mask'"
            raise ValueError(f"X has {what} in row {begin + row}, channel {channel}{named}. {remedy}.")
        found_nan = True
    return np.isnan(values) if found_nan else None


def _interpolated(
    values: NDArray[np.floating], cells: NDArray[np.bool_], borders: NDArray[np.intp], longest: int
) -> NDArray[np.floating]:
    """A copy with each missing cell on the line between its channel's neighbours in time, or equal to the only one.

    A gap of more than `longest` rows raises ValueError.
    """
    filled = values.copy()
    for channel in np.flatnonzero(cells.any(axis=0)):
        for begin, end in pairwise(borders):
            gap = cells[begin:end, channel]
            if gap.all():
                raise ValueError(
                    f"channel {channel} of X has no number in the series of rows {begin} to {end - 1}. Drop the "
                    "channel or the series, or fill it first."
                )
            for first, last in runs(gap) + begin:
                if last - first > longest:
                    raise ValueError(
                        f"channel {channel} of X has no number in rows {first} to {last - 1}. missing='interpolate' "
                        f"fills gaps of at most window_size={longest} rows. Use missing='mask', or name the parts "
                        "before and after the gap as series in groups."
                    )
            rows = np.arange(end - begin)
            column = filled[begin:end, channel]
            column[gap] = np.interp(rows[gap], rows[~gap], column[~gap])
    return filled


def with_context(X: ArrayLike, context: Any, groups: ArrayLike | None) -> tuple[Any, int]:
    """Rows of the context and of X, one after the other, and how many are of the context.

    Raises
    ------
    ValueError
        If the two do not fit together, or there are groups, too.
    """
    if context is None:
        return X, 0
    if groups is not None:
        raise ValueError("context with groups: the context is of one series. Score one series at a time.")
    if isinstance(X, (pd.DataFrame, pd.Series)) and type(X) is type(context):
        return pd.concat([context, X]), len(context)
    parts = [np.asanyarray(part) for part in (context, X)]
    shapes = [part.shape[1:] if part.ndim else None for part in parts]
    if shapes[0] != shapes[1] or shapes[0] is None:
        raise ValueError(
            f"context has shape {parts[0].shape} and X has shape {parts[1].shape}; expected as many channels in both."
        )
    return np.ma.concatenate(parts) if any(map(np.ma.isMaskedArray, parts)) else np.concatenate(parts), len(parts[0])


def group_names(groups: ArrayLike, n_rows: int) -> pd.Series:
    """Names of the series, one per row.

    Raises
    ------
    ValueError
        If there is not one name for each row, or one is missing.
    """
    shape = getattr(groups, "shape", None)
    names = pd.Series(groups).reset_index(drop=True) if shape is None or len(shape) == 1 else None
    if names is None or len(names) != n_rows:
        shape = (len(names),) if names is not None else shape
        raise ValueError(f"groups has shape {shape} but X has {n_rows} rows; give one entry per row.")
    absent = names.isna().to_numpy()
    if absent.any():
        row = int(np.argmax(absent))
        raise ValueError(f"groups has no name in row {row} ({names[row]!r}). Name the series of every row.")
    return names


def check_ignored(y: Any, window_size: int) -> None:
    """Look for names of series in y, which is ignored: ``fit(X, groups)`` in place of ``fit(X, groups=groups)``.

    Names stand in one run of at least `window_size` rows each. Text in such runs raises ValueError. More than two
    numbers in such runs, which may be classes as well, raise an `IgnoredGroupsWarning`.
    """
    if not isinstance(y, (list, tuple, np.ndarray, pd.Series, pd.Index, pd.Categorical)) or np.ndim(y) != 1:
        return
    codes, names = pd.factorize(pd.Series(y))
    changes = np.flatnonzero(np.diff(codes)) + 1
    lengths = np.diff([0, *changes.tolist(), len(codes)])
    if not 1 < len(names) == len(lengths) or lengths.min() < window_size:
        return
    message = (
        f"y holds {len(names)} values, each in one run of rows, so it looks like names of series. y is ignored: pass "
        "names by keyword, fit(X, groups=groups)."
    )
    if not pd.api.types.is_numeric_dtype(names):
        raise ValueError(message)
    if len(names) > 2:
        warn(message, IgnoredGroupsWarning)


def plain_number(value: Any) -> Any:
    """Python's own number for one of numpy's or of another library: those overflow, or torch refuses them."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        with suppress(OverflowError):  # the value is then refused as it is
            return float(value)
    return value


def check_return_confidence(value: Any) -> None:
    """Raise ValueError unless the value is a boolean."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"return_confidence is a {type(value).__name__}; expected True or False. Pass groups by name: "
            "predict(X, groups=groups)."
        )


def row_times(X: Any) -> pd.Index | None:
    """The index of X, if it has times."""
    index = index_of(X)
    return index if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex, pd.TimedeltaIndex)) else None


def check_times(
    index: pd.Index | None, borders: NDArray[np.intp], *, n_known: int = 0, longest: float | None = None
) -> None:
    """Raise ValueError if times do not increase; warn if they are not evenly spaced.

    Parameters
    ----------
    index : Index or None
        Times of the rows.
    borders : ndarray of shape (n_series + 1,)
        Rows where the series begin and end.
    n_known : int, default=0
        First rows that were checked before. Row numbers in messages count from the row after them.
    longest : float, default=None
        Median steps; a longer step raises ValueError. None refuses no step.
    """
    if index is None:
        return
    first, n_gaps = None, 0
    for begin, end in pairwise(borders):
        times = index[begin:end]
        if times.hasnans:
            raise ValueError(f"the index of X has no time in row {begin + int(np.argmax(times.isna())) - n_known}.")
        steps = np.diff(times.asi8)
        if (steps <= 0).any():
            row = int(np.argmax(steps <= 0)) + 1
            raise ValueError(
                f"the times of X do not increase: row {begin + row - n_known} ({times[row]}) follows {times[row - 1]}. "
                "Sort X by its index, drop repeated times, name the series in groups, or pass a plain array."
            )
        gaps = long_steps(steps)
        gaps = gaps[gaps >= n_known - 1]
        n_gaps += len(gaps)
        if len(gaps) and longest is not None and steps[gaps].max() > longest * np.median(steps):
            gap = gaps[steps[gaps].argmax()]
            raise ValueError(
                f"row {gap + 1 - n_known} of X ({times[gap + 1]}) follows {times[gap]}: the gap is longer than a "
                f"window, {longest} rows. Begin a new stream after it."
            )
        if first is None and len(gaps):
            row = begin + gaps[0] - n_known
            first = f"between row {row} ({times[gaps[0]]}) and the next ({times[gaps[0] + 1]})"
    if first is not None:
        warn(
            f"The rows of X are not evenly spaced: {n_gaps} steps are longer than {GAP_STEPS} usual ones, the first "
            f"{first}. A window must not cross a gap: name the parts as series in groups, or resample X, such as by "
            "X.resample('1min').mean() with missing='mask'.",
            TimeGapWarning,
        )


def long_steps(steps: NDArray[Any]) -> NDArray[np.intp]:
    """Numbers of the steps in time that are longer than `GAP_STEPS` median steps."""
    return np.flatnonzero(steps > GAP_STEPS * np.median(steps)) if len(steps) else np.empty(0, dtype=np.intp)


def row_labels(X: Any, index: ArrayLike | None, borders: NDArray[np.intp]) -> pd.Index | None:
    """Label of each row, such as its time: `index`, or else that of a DataFrame unless it merely counts the rows.

    Raises
    ------
    ValueError
        If the labels do not increase from row to row.
    """
    if index is None:
        index = index_of(X)
        if index is None or isinstance(index, pd.RangeIndex):
            return None
    labels, n_rows = pd.Index(index), int(borders[-1])
    if len(labels) != n_rows:
        raise ValueError(f"index has {len(labels)} entries but X has {n_rows} rows; give one entry per row.")
    for begin, end in pairwise(borders):
        part = labels[begin:end]
        if part.hasnans or not (part.is_monotonic_increasing and part.is_unique):
            raise ValueError(
                "index does not increase from row to row, so the rows are not in time order. Sort X by its index, drop "
                "repeated times, or pass a plain array."
            )
    return labels
