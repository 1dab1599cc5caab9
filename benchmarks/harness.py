"""Methods x series x seeds x protocols: plan the cells, run what is missing, keep what is finished.

Each finished cell is one JSON file, written at once and never half. Its name holds a digest of everything that
decides its values (settings, parameters of the detector, the series itself), so a run that was killed goes on where
it was, and a cell made under other settings is never taken for this one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import Bunch

from .contract import PROTOCOLS, SEMI_SUPERVISED, Method, Record, Settings
from .isolation import FAILED, OK, TIMEOUT, Outcome, call_here, call_isolated
from .measure import METRICS, SCORE_NAMES, make_setup, measure

UNSUPPORTED = "unsupported"
STATUSES = (OK, FAILED, TIMEOUT, UNSUPPORTED)

# Part of every digest: raise it when the meaning of a stored value changes.
CELL_FORMAT = 1
DIGEST_CHARACTERS = 16

PROCESS_ISOLATION = "process"
NO_ISOLATION = "worker"
ISOLATIONS = (PROCESS_ISOLATION, NO_ISOLATION)
DEFAULT_TIMEOUT = 600.0  # seconds a cell

# The fork server imports these once instead of once a cell.
PRELOAD = ("torch", "skorch", "timesad", "benchmarks.methods", "benchmarks.harness")
REPORTED_PACKAGES = ("timesad", "pyod", "scikit-learn", "torch", "numpy", "scipy")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Cell:
    """One method on one series with one seed under one protocol."""

    method: Method
    group: str
    series: Bunch
    protocol: str
    seed: int
    settings: Settings

    @property
    def unsupported(self) -> bool:
        """Whether the method cannot work under the protocol at all."""
        return self.method.transductive and self.protocol == SEMI_SUPERVISED

    def identity(self) -> Record:
        """Return the fields that name the cell in every record."""
        identity: Record = {
            "method": self.method.name,
            "family": self.method.family,
            "note": self.method.note,
            "group": self.group,
            "series": str(self.series.name),
            "protocol": self.protocol,
            "seed": self.seed,
            "n_rows": len(self.series.data),
            "n_channels": int(self.series.data.shape[1]),
            "train_size": int(self.series.train_size),
            "settings": asdict(self.settings),
        }
        if self.method.scores:
            identity[SCORE_NAMES] = list(self.method.scores)
        return identity

    def digest(self) -> str:
        """Return a short hash of all that decides the cell's values, the library's source aside."""
        identity = self.identity()
        # Words for the reader: changing them changes no value.
        del identity["family"], identity["note"]
        decisive = identity | {
            "format": CELL_FORMAT,
            "metrics": METRICS,
            "series_checksum": series_checksum(self.series),
            "detector": describe_detector(self),
        }
        if self.method.novelty:  # named only where it is set, so that no other cell's digest changes
            decisive["novelty"] = True
        text = json.dumps(decisive, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]

    def path(self, cells_dir: Path) -> Path:
        """Return the file of the finished cell."""
        name = f"{self.method.name}--seed{self.seed}--{self.digest()}.json"
        return cells_dir / self.protocol / self.group / file_name(str(self.series.name)) / name


def file_name(text: str) -> str:
    """Return the text with everything but letters, digits, dots, dashes and underscores replaced."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)


def series_checksum(series: Bunch) -> str:
    """Return a checksum of data, labels and train_size."""
    checksum = zlib.crc32(np.ascontiguousarray(series.data, dtype=np.float64).tobytes())
    checksum = zlib.crc32(np.ascontiguousarray(series.target, dtype=np.int64).tobytes(), checksum)
    return f"{checksum:08x}-{int(series.train_size)}"


def describe_detector(cell: Cell) -> str:
    """Return the detector's parameters as text, defaults included.

    A method that cannot be built has no parameters; its cell then fails and says why.
    """
    setup = make_setup(cell.series, cell.protocol, cell.seed, cell.settings)
    try:
        detector = cell.method.build(setup)
    except Exception as error:
        return f"cannot be built: {type(error).__name__}"
    if hasattr(detector, "get_params"):
        # PyOD's and scikit-learn's repr leave defaults out or shorten them.
        text = f"{type(detector).__qualname__}({sorted(detector.get_params().items())!r})"
    else:
        text = repr(detector)
    return _ADDRESS.sub("", text)


@cache
def environment() -> dict[str, str]:
    """Return versions, machine and a digest of timesad's own source, for the record."""
    versions = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions | {"timesad_source": source_digest()}


