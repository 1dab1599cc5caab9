"""Methods of the frontier and their seconds: each round fits and scores once, in a new process."""

from __future__ import annotations

import argparse
import csv
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from timesad import TimesNetDiscrepancyDetector

from .contract import DEFAULT_WINDOW, PEER_FAMILIES, STANDARD_SCALING, FloatArray, Method, Setup
from .frontier_points import SHORTEST
from .harness import PRELOAD, PROCESS_ISOLATION
from .isolation import OK, Outcome, call_here, call_isolated
from .measure import check_scores, limit_torch, scaled, seed_globals, window_length
from .methods import FLAGSHIP, FLAGSHIP_DEFAULT, METHODS, select_methods
from .report import ABSENT, ERROR_CHARACTERS
from .score_rules import REFERENCE_RULE
from .speed import clock, made_up_series
from .summary import row_name

TIMESNET = "timesnet"
# Rows of the peers' table for methods of another name; the scores are the same to the bit.
TABLE_ROWS = {
    FLAGSHIP: row_name(FLAGSHIP, FLAGSHIP_DEFAULT),
    TIMESNET: row_name(FLAGSHIP, REFERENCE_RULE),
}
WARM_UP_ROWS = 1000


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
