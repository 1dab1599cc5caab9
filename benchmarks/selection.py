"""Can candidates be ranked without labels: ``python -m benchmarks.selection``.

A candidate is a detector with its parameters. Scores without labels come from a detector that is fitted on the first
two thirds of the training rows. They are compared with VUS-PR by the labels, of a detector that is fitted on all
training rows. The tables are written to ``docs/results/selection.md``, every candidate to ``selection.csv``. What is in
the CSV is not run again.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau, rankdata, spearmanr
from sklearn.metrics import average_precision_score
from sklearn.utils import Bunch

from timesad import NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.datasets._generator import choose_channels, place
from timesad.exceptions import TimesadWarning
from timesad.metrics import autocorrelation_period, vus_pr_score
from timesad.row_errors import window_errors
from timesad.windows import Series

from .command import DEFAULT_RESULTS, REPORT_ONLY, arguments_of, command_text, fail
from .comparison import SeriesKey, compare
from .contract import DEFAULT_SMOOTHING, DEFAULT_WINDOW, STANDARD_SCALING, FloatArray, Setup
from .injection import injected_anomaly_scorer
from .measure import limit_torch, scaled, window_length
from .methods import METHODS
from .report import ABSENT, markdown_table, number
from .series import GROUP_NAMES, load_groups
from .summary import group_means, mean_or_none, series_key

EVERY = 3  # series of a group: the first, the fourth, …
HELD_OUT_PARTS = 3  # the last of so many equal parts of the training rows is held out
SEEDS = (0, 1, 2)
REPEATS = 3  # copies for each kind of anomaly
LONGEST_ANOMALY = 32  # rows
ROWS_PER_ANOMALY = 6  # anomaly lengths in the held-out rows
OFFSET = 3.0  # standard deviations
OFFSET_KINDS = ("spike", "level")

WINDOWS = (24, 48, 96, 192)
WINDOWS_TO_FIT = 4  # windows of the largest size in the rows to fit
SMOOTHINGS = (1, 16, 64)
EPOCHS = 2
OURS = ("TimesNetDiscrepancyDetector", "NearestWindowsDetector")
PEERS = ("window-knn", "window-kmeans", "pyod-windows-iforest", "pyod-iforest", "pyod-pca", "z-score")

PARAMETERS, NETWORKS, DETECTORS, ONLY_PEERS = "parameters", "networks", "detectors", "peers"
POOLS = (PARAMETERS, NETWORKS, DETECTORS)  # that are run; the peers are a part of the detectors
TITLES = {
    DETECTORS: "Detectors with their defaults",
    ONLY_PEERS: "Detectors that are not of timesad",
    PARAMETERS: "Window size and smoothing of `NearestWindowsDetector`",
    NETWORKS: f"Window size of `TimesNetDetector`, {EPOCHS} epochs",
}

INJECTED, OFFSETS, ERROR, CENTRALITY, CALIBRATION = "injected", "offsets", "error", "centrality", "calibration"
SEEDED = (INJECTED, OFFSETS)
SCORES = {
    INJECTED: "injected anomalies",
    OFFSETS: "injected offsets",
    ERROR: "held-out error",
    CENTRALITY: "centrality",
    CALIBRATION: "calibration",
}
SCORE_COLUMNS = {name: tuple(f"{name} {seed}" for seed in SEEDS) if name in SEEDED else (name,) for name in SCORES}
LABELLED = "vus_pr"
IDENTITY = ("pool", "group", "series", "candidate")
COLUMNS = (*IDENTITY, LABELLED, *(column for columns in SCORE_COLUMNS.values() for column in columns))

Build = Callable[[FloatArray], Any]  # from rows to fit to a detector
Row = dict[str, Any]


def candidates(pool: str, n_fit: int) -> dict[str, Build]:
    """Candidates of a pool for so many rows to fit, by name; the first is the default."""
    windows = [window for window in WINDOWS if WINDOWS_TO_FIT * window <= n_fit]
    windows.sort(key=lambda window: (window > DEFAULT_WINDOW, -window))  # the default, or the next smaller one
    smoothings = sorted(SMOOTHINGS, key=lambda smoothing: smoothing != DEFAULT_SMOOTHING)
    if pool == DETECTORS:
        return {name: partial(build_detector, name) for name in (*OURS, *PEERS)}
    if pool == NETWORKS:
        return {f"window {window}": partial(build_network, window) for window in windows}
    return {
        f"window {window}, smoothing {smoothing}": partial(build_nearest, window, smoothing)
        for window in windows
        for smoothing in smoothings
    }


def build_detector(name: str, rows: FloatArray) -> Any:
    """A detector with its defaults; `discrepancy_weight=0` gives the same scores in less time."""
    window = window_length(DEFAULT_WINDOW, rows)
    if name == OURS[0]:
        return TimesNetDiscrepancyDetector(window_size=window, discrepancy_weight=0, random_state=0, device="cpu")
    if name == OURS[1]:
        return NearestWindowsDetector(window_size=window, device="cpu")
    return METHODS[name].build(Setup(window, rows.shape[1], seed=0))


def build_network(window: int, rows: FloatArray) -> TimesNetDetector:
    """A small network."""
    return TimesNetDetector(window_size=window, max_epochs=EPOCHS, random_state=0, device="cpu")


def build_nearest(window: int, smoothing: int, rows: FloatArray) -> NearestWindowsDetector:
    """Nearest windows."""
    return NearestWindowsDetector(window_size=window, smoothing=smoothing, device="cpu")


def scores_without_labels(detector: Any, held_out: FloatArray) -> Row:
    """The scores of one candidate that need no other candidate."""
    scores: Row = {}
    length = min(LONGEST_ANOMALY, len(held_out) // ROWS_PER_ANOMALY)
    for seed, (injected, offsets) in enumerate(zip(*(SCORE_COLUMNS[name] for name in SEEDED), strict=True)):
        scores[injected] = injected_anomaly_scorer(
            detector, held_out, anomaly_length=length, n_repeats=REPEATS, random_state=seed
        )
        scores[offsets] = offset_score(detector, held_out, length, seed)
    if hasattr(detector, "network_"):
        scores[ERROR] = -reconstruction_error(detector, held_out)
    if hasattr(detector, "score_tail_"):
        above = detector.decision_function(held_out) > detector.threshold_
        scores[CALIBRATION] = -abs(float(above.mean()) - detector.contamination)
    return scores


def offset_score(detector: Any, X: FloatArray, length: int, seed: int) -> float:
    """Average precision on copies of X with one spike or one level shift, which leave the usual range."""
    rng = np.random.default_rng(seed)
    scores = []
    for kind in OFFSET_KINDS * REPEATS:
        [(_, start, stop)] = place([kind], 0, len(X), length, 1, rng)
        channels = choose_channels(kind, X.shape[1], rng)
        spoiled, target = X.copy(), np.zeros(len(X), dtype=int)
        spoiled[start:stop, channels] += OFFSET * rng.choice([-1.0, 1.0], size=len(channels))
        target[start:stop] = 1
        scores.append(average_precision_score(target, detector.decision_function(spoiled)))
    return fmean(scores)


def reconstruction_error(detector: TimesNetDetector, X: FloatArray) -> float:
    """Mean squared error of rows while they are hidden."""
    rows = Series(detector.scaling_(X), np.array([0, len(X)]))
    windows = rows.windows(detector.window_size, detector.scorer_.settings.stride)
    batches = window_errors(detector.network_, windows, torch.device("cpu"), with_discrepancy=False)
    return fmean(float(batch.squared_error.mean()) for batch in batches)


def centralities(scores: Sequence[FloatArray]) -> FloatArray:
    """Mean rank correlation of each candidate's scores with those of the others, (n_candidates,)."""
    ranks = np.stack([rankdata(one) for one in scores])  # (candidate, row)
    return (np.corrcoef(ranks).sum(axis=1) - 1) / (len(ranks) - 1)


