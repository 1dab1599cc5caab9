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
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch

from .cell_table import metrics_of, read_rows
from .command import DEFAULT_RESULTS, REPORT_ONLY, arguments_of, command_text, fail
from .contract import (
    PROTOCOLS,
    SEMI_SUPERVISED,
    Method,
    Record,
)
from .frontier_picture import picture, write_picture
from .frontier_points import Point, best_within, frontier, name_text, quality_text, size_text
from .frontier_rounds import (
    WARM_UP_ROWS,
    Round,
    contenders,
    is_ours,
    label_of,
    read_rounds,
    run_rounds,
    table_row,
    times_text,
)
from .harness import DEFAULT_TIMEOUT, ISOLATIONS, PROCESS_ISOLATION
from .isolation import OK
from .measure import HEAD_METRIC, RAW, VARIANTS, limit_torch
from .methods import DEFAULT_FAMILIES
from .report import ABSENT, markdown_table
from .series import REPOSITORY
from .speed import machine_sentence
from .summary import group_kinds, series_key, summarise

BETTER = "better"  # of the raw and the smoothed scores, for each method
DEFAULT_PEERS = DEFAULT_RESULTS / "peers.csv"
DEFAULT_IMAGES = REPOSITORY / "docs" / "images"
RESUME = "--resume"

DEFAULT_ROWS, DEFAULT_CHANNELS = 10_000, (1, 25)
DEFAULT_REPEATS = 3
DEFAULT_LIMIT = 120.0  # seconds
BUDGETS = (0.1, 1.0, 10.0, 100.0)  # seconds


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


# The command


def write_report(page: Page, out_dir: Path, images_dir: Path, name: str) -> list[Path]:
    """Write page and pictures."""
    images_dir.mkdir(parents=True, exist_ok=True)
    images = Path(os.path.relpath(images_dir, out_dir)).as_posix()
    paths = [out_dir / f"{name}.md"]
    paths[0].write_text(page_text(page, name, images), encoding="utf-8")
    for size in page.sizes:
        paths.append(images_dir / picture_name(name, size))
        write_picture(picture({protocol: page.points(size, protocol) for protocol in PROTOCOLS}, size), paths[-1])
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
