"""Peak memory of ours and of PyOD's Anomaly Transformer, each case in a fresh process; a million rows from a file.

    python -m benchmarks.memory
    python -m benchmarks.memory --rows 20000 --large-rows 50000 100000 --timeout 300

Two questions. How much memory do fit and score take above the import, at 100,000 × 25 rows? And do
1,000,000 × 25 rows that lie in a file stay within a gigabyte, in time that grows as the rows do?
Every case runs under a limit on its address space, so that a detector which wants more than the
limit fails here and not by taking the machine with it. The table goes to ``docs/results/memory.md``
and ``memory.csv``.

A case is `python -m benchmarks.memory --case JSON`, which prints one line of JSON. The file of the
million rows is temporary and about 200 MB.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .equal_size import Size, defaults, our_transformer, pyod_transformer
from .measure import peak_memory_megabytes
from .report import ABSENT, markdown_table
from .timing import available_cores, machine_sentence, made_up_series

TITLE = "Memory"
OURS, FLAGSHIP, PYOD = (
    "AnomalyTransformerDetector, equal size",
    "TimesNetDiscrepancyDetector, defaults",
    "PyOD AnomalyTransformer",
)
DETECTORS = (OURS, PYOD, FLAGSHIP)
FIT, SCORE = "fit", "score"

DEFAULT_ROWS = 100_000
DEFAULT_LARGE_ROWS = (250_000, 500_000, 1_000_000)
DEFAULT_CHANNELS = 25
DEFAULT_LIMIT = 8.0  # GB of address space
DEFAULT_TIMEOUT = 3600.0  # seconds a case
FIT_ROWS = 5000  # rows of the file that are fitted before all of it is scored
EPOCH_SIZE = 2048  # windows of an epoch of ours at equal size: memory must not depend on the epoch's length
BOUND_MEGABYTES = 1000.0
GIGABYTE = 1e9
CHUNK_ROWS = 50_000
ERROR_CHARACTERS = 160
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CSV_COLUMNS = (
    "detector", "action", "n_rows", "n_channels", "step", "memory_mb", "fit_seconds", "score_seconds", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What one process does.

    Parameters
    ----------
    detector : str
        One of ``DETECTORS``.
    action : {"fit", "score"}
        Fit all rows; or fit the first 5,000 and score all, with the peak of scoring alone.
    n_rows, n_channels : int
        Shape of the series.
    step : int
        Rows between two windows, in scoring and in PyOD's training; the flagship in memory has its own.
    file : str, default=""
        A file of float64 with the series, mapped into memory; without one the series is made up in memory.
    limit_gb : float, default=8.0
        Address space of the process.
    threads : int, default=1
        Threads of the process.
    """

    detector: str
    action: str
    n_rows: int
    n_channels: int
    step: int
    file: str = ""
    limit_gb: float = DEFAULT_LIMIT
    threads: int = 1


# Inside a case


def memory_megabytes(field: str) -> float:
    """Return a field of this process's status in MB; the peak of its whole life where there is no such file.

    The kernel's own peak survives the start of a new program and may be the parent's: the field does not.
    """
    if not STATUS.exists():
        return peak_memory_megabytes()
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024 / 1e6


def forget_peak() -> None:
    """Let the peak begin anew at what the process holds now, where the system can."""
    if FORGET.exists():
        FORGET.write_text("5")


def limit_address_space(gigabytes: float) -> None:
    """Let allocations beyond the limit fail, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = int(gigabytes * GIGABYTE)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def build(case: Case) -> Any:
    """Return the case's detector, unfitted."""
    size = Size(n_rows=case.n_rows, n_channels=case.n_channels, step=case.step)
    if case.detector == PYOD:
        return pyod_transformer(size)
    if case.detector == OURS:
        return our_transformer(size).set_params(epoch_size=EPOCH_SIZE)
    from timesad import TimesNetDiscrepancyDetector

    return defaults(TimesNetDiscrepancyDetector, size).set_params(score_stride=case.step if case.file else None)


def run_case(case: Case) -> dict[str, Any]:
    """Run the case in this process; return its peak memory above what the imports took, and its seconds."""
    import torch

    torch.set_num_threads(case.threads)
    detector = build(case)
    # torch imports its compiler with the first optimizer: an import too, and the same for everybody.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    limit_address_space(case.limit_gb)
    before = memory_megabytes("VmRSS")
    if case.file:
        X = np.memmap(case.file, dtype=np.float64, mode="r", shape=(case.n_rows, case.n_channels))
    else:
        X = made_up_series(case.n_rows, case.n_channels)
    start = time.perf_counter()
    detector.fit(X if case.action == FIT else X[:FIT_ROWS])
    fitted = time.perf_counter()
    measured = {"fit_seconds": fitted - start}
    if case.action == SCORE:
        forget_peak()
        scores = detector.decision_function(X)
        if not np.isfinite(scores).all():
            raise ValueError("some scores are not finite")
        measured["score_seconds"] = time.perf_counter() - fitted
    return {"memory_mb": memory_megabytes("VmHWM") - before, **measured}


# Outside


def run_in_process(case: Case, timeout: float) -> dict[str, Any]:
    """Run the case in a process of its own; what goes wrong there is its `error`."""
    command = [sys.executable, "-m", "benchmarks.memory", "--case", json.dumps(asdict(case))]
    record = {**asdict(case), "error": ""}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return {**record, "error": f"no result within {timeout:g} s"}
    if done.returncode == 0:
        return {**record, **json.loads(done.stdout.splitlines()[-1])}
    last = done.stderr.strip().splitlines()[-1:] or [f"died with exit code {done.returncode}"]
    return {**record, "error": last[0][:ERROR_CHARACTERS]}


