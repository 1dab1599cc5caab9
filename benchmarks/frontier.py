"""Quality beside seconds: mean VUS-PR from the peers' table, and seconds to fit and to score measured in one run.

    python -m benchmarks.frontier
    python -m benchmarks.frontier --methods simple nearest-windows --rows 2000 --repeats 1 --out build/look

Every method is built, scaled and seeded as in ``benchmarks.peers``. It is fitted on the first half of a made-up series
and scores the other half. Each round of a method runs in a new process, after a warm-up on few rows. Methods run in
turn, A B A B …, so that a slow minute of the machine affects all of them. A method whose round takes longer than
``--limit`` has no further rounds.

A method is on the frontier if no other is as fast and as good, and faster or better.

The page is ``docs/results/frontier.md``, its rounds are in ``frontier.csv``, and ``docs/images/frontier-CHANNELS.svg``
has a panel for each protocol. The CSV is written after every round: ``--resume`` runs what it lacks, ``--report-only``
makes page and pictures from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from timesad import TimesNetDiscrepancyDetector

from .cell_table import metrics_of, read_rows
from .command import DEFAULT_RESULTS, REPORT_ONLY, arguments_of, command_text, fail
from .contract import (
    DEFAULT_WINDOW,
    PEER_FAMILIES,
    PROTOCOLS,
    SEMI_SUPERVISED,
    STANDARD_SCALING,
    FloatArray,
    Method,
    Record,
    Setup,
)
from .harness import DEFAULT_TIMEOUT, ISOLATIONS, PRELOAD, PROCESS_ISOLATION
from .isolation import OK, Outcome, call_here, call_isolated
from .measure import HEAD_METRIC, RAW, VARIANTS, check_scores, limit_torch, scaled, seed_globals, window_length
from .methods import DEFAULT_FAMILIES, FLAGSHIP, FLAGSHIP_DEFAULT, METHODS, select_methods
from .report import ABSENT, ERROR_CHARACTERS, markdown_table, number
from .score_rules import REFERENCE_RULE
from .series import REPOSITORY
from .speed import clock, machine_sentence, made_up_series
from .summary import group_kinds, row_name, series_key, summarise

TIMESNET = "timesnet"
# Rows of the peers' table for methods of another name; the scores are the same to the bit.
TABLE_ROWS = {
    FLAGSHIP: row_name(FLAGSHIP, FLAGSHIP_DEFAULT),
    TIMESNET: row_name(FLAGSHIP, REFERENCE_RULE),
}
BETTER = "better"  # of the raw and the smoothed scores, for each method
DEFAULT_PEERS = DEFAULT_RESULTS / "peers.csv"
DEFAULT_IMAGES = REPOSITORY / "docs" / "images"
RESUME = "--resume"

DEFAULT_ROWS, DEFAULT_CHANNELS = 10_000, (1, 25)
DEFAULT_REPEATS = 3
DEFAULT_LIMIT = 120.0  # seconds
WARM_UP_ROWS = 1000
SHORTEST = 0.001  # seconds, that the page shows
BUDGETS = (0.1, 1.0, 10.0, 100.0)  # seconds

# Okabe and Ito's vermillion, and a grey; both are legible on white and on black.
OUR_COLOUR, PEER_COLOUR = "#D55E00", "#7A7A7A"
PANEL_SIZE = (9.0, 5.4)  # inches
FONT_SIZE, LABEL_SIZE = 9, 8  # points
MARKER_SIZE = 6  # points
LABEL_GAP = 1 / 30  # between two labels, as a share of the axis
LABEL_PLACE = 1.03  # of the panel's width
MARGIN = 1.6  # factor between the outermost points and the border, on the axis of seconds


# Methods


def flagship(setup: Setup) -> TimesNetDiscrepancyDetector:
    """Build the flagship with its defaults: the registry's scores one training three times, without the association."""
    return TimesNetDiscrepancyDetector(
        window_size=setup.window, clean_training=setup.clean_training, random_state=setup.seed
    )


