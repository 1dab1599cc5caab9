"""Throughput of `timesad.many` on one machine, in ``docs/results/many.md``.

    python -m benchmarks.many
    python -m benchmarks.many --dask
    python -m benchmarks.many --series 100 --network-series 0 --out build/many.md

Each detector is fitted on many short series and scores them, by one job and by two, through joblib's processes. With
``--dask`` two worker processes of a local Dask cluster do the same. Every job has one thread: two jobs use two cores.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import clone
from threadpoolctl import threadpool_info

from timesad import NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.many import fit_many, score_many

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .contract import FloatArray
from .memory import RESET, memory_megabytes
from .report import ABSENT, markdown_table
from .speed import available_cores, machine_sentence

N_ROWS, N_CHANNELS = 2000, 3
JOBS = (1, 2)
DASK_WORKERS = 2
SERIES, NETWORK_SERIES = 1000, 4
SIMULATED_CORES = (4, 16)
PAUSE, ATTEMPTS = 0.2, 20  # seconds of a task that looks at its process, and how often to look for the next one

Here = tuple[int, Any]  # number of a process, and what was found there
Everywhere = Callable[[Callable[[], Here]], dict[int, Any]]  # calls a function in each process that works


@dataclass(frozen=True)
class Outcome:
    """Seconds and memory of one detector in one place.

    Parameters
    ----------
    detector, place : str
        Names.
    n_jobs, n_series : int
        Processes that work, and series.
    fit, score : float
        Seconds for all series.
    worker_mb : float or None
        Largest memory of a worker above that after its imports; None where the process that asks works itself.
    own_mb : float
        The same of the process that asks, which has all series and all fitted detectors.
    threads : dict of str to int
        Largest number of threads in a worker, by library.
    """

    detector: str
    place: str
    n_jobs: int
    n_series: int
    fit: float
    score: float
    worker_mb: float | None
    own_mb: float
    threads: dict[str, int]

    @property
    def rate(self) -> float:
        """Series a second, fitted and scored."""
        return self.n_series / (self.fit + self.score)


# Inside a process


def begin_memory() -> Here:
    """Memory after the imports; the peak starts again there."""
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler
    if RESET.exists():
        RESET.write_text("5")
    return os.getpid(), memory_megabytes("VmRSS")


def peak_memory() -> Here:
    """The largest memory since `begin_memory`."""
    return os.getpid(), memory_megabytes("VmHWM")


def threads_here() -> Here:
    """Threads that torch and the pools of BLAS and OpenMP would use."""
    pools = {pool["user_api"]: 0 for pool in threadpool_info()}
    for pool in threadpool_info():
        pools[pool["user_api"]] = max(pools[pool["user_api"]], pool["num_threads"])
    return os.getpid(), {"torch": torch.get_num_threads()} | pools


def _slowly(function: Callable[[], Here]) -> Here:
    """Call it, and take so long that another process gets the next task."""
    found = function()
    time.sleep(PAUSE)
    return found


# Places


def in_each_process(n_jobs: int, function: Callable[[], Here]) -> dict[int, Any]:
    """Call a function in each of joblib's processes."""
    found: dict[int, Any] = {}
    for _ in range(ATTEMPTS):
        tasks = (joblib.delayed(_slowly)(function) for _ in range(n_jobs))
        found |= dict(joblib.Parallel(n_jobs=n_jobs, batch_size=1)(tasks))
        if len(found) >= n_jobs:
            break
    return found


@contextmanager
def joblib_processes(n_jobs: int, **limits: int) -> Iterator[Everywhere]:
    """Begin so many processes of joblib; of one job, this process."""
    with joblib.parallel_config("loky", n_jobs=n_jobs, **limits):
        yield partial(in_each_process, n_jobs)


@contextmanager
def dask_processes(n_workers: int) -> Iterator[Everywhere]:
    """Begin a local Dask cluster of so many processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        yield lambda function: dict(client.run(function).values())


# Measuring


def series(number: int) -> FloatArray:
    """One series, another for each number."""
    made = make_anomalous_series(
        n_rows=N_ROWS, n_channels=N_CHANNELS, train_size=N_ROWS // 2, period=25, random_state=number
    )
    return np.asarray(made.data, dtype=np.float64)


def measure(detector: Any, n_series: int, name: str, n_jobs: int, place: AbstractContextManager[Everywhere]) -> Outcome:
    """Fit and score in the place."""
    with place as everywhere:
        before, (me, own) = everywhere(begin_memory), begin_memory()
        fit_many(clone(detector).set_params(**_quick(detector)), [series(0), series(1)])  # what only a first fit does
        data = {number: series(number) for number in range(n_series)}
        begun = time.perf_counter()
        detectors = fit_many(detector, data)
        fitted = time.perf_counter()
        score_many(detectors, data)
        scored = time.perf_counter()
        peaks, threads = everywhere(peak_memory), everywhere(threads_here)
    worker_mb = [peak - before[pid] for pid, peak in peaks.items() if pid in before and pid != me]
    return Outcome(
        detector=type(detector).__name__,
        place=name,
        n_jobs=n_jobs,
        n_series=n_series,
        fit=fitted - begun,
        score=scored - fitted,
        worker_mb=max(worker_mb, default=None),
        own_mb=peak_memory()[1] - own,
        threads=largest(threads.values()),
    )


def _quick(detector: Any) -> dict[str, Any]:
    return {"max_epochs": 1} if "max_epochs" in detector.get_params() else {}


def largest(found: Any) -> dict[str, int]:
    """The largest number of threads by library."""
    counts: dict[str, int] = {}
    for one in found:
        for name, number in one.items():
            counts[name] = max(counts.get(name, 0), number)
    return dict(sorted(counts.items()))


def serial_share(speed_up: float, n_jobs: int) -> float:
    """Share f of Amdahl's law, speed-up = 1 / (f + (1 - f) / n_jobs), in [0, 1]."""
    return float(np.clip((n_jobs / speed_up - 1) / (n_jobs - 1), 0.0, 1.0))