def write_series(path: Path, n_rows: int, n_channels: int) -> None:
    """Write a made-up series chunk by chunk, as float64."""
    series = np.memmap(path, dtype=np.float64, mode="w+", shape=(n_rows, n_channels))
    for begin in range(0, n_rows, CHUNK_ROWS):
        end = min(begin + CHUNK_ROWS, n_rows)
        series[begin:end] = made_up_series(end - begin, n_channels, seed=begin)
    series.flush()


def cases(options: argparse.Namespace, file: Path) -> list[Case]:
    """Return all cases: those in memory, then those from the file."""
    common = {"n_channels": options.channels, "limit_gb": options.limit_gb, "threads": options.threads}
    in_memory = [
        Case(detector, action, options.rows, step=options.step, **common)
        for action in (FIT, SCORE)
        for detector in DETECTORS
    ]
    stride = Size().window_size // 2
    large = Case(FLAGSHIP, SCORE, max(options.large_rows), step=stride, file=str(file), **common)
    from_file = [replace(large, n_rows=n_rows) for n_rows in options.large_rows]
    return [*in_memory, *from_file, replace(large, action=FIT)]


def in_memory_table(records: Sequence[dict[str, Any]]) -> str:
    """Return megabytes and seconds of each detector, and the memory of PyOD's relative to it."""
    theirs = {r["action"]: r.get("memory_mb") for r in records if r["detector"] == PYOD}
    rows = []
    for record in records:
        memory, other = record.get("memory_mb"), theirs.get(record["action"])
        seconds = record.get(f"{record['action']}_seconds")
        rows.append(
            [
                record["detector"],
                record["action"],
                record["error"] or f"{memory:,.0f}",
                ABSENT if memory is None or other is None else f"{other / memory:.1f}×",
                ABSENT if seconds is None else f"{seconds:.1f}",
            ]
        )
    return markdown_table(["detector", "", "peak above the import, MB", "PyOD's is", "seconds"], rows)


def large_table(records: Sequence[dict[str, Any]]) -> str:
    """Return megabytes, seconds and seconds per million rows."""
    rows = []
    for record in records:
        memory, seconds = record.get("memory_mb"), record.get(f"{record['action']}_seconds")
        within = ABSENT if memory is None else "yes" if memory <= BOUND_MEGABYTES else "**no**"
        rows.append(
            [
                record["action"],
                f"{record['n_rows']:,}",
                record["error"] or f"{memory:,.0f}",
                within,
                ABSENT if seconds is None else f"{seconds:.1f}",
                ABSENT if seconds is None else f"{seconds / record['n_rows'] * 1e6:.1f}",
            ]
        )
    header = [
        "",
        "rows",
        "peak above the import, MB",
        f"within {BOUND_MEGABYTES:.0f} MB",
        "seconds",
        "seconds a million rows",
    ]
    return markdown_table(header, rows)


def page(records: Sequence[dict[str, Any]], options: argparse.Namespace, command: str) -> str:
    """Return the Markdown page."""
    bullets = [
        f"Made by `{command}`.",
        f"Machine: {machine_sentence('cpu')}.",
        f"Each case in a fresh process, address space limited to {options.limit_gb:g} GB. The peak is the largest "
        "resident memory above what the process held after its imports; the series itself counts.",
    ]
    size = Size()
    in_memory = [record for record in records if not record["file"]]
    large = [record for record in records if record["file"]]
    return "\n".join(
        [
            f"# {TITLE}\n",
            "\n".join(f"- {bullet}" for bullet in bullets) + "\n",
            f"## {options.rows:,} × {options.channels} rows in memory\n",
            f"Windows of {size.window_size} rows, one every {options.step}; {size.model_size} features, {size.n_heads} "
            f"heads, {size.n_layers} layers, batches of {size.batch_size}, one epoch. *score*: fitted on {FIT_ROWS:,} "
            f"rows, all scored. Ours draws {EPOCH_SIZE:,} windows for the epoch, PyOD takes all of them: the seconds "
            "of *fit* are not to be compared here, see `speed.md`.\n",
            in_memory_table(in_memory),
            f"## {max(options.large_rows):,} × {options.channels} rows from a file\n",
            f"`numpy.memmap`, {FLAGSHIP}, a window every {large[0]['step']} rows. *fit* includes scoring all rows.\n",
            large_table(large),
        ]
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", help="run one case in this process, for the command's own use")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--large-rows", type=int, nargs="+", default=list(DEFAULT_LARGE_ROWS))
    parser.add_argument("--channels", type=int, default=DEFAULT_CHANNELS)
    parser.add_argument("--step", type=int, default=1, help="rows between two windows of the cases in memory")
    parser.add_argument("--limit-gb", type=float, default=DEFAULT_LIMIT, help="address space of a case")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a case")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = arguments_of(argv)
    options = make_parser().parse_args(arguments)
    if options.case:
        print(json.dumps(run_case(Case(**json.loads(options.case)))))
        return
    records = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.f64"
        write_series(file, max(options.large_rows), options.channels)
        for case in cases(options, file):
            record = run_in_process(case, options.timeout)
            records.append(record)
            told = record["error"] or f"{record['memory_mb']:,.0f} MB"
            print(f"{case.detector}, {case.action}, {case.n_rows:,} rows: {told}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    text, table = options.out / "memory.md", options.out / "memory.csv"
    text.write_text(page(records, options, command_text("benchmarks.memory", arguments)), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    print(text, table, sep="\n")


if __name__ == "__main__":
    main()
