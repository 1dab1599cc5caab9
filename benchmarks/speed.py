"""Seconds to fit and to score: our defaults by rows and channels, and ours against PyOD's and DeepOD's at equal size.

    python -m benchmarks.speed
    python -m benchmarks.speed --rows 1000 4000 --channels 1 25 --repeats 3

Contenders run in turn, A B A B …; the tables show the median of the rounds with the smallest and the largest. They are
written to ``docs/results/speed.md`` and ``speed.csv``. DeepOD pins old packages; it runs without them from a folder of
its own, and the page says where it is missing::

    pip install --no-deps --target build/peers deepod
    PYTHONPATH=build/peers python -m benchmarks.speed
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
    c_code,
)
from timesad.nn import AnomalyTransformerNetwork, AssociationSettings, BlockSettings, WindowSettings
from timesad.row_errors import batch_errors
from timesad.scoring import ScoreSettings
from timesad.training import TrainingSettings

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .report import ABSENT, markdown_table

DEFAULT_ROWS, DEFAULT_CHANNELS = (2000, 10_000, 50_000), (1, 25, 100)
PEER_ROWS, PEER_CHANNELS = 2000, 25
DEFAULT_REPEATS = 3
WARM_UPS = 1  # rounds that are not counted
WINDOW, MODEL_SIZE, N_HEADS, N_LAYERS, N_PERIODS, N_KERNELS, BATCH_SIZE = 100, 64, 4, 2, 3, 6, 64  # equal size
PYOD_WIDENING = 4  # PyOD's feed-forward networks are so many times as wide as the model
OFFICIAL_WEIGHT = 3.0  # k of the official code
PERIODS, NOISE = (50, 20, 10), 0.1  # rows, and standard deviations, of the made-up series
PACKAGES = ("timesad", "torch", "numpy", "scikit-learn", "pyod", "deepod")
RAY_MODULES = ("ray", "ray.tune", "ray.air", "ray.tune.schedulers")
CSV_COLUMNS = ("table", "n_rows", "n_channels", "contender", "measure", "repeat", "seconds")
FIT, SCORE = "fit", "score"
PYOD_TRANSFORMER, DEEPOD_TIMESNET = PEER_NAMES = "PyOD AnomalyTransformer", "DeepOD TimesNet"
PRODUCT_SIZE, PRODUCT_TRIES = 1024, 20  # of the fastest product, for what a score needs at least


# Contenders


class EqualSize:
    """Ours as the peers are: no masks, no early stopping, a scoring window at every row, all windows in an epoch."""

    def _window_settings(self) -> WindowSettings:
        return replace(super()._window_settings(), n_masks=0)  # type: ignore[misc]

    def _training_settings(self) -> TrainingSettings:
        settings: TrainingSettings = super()._training_settings()  # type: ignore[misc]
        return replace(settings, epoch_size=sys.maxsize, validation_fraction=0.0)

    def _score_settings(self) -> ScoreSettings:
        return EveryRow(**vars(super()._score_settings()))  # type: ignore[misc]


class EveryRow(ScoreSettings):
    """A scoring window at every row."""

    stride = 1  # type: ignore[assignment]


class EqualTimesNet(EqualSize, TimesNetDetector):
    """Our TimesNet with as many kernels as DeepOD's."""

    def _block_settings(self) -> BlockSettings:
        return replace(super()._block_settings(), n_kernels=N_KERNELS)


class WideNetwork(AnomalyTransformerNetwork):
    """Feed-forward networks four times as wide as the model, as PyOD's."""

    def __init__(self, window: WindowSettings, association: AssociationSettings) -> None:
        super().__init__(window, association)
        size = window.model_size
        self.feed_forwards = nn.ModuleList(
            nn.Sequential(nn.Linear(size, PYOD_WIDENING * size), nn.GELU(), nn.Linear(PYOD_WIDENING * size, size))
            for _ in self.feed_forwards
        )


class EqualTransformer(EqualSize, AnomalyTransformerDetector):
    """Our Anomaly Transformer with as many parameters as PyOD's."""

    _network_class = WideNetwork


def pyod_transformer(device: str) -> Any:
    """Build PyOD's Anomaly Transformer."""
    from pyod.models.ts_anomaly_transformer import AnomalyTransformer

    return AnomalyTransformer(
        window_size=WINDOW,
        d_model=MODEL_SIZE,
        n_heads=N_HEADS,
        n_layers=N_LAYERS,
        epochs=1,
        batch_size=BATCH_SIZE,
        step=1,
        dropout=0.0,
        device=device,
    )


