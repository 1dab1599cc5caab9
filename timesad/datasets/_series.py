"""The one format of a series, and what all loaders of folders share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

Source = TypeVar("Source")

NAMES_SHOWN = 5


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
    """Put a series into the format that every loader returns (see :mod:`timesad.datasets`).

    Parameters
    ----------
    name : str
        What the series is called.
    data : ndarray of shape (n_timestamps, n_channels), float64
        The values.
    target : ndarray of shape (n_timestamps,), int64, or None
        1 where the row is anomalous; None where that is not known.
    feature_names : sequence of str
        One name a channel.
    train_size : int or None
        How many of the first rows are meant for fitting; None where that is not known.
    description : str
        Becomes ``DESCR``.
    groups : ndarray of shape (n_timestamps,), int64, default=None
        Which rows belong to one uninterrupted recording.

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
    """The runs of ones in a vector of labels.

    Parameters
    ----------
    target : ndarray of shape (n,), int64
        Zeros and ones.

    Returns
    -------
    list of tuple of int
        First row of each run, and the row after its last.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], target, [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def series_name(path: Path, *suffixes: str) -> str:
    """A file's name without ``.gz`` and without the first of `suffixes` that it ends in."""
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(suffix) for suffix in suffixes if name.endswith(suffix)), name)


def existing_folder(folder: str | os.PathLike[str], expected: str) -> Path:
    """Check that a folder exists.

    Parameters
    ----------
    folder : str or path-like
        The folder.
    expected : str
        What it should hold, for the error message.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"folder={str(folder)!r} is no existing folder. Expected one that holds {expected}.")
    return path


def files_by_name(paths: Iterable[Path], *suffixes: str) -> dict[str, Path]:
    """Map the names of series to their files; of a file and its ``.gz`` twin the plain one counts."""
    files: dict[str, Path] = {}
    for path in sorted(paths):
        files.setdefault(series_name(path, *suffixes), path)
    return files


def select_series(
    available: Mapping[str, Source], names: Sequence[str] | None, folder: Path, expected: str
) -> list[tuple[str, Source]]:
    """Pick series by name.

    Parameters
    ----------
    available : mapping of str to object
        All series that the folder holds.
    names : sequence of str or None
        The ones to pick, in this order; None picks all, sorted by name.
    folder : Path
        The folder, for error messages.
    expected : str
        What it should hold, for error messages.

    Returns
    -------
    list of (str, object)
        Names and what they map to.

    Raises
    ------
    FileNotFoundError
        If the folder holds no series at all.
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