def measure(pool: str, group: str, series: Bunch) -> list[Row]:
    """All candidates of a pool on one series; none where there is no choice or no held-out row changes."""
    limit_torch(1)
    n_train = int(series.train_size)
    n_fit = n_train - n_train // HELD_OUT_PARTS
    partly, whole = (scaled(series.data, n, STANDARD_SCALING) for n in (n_fit, n_train))
    held_out, buffer = partly[n_fit:n_train], int(autocorrelation_period(series.data[:, 0]))
    pooled = candidates(pool, n_fit)
    if len(pooled) < 3 or not np.ptp(held_out, axis=0).any():
        return []
    rows, new_scores = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TimesadWarning)  # a window that is large for the rows is a candidate, too
        for name, build in pooled.items():
            found = scores_without_labels(build(partly[:n_fit]).fit(partly[:n_fit]), held_out)
            detector = build(whole[:n_train]).fit(whole[:n_train])
            scores = np.asarray(detector.decision_function(whole))
            if name in OURS or pool != DETECTORS:  # decision_function is for new rows only
                scores = np.concatenate([detector.decision_scores_, scores[n_train:]])
            new_scores.append(scores[n_train:])
            identity = dict(zip(IDENTITY, (pool, group, str(series.name), name), strict=True))
            value = float(vus_pr_score(series.target, scores, buffer=buffer))
            rows.append(identity | {LABELLED: value} | found)
    for row, centrality in zip(rows, centralities(new_scores), strict=True):
        row[CENTRALITY] = float(centrality)
    return rows


