"""Microseconds that a row of a stream costs: our streams, river's HalfSpaceTrees and PyOD's IForest.

    python -m benchmarks.latency
    python -m benchmarks.latency --channels 1 --rows 1 --rounds 5

Contenders run in turn, some calls of each a round. The table shows the median and the 99 % quantile of the calls,
divided by the rows of a call. It is written to ``docs/results/latency.md``. river is no dependency; the page says where
it is missing::

    pip install --no-deps --target build/peers river
    PYTHONPATH=build/peers python -m benchmarks.latency
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyod
import torch
from numpy.typing import NDArray

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .report import ABSENT, markdown_table
from .speed import clock, machine_sentence, made_up_series

DEFAULT_ROWS, DEFAULT_CHANNELS = (1, 10, 100), 25
DEFAULT_ROUNDS, DEFAULT_CALLS = 10, 10  # calls of each contender a round
WARM_UPS = 2  # calls that are not counted; the first one with alarms computes the evidence of the history
TRAINING_ROWS = 4000
QUANTILE = 0.99
ONLINE_METHODS = ("partial_fit", "learn_one", "update", "fit_partial")  # of a detector that learns row by row

Update = Callable[[Any], Any]


@dataclass(frozen=True)
class Contender:
    """What is fed row by row.

    Parameters
    ----------
    begin : callable
        Of the training rows and the rows before the first call; returns what is called with the next rows.
    form : callable, default=numpy.asarray
        From an array of rows to what the contender expects. It is not timed.
    """

    begin: Callable[[NDArray[np.float64], NDArray[np.float64]], Update]
    form: Callable[[NDArray[np.float64]], Any] = np.asarray


@dataclass
class Latency:
    """Seconds of the calls of one contender by rows a call, or the error that ended it."""

    name: str
    seconds: dict[int, list[float]] = field(default_factory=dict)
    error: str = ""

    def text(self, n_rows: int) -> str:
        """Median and 99 % quantile in microseconds a row, or the error."""
        calls = self.seconds.get(n_rows)
        if self.error or not calls:
            return self.error or ABSENT
        median, high = 1e6 / n_rows * np.quantile(calls, [0.5, QUANTILE])
        return f"{median:,.0f} ({high:,.0f})"


# Contenders


class Fitted:
    """A detector that is fitted when the first stream begins, once for all its streams."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self.build = build
        self.detector: Any = None

    def begin(self, alarms: bool, train: NDArray[np.float64], history: NDArray[np.float64]) -> Update:
        """Return the method `update` of a new stream."""
        if self.detector is None:
            self.detector = self.build().fit(train)
        update: Update = partial(self.detector.stream(history=history).update, alarms=alarms)
        return update


def half_space_trees(train: NDArray[np.float64], history: NDArray[np.float64]) -> Update:
    """Begin river's HalfSpaceTrees with its defaults, in the limits of the training rows, which it has learned."""
    from river.anomaly import HalfSpaceTrees

    limits = dict(enumerate(zip(train.min(axis=0).tolist(), train.max(axis=0).tolist(), strict=True)))
    trees = HalfSpaceTrees(limits=limits, seed=0)

    def update(rows: list[dict[int, float]]) -> list[float]:
        scores = []
        for row in rows:
            scores.append(trees.score_one(row))
            trees.learn_one(row)
        return scores

    update(dicts(train))
    return update


def dicts(rows: NDArray[np.float64]) -> list[dict[int, float]]:
    """Rows as river expects them."""
    return [dict(enumerate(row)) for row in rows.tolist()]


def isolation_forest(train: NDArray[np.float64], history: NDArray[np.float64]) -> Update:
    """PyOD's IForest with its defaults: it scores rows, and learns nothing from them."""
    from pyod.models.iforest import IForest

    update: Update = IForest(random_state=0).fit(train).decision_function
    return update


def contenders(device: str) -> dict[str, Contender]:
    """Ours, and the peers."""
    network = {"max_epochs": 1, "random_state": 0}  # the time of an update does not depend on the epochs
    nearest = partial(NearestWindowsDetector, device=device)
    ours = {
        "NearestWindowsDetector": Fitted(nearest),
        "NearestWindowsDetector, use_past=False": Fitted(partial(nearest, use_past=False)),
        "TimesNetDiscrepancyDetector": Fitted(partial(TimesNetDiscrepancyDetector, device=device, **network)),
    }
    streams = {
        f"{name}: `update({call})`": Contender(partial(fitted.begin, alarms))
        for name, fitted in ours.items()
        for call, alarms in (("rows", False), ("rows, alarms=True", True))
    }
    return streams | {
        "river HalfSpaceTrees: `score_one`, `learn_one`": Contender(half_space_trees, dicts),
        "PyOD IForest: `decision_function(rows)`": Contender(isolation_forest),
    }