def amdahl(share: float, n_cores: int) -> float:
    """Speed-up by so many cores if so large a share of the work is serial."""
    return 1.0 / (share + (1.0 - share) / n_cores)


# The page


def times_table(outcomes: Sequence[Outcome]) -> str:
    """An outcome a row."""
    rows, alone = [], {}
    for one in outcomes:
        base = alone.setdefault(one.detector, one.rate)
        rows.append(
            [
                f"`{one.detector}`",
                f"{one.n_series:,}",
                one.place,
                str(one.n_jobs),
                f"{one.fit:.1f}",
                f"{one.score:.1f}",
                f"{one.rate:.2g}",
                f"{one.rate / base:.2f}",
                ABSENT if one.worker_mb is None else f"{one.worker_mb:,.0f}",
                f"{one.own_mb:,.0f}",
                ", ".join(f"{name} {number}" for name, number in one.threads.items()),
            ]
        )
    header = ["detector", "series", "by", "jobs", "fit, s", "score, s", "series a second", "speed-up"]
    return markdown_table([*header, "worker, MB", "main, MB", "threads of a worker"], rows)


def simulated_table(outcomes: Sequence[Outcome]) -> str:
    """Rates by more cores than there are, from the first two numbers of jobs of each detector."""
    rows = []
    for first in (one for one in outcomes if one.n_jobs == 1):
        more = next((one for one in outcomes if one.detector == first.detector and one.n_jobs > 1), None)
        if more is None:
            continue
        share = serial_share(more.rate / first.rate, more.n_jobs)
        simulated = [f"{first.rate * amdahl(share, n):.2g}" for n in SIMULATED_CORES]
        measured = [f"{first.rate:.2g}", f"{more.rate:.2g} by {more.n_jobs}"]
        rows.append([f"`{first.detector}`", f"{100 * share:.0f} %", *measured, *simulated])
    header = ["series a second", "serial share", "1 core", "more cores"]
    return markdown_table([*header, *(f"{n} cores, simulated" for n in SIMULATED_CORES)], rows)


def threads_sentence(n_jobs: int, threads: dict[str, int]) -> str:
    """Whether joblib's own limits let workers have more threads than there are cores."""
    cores, most = available_cores(), max(threads.values())
    verdict = "no oversubscription" if n_jobs * most <= max(cores, n_jobs) else "more threads than cores"
    counts = ", ".join(f"{name} {number}" for name, number in threads.items())
    return (
        f"With joblib's defaults each of {n_jobs} workers has at most so many threads: {counts}. There are {cores} "
        f"cores: {verdict}."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=SERIES, help="for NearestWindowsDetector (default: %(default)s)")
    parser.add_argument(
        "--network-series", type=int, default=NETWORK_SERIES, help="for each network; 0 leaves them out (%(default)s)"
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=list(JOBS))
    parser.add_argument("--dask", action="store_true", help=f"also by {DASK_WORKERS} workers of a local Dask cluster")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS / "many.md", help="the page")
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)

    detectors: list[tuple[Any, int]] = [(NearestWindowsDetector(device="cpu"), options.series)]
    if options.network_series:
        networks = (TimesNetDetector, TimesNetDiscrepancyDetector)
        detectors += [(one(device="cpu", random_state=0), options.network_series) for one in networks]
    outcomes = []
    for detector, n_series in detectors:
        places = [("joblib", n, joblib_processes(n, inner_max_num_threads=1)) for n in options.jobs]
        places += [("Dask", DASK_WORKERS, dask_processes(DASK_WORKERS))] if options.dask else []
        for place in places:
            outcomes.append(measure(detector, n_series, *place))
            print(outcomes[-1], flush=True)
    n_jobs = max(options.jobs)
    with joblib_processes(n_jobs) as everywhere:
        sentence = threads_sentence(n_jobs, largest(everywhere(threads_here).values()))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        f"# Many series on one machine\n\n- Made by `{command_text('benchmarks.many', arguments)}`.\n"
        f"- Machine: {machine_sentence('cpu')}.\n"
        f"- Series of {N_ROWS:,} rows and {N_CHANNELS} channels, detectors with their defaults, one thread a job. "
        "Seconds of `fit_many` and of `score_many` for all series, and series a second for both together.\n"
        "- *worker*: largest resident memory of a worker above that after the imports. *main*: the same of the process "
        "that asks. It holds all series and all fitted detectors, and works itself if there is one job.\n"
        f"- {sentence}\n\n{times_table(outcomes)}\n## Beyond the cores measured\n\n"
        "Simulated, not measured: Amdahl's law, `speed-up = 1 / (f + (1 - f) / cores)`, with the serial share f that "
        "the measured speed-up by joblib's processes implies. Memory that cores share and other work of the machine "
        f"count as serial, too.\n\n{simulated_table(outcomes)}",
        encoding="utf-8",
    )
    print(options.out)


if __name__ == "__main__":
    main()