def contenders(names: Sequence[str]) -> list[Method]:
    """Return the methods or families named, one score each; our TimesNet belongs to our family here."""
    alone = {FLAGSHIP: replace(METHODS[FLAGSHIP], build=flagship, scores=())}
    alone[TIMESNET] = replace(METHODS[TIMESNET], family=METHODS[FLAGSHIP].family)
    return select_methods(list(names), METHODS | alone)


def is_ours(method: Method) -> bool:
    """Whether the method is a detector of timesad."""
    return method.family not in PEER_FAMILIES


def table_row(name: str) -> str:
    """Return the row of the peers' table that has the method's quality."""
    return TABLE_ROWS.get(name, name)


def label_of(method: Method) -> str:
    """Return the class of ours, the name of a peer."""
    built = method.build(Setup(window=DEFAULT_WINDOW, n_channels=1, seed=0)) if is_ours(method) else None
    return type(built).__name__ if built is not None else method.name


# Seconds


@dataclass(frozen=True)
class Round:
    """One fit and score of one method, a row of the CSV."""

    n_rows: int
    n_channels: int
    method: str
    repeat: int
    status: str
    fit_seconds: float | None = None
    score_seconds: float | None = None
    error: str = ""

    @property
    def seconds(self) -> float | None:
        """Both together; those of the fit, if the method cannot score other rows."""
        return None if self.fit_seconds is None else self.fit_seconds + (self.score_seconds or 0.0)


def once(method: Method, setup: Setup, halves: Sequence[FloatArray]) -> tuple[float, float | None]:
    """Seconds to fit a new detector on the first half, and to score the second half if it can."""
    seed_globals(setup.seed)
    detector = method.build(setup)
    start = clock()
    detector.fit(halves[0])
    fitted = clock()
    if method.transductive:
        check_scores(detector.decision_scores_, len(halves[0]))
        return fitted - start, None
    scores = detector.decision_function(halves[1])
    scored = clock()
    check_scores(scores, len(halves[1]))
    return fitted - start, scored - fitted


def fit_and_score(method: Method, n_rows: int, n_channels: int, threads: int) -> tuple[float, float | None]:
    """Seconds of fit and score on a made-up series, after a warm-up on few of its rows."""
    series = made_up_series(2 * n_rows, n_channels)
    setup = Setup(window=window_length(DEFAULT_WINDOW, series[:n_rows]), n_channels=n_channels, seed=0)
    halves = np.split(scaled(series, n_rows, STANDARD_SCALING), 2)
    limit_torch(threads)
    with warnings.catch_warnings(record=True), threadpool_limits(threads):
        once(method, setup, [half[:WARM_UP_ROWS] for half in halves])
        return once(method, setup, halves)


def run_round(method: Method, repeat: int, n_channels: int, options: argparse.Namespace) -> Round:
    """Run one round in a new process; a failure is its status and error."""
    arguments = (method, options.rows, n_channels, options.threads)
    if options.isolation == PROCESS_ISOLATION:
        outcome: Outcome = call_isolated(fit_and_score, arguments, options.timeout, PRELOAD)
    else:
        outcome = call_here(fit_and_score, arguments)
    fit, score = outcome.value if outcome.status == OK else (None, None)
    error = outcome.error[:ERROR_CHARACTERS].partition("\n")[0]
    return Round(options.rows, n_channels, method.name, repeat, outcome.status, fit, score, error)


def is_finished(rounds: Iterable[Round], limit: float) -> bool:
    """Whether a method has no further rounds: one failed or took longer than the limit."""
    return any(one.seconds is None or one.seconds > limit for one in rounds)


def run_rounds(methods: Sequence[Method], rounds: list[Round], options: argparse.Namespace, table: Path) -> list[Round]:
    """Run the rounds that are missing, methods in turn; the CSV is written after each of them."""
    rounds = list(rounds)
    of_method: dict[tuple[int, int, str], dict[int, Round]] = defaultdict(dict)
    for one in rounds:
        of_method[one.n_rows, one.n_channels, one.method][one.repeat] = one
    for n_channels in options.channels:
        for repeat in range(options.repeats):
            for method in methods:
                known = of_method[options.rows, n_channels, method.name]
                if repeat in known or is_finished(known.values(), options.limit):
                    continue
                known[repeat] = run_round(method, repeat, n_channels, options)
                rounds.append(known[repeat])
                write_rounds(rounds, table)
                show(known[repeat])
    return rounds