def source_digest() -> str:
    """Return a hash of the library's Python files: it distinguishes cells made before and after a change."""
    import timesad

    folder = Path(str(timesad.__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def plan(
    methods: Sequence[Method],
    groups: Mapping[str, Sequence[Bunch]],
    *,
    protocols: Sequence[str],
    seeds: Sequence[int],
    settings: Settings,
) -> list[Cell]:
    """Return the cells of a run, series by series: a run that is cut short has rows that can be compared.

    Methods that do not draw run for the first seed only.

    Raises
    ------
    ValueError
        If a protocol is unknown, there is no seed, or a group has two series of one name.
    """
    unknown = [protocol for protocol in protocols if protocol not in PROTOCOLS]
    if unknown:
        raise ValueError(f"protocols must be of {PROTOCOLS}, got {unknown}.")
    if not seeds:
        raise ValueError("seeds is empty; pass at least one integer.")
    for group, members in groups.items():
        names = [file_name(str(series.name)) for series in members]
        if len(set(names)) != len(names):
            raise ValueError(f"Group {group!r} names two series alike: {sorted(names)}.")
    return [
        Cell(method, group, series, protocol, seed, settings)
        for protocol in protocols
        for group, members in groups.items()
        for series in members
        for method in methods
        for seed in seeds[: method.max_seeds if method.stochastic else 1]
    ]


def read_finished(cell: Cell, cells_dir: Path) -> Record | None:
    """Return the record of a finished cell, or None where there is none or its file cannot be read."""
    try:
        record: Record = json.loads(cell.path(cells_dir).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record


def write_record(record: Record, path: Path) -> None:
    """Write the record at once: a reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.draft")
    draft.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(draft, path)


def _call(cell: Cell, isolation: str, timeout: float) -> Outcome:
    arguments = (cell.method, cell.series, cell.protocol, cell.seed, cell.settings)
    if isolation == PROCESS_ISOLATION:
        return call_isolated(measure, arguments, timeout, PRELOAD)
    return call_here(measure, arguments)


def finish(cell: Cell, cells_dir: Path, *, isolation: str, timeout: float) -> Record:
    """Run one cell, write its record and return it. A method's exception becomes the record's error."""
    outcome = _call(cell, isolation, timeout)
    record = cell.identity() | {
        "status": outcome.status,
        "error": outcome.error,
        "trace": outcome.trace,
        "isolation": isolation,
        "timeout_seconds": timeout,
        "environment": environment(),
        "digest": cell.digest(),
    }
    if outcome.status == OK:
        record |= outcome.value
    if isolation != PROCESS_ISOLATION:
        # The peak of a process that runs many cells says nothing about this one.
        record |= {"memory_before_mb": None, "memory_peak_mb": None}
    write_record(record, cell.path(cells_dir))
    return record


def unsupported_record(cell: Cell) -> Record:
    """Return the row of a cell that cannot exist, with the reason."""
    reason = f"scores only the rows it was fitted on, so it has no {SEMI_SUPERVISED} form"
    return cell.identity() | {"status": UNSUPPORTED, "error": reason}


def collect(cells: Sequence[Cell], cells_dir: Path) -> tuple[list[Record], list[Cell]]:
    """Return the records that exist and the cells that still have to run."""
    records: list[Record] = []
    missing: list[Cell] = []
    for cell in cells:
        record = unsupported_record(cell) if cell.unsupported else read_finished(cell, cells_dir)
        if record is None:
            missing.append(cell)
        else:
            records.append(record)
    return records, missing


def run_cells(
    cells: Sequence[Cell],
    cells_dir: Path,
    *,
    n_jobs: int = 1,
    isolation: str = PROCESS_ISOLATION,
    timeout: float = DEFAULT_TIMEOUT,
    retry: Sequence[str] = (),
    on_record: Callable[[Record, int, int], None] | None = None,
) -> list[Record]:
    """Run what is not finished yet and return all records, in the order they became known.

    Parameters
    ----------
    cells : sequence of Cell
        See :func:`plan`.
    cells_dir : Path
        Folder of the finished cells.
    n_jobs : int, default=1
        Cells at a time; not with Dask, which takes all of its workers.
    isolation : {"process", "worker"}, default="process"
        "process": each cell in a new process, with its own peak memory, killed after ``timeout``. "worker": in this
        process, without memory figures and without a timeout.
    timeout : float, default=600
        Seconds a cell.
    retry : sequence of str, default=()
        Statuses whose finished cells run again, for instance ("failed", "timeout").
    on_record : callable, default=None
        ``on_record(record, done, total)`` after each cell that ran.

    Raises
    ------
    ValueError
        If a parameter is out of its range. What a method raises is in its record instead.
    """
    if isolation not in ISOLATIONS:
        raise ValueError(f"isolation must be one of {ISOLATIONS}, got {isolation!r}.")
    if isolation == NO_ISOLATION and n_jobs != 1:
        raise ValueError("Threads would share one process's seeds and warnings. Pass isolation='process' or n_jobs=1.")
    if timeout <= 0:
        raise ValueError(f"timeout must be positive seconds, got {timeout!r}.")
    unknown = [status for status in retry if status not in STATUSES]
    if unknown:
        raise ValueError(f"retry must be of {STATUSES}, got {unknown}.")

    known, missing = collect(cells, cells_dir)
    again = {_key(record) for record in known if record["status"] in retry and record["status"] != UNSUPPORTED}
    records = [record for record in known if _key(record) not in again]
    missing += [cell for cell in cells if _key(cell.identity()) in again]
    for done, record in enumerate(_results(missing, cells_dir, n_jobs, isolation, timeout), start=1):
        records.append(record)
        if on_record is not None:
            on_record(record, done, len(missing))
    return records


def _key(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("protocol", "group", "series", "method", "seed"))


def _results(cells: Sequence[Cell], cells_dir: Path, n_jobs: int, isolation: str, timeout: float) -> Iterator[Record]:
    # A thread waits for the process of its cell. The hint leaves the choice to a cluster.
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")
    yield from parallel(delayed(finish)(cell, cells_dir, isolation=isolation, timeout=timeout) for cell in cells)
