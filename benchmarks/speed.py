"""Seconds of ours and of each peer, one after the other in one run; scaling; where the time goes; the import.

    python -m benchmarks.speed
    python -m benchmarks.speed --sections peers step --repeats 3 --rows 2000
    python -m benchmarks.speed --sections curves --name speed-scaling

Sections: ``peers`` (fit and score against PyOD's Anomaly Transformer and DeepOD's TimesNet at equal
size), ``step`` (the flagship's training against the straightforward composition in
`benchmarks/composition.py`), ``curves`` (rows, channels, window, batch), ``profile`` (the phases of
a fit and of scoring), ``import`` (fresh interpreters). Medians over the rounds, with the smallest
and the largest, go to ``docs/results/speed.md``, every single measurement to ``speed.csv``; ``--name``
gives a run of some sections a page of its own. Memory has a command of its own, `benchmarks/memory.py`.

DeepOD pins packages that are long out of date. It runs without them, from a folder of its own::

    pip install --no-deps --target build/peers deepod
    PYTHONPATH=build/peers python -m benchmarks.speed

Where it is not installed the page says so.
"""

from __future__ import annotations

import argparse
import csv
import functools
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from timesad import AnomalyTransformerDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.nn import (
    AssociationSettings,
    BlockSettings,
    LocalPrior,
    TimesNetDiscrepancyNetwork,
    WindowSettings,
)
from timesad.nn.maps import compiled as compiled_maps
from timesad.training import SCHEDULES, train_network
from timesad.windows import WindowSet

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .composition import Composition, train
from .costs import StepSize, measure_peaks, transformer_floor
from .equal_size import (
    OFFICIAL_WEIGHT,
    PYOD_WIDENING,
    Size,
    deepod_timesnet,
    defaults,
    our_timesnet,
    our_transformer,
    pyod_transformer,
    with_associations,
    with_own_stride,
)
from .phases import profile_phases
from .report import ABSENT, markdown_table
from .timing import (
    CSV_COLUMNS,
    DEFAULT_REPEATS,
    DEFAULT_WARM_UPS,
    Contender,
    Times,
    available_cores,
    clocked,
    interleave,
    machine_sentence,
    made_up_series,
    times_faster,
    times_table,
)

TITLE = "Speed"
SECTIONS = ("peers", "step", "curves", "profile", "import")
FIT, SCORE, EPOCH, IMPORT = "fit", "score", "epoch", "import"

LEARNING_RATE = 1e-3
WANTED_TIMES = {FIT: 3, SCORE: 4}  # what we set out to be faster than PyOD's Anomaly Transformer
STEP_WINDOW = 96  # the default; STEP_PERIODS divide it, as the composition needs
STEP_PERIODS = (24, 12, 8)
STEP_KERNELS = (6, 4)  # the papers' and the flagship's default
EPOCH_WINDOWS = 1024  # windows in the epoch whose steps are timed
FLAGSHIP_SIZE, FLAGSHIP_LAYERS = 16, 2  # the flagship's defaults
FLAGSHIP_HEADS = 4  # its default is one
CURVE_ROWS = (1000, 2000, 4000, 8000)
CURVE_CHANNELS = (1, 5, 25, 100)
CURVE_WINDOWS = (50, 100, 200)
CURVE_BATCHES = (16, 64, 256)
CURVE_STEP = 5  # rows between windows in the curves, so that they end

IMPORTS = {
    "import torch, sklearn, pyod": "import torch, sklearn, pyod",
    "import timesad": "import timesad",
    "PyOD's Anomaly Transformer": "from pyod.models.ts_anomaly_transformer import AnomalyTransformer",
}


@dataclass(frozen=True)
class Section:
    """A part of the page and the measurements behind it.

    Parameters
    ----------
    title, text : str
        Heading and Markdown.
    records : list of dict
        Lines of the CSV.
    """

    title: str
    text: str
    records: list[dict[str, object]]


def fit_and_score(
    build: Callable[[], Any], train_rows: NDArray[np.float64], rows: NDArray[np.float64]
) -> dict[str, float]:
    """Fit a new detector, score other rows with it, and return the seconds of each."""
    detector, measured = build(), {}
    with clocked(measured, FIT):
        detector.fit(train_rows)
    with clocked(measured, SCORE):
        detector.decision_function(rows)
    return measured


