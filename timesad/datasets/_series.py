"""Keys of a series, and functions that the loaders of folders share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

Source = TypeVar("Source")

NAMES_SHOWN = 5  # names in an error message


def series_bunch(
    *,
    name: str,
    data: NDArray[np.float64],
    target: NDArray[np.int64] | None,
    feature_names: Sequence[str],
    train_size: int | None,
    description: str,
    groups: NDArray[np.int64] | None = None,
) -> Bunch:
    """Build the Bunch that every loader returns (see :mod:`timesad.datasets`).

    Parameters
    ----------
    name : str
        Name of the series.
    data : ndarray of shape (n_timestamps, n_channels), float64
        Values.
    target : ndarray of shape (n_timestamps,), int64, or None
        1 in anomalous rows, 0 elsewhere; None if there are no labels.
    feature_names : sequence of str
        One name per channel.
    train_size : int or None
        Number of first rows for fitting, if given.
    description : str
        ``DESCR``.
    groups : ndarray of shape (n_timestamps,), int64, default=None
        Number of the uninterrupted recording that each row belongs to.

    Returns
    -------
    Bunch
        With data, target, feature_names, train_size, groups, name and DESCR.

    Raises
    ------
    ValueError
        If `train_size` is not between 1 and the number of rows.
    """
    if train_size is not None and not 1 <= train_size <= len(data):
        raise ValueError(
            f"train_size={train_size} does not fit {name}, which has {len(data)} rows. "
            f"It counts the first rows, to fit on: pass 1 to {len(data)}."
        )
    return Bunch(
        data=data,
        target=target,
        feature_names=list(feature_names),
        train_size=train_size,
        groups=groups,
        name=name,
        DESCR=description,
    )


def label_runs(target: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Find the maximal runs of ones.

    Parameters
    ----------
    target : ndarray of shape (n,), int64
        Zeros and ones.

    Returns
    -------
    list of tuple of int
        First row of each run and the row after its last.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], target, [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def series_name(path: Path, *suffixes: str) -> str:
    """Name of a file without ``.gz`` and without the first matching suffix of `suffixes`."""
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(suffix) for suffix in suffixes if name.endswith(suffix)), name)


def existing_folder(folder: str | os.PathLike[str], expected: str) -> Path:
    """Check that a folder exists.

    Parameters
    ----------
    folder : str or path-like
        The folder.
    expected : str
        Expected contents, for the error message.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"folder={str(folder)!r} is no existing folder. Expected one that holds {expected}.")
    return path


def files_by_name(paths: Iterable[Path], *suffixes: str) -> dict[str, Path]:
    """Map names of series to files. If a file exists plain and as ``.gz``, take the plain one."""
    files: dict[str, Path] = {}
    for path in sorted(paths):
        files.setdefault(series_name(path, *suffixes), path)
    return files


def select_series(
    available: Mapping[str, Source], names: Sequence[str] | None, folder: Path, expected: str
) -> list[tuple[str, Source]]:
    """Select series by name.

    Parameters
    ----------
    available : mapping of str to object
        All series of the folder, by name.
    names : sequence of str or None
        Names to select, in this order. None selects all, sorted by name.
    folder : Path
        The folder, for error messages.
    expected : str
        Expected contents of the folder, for error messages.

    Returns
    -------
    list of (str, object)
        Selected items of `available`.

    Raises
    ------
    FileNotFoundError
        If the folder has no series.
    TypeError
        If `names` is a string.
    ValueError
        If a name is not in the folder.
    """
    if not available:
        raise FileNotFoundError(f"{folder} holds no series. Expected {expected}.")
    if names is None:
        return sorted(available.items())
    if isinstance(names, str):
        raise TypeError(f"names must be a list of names, got the string {names!r}. Pass names=[{names!r}].")
    for name in names:
        if name not in available:
            some = ", ".join(sorted(available)[:NAMES_SHOWN])
            raise ValueError(
                f"names holds {name!r}, but {folder} has no such series. It has {len(available)}, among them {some}."
            )
    return [(name, available[name]) for name in names]