def show(one: Round) -> None:
    """Print one line a round."""
    figures = [one.error] if one.seconds is None else [f"{one.seconds:.3g} s"]
    print(f"{one.n_rows} x {one.n_channels}", f"round {one.repeat + 1}", one.method, *figures, flush=True)


def write_rounds(rounds: Sequence[Round], path: Path) -> None:
    """Write one line a round."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [column.name for column in fields(Round)], lineterminator="\n")
        writer.writeheader()
        for one in rounds:
            row = {name: "" if value is None else value for name, value in asdict(one).items()}
            writer.writerow({k: f"{v:.6f}" if isinstance(v, float) else v for k, v in row.items()})


def read_rounds(path: Path) -> list[Round]:
    """Return the rounds of a CSV."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Round(
                n_rows=int(row["n_rows"]),
                n_channels=int(row["n_channels"]),
                method=row["method"],
                repeat=int(row["repeat"]),
                status=row["status"],
                fit_seconds=float(row["fit_seconds"]) if row["fit_seconds"] else None,
                score_seconds=float(row["score_seconds"]) if row["score_seconds"] else None,
                error=row["error"],
            )
            for row in csv.DictReader(stream)
        ]


def times_text(seconds: Sequence[float | None]) -> str:
    """Return median, smallest and largest."""
    known = [value for value in seconds if value is not None]
    if not known:
        return ABSENT
    if max(known) < SHORTEST:
        return f"< {SHORTEST:g}"
    if len(known) == 1:
        return f"{known[0]:.3g} (once)"
    return f"{median(known):.3g} ({min(known):.3g}–{max(known):.3g})"


# Quality


@dataclass(frozen=True)
class Quality:
    """Mean VUS-PR of a method over the groups.

    Parameters
    ----------
    mean : float
    complete : bool
        Whether every series finished; otherwise the mean is over those that did.
    """

    mean: float
    complete: bool


def table_records(path: Path) -> dict[str, list[Record]]:
    """Return the cells of the peers' CSV by protocol, with what `summarise` needs."""
    records: dict[str, list[Record]] = {protocol: [] for protocol in PROTOCOLS}
    for row in (row for of_cell in read_rows(path).values() for row in of_cell):
        record = {name: row[name] for name in ("method", "family", "group", "series", "status")}
        record |= {name: int(row[name]) for name in ("seed", "n_channels")}
        record |= dict.fromkeys(("fit_seconds", "score_seconds", "memory_peak_mb"))  # of another machine
        if row["status"] == OK:
            record |= metrics_of(row)
        records[row["protocol"]].append(record)
    return records


def qualities(records: Sequence[Record]) -> dict[str, dict[str, Quality]]:
    """Return the quality by variant (raw, smoothed, the better of both) and by row of the peers' table."""
    by_variant = {
        variant: {
            summary.method: Quality(summary.mean, summary.complete)
            for summary in summarise(records, HEAD_METRIC, variant)
            if summary.mean is not None
        }
        for variant in VARIANTS
    }
    raw, smoothed = (by_variant[variant] for variant in VARIANTS)
    better = {row: max(raw[row], smoothed[row], key=lambda quality: quality.mean) for row in raw}
    return by_variant | {BETTER: better}


# Frontier


@dataclass(frozen=True)
class Point:
    """A method with seconds and quality."""

    label: str
    seconds: float
    quality: float
    ours: bool = False
    complete: bool = True

    @property
    def text(self) -> str:
        """Name, VUS-PR and seconds."""
        seconds = f"< {SHORTEST:g}" if self.seconds < SHORTEST else f"{self.seconds:.2g}"
        return f"{name_text(self.label, self.ours)} ({quality_text(self.quality, self.complete)}, {seconds} s)"