def contender(name: str, build: Callable[[Size], Any], size: Size) -> Contender:
    """Return a contender that fits and scores made-up series of the size."""
    series = made_up_series(2 * size.n_rows, size.n_channels)
    halves = series[: size.n_rows], series[size.n_rows :]
    return Contender(name, lambda: fit_and_score(lambda: build(size), *halves))


def by_operations(compiled: Contender) -> Contender:
    """Return the same contender without the compiled maps, as a package has it that was built without a compiler."""

    def run() -> dict[str, float]:
        with mock.patch.object(compiled_maps, "LANES", []):
            return compiled.run()

    return Contender(f"{compiled.name}, by operations", run)


Interleave = Callable[[Sequence[Contender]], list[Times]]


def rates_table(results: Sequence[Times], size: Size) -> str:
    """Return rows a second of fit, by epoch, and of score."""
    rows = []
    for times in results:
        fit, score = times.median(FIT), times.median(SCORE)
        if fit is not None and score is not None:
            rows.append([times.name, f"{size.n_rows * size.n_epochs / fit:,.0f}", f"{size.n_rows / score:,.0f}"])
    return markdown_table(["", "fit, rows/s (an epoch)", "score, rows/s"], rows)


def peers_section(size: Size, run: Interleave) -> Section:
    """Compare with PyOD's Anomaly Transformer and with DeepOD's TimesNet."""
    transformers = {
        "AnomalyTransformerDetector, equal size": our_transformer,
        "PyOD AnomalyTransformer": pyod_transformer,
        "AnomalyTransformerDetector, two steps a batch": functools.partial(our_transformer, schedule="alternating"),
        "AnomalyTransformerDetector, own stride": functools.partial(with_own_stride, our_transformer),
        "AnomalyTransformerDetector, defaults": functools.partial(defaults, AnomalyTransformerDetector),
    }
    timesnets = {
        "TimesNetDetector, equal size": our_timesnet,
        "DeepOD TimesNet": deepod_timesnet,
        "TimesNetDetector, own stride": functools.partial(with_own_stride, our_timesnet),
        "TimesNetDetector, defaults": functools.partial(defaults, TimesNetDetector),
        "TimesNetDiscrepancyDetector, defaults": functools.partial(defaults, TimesNetDiscrepancyDetector),
        "TimesNetDiscrepancyDetector, associations trained": with_associations,
    }
    parts, records = [f"{size.sentence()}. `fit` includes scoring the rows fitted on, for all of them.\n"], []
    remarks = (
        f"Equal size: {size.model_size} features, {size.n_heads} heads, {size.n_layers} layers, feed-forward "
        f"{PYOD_WIDENING} times as wide, no dropout; no masks, no early stopping, the paper's product score. PyOD runs "
        "the network twice a batch, for two steps; ours gets the gradients of both phases from one pass, and is timed "
        "with two steps as well. Ours has a prior width for every row and head, as the paper has; PyOD one for every "
        "head. Own stride: the same, but a window scored every eighth of a window, as ours do unless told otherwise. "
        "Defaults: our own sizes, masks and strides, with the same window and epochs. By operations: without the C "
        "code (`timesad/nn/maps/`).\n",
        f"Equal size: {size.model_size} features, {size.n_layers} layers, {size.top_k} periods, {size.n_kernels} "
        "kernels, no masks, no early stopping. DeepOD scores a window at every row, so ours does.\n",
    )
    for title, group, remark in zip(
        ("Anomaly Transformer", "TimesNet"), (transformers, timesnets), remarks, strict=True
    ):
        contenders = [contender(name, build, size) for name, build in group.items()]
        if group is transformers:
            contenders.append(by_operations(contenders[0]))
        results = run(contenders)
        parts += [f"### {title}\n", remark, times_table(results, (FIT, SCORE), results[0]), rates_table(results, size)]
        if group is transformers:
            parts.append(floor_paragraph(results[0], results[1], size))
        records += [record for times in results for record in times.records("peers", title)]
    return Section("Against peers", "\n".join(parts), records)


