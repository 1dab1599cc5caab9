"""Peak memory of fit and score above the imports, each case in a fresh process; up to a million rows from a file.

    python -m benchmarks.memory
    python -m benchmarks.memory --rows 20000 --large-rows 50000 100000

Ours and PyOD's Anomaly Transformer at equal size (`benchmarks/speed.py`) fit and score rows in memory. The flagship
with its defaults does the same, and scores and fits the rows of a file. The table is written to
``docs/results/memory.md`` and ``memory.csv``. A case is ``python -m benchmarks.memory --case JSON``.
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
from pathlib import Path
from typing import Any

import numpy as np

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .measure import peak_memory_megabytes
from .report import markdown_table
from .speed import available_cores, machine_sentence, made_up_series, peers

OURS, PYOD = "AnomalyTransformerDetector, equal size", "PyOD AnomalyTransformer"
FLAGSHIP = "TimesNetDiscrepancyDetector, defaults"
FIT, SCORE = "fit", "score"
DEFAULT_ROWS, DEFAULT_LARGE_ROWS, DEFAULT_CHANNELS = 100_000, (250_000, 1_000_000), 25
DEFAULT_TIMEOUT = 3600.0  # seconds a case
FIT_ROWS = 5000  # rows to fit before all are scored
CHUNK_ROWS = 50_000
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CSV_COLUMNS = ("detector", "action", "source", "n_rows", "n_channels", "memory_mb", "seconds", "error")


# Inside a case


def memory_megabytes(field: str) -> float:
    """Return a field of this process's status in MB, or the peak since its start where the system has no such file."""
    if not STATUS.exists():
        return peak_memory_megabytes()
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024 / 1e6


def run_case(case: dict[str, Any]) -> dict[str, float]:
    """Run the case in this process; return its peak memory above the imports, and its seconds."""
    import torch

    from timesad import TimesNetDiscrepancyDetector

    torch.set_num_threads(case["threads"])
    detector = (
        TimesNetDiscrepancyDetector(random_state=0)
        if case["detector"] == FLAGSHIP
        else peers("cpu")[case["detector"]]()
    )
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler
    before = memory_megabytes("VmRSS")
    shape = (case["n_rows"], case["n_channels"])
    X = np.memmap(case["file"], dtype=np.float64, mode="r", shape=shape) if case["file"] else made_up_series(*shape)
    start = time.perf_counter()
    detector.fit(X if case["action"] == FIT else X[:FIT_ROWS])
    if case["action"] == SCORE:
        if RESET.exists():
            RESET.write_text("5")  # the peak starts again at the present memory
        start = time.perf_counter()
        if not np.isfinite(detector.decision_function(X)).all():
            raise ValueError("some scores are not finite")
    return {"seconds": time.perf_counter() - start, "memory_mb": memory_megabytes("VmHWM") - before}


# Outside


def run_in_process(case: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Run the case in a new process; a failure is its `error`."""
    command = [sys.executable, "-m", "benchmarks.memory", "--case", json.dumps(case)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return case | {"error": f"no result within {timeout:g} s"}
    if done.returncode == 0:
        return case | {"error": ""} | json.loads(done.stdout.splitlines()[-1])
    return case | {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}


def write_series(path: Path, n_rows: int, n_channels: int) -> None:
    """Write a made-up series in chunks, as float64."""
    series = np.memmap(path, dtype=np.float64, mode="w+", shape=(n_rows, n_channels))
    for begin in range(0, n_rows, CHUNK_ROWS):
        end = min(begin + CHUNK_ROWS, n_rows)
        series[begin:end] = made_up_series(end - begin, n_channels, seed=begin)
    series.flush()


def all_cases(options: argparse.Namespace, file: Path) -> list[dict[str, Any]]:
    """Return the cases in memory, then those from the file."""
    common = {"n_channels": options.channels, "threads": options.threads}
    cases = [
        {"detector": detector, "action": action, "source": "memory", "n_rows": options.rows, "file": ""} | common
        for action in (FIT, SCORE)
        for detector in (OURS, PYOD, FLAGSHIP)
    ]
    large = {"detector": FLAGSHIP, "source": "file", "file": str(file)} | common
    cases += [large | {"action": SCORE, "n_rows": n_rows} for n_rows in options.large_rows]
    return [*cases, large | {"action": FIT, "n_rows": max(options.large_rows)}]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", type=json.loads, help="run one case in this process, for the command's own use")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--large-rows", type=int, nargs="+", default=list(DEFAULT_LARGE_ROWS))
    parser.add_argument("--channels", type=int, default=DEFAULT_CHANNELS)
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a case")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    if options.case:
        print(json.dumps(run_case(options.case)))
        return
    records = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.f64"
        write_series(file, max(options.large_rows), options.channels)
        for case in all_cases(options, file):
            records.append(run_in_process(case, options.timeout))
            print(*(records[-1].get(column, "") for column in CSV_COLUMNS), flush=True)
    header = ["detector", "", "rows", "from", "peak above the imports, MB", "seconds"]
    rows = []
    for r in records:
        figures = [r["error"], ""] if r["error"] else [f"{r['memory_mb']:,.0f}", f"{r['seconds']:.1f}"]
        rows.append([r["detector"], r["action"], f"{r['n_rows']:,}", r["source"], *figures])
    options.out.mkdir(parents=True, exist_ok=True)
    page, table = options.out / "memory.md", options.out / "memory.csv"
    page.write_text(
        f"# Memory\n\n- Made by `{command_text('benchmarks.memory', arguments)}`.\n"
        f"- Machine: {machine_sentence('cpu')}.\n- {options.channels} channels, each case in a fresh process. The peak "
        "is the largest resident memory above that after the imports, the series included. *score*: fitted on "
        f"{FIT_ROWS:,} rows, all scored. *fit* includes the scores of all rows. The file is a `numpy.memmap`.\n\n"
        f"{markdown_table(header, rows)}",
        encoding="utf-8",
    )
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    print(page, table, sep="\n")


if __name__ == "__main__":
    main()
