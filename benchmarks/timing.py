"""Contenders timed against each other: in turn, several rounds, medians; and the machine they ran on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from numpy.typing import NDArray

from .report import ABSENT, markdown_table

DEFAULT_REPEATS = 5
DEFAULT_WARM_UPS = 1  # rounds that are run and not counted: first calls allocate, plan and compile
REPORTED_PACKAGES = ("torch", "numpy", "scikit-learn", "pyod", "deepod")
PERIODS = (50, 20, 10)  # rows; they divide windows of 100
NOISE = 0.1
ERROR_CHARACTERS = 200
WORK = "work"
CSV_COLUMNS = ("section", "setting", "contender", "measure", "repeat", "seconds")


@dataclass(frozen=True)
class Contender:
    """One of the things that are timed against each other.

    Parameters
    ----------
    name : str
        Row of the table.
    run : callable
        Does the work once and returns the seconds of each thing measured, such as ``{"fit": 2.0, "score": 0.3}``.
    """

    name: str
    run: Callable[[], dict[str, float]]


@dataclass
class Times:
    """What was measured of one contender.

    Parameters
    ----------
    name : str
        The contender's.
    seconds : dict of str to list of float
        For each thing measured, the seconds of every counted round.
    error : str, default=""
        Why there are none.
    """

    name: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    error: str = ""

    def median(self, measure: str) -> float | None:
        """Return the median of the rounds, or None where it failed."""
        rounds = self.seconds.get(measure)
        return statistics.median(rounds) if rounds else None

    def text(self, measure: str) -> str:
        """Return the median with the smallest and the largest round, or the reason why there is none."""
        rounds = self.seconds.get(measure)
        if not rounds:
            return self.error or ABSENT
        return f"{statistics.median(rounds):.3g} ({min(rounds):.3g}–{max(rounds):.3g})"

    def records(self, section: str, setting: str) -> list[dict[str, object]]:
        """Return one CSV line a round and measure."""
        return [
            dict(zip(CSV_COLUMNS, (section, setting, self.name, measure, repeat, seconds), strict=True))
            for measure, rounds in self.seconds.items()
            for repeat, seconds in enumerate(rounds)
        ]


def interleave(
    contenders: Sequence[Contender],
    repeats: int = DEFAULT_REPEATS,
    warm_ups: int = DEFAULT_WARM_UPS,
    on_run: Callable[[str], None] = lambda text: None,
) -> list[Times]:
    """Run A B A B …, so that what slows the machine down for a while slows down all of them.

    Parameters
    ----------
    contenders : sequence of Contender
        What is timed.
    repeats, warm_ups : int
        Rounds that count, and rounds before them that do not.
    on_run : callable, default=nothing
        Told a line about each run.

    Returns
    -------
    list of Times
        In the order of the contenders. One that raised has the error and no seconds; the others go on.
    """
    results = [Times(contender.name) for contender in contenders]
    for turn in range(-warm_ups, repeats):
        for contender, times in zip(contenders, results, strict=True):
            if times.error:
                continue
            try:
                measured = contender.run()
            except Exception as error:
                times.error = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS].replace("\n", " ")
                times.seconds.clear()
                on_run(f"{contender.name}: {times.error}")
                continue
            if turn >= 0:
                for measure, seconds in measured.items():
                    times.seconds.setdefault(measure, []).append(seconds)
            figures = ", ".join(f"{measure} {seconds:.3g} s" for measure, seconds in measured.items())
            on_run(f"round {turn + 1}: {contender.name}: {figures}" + (" (warm-up)" if turn < 0 else ""))
    return results


def times_faster(ours: Times, theirs: Times, measure: str) -> str:
    """Return how many times longer theirs takes than ours, by medians."""
    mine, other = ours.median(measure), theirs.median(measure)
    return ABSENT if mine is None or other is None else f"{other / mine:.1f}×"


def times_table(results: Sequence[Times], measures: Sequence[str], reference: Times | None = None) -> str:
    """Return a Markdown table, a contender a row; with a reference, how many times longer each takes than it."""
    header = ["", *(f"{measure}, s" for measure in measures)]
    if reference is not None:
        header += [f"{measure}: times {reference.name}" for measure in measures]
    rows = []
    for times in results:
        row = [times.name, *(times.text(measure) for measure in measures)]
        if reference is not None:
            row += [times_faster(reference, times, measure) for measure in measures]
        rows.append(row)
    return markdown_table(header, rows)


def made_up_series(n_rows: int, n_channels: int, seed: int = 0) -> NDArray[np.float64]:
    """Sines of three periods with a phase for each channel, and noise; (n_rows, n_channels)."""
    generator = np.random.default_rng(seed)
    phases = generator.uniform(0, 2 * np.pi, size=(len(PERIODS), n_channels))
    series = NOISE * generator.standard_normal((n_rows, n_channels))
    rows = np.arange(n_rows)[:, None]
    for period, phase in zip(PERIODS, phases, strict=True):
        series += np.sin(2 * np.pi * rows / period + phase)
    return series


def available_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_for_device() -> None:
    """Let the accelerator finish what it was given: it is timed when it is done, not when it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def settled_clock() -> float:
    """Return the seconds of a clock, once the accelerator has done what it was given."""
    wait_for_device()
    return time.perf_counter()


@contextmanager
def clocked(measured: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds of the block as `name`, and those of all its threads' work as `name` CPU.

    Work, unlike time, hardly changes when others use the machine too.
    """
    start, worked = settled_clock(), time.process_time()
    yield
    measured[name] = settled_clock() - start
    measured[f"{name} CPU"] = time.process_time() - worked


def repeated_seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the seconds of so many runs of `work`, one after the other."""
    seconds = []
    for _ in range(repeats):
        measured: dict[str, float] = {}
        with clocked(measured, WORK):
            work()
        seconds.append(measured[WORK])
    return seconds


def machine_sentence(device: str) -> str:
    """Return what kind of machine this is: cores, threads, instructions, versions. No names."""
    parts = [
        f"{available_cores()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        f"device {device}" if device == "cpu" else f"device {torch.cuda.get_device_name(device)}",
        f"{platform.system()}, Python {platform.python_version()}",
        ", ".join(f"{name} {installed}" for name, installed in installed_versions(REPORTED_PACKAGES)),
    ]
    return "; ".join(parts)


def installed_versions(packages: Iterable[str]) -> list[tuple[str, str]]:
    """Return name and version of those that are installed."""
    found = []
    for name in packages:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