def floor_paragraph(ours: Times, pyod: Times, size: Size) -> str:
    """Say what fit and score must take at least, and what share of that the wanted ratios to PyOD's would leave.

    Fitting scores the rows fitted on.
    """
    windows = StepSize(
        batch_size=size.n_windows,
        window_size=size.window_size,
        n_channels=size.n_channels,
        model_size=size.model_size,
        n_heads=size.n_heads,
        n_layers=size.n_layers,
    )
    peaks = measure_peaks(torch.device(size.device))
    score = transformer_floor(windows, PYOD_WIDENING, peaks, backward=False)
    floors = {
        FIT: score + size.n_epochs * transformer_floor(windows, PYOD_WIDENING, peaks, backward=True),
        SCORE: score,
    }
    sentences = [
        "At the peaks of this machine, measured in the same run (`benchmarks/costs.py`), fitting and scoring so many "
        f"windows take at least {floors[FIT]:.2g} s and {floors[SCORE]:.2g} s, if nothing but arithmetic counts."
    ]
    for measure, floor in floors.items():
        mine, theirs, times = ours.median(measure), pyod.median(measure), WANTED_TIMES[measure]
        if mine is not None and theirs is not None:
            sentences.append(
                f"To {measure} we reach {floor / mine:.0%} of the peak; {times} times as fast as PyOD's is "
                f"{floor * times / theirs:.0%} of it."
            )
    return " ".join(sentences) + "\n"


# The training step against the composition


def step_settings(n_channels: int, n_kernels: int) -> tuple[WindowSettings, BlockSettings]:
    """Return the flagship's default sizes with a number of kernels."""
    window = WindowSettings(
        n_channels=n_channels,
        window_size=STEP_WINDOW,
        model_size=FLAGSHIP_SIZE,
        dropout=0.0,
        normalize=True,
        n_masks=4,
        patch_size=8,
    )
    return window, BlockSettings(FLAGSHIP_LAYERS, STEP_PERIODS, n_kernels)


def flagship_network(window: WindowSettings, blocks: BlockSettings, *, detached: bool) -> TimesNetDiscrepancyNetwork:
    """Return the flagship's network with the paper's prior."""
    association = AssociationSettings(blocks.n_layers, FLAGSHIP_HEADS, lambda: [LocalPrior(window.window_size)])
    return TimesNetDiscrepancyNetwork(window, blocks, association, detached=detached)


def our_epoch(values: NDArray[np.float32], size: Size, n_kernels: int, *, detached: bool) -> dict[str, float]:
    """Train the flagship's network for an epoch, as its fit does, and return the seconds."""
    window, blocks = step_settings(values.shape[1], n_kernels)
    starts, measured = np.arange(len(values) - window.window_size + 1), {}
    with clocked(measured, EPOCH):
        train_network(
            lambda: flagship_network(window, blocks, detached=detached),
            WindowSet(values, starts, window.window_size),
            None,
            phases=SCHEDULES["simultaneous"],
            discrepancy_weight=OFFICIAL_WEIGHT,
            max_epochs=1,
            epoch_size=EPOCH_WINDOWS,
            batch_size=size.batch_size,
            learning_rate=LEARNING_RATE,
            patience=1,
            device=torch.device(size.device),
            seed=0,
            verbose=0,
        )
    return measured


def composed_epoch(values: NDArray[np.float32], size: Size, n_kernels: int) -> dict[str, float]:
    """Train the composition for an epoch and return the seconds."""
    window, blocks = step_settings(values.shape[1], n_kernels)
    measured: dict[str, float] = {}
    with clocked(measured, EPOCH):
        train(
            Composition(window, blocks, FLAGSHIP_HEADS).to(size.device),
            values,
            n_windows=EPOCH_WINDOWS,
            batch_size=size.batch_size,
            learning_rate=LEARNING_RATE,
            weight=OFFICIAL_WEIGHT,
        )
    return measured