def deepod_timesnet(device: str) -> Any:
    """Build DeepOD's TimesNet; its base class imports the tuner ray, which nothing here uses."""
    stand_ins = [name for name in RAY_MODULES if name not in sys.modules]
    sys.modules.update({name: mock.MagicMock(__path__=[]) for name in stand_ins})
    try:
        from deepod.models.time_series.timesnet import TimesNet
    finally:
        for name in stand_ins:
            del sys.modules[name]
    return TimesNet(
        seq_len=WINDOW,
        stride=1,
        epochs=1,
        batch_size=BATCH_SIZE,
        epoch_steps=-1,  # all steps
        e_layers=N_LAYERS,
        d_model=MODEL_SIZE,
        d_ff=MODEL_SIZE,
        dropout=0.0,
        top_k=N_PERIODS,
        num_kernels=N_KERNELS,
        verbose=0,
        random_state=0,
        device=device,
    )


def peers(device: str) -> dict[str, Callable[[], Any]]:
    """Ours and the peers at equal size."""
    ours = {
        "window_size": WINDOW,
        "n_layers": N_LAYERS,
        "model_size": MODEL_SIZE,
        "max_epochs": 1,
        "batch_size": BATCH_SIZE,
        "device": device,
        "random_state": 0,
    }
    score = {"anomaly_score": "reconstruction+discrepancy", "discrepancy_weight": OFFICIAL_WEIGHT, "n_heads": N_HEADS}
    return {
        "AnomalyTransformerDetector, equal size": partial(EqualTransformer, **ours, **score),
        PYOD_TRANSFORMER: partial(pyod_transformer, device),
        "TimesNetDetector, equal size": partial(EqualTimesNet, **ours, n_periods=N_PERIODS),
        DEEPOD_TIMESNET: partial(deepod_timesnet, device),
    }


def defaults(device: str) -> dict[str, Callable[[], Any]]:
    """Our detectors with their defaults."""
    return {
        "NearestWindowsDetector": partial(NearestWindowsDetector, device=device),
        "TimesNetDetector": partial(TimesNetDetector, device=device, random_state=0),
        "TimesNetDiscrepancyDetector": partial(TimesNetDiscrepancyDetector, device=device, random_state=0),
        "TimesNetDiscrepancyDetector, discrepancy_weight=0": partial(
            TimesNetDiscrepancyDetector, discrepancy_weight=0, device=device, random_state=0
        ),
        "AnomalyTransformerDetector": partial(AnomalyTransformerDetector, device=device, random_state=0),
    }


# Timing


@dataclass
class Times:
    """Seconds of one contender, or the error that ended it.

    Parameters
    ----------
    name : str
        The contender.
    seconds : dict of str to list of float
        Seconds of every counted round, for each measure.
    error : str, default=""
        The error, if there are no seconds.
    """

    name: str
    seconds: dict[str, list[float]] = field(default_factory=lambda: {FIT: [], SCORE: []})
    error: str = ""

    def text(self, measure: str) -> str:
        """Median, smallest and largest, or the error."""
        rounds = self.seconds[measure]
        if not rounds:
            return self.error or ABSENT
        return f"{statistics.median(rounds):.3g} ({min(rounds):.3g}–{max(rounds):.3g})"


def clock() -> float:
    """Seconds, after the accelerator has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def fit_and_score(build: Callable[[], Any], halves: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Seconds to fit a new detector on the first half and to score the second."""
    detector = build()
    start = clock()
    detector.fit(halves[0])
    fitted = clock()
    detector.decision_function(halves[1])
    return {FIT: fitted - start, SCORE: clock() - fitted}


def interleave(
    contenders: dict[str, Callable[[], Any]], halves: Sequence[NDArray[np.float64]], repeats: int
) -> list[Times]:
    """Run the contenders in turn, so that a slow minute of the machine affects all of them."""
    results = [Times(name) for name in contenders]
    for turn in range(-WARM_UPS, repeats):
        for times, build in zip(results, contenders.values(), strict=True):
            if times.error:
                continue
            try:
                measured = fit_and_score(build, halves)
            except Exception as error:
                times.error = f"{type(error).__name__}: {error}".partition("\n")[0]
                continue
            if turn >= 0:
                for measure, seconds in measured.items():
                    times.seconds[measure].append(seconds)
        print(f"round {turn + 1} of {repeats}", flush=True)
    return results