def is_beaten(point: Point, other: Point) -> bool:
    """Whether the other is as fast and as good, and faster or better."""
    not_worse = other.seconds <= point.seconds and other.quality >= point.quality
    return not_worse and (other.seconds < point.seconds or other.quality > point.quality)


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats, fastest first; equal points are all kept."""
    kept = [point for point in points if not any(is_beaten(point, other) for other in points)]
    return sorted(kept, key=lambda point: (point.seconds, point.label))


def best_within(points: Sequence[Point], budget: float) -> Point | None:
    """Return the best point of at most so many seconds, the fastest of equally good ones; None if there is none."""
    affordable = [point for point in points if point.seconds <= budget]
    return min(affordable, key=lambda point: (-point.quality, point.seconds, point.label), default=None)


# The page


@dataclass(frozen=True)
class Timed:
    """A method with its rounds at one size."""

    name: str
    label: str
    ours: bool
    rounds: tuple[Round, ...]

    @property
    def seconds(self) -> float | None:
        """Median of fit and score together; None where a round failed."""
        known = [one.seconds for one in self.rounds]
        present = [value for value in known if value is not None]
        return median(present) if present and len(present) == len(known) else None

    @property
    def error(self) -> str:
        """Why there are no seconds."""
        return next((one.error for one in self.rounds if one.seconds is None), "not run")


@dataclass(frozen=True)
class Page:
    """What page and pictures are made of.

    Parameters
    ----------
    methods : sequence of Method
    rounds : sequence of Round
    records : dict of str to list of dict
        Cells of the peers' table by protocol.
    facts : dict
        ``command``, ``machine``, ``limit``, ``repeats`` and ``threads`` of the run.
    """

    methods: Sequence[Method]
    rounds: Sequence[Round]
    records: Mapping[str, Sequence[Record]]
    facts: Mapping[str, Any]

    @cached_property
    def quality(self) -> dict[str, dict[str, dict[str, Quality]]]:
        """Quality by protocol, variant and row of the peers' table."""
        return {protocol: qualities(records) for protocol, records in self.records.items() if records}

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Rows and channels, in the order of the run."""
        return list(dict.fromkeys((one.n_rows, one.n_channels) for one in self.rounds))

    def timed(self, size: tuple[int, int]) -> list[Timed]:
        """Return the methods at a size, fastest first, those without seconds last."""
        by_name: dict[str, list[Round]] = defaultdict(list)
        for one in self.rounds:
            if (one.n_rows, one.n_channels) == size:
                by_name[one.method].append(one)
        timed = [
            Timed(method.name, label_of(method), is_ours(method), tuple(by_name[method.name]))
            for method in self.methods
            if method.name in by_name
        ]
        return sorted(timed, key=lambda one: (one.seconds is None, one.seconds or 0.0))

    def quality_of(self, one: Timed, protocol: str, variant: str = RAW) -> Quality | None:
        """Return the quality of a method, None if it has no mean."""
        return self.quality.get(protocol, {}).get(variant, {}).get(table_row(one.name))

    def points(self, size: tuple[int, int], protocol: str, variant: str = RAW) -> list[Point]:
        """Return the methods with both seconds and quality."""
        points = []
        for one in self.timed(size):
            quality = self.quality_of(one, protocol, variant)
            if quality is not None and one.seconds is not None:
                points.append(Point(one.label, one.seconds, quality.mean, one.ours, quality.complete))
        return points


def name_text(label: str, ours: bool) -> str:
    """Return the name as code, ours bold."""
    return f"**`{label}`**" if ours else f"`{label}`"


def quality_text(mean: float, complete: bool) -> str:
    """Return the mean, with a star if series are missing."""
    return number(mean) + ("" if complete else " *")


def size_text(size: tuple[int, int]) -> str:
    """Return rows and channels in words."""
    return f"{size[0]:,} rows × {size[1]} channel{'' if size[1] == 1 else 's'}"


def size_table(page: Page, size: tuple[int, int]) -> str:
    """Return the table of one size, fastest first."""
    on_frontier = {p: {point.label for point in frontier(page.points(size, p))} for p in PROTOCOLS}
    rows = []
    for one in page.timed(size):
        found = [page.quality_of(one, protocol) for protocol in PROTOCOLS]
        fit = [a.fit_seconds for a in one.rounds]
        score = [a.score_seconds for a in one.rounds]
        figures = (
            [times_text(fit), times_text(score), times_text([a.seconds for a in one.rounds])]
            if one.seconds is not None
            else [one.error, ABSENT, ABSENT]
        )
        rows.append(
            [
                name_text(one.label, one.ours),
                *figures,
                *(ABSENT if q is None else quality_text(q.mean, q.complete) for q in found),
                ", ".join(protocol for protocol in PROTOCOLS if one.label in on_frontier[protocol]),
            ]
        )
    return markdown_table(
        ["method", "fit, s", "score, s", "both, s", *(f"VUS-PR, {p}" for p in PROTOCOLS), "on the frontier"], rows
    )


def budget_sentence(points: Sequence[Point], protocol: str) -> str:
    """Return the best method of each budget."""
    parts = []
    for budget in BUDGETS:
        best = best_within(points, budget)
        whose = "" if best is None else f" {best.text}, {'ours' if best.ours else 'a peer'}"
        parts.append(f"within {budget:g} s{whose or ' none'}")
    return f"Best {protocol}: {'; '.join(parts)}."


def better_sentence(points: Sequence[Point], protocol: str) -> str:
    """Return the frontier where each method has the better of its raw and smoothed scores."""
    listed = ", ".join(point.text for point in frontier(points)) or "empty"
    return f"Frontier {protocol}, with the better of raw and smoothed scores for each method: {listed}."


def picture_name(name: str, size: tuple[int, int]) -> str:
    """Return the file name of a size's picture."""
    return f"{name}-{size[1]}.svg"