def step_section(size: Size, run: Interleave) -> Section:
    """Compare a training step of the flagship with one of the composition."""
    values = made_up_series(EPOCH_WINDOWS + STEP_WINDOW - 1, size.n_channels).astype(np.float32)
    parts, records = (
        [
            f"Seconds of an epoch of {EPOCH_WINDOWS} windows of {STEP_WINDOW} rows × {size.n_channels} channels in "
            f"{-(-EPOCH_WINDOWS // size.batch_size)} steps, making the windows and building the network included. "
            f"{FLAGSHIP_SIZE} features, {FLAGSHIP_LAYERS} layers, {FLAGSHIP_HEADS} heads, periods "
            f"{', '.join(map(str, STEP_PERIODS))}, weight {OFFICIAL_WEIGHT:g}. The composition trains trunk and "
            "association together; its gradients equal those of the first row (`tests/benchmarks/test_speed.py`). The "
            "detached trunk is the default.\n"
        ],
        [],
    )
    for n_kernels in STEP_KERNELS:
        results = run(
            [
                Contender(
                    "flagship, joint trunk", functools.partial(our_epoch, values, size, n_kernels, detached=False)
                ),
                Contender("composition", functools.partial(composed_epoch, values, size, n_kernels)),
                Contender(
                    "flagship, detached trunk", functools.partial(our_epoch, values, size, n_kernels, detached=True)
                ),
            ]
        )
        parts += [f"### {n_kernels} kernels\n", times_table(results, (EPOCH,), results[0])]
        records += [record for times in results for record in times.records("step", f"{n_kernels} kernels")]
    return Section("The training step against the straightforward composition", "\n".join(parts), records)


# Scaling


def curves_section(size: Size, run: Interleave) -> Section:
    """Vary rows, channels, window and batch, one at a time."""
    base = replace(size, n_rows=CURVE_ROWS[1], step=CURVE_STEP)
    curves = (
        ("rows", [(n, replace(base, n_rows=n)) for n in CURVE_ROWS]),
        ("channels", [(n, replace(base, n_channels=n)) for n in CURVE_CHANNELS]),
        ("window", [(n, replace(base, window_size=n)) for n in CURVE_WINDOWS]),
        ("batch", [(n, replace(base, batch_size=n)) for n in CURVE_BATCHES]),
    )
    parts, records = (
        [
            f"Equal size as against the peers, {base.n_rows:,} rows and a window every {base.step}; the flagship with "
            "its defaults. Median seconds (smallest–largest).\n"
        ],
        [],
    )
    for varied, points in curves:
        rows = []
        for value, at in points:
            results = run(
                [
                    contender("AnomalyTransformerDetector", our_transformer, at),
                    contender("PyOD AnomalyTransformer", pyod_transformer, at),
                    contender(
                        "TimesNetDiscrepancyDetector, defaults",
                        functools.partial(defaults, TimesNetDiscrepancyDetector),
                        at,
                    ),
                ]
            )
            ours, pyod = results[:2]
            rows.append(
                [
                    f"{value:,}",
                    *(times.text(measure) for measure in (FIT, SCORE) for times in results),
                    times_faster(ours, pyod, FIT),
                    times_faster(ours, pyod, SCORE),
                ]
            )
            records += [record for times in results for record in times.records("curves", f"{varied} {value}")]
        header = [
            varied,
            "fit ours",
            "fit PyOD",
            "fit flagship",
            "score ours",
            "score PyOD",
            "score flagship",
            "fit ×",
            "score ×",
        ]
        parts += [f"### By {varied}\n", markdown_table(header, rows)]
    return Section("Scaling", "\n".join(parts), records)


# Where the time goes


def profile_section(size: Size) -> Section:
    """Show where the three detectors spend their time, with their defaults."""
    parts, records = (
        [
            f"Each detector with its defaults, one epoch, {size.n_rows:,} rows × {size.n_channels} channels, windows "
            f"of {size.window_size} rows. Time in the phase itself; `backward` is that of all phases together "
            "(`benchmarks/floor.py` divides it); `the rest` is embedding, projection, masks, the loops.\n"
        ],
        [],
    )
    profiled = {
        kind.__name__: functools.partial(defaults, kind)
        for kind in (TimesNetDiscrepancyDetector, TimesNetDetector, AnomalyTransformerDetector)
    }
    profiled[f"{TimesNetDiscrepancyDetector.__name__}, associations trained"] = with_associations
    for name, build in profiled.items():
        profile = profile_phases(build, size)
        parts += [f"### {name}\n", profile_table(profile)]
        for part, phases in profile.items():
            lone = Times(name, {phase: [seconds] for phase, seconds in phases.items()})
            records += lone.records("profile", part)
    return Section("Where the time goes", "\n".join(parts), records)