def online_detectors_of_pyod() -> list[str]:
    """Modules of PyOD that define a method which learns from further rows."""
    defined = tuple(f"def {method}(" for method in ONLINE_METHODS)
    modules = sorted((Path(pyod.__file__).parent / "models").glob("*.py"))
    return [one.stem for one in modules if any(line in one.read_text(encoding="utf-8") for line in defined)]


# Timing


def history_rows(asked: int | None) -> int:
    """Rows before the first call: as many as asked, or as the streams hold, at most."""
    if asked is not None:
        return asked
    few = made_up_series(1000, 1)
    stream = NearestWindowsDetector(device="cpu").fit(few).stream()
    return int(stream.memory_rows)


def measure(
    found: dict[str, Contender], n_rows: int, n_channels: int, n_history: int, n_rounds: int, n_calls: int, n_train: int
) -> dict[str, list[float] | str]:
    """Seconds of each call with `n_rows` rows, or the error, by contender.

    A round has `n_calls` calls of each contender, one contender after the other.
    """
    n_new = n_rows * (WARM_UPS + n_rounds * n_calls)
    series = made_up_series(n_train + n_history + n_new, n_channels)
    train, history, new = np.split(series, [n_train, n_train + n_history])
    results: dict[str, list[float] | str] = {}
    running: dict[str, tuple[Update, list[Any], list[float]]] = {}
    for name, contender in found.items():
        try:
            update = contender.begin(train, history)
            calls = [contender.form(rows) for rows in np.split(new, n_new // n_rows)]
            for rows in calls[:WARM_UPS]:
                update(rows)
        except Exception as error:
            results[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
            continue
        running[name] = update, calls[WARM_UPS:], []
    for number in range(n_rounds):
        for update, calls, seconds in running.values():
            for rows in calls[number * n_calls : (number + 1) * n_calls]:
                start = clock()
                update(rows)
                seconds.append(clock() - start)
        print(f"calls of {n_rows}: round {number + 1} of {n_rounds}", flush=True)
    return results | {name: seconds for name, (_, _, seconds) in running.items()}


# The page


def page_text(latencies: Sequence[Latency], sizes: Sequence[int], options: argparse.Namespace, command: str) -> str:
    """Head and table."""
    try:
        river = f"river {version('river')}"
    except PackageNotFoundError:
        river = "river is not installed"
    online = online_detectors_of_pyod()
    has = f"Of PyOD's detectors, {', '.join(online)} learn" if online else "No detector of PyOD learns"
    header = ["", *(f"{n_rows} {'row' if n_rows == 1 else 'rows'} a call, µs" for n_rows in sizes)]
    rows = [[one.name, *(one.text(n_rows) for n_rows in sizes)] for one in latencies]
    return (
        f"# Latency of a stream\n\n- Made by `{command}`.\n- Machine: {machine_sentence(options.device)}; {river}.\n"
        f"- Microseconds a row: the median of {options.rounds * options.calls} calls, and in brackets their 99 % "
        f"quantile, divided by the rows of a call. {options.channels} channels. Contenders in turn, "
        f"{options.calls} calls a round.\n"
        f"- Ours: fitted on {options.training_rows:,} rows, networks for one epoch. Before the first call a stream has "
        f"{history_rows(options.history):,} rows, about as many as it holds at most. Each call gives a new score to "
        "all rows whose score is not final, so a call with many rows costs little more than one with few.\n"
        f"- river: the defaults, after it learned the {options.training_rows:,} rows. It gets rows as dicts.\n"
        f"- {has} from further rows (methods {', '.join(f'`{one}`' for one in ONLINE_METHODS)}), so IForest stands for "
        "it: it scores each row by itself, with what it learned in `fit`.\n"
        "- The peers score rows. Ours score windows, and revise a score until it is final.\n\n"
        f"{markdown_table(header, rows)}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=list(DEFAULT_ROWS), help="a call")
    parser.add_argument("--channels", type=int, default=DEFAULT_CHANNELS)
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument("--calls", type=int, default=DEFAULT_CALLS, help="of each contender a round")
    parser.add_argument("--training-rows", type=int, default=TRAINING_ROWS)
    parser.add_argument("--history", type=int, help="rows before the first call (default: as many as a stream holds)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = contenders(options.device)
    latencies = [Latency(name) for name in found]
    for n_rows in options.rows:
        results = measure(
            found,
            n_rows,
            options.channels,
            history_rows(options.history),
            options.rounds,
            options.calls,
            options.training_rows,
        )
        for latency in latencies:
            result = results[latency.name]
            if isinstance(result, str):
                latency.error = result
            else:
                latency.seconds[n_rows] = result
    options.out.mkdir(parents=True, exist_ok=True)
    page = options.out / "latency.md"
    text = page_text(latencies, options.rows, options, command_text("benchmarks.latency", arguments))
    page.write_text(text, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