def seeds_text(page: Page) -> str:
    """Return how many seeds the methods of the page finished at most; those with the fewest are the others."""
    drawn: dict[str, set[int]] = defaultdict(set)
    labels = {table_row(method.name): label_of(method) for method in page.methods}
    for record in (record for records in page.records.values() for record in records):
        if record["status"] == OK and record["method"] in labels:
            drawn[labels[record["method"]]].add(record["seed"])
    by_count: dict[int, list[str]] = defaultdict(list)
    for label, seeds in drawn.items():
        by_count[len(seeds)].append(f"`{label}`")
    fewest = min(by_count, default=0)
    counts = sorted(count for count in by_count if count != fewest)[::-1]
    parts = [f"{count} of {', '.join(sorted(by_count[count]))}" for count in counts]
    return f"Seeds of the VUS-PR: {'; '.join([*parts, f'{fewest} of the others' if parts else f'{fewest} of each'])}."


def page_text(page: Page, name: str, images: str) -> str:
    """Return the Markdown page; images is the folder of the pictures as the page sees it."""
    facts = page.facts
    shown = {table_row(method.name) for method in page.methods}
    records = [record for record in page.records[SEMI_SUPERVISED] if record["method"] in shown]
    n_series, n_groups = len({series_key(record) for record in records}), len(group_kinds(records))
    pages = ", ".join(f"[{protocol}](peers-{protocol}.md)" for protocol in PROTOCOLS)
    bullets = [
        f"Made by `{facts['command']}`.",
        f"Machine: {facts['machine']}.",
        "Seconds: fit on the first rows of a made-up series, score as many others. Median (smallest–largest) of "
        f"{facts['repeats']} round(s), methods in turn. Each round is in a new process, with {facts['threads']} "
        f"thread(s), after a warm-up on {WARM_UP_ROWS:,} rows. *fit* includes the scores of the rows fitted. A method "
        "that can only score the rows fitted has one number.",
        f"*once*: a method whose round takes longer than {facts['limit']:g} s has no further rounds.",
        "Methods are built and scaled as for the peers' tables. Ours have their defaults, `discrepancy_weight` "
        "included, and `clean_training=True`. The notes on those pages say where a peer has other settings than its "
        "defaults.",
        f"VUS-PR: mean over groups of the raw scores ({pages}), {n_series} series in {n_groups} groups. A star: some "
        "series did not finish, and the mean is over the others.",
        seeds_text(page),
        "On the frontier: no other method is as fast and as good, and faster or better.",
    ]
    parts = ["# Quality beside seconds\n", "\n".join(f"- {bullet}" for bullet in bullets) + "\n"]
    for size in page.sizes:
        sentences = [budget_sentence(page.points(size, protocol), protocol) for protocol in PROTOCOLS]
        sentences += [better_sentence(page.points(size, protocol, BETTER), protocol) for protocol in PROTOCOLS]
        picture_link = (Path(images) / picture_name(name, size)).as_posix()
        parts += [
            f"## {size_text(size)}\n",
            f"![VUS-PR over seconds to fit and to score, a point for each method, with the frontier]({picture_link})\n",
            "\n".join(f"- {sentence}" for sentence in sentences) + "\n",
            size_table(page, size),
        ]
    return "\n".join(parts)