def profile_table(profile: Mapping[str, Mapping[str, float]]) -> str:
    """Return a phase a row and a part a column, with the phase's share of the part."""
    totals = {part: sum(phases.values()) for part, phases in profile.items()}
    together: Counter[str] = Counter()
    for phases in profile.values():
        together.update(phases)
    rows = []
    for name, _ in together.most_common():
        shares = (phases.get(name, 0.0) / totals[part] for part, phases in profile.items())
        rows.append([name, *(f"{share:.0%}" if share else ABSENT for share in shares)])
    return markdown_table(["", *(f"{part}, {total:.3g} s" for part, total in totals.items())], rows)


# The import


def import_seconds(statement: str) -> dict[str, float]:
    """Run a statement in a fresh interpreter and return its seconds."""
    program = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {IMPORT: float(done.stdout)}


def import_section(run: Interleave) -> Section:
    """Compare the import with that of the packages underneath."""
    results = run([Contender(name, functools.partial(import_seconds, text)) for name, text in IMPORTS.items()])
    over = ""
    underneath, ours = (times.seconds.get(IMPORT) for times in results[:2])
    if underneath and ours:
        extra = statistics.median(mine - base for mine, base in zip(ours, underneath, strict=True))
        over = (
            f"`import timesad` costs {extra / statistics.median(underneath):+.0%} over torch, scikit-learn and pyod "
            "(median of paired rounds).\n"
        )
    text = "\n".join(["Fresh interpreters, one after the other.\n", times_table(results, (IMPORT,), results[0]), over])
    return Section("The import", text, [record for times in results for record in times.records("import", "")])


# The command


def write_page(sections: Sequence[Section], out_dir: Path, name: str, command: str, device: str) -> list[Path]:
    """Write the page and the table of that name."""
    out_dir.mkdir(parents=True, exist_ok=True)
    page, table = out_dir / f"{name}.md", out_dir / f"{name}.csv"
    bullets = [
        f"Made by `{command}`.",
        f"Machine: {machine_sentence(device)}.",
        "Median seconds (smallest–largest) over interleaved rounds, warm-ups not counted. The CSV has each round, and "
        "the seconds of work of all threads beside those on the clock (`CPU`).",
    ]
    text = [f"# {TITLE}\n", "\n".join(f"- {bullet}" for bullet in bullets) + "\n"]
    text += [f"## {section.title}\n\n{section.text}" for section in sections]
    page.write_text("\n".join(text), encoding="utf-8")
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(record for section in sections for record in section.records)
    return [page, table]


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    default = Size()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--rows", type=int, default=default.n_rows)
    parser.add_argument("--channels", type=int, default=default.n_channels)
    parser.add_argument("--window", type=int, default=default.window_size)
    parser.add_argument("--model-size", type=int, default=default.model_size)
    parser.add_argument("--heads", type=int, default=default.n_heads)
    parser.add_argument("--layers", type=int, default=default.n_layers)
    parser.add_argument("--kernels", type=int, default=default.n_kernels)
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--epochs", type=int, default=default.n_epochs)
    parser.add_argument("--step", type=int, default=default.step, help="rows between two windows")
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS, help="rounds that count")
    parser.add_argument("--warm-ups", type=int, default=DEFAULT_WARM_UPS, help="rounds before them")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--device", default=default.device)
    parser.add_argument("--name", default="speed", help="of the page and the table (speed)")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = arguments_of(argv)
    options = make_parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    size = Size(
        n_rows=options.rows,
        n_channels=options.channels,
        window_size=options.window,
        model_size=options.model_size,
        n_heads=options.heads,
        n_layers=options.layers,
        n_kernels=options.kernels,
        batch_size=options.batch_size,
        n_epochs=options.epochs,
        step=options.step,
        device=options.device,
    )
    run: Interleave = functools.partial(
        interleave, repeats=options.repeats, warm_ups=options.warm_ups, on_run=functools.partial(print, flush=True)
    )
    makers: dict[str, Callable[[], Section]] = {
        "peers": lambda: peers_section(size, run),
        "step": lambda: step_section(size, run),
        "curves": lambda: curves_section(size, run),
        "profile": lambda: profile_section(size),
        "import": lambda: import_section(run),
    }
    sections = [makers[name]() for name in SECTIONS if name in options.sections]
    command = command_text("benchmarks.speed", arguments)
    for path in write_page(sections, options.out, options.name, command, options.device):
        print(path)


if __name__ == "__main__":
    main()
