"""Our PCA and KMeans against the values that TSB-AD published: ``python -m benchmarks.published``.

Equal values mean that loaders, metric and protocol are TSB-AD's. The settings are those of its multivariate list: fit
on all rows, raw data, PCA on single rows with a quarter of the variance, KMeansAD with 10 centres on windows of 40
rows, each window standardised.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from pyod.models.pca import PCA

from .baselines import NearestCentre, WindowedDetector
from .cell_table import write_csv
from .command import add_run_options, arguments_of, command_text, fail, run_study
from .contract import NO_SCALING, UNSUPERVISED, Method, Record, Settings, Setup, index_methods
from .isolation import OK
from .measure import HEAD_METRIC, RAW
from .report import environment_sentences, failures_table, markdown_table, number
from .series import data_folder, load_groups

GROUP = "tsb-ad-m"
PUBLISHED_FILE = "published_vus_pr_TSB-AD-M.csv"
SERIES_COLUMN = "file"

PCA_VARIANCE = 0.25
KMEANS_WINDOW = 40
KMEANS_CLUSTERS = 10


def published_pca(setup: Setup) -> PCA:
    """Build PCA with TSB-AD's multivariate settings."""
    return PCA(n_components=PCA_VARIANCE, random_state=setup.seed)


def published_kmeans(setup: Setup) -> WindowedDetector:
    """Build KMeansAD with TSB-AD's multivariate settings."""
    return WindowedDetector(
        NearestCentre(n_clusters=KMEANS_CLUSTERS, random_state=setup.seed), window=KMEANS_WINDOW, normalise=True
    )


PUBLISHED_METHODS = index_methods(
    (
        Method("row-pca-tsb-ad", "published", published_pca, stochastic=False),
        Method("window-kmeans-tsb-ad", "published", published_kmeans),
    )
)
PUBLISHED_COLUMNS = {"row-pca-tsb-ad": "PCA", "window-kmeans-tsb-ad": "KMeansAD"}


def read_published(path: Path) -> dict[str, dict[str, float]]:
    """Return the published VUS-PR: series to method to value.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or not a table with a column ``file``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No published values at {path}: expected a CSV with a column {SERIES_COLUMN!r}.")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or SERIES_COLUMN not in rows[0]:
        raise ValueError(f"{path} should be a CSV with a column {SERIES_COLUMN!r} and a column a method.")
    return {
        row[SERIES_COLUMN].removesuffix(".csv"): {
            name: float(value) for name, value in row.items() if name != SERIES_COLUMN
        }
        for row in rows
    }


def seed_values(records: Sequence[Record], method: str, series: str) -> list[float]:
    """Return the VUS-PR of each finished seed."""
    return [
        record[RAW][HEAD_METRIC]
        for record in records
        if (record["method"], record["series"], record["status"]) == (method, series, OK)
    ]


def _ours(values: Sequence[float]) -> str:
    if not values:
        return number(None)
    return number(fmean(values)) + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def published_table(records: Sequence[Record], published: Mapping[str, Mapping[str, float]]) -> str:
    """Return a series a row; published, ours (mean and spread over seeds) and the difference for each method."""
    header = ["series"]
    for column in PUBLISHED_COLUMNS.values():
        header += [f"{column}, published", "ours", "difference"]
    rows = []
    kept: dict[str, list[tuple[float, float]]] = {method: [] for method in PUBLISHED_COLUMNS}
    for series, values_there in published.items():
        row = [series]
        for method, column in PUBLISHED_COLUMNS.items():
            there, ours = values_there[column], seed_values(records, method, series)
            row += [number(there), _ours(ours), f"{fmean(ours) - there:+.3f}" if ours else number(None)]
            if ours:
                kept[method].append((there, fmean(ours)))
        rows.append(row)
    last = ["**mean of the finished**"]
    for pairs in kept.values():
        there_mean = fmean(there for there, _ in pairs) if pairs else None
        ours_mean = fmean(ours for _, ours in pairs) if pairs else None
        difference = (
            f"{ours_mean - there_mean:+.3f}" if ours_mean is not None and there_mean is not None else number(None)
        )
        last += [number(there_mean), number(ours_mean), difference]
    return markdown_table(header, [*rows, last])


def published_text(
    records: Sequence[Record], published: Mapping[str, Mapping[str, float]], command: str, n_missing: int
) -> str:
    """Return the Markdown page."""
    bullets = [
        f"Made by `{command}`.",
        "Protocol: unsupervised (fit on all rows, score the same rows), no scaling of the series; settings as TSB-AD's "
        f"multivariate list has them: PCA on single rows with {PCA_VARIANCE:.0%} of the variance (TSB-AD's first code "
        "cut only univariate series into windows, and that form meets the published values); KMeansAD with "
        f"{KMEANS_CLUSTERS} centres on windows of {KMEANS_WINDOW} rows, each window standardised, overlaps averaged.",
        "VUS-PR, buffer = autocorrelation period of channel 0 (125 where none).",
        "KMeans starts from random centres and the published seed is not known: compare within the spread.",
        *environment_sentences(records),
    ]
    if n_missing:
        bullets.append(f"**Unfinished: {n_missing} planned cells have not run.**")
    return "\n".join(
        [
            "# Our PCA and KMeans against TSB-AD's published values\n",
            "\n".join(f"- {bullet}" for bullet in bullets) + "\n",
            published_table(records, published),
            "## Cells without a value\n",
            failures_table(records),
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run_options(parser)
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    try:
        published = read_published(data_folder(options.data) / PUBLISHED_FILE)
        series = [s for s in load_groups([GROUP], options.data)[GROUP] if s.name in published]
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    records, n_missing = run_study(
        options,
        list(PUBLISHED_METHODS.values()),
        {GROUP: series},
        protocols=[UNSUPERVISED],
        settings=Settings(scaling=NO_SCALING, threads=options.threads),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    page, table = options.out / "published.md", options.out / "published.csv"
    text = published_text(records, published, command_text("benchmarks.published", arguments), n_missing)
    page.write_text(text, encoding="utf-8")
    write_csv(records, table)
    print(page, table, sep="\n")


if __name__ == "__main__":
    main()