# The picture


def spread(values: Sequence[float], gap: float, top: float) -> list[float]:
    """Move increasing values apart, to at least so far from each other, at most up to the top."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap) if places else value)
    for index in reversed(range(len(places))):
        places[index] = min(places[index], top - gap * (len(places) - 1 - index))
    return places


def draw_panel(axes: Any, points: Sequence[Point]) -> None:
    """Draw points, labels and the frontier; the axes have their limits and scale."""
    best = frontier(points)
    for point in points:
        colour = point_colour(point)
        face = colour if point in best else "none"
        axes.plot(point.seconds, point.quality, "o", ms=MARKER_SIZE, mec=colour, mfc=face, zorder=3)
    corners = step_corners(best, axes.get_xlim()[1])
    axes.plot([x for x, _ in corners], [y for _, y in corners], color=PEER_COLOUR, lw=1.0, zorder=1)
    draw_labels(axes, points)


def step_corners(best: Sequence[Point], right: float) -> list[tuple[float, float]]:
    """Return the corners of the frontier's line: a quality holds until a slower method has a better one."""
    corners = [(point.seconds, point.quality) for point in best[:1]]
    for before, point in pairwise(best):
        corners += [(point.seconds, before.quality), (point.seconds, point.quality)]
    return corners + [(right, point.quality) for point in best[-1:]]


def draw_labels(axes: Any, points: Sequence[Point]) -> None:
    """Write the names beside the panel in the order of quality; a line joins each with its point."""
    points = sorted(points, key=lambda point: point.quality)
    top = axes.get_ylim()[1]
    heights = spread([point.quality for point in points], top * LABEL_GAP, top)
    for point, height in zip(points, heights, strict=True):
        axes.annotate(
            label_text(point),
            xy=(point.seconds, point.quality),
            xytext=(LABEL_PLACE, height),
            textcoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": point_colour(point), "lw": 0.4, "alpha": 0.6, "shrinkB": 3},
            **label_style(point),
        )


def point_colour(point: Point) -> str:
    """Return the colour of ours or of peers."""
    return OUR_COLOUR if point.ours else PEER_COLOUR


def label_text(point: Point) -> str:
    """Return the label of a point."""
    return point.label + ("" if point.complete else " *")


def label_style(point: Point) -> dict[str, Any]:
    """Return colour, size and weight of a label."""
    return {"color": point_colour(point), "fontsize": LABEL_SIZE, "fontweight": "bold" if point.ours else "normal"}