def read_rows(path: Path) -> list[Row]:
    """Rows of the CSV, with numbers; a score that a candidate does not have is absent."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: text if name in IDENTITY else float(text) for name, text in row.items() if text}
            for row in csv.DictReader(file)
        ]


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: value if name in IDENTITY else f"{value:.5g}" for name, value in row.items()})


def pool_rows(rows: Iterable[Row], pool: str) -> dict[SeriesKey, list[Row]]:
    """Rows of a pool by series, in the order measured: the default first."""
    found: dict[SeriesKey, list[Row]] = defaultdict(list)
    for row in rows:
        if row["pool"] == pool or (pool == ONLY_PEERS and row["candidate"] in PEERS):
            found[series_key(row)].append(row)
    return dict(found)


def chosen(rows: Sequence[Row], column: str) -> float:
    """VUS-PR of the candidate with the largest score; the mean of several with the same."""
    largest = max(row[column] for row in rows)
    return fmean(row[LABELLED] for row in rows if row[column] == largest)


def spearman(rows: Sequence[Row], column: str) -> float:
    """Rank correlation of a score with VUS-PR over the candidates of a series; 0 where all values are the same."""
    return _correlation(spearmanr, rows, column)


def kendall(rows: Sequence[Row], column: str) -> float:
    """The same by pairs of candidates."""
    return _correlation(kendalltau, rows, column)


def _correlation(statistic: Callable[..., Any], rows: Sequence[Row], column: str) -> float:
    one, other = ([row[name] for row in rows] for name in (column, LABELLED))
    return float(statistic(one, other).statistic) if len(set(one)) > 1 and len(set(other)) > 1 else 0.0


def over_groups(values: Mapping[SeriesKey, float]) -> float:
    """Mean over groups of the means over their series."""
    mean = mean_or_none(group_means(dict(values), {group for group, _ in values}).values())
    assert mean is not None, "a group in the values has a series"
    return mean


def by_series_and_seed(
    pool: Mapping[SeriesKey, Sequence[Row]], name: str, measured: Callable[[Sequence[Row], str], float]
) -> list[dict[SeriesKey, float]]:
    """A measure of a score by series, for each seed."""
    return [{key: measured(rows, column) for key, rows in pool.items()} for column in SCORE_COLUMNS[name]]


def seeds_mean(seeds: Sequence[Mapping[SeriesKey, float]]) -> dict[SeriesKey, float]:
    """Mean over seeds, by series."""
    return {key: fmean(seed[key] for seed in seeds) for key in seeds[0]}


def references(pool: Mapping[SeriesKey, Sequence[Row]]) -> dict[str, dict[SeriesKey, float]]:
    """VUS-PR by series of the default, of any candidate and of the best one."""
    labelled = {key: [row[LABELLED] for row in rows] for key, rows in pool.items()}
    return {
        "default": {key: values[0] for key, values in labelled.items()},
        "chance: mean of all": {key: fmean(values) for key, values in labelled.items()},
        "labels: best of all": {key: max(values) for key, values in labelled.items()},
    }


def pool_table(pool: Mapping[SeriesKey, Sequence[Row]]) -> str:
    """How well each score ranks the candidates, and what it chooses."""
    choices, ranks, spreads = references(pool), {}, {}
    default, chance, best = choices.values()
    for name, label in SCORES.items():
        if not all(SCORE_COLUMNS[name][0] in row for rows in pool.values() for row in rows):
            continue
        seeds = by_series_and_seed(pool, name, chosen)
        choices[label] = seeds_mean(seeds)
        ranks[label] = [
            number(over_groups(seeds_mean(by_series_and_seed(pool, name, measured))), 2)
            for measured in (spearman, kendall)
        ]
        if len(seeds) > 1:
            spreads[label] = f" ± {stdev(over_groups(seed) for seed in seeds):.3f}"
    groups = sorted({group for group, _ in pool}, key=GROUP_NAMES.index)
    table = []
    for label, values in choices.items():
        cells = [label, *ranks.get(label, [ABSENT, ABSENT]), f"{over_groups(values):.3f}{spreads.get(label, '')}"]
        cells += [ABSENT if values is other else difference(values, other) for other in (default, chance)]
        cells.append(f"{over_groups(values) - over_groups(best):+.3f}")
        means = group_means(values, groups)
        table.append(cells + [number(means[group]) for group in groups])
    header = ["choice by", "Spearman", "Kendall", "VUS-PR", "minus default", "minus chance", "minus best", *groups]
    return markdown_table(header, table)


def difference(values: Mapping[SeriesKey, float], other: Mapping[SeriesKey, float]) -> str:
    """Paired mean difference with its interval."""
    compared = compare(values, other)
    assert compared is not None, "both have all series"
    return f"{compared.mean_difference:+.3f} [{compared.low:+.3f}, {compared.high:+.3f}]"


def page_text(rows: Sequence[Row], command: str, every: int, n_missing: int = 0) -> str:
    """The Markdown page; `n_missing` pools on series have not run."""
    parts = [
        "# Selection without labels\n",
        f"- Made by `{command}`. [What follows from it](../selection.md).",
        f"- Series: 1 of {every} of each group of development series, from the first on. A pool is left out on a "
        "series where it has fewer than three candidates, or no held-out row changes.",
        *([f"- **Not finished: {n_missing} pools on series have not run or are left out.**"] if n_missing else []),
        "- *VUS-PR*: by the labels, of the candidate with the largest score. It is fitted on all training rows and "
        "evaluated on all rows, as in the peers' tables. Mean over groups; ± is the standard deviation over seeds.",
        "- *Spearman*, *Kendall*: correlation of score and VUS-PR over the candidates of a series; mean over groups.",
        "- *minus …*: paired difference and its 95 % bootstrap interval, series drawn within their groups.",
        "- *chance*: the mean of all candidates.\n",
        "The scores see no labels. Candidates are fitted on the first two thirds of the training rows; the last third "
        "is held out.\n",
        "- *injected anomalies*: average precision on copies of the held-out rows with one anomaly: rows at twice the "
        "speed, in reverse order, or of another place. Anomalies have "
        f"{LONGEST_ANOMALY} rows, at most a sixth of the held-out rows; {len(SEEDS)} seeds.",
        f"- *injected offsets*: the same with spikes and level shifts of {OFFSET:g} standard deviations.",
        "- *held-out error*: squared reconstruction error of the held-out rows; the smallest is chosen.",
        "- *centrality*: mean rank correlation with the scores of the other candidates, in the rows after the training "
        "rows. Here all candidates are fitted on all training rows.",
        "- *calibration*: share of held-out rows above the threshold; the nearest to `contamination` is chosen.",
    ]
    for pool, title in TITLES.items():
        if found := pool_rows(rows, pool):
            names = dict.fromkeys(row["candidate"] for some in found.values() for row in some)
            parts.append(f"\n## {title}\n")
            parts.append(f"{len(found)} series. Candidates: {'; '.join(names)}. {default_sentence(pool)}\n")
            parts.append(pool_table(found))
    return "\n".join(parts)


def default_sentence(pool: str) -> str:
    """What the default of a pool is."""
    if pool in (DETECTORS, ONLY_PEERS):
        return f"*Default* is {OURS[0] if pool == DETECTORS else PEERS[0]}."
    smoothing = f" and smoothing {DEFAULT_SMOOTHING}" if pool == PARAMETERS else ""
    return (
        f"*Default* is window {DEFAULT_WINDOW}{smoothing}. A candidate needs {WINDOWS_TO_FIT} windows of rows to fit; "
        "where the default has fewer, the next smaller window takes its place."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.selection", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--groups", nargs="+", default=list(GROUP_NAMES), metavar="GROUP")
    parser.add_argument("--every", type=int, default=EVERY, metavar="N", help="1 of N series (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the development series (default: TIMESAD_DATA)")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS)
    parser.add_argument(REPORT_ONLY, action="store_true", help="run nothing; report what is in the CSV")
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    try:
        groups = load_groups(options.groups, options.data)
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    options.out.mkdir(parents=True, exist_ok=True)
    page, table = options.out / "selection.md", options.out / "selection.csv"
    rows = read_rows(table)
    known = {(row["pool"], *series_key(row)) for row in rows}
    missing = [
        (pool, group, series)
        for pool in options.pools
        for group, members in groups.items()
        for series in members[:: options.every]
        if (pool, group, str(series.name)) not in known
    ]
    if not options.report_only:
        for pool, group, series in missing:
            rows += measure(pool, group, series)
            write_rows(rows, table)
    n_missing = len(missing) if options.report_only else 0
    command = command_text("benchmarks.selection", arguments)
    page.write_text(page_text(rows, command, options.every, n_missing), encoding="utf-8")
    print(page, table, sep="\n")


if __name__ == "__main__":
    main()