def made_up_series(n_rows: int, n_channels: int, seed: int = 0) -> NDArray[np.float64]:
    """Sines of three periods with a phase for each channel, and noise, (n_rows, n_channels)."""
    generator = np.random.default_rng(seed)
    phases = generator.uniform(0, 2 * np.pi, size=(len(PERIODS), n_channels))
    series = NOISE * generator.standard_normal((n_rows, n_channels))
    rows = np.arange(n_rows)[:, None]
    for period, phase in zip(PERIODS, phases, strict=True):
        series += np.sin(2 * np.pi * rows / period + phase)
    return series


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_sentence(device: str) -> str:
    """Cores, threads, vector instructions and versions of this machine."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    where = f"device {device}" if device == "cpu" else f"device {torch.cuda.get_device_name(device)}"
    return (
        f"{available_cores()} cores, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}; "
        f"{where}; {platform.system()}, Python {platform.python_version()}; {', '.join(versions)}"
    )


# What a score needs at least


def operations(build: Callable[[], Any], n_rows: int, n_channels: int) -> float:
    """Additions and multiplications of the products and convolutions that score so many rows at equal size."""
    detector = build().fit(made_up_series(2 * WINDOW, n_channels))
    parts = detector.scorer_.reconstruction
    with mock.patch.object(c_code, "LANES", []), FlopCounterMode(display=False) as counter:  # it does not count C code
        with_discrepancy = detector.scorer_.settings.uses_discrepancy
        batch_errors(parts.network, torch.zeros(1, WINDOW, n_channels), with_discrepancy=with_discrepancy)
    return float(counter.get_total_flops()) * (n_rows - WINDOW + 1)


def product_rate() -> float:
    """Additions and multiplications a second of a product of two matrices, the most in some tries."""
    a, b = torch.rand(2, PRODUCT_SIZE, PRODUCT_SIZE)
    seconds = []
    for _ in range(PRODUCT_TRIES):
        start = clock()
        a @ b
        seconds.append(clock() - start)
    return 2 * PRODUCT_SIZE**3 / min(seconds)


def floor_table(results: Sequence[Times], n_rows: int, n_channels: int, device: str) -> str:
    """Operations of a score, and the seconds that they take at the rate of a matrix product."""
    rate, rows = product_rate(), []
    for times in results:
        if times.name in PEER_NAMES or not times.seconds[SCORE]:
            continue
        needed = operations(peers(device)[times.name], n_rows, n_channels)
        seconds = statistics.median(times.seconds[SCORE])
        floor = needed / rate
        rows.append([times.name, f"{needed / 1e9:.0f}", f"{floor:.2f}", f"{seconds:.2f}", f"{seconds / floor:.1f}"])
    columns = ["", "10⁹ operations", "at least, s", "score, s", "times as long"]
    return (
        "## What the score needs at least\n\nOperations of matrix products and convolutions alone, those with padding "
        "included, at the "
        f"{rate / 1e9:.0f} · 10⁹ a second of a product of two matrices of {PRODUCT_SIZE:,} × {PRODUCT_SIZE:,}.\n\n"
        + markdown_table(columns, rows)
    )


# The page


def times_table(results: Sequence[Times]) -> str:
    """A contender a row."""
    rows = [[times.name, times.text(FIT), times.text(SCORE)] for times in results]
    return markdown_table(["", "fit, s", "score, s"], rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=list(DEFAULT_ROWS), help="of the defaults' tables")
    parser.add_argument("--channels", type=int, nargs="+", default=list(DEFAULT_CHANNELS))
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="at equal size; 0 leaves the peers out")
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="speed", help="begins the files' names (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)

    tables = [("defaults", n_rows, PEER_CHANNELS) for n_rows in options.rows]
    tables += [("defaults", min(options.rows), n) for n in options.channels if n != PEER_CHANNELS]
    tables += [("equal size", options.peer_rows, PEER_CHANNELS)] if options.peer_rows else []
    parts, lines = [], []
    for table, n_rows, n_channels in tables:
        series = made_up_series(2 * n_rows, n_channels)
        contenders = (defaults if table == "defaults" else peers)(options.device)
        results = interleave(contenders, np.split(series, 2), options.repeats)
        parts.append(f"## {table.capitalize()}: {n_rows:,} rows × {n_channels} channels\n\n{times_table(results)}")
        if table == "equal size" and options.device == "cpu":
            parts.append(floor_table(results, n_rows, n_channels, options.device))
        lines += [
            (table, n_rows, n_channels, times.name, measure, repeat, f"{seconds:.4f}")
            for times in results
            for measure, rounds in times.seconds.items()
            for repeat, seconds in enumerate(rounds)
        ]
    head = (
        f"# Speed\n\n- Made by `{command_text('benchmarks.speed', arguments)}`.\n- Machine: "
        f"{machine_sentence(options.device)}.\n- Median seconds (smallest–largest) of {options.repeats} rounds, "
        "contenders in turn. *fit* includes the scores of the rows fitted; *score* is of as many other rows.\n"
        f"- Equal size: windows of {WINDOW} rows, one at every row, {MODEL_SIZE} features, {N_LAYERS} layers, "
        f"{N_HEADS} heads, batches of {BATCH_SIZE}, one epoch, no masks, no early stopping.\n"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    page, table_file = options.out / f"{options.name}.md", options.out / f"{options.name}.csv"
    page.write_text("\n".join([head, *parts]), encoding="utf-8")
    with table_file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        writer.writerows(lines)
    print(page, table_file, sep="\n")


if __name__ == "__main__":
    main()