def picture(page: Page, size: tuple[int, int]) -> Figure:
    """Draw a panel for each protocol; the ground is transparent."""
    figure = Figure(figsize=(PANEL_SIZE[0], PANEL_SIZE[1] * len(PROTOCOLS)), layout="constrained")
    FigureCanvasAgg(figure)
    by_protocol = {protocol: page.points(size, protocol) for protocol in PROTOCOLS}
    seconds = [point.seconds for points in by_protocol.values() for point in points]
    panels = figure.subplots(len(PROTOCOLS), 1, sharex=True)
    for axes, (protocol, points) in zip(panels, by_protocol.items(), strict=True):
        axes.set_xscale("log")
        if seconds:
            axes.set_xlim(min(seconds) / MARGIN, max(seconds) * MARGIN)
        axes.set_ylim(0, max([0.1, *(point.quality for point in points)]) * 1.1)
        axes.set_ylabel(f"mean VUS-PR, {protocol}", color=PEER_COLOUR, fontsize=FONT_SIZE)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(colors=PEER_COLOUR, which="both", labelsize=FONT_SIZE, labelbottom=True)
        axes.grid(color=PEER_COLOUR, alpha=0.2, lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(PEER_COLOUR)
        axes.patch.set_visible(False)
    has_missing = any(not point.complete for points in by_protocol.values() for point in points)
    panels[0].set_title(
        f"{size_text(size)}. Ours: orange. Peers: grey. Filled, on the line: the frontier."
        + (" *: some series did not finish." if has_missing else ""),
        color=PEER_COLOUR,
        fontsize=FONT_SIZE,
        loc="left",
    )
    panels[-1].set_xlabel(
        f"seconds to fit {size[0]:,} rows and to score {size[0]:,} others", color=PEER_COLOUR, fontsize=FONT_SIZE
    )
    figure.patch.set_visible(False)
    for axes, points in zip(panels, by_protocol.values(), strict=True):
        draw_panel(axes, points)
    return figure


def write_picture(figure: Figure, path: Path) -> None:
    """Write an SVG that is the same for the same numbers, or what else the suffix says."""
    with mpl.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


# The command


def write_report(page: Page, out_dir: Path, images_dir: Path, name: str) -> list[Path]:
    """Write page and pictures."""
    images_dir.mkdir(parents=True, exist_ok=True)
    images = Path(os.path.relpath(images_dir, out_dir)).as_posix()
    paths = [out_dir / f"{name}.md"]
    paths[0].write_text(page_text(page, name, images), encoding="utf-8")
    for size in page.sizes:
        paths.append(images_dir / picture_name(name, size))
        write_picture(picture(page, size), paths[-1])
    return paths


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.frontier",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--methods", nargs="+", default=list(DEFAULT_FAMILIES), metavar="METHOD", help="methods or families"
    )
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="to fit, and to score (default: %(default)s)")
    parser.add_argument("--channels", type=int, nargs="+", default=list(DEFAULT_CHANNELS), help="(default: 1 25)")
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS, help="rounds (default: %(default)s)")
    parser.add_argument(
        "--limit", type=float, default=DEFAULT_LIMIT, help="seconds of a round after which a method has no other (120)"
    )
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a round (default: %(default)g)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isolation", choices=ISOLATIONS, default=PROCESS_ISOLATION)
    parser.add_argument(
        "--peers", type=Path, default=DEFAULT_PEERS, help="table of the quality (docs/results/peers.csv)"
    )
    parser.add_argument("--name", default="frontier", help="begins the files' names (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of page and CSV (docs/results)")
    parser.add_argument(
        "--images", type=Path, help="folder of the pictures (docs/images, or that of the page if --out is given)"
    )
    parser.add_argument(RESUME, action="store_true", help="keep the rounds of the CSV and run the others")
    parser.add_argument(REPORT_ONLY, action="store_true", help="run nothing; make page and pictures from the CSV")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser()
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    table, facts_file = options.out / f"{options.name}.csv", options.out / f"{options.name}.json"
    try:
        records = table_records(options.peers)
        methods = contenders(options.methods)
        rounds = read_rounds(table) if options.resume or options.report_only else []
        facts = json.loads(facts_file.read_text(encoding="utf-8")) if options.report_only else None
    except (OSError, ValueError) as error:
        fail(parser, error)
    options.out.mkdir(parents=True, exist_ok=True)
    if facts is None:
        limit_torch(options.threads)
        facts = {
            "command": command_text("benchmarks.frontier", [argument for argument in arguments if argument != RESUME]),
            "machine": machine_sentence("cuda" if torch.cuda.is_available() else "cpu"),
        } | {name: getattr(options, name) for name in ("limit", "repeats", "threads")}
        facts_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        run_rounds(methods, rounds, options, table)
        rounds = read_rounds(table)  # rounded, so that --report-only draws the same
    images = options.images or (DEFAULT_IMAGES if options.out.resolve() == DEFAULT_RESULTS else options.out)
    for path in (table, *write_report(Page(methods, rounds, records, facts), options.out, images, options.name)):
        print(path)


if __name__ == "__main__":
    main()
