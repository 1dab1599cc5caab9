"""Do thresholds keep what they promise on stationary series: ``python -m benchmarks.promise``.

Generated series without anomalies: fit on the first rows, count on the rows after them. Asked are shares of rows above
`threshold_` and one false alarm in N rows. The table is written to ``docs/results/promise.md``, every series to
``promise.csv``. Seeds that are in the CSV are not run again.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from joblib import Parallel, delayed

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.exceptions import ExtrapolationWarning

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .measure import limit_torch
from .report import markdown_table

SHARES = (0.001, 0.01, 0.05)
ROWS_PER_ALARM = (300, 1000, 3000, 10_000)
NEW_ROWS = 10_000
METHODS = ("nearest-windows", "timesnet-discrepancy")
SHARE_NAMES = [f"share {share:g}" for share in SHARES]
ALARM_NAMES = [f"one in {rows:,}" for rows in ROWS_PER_ALARM]
DEFAULT_NAME = "alarms of the default"
COLUMNS = ("method", "train_rows", "seed", *SHARE_NAMES, *ALARM_NAMES, DEFAULT_NAME)


def build(method: str, seed: int) -> Any:
    """Return a detector with its defaults; `discrepancy_weight=0` gives the same scores in less time."""
    if method == METHODS[0]:
        return NearestWindowsDetector()
    return TimesNetDiscrepancyDetector(discrepancy_weight=0, random_state=seed)


def measure(method: str, train_rows: int, seed: int) -> dict[str, Any]:
    """Return the shares of new rows above each threshold, and the number of alarms for each budget."""
    limit_torch(1)
    series = make_anomalous_series(train_rows + NEW_ROWS, n_anomalies=0, train_size=train_rows, random_state=seed)
    detector = build(method, seed).fit(series.data[:train_rows])
    new = series.data[train_rows:]
    scores = detector.decision_function(new)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExtrapolationWarning)  # this is what is measured
        thresholds = [detector.score_tail_.threshold(share) for share in SHARES]
        alarms = [len(detector.detect(new, false_alarms_per=rows, follow_drift=False)) for rows in ROWS_PER_ALARM]
    seen = [float((scores > threshold).mean()) for threshold in thresholds]
    values = (method, train_rows, seed, *seen, *alarms, len(detector.detect(new)))
    return dict(zip(COLUMNS, values, strict=True))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the CSV, with numbers."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: text if name == "method" else float(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows, key=lambda row: [row[name] for name in COLUMNS[:3]]):
            writer.writerow({name: f"{value:g}" if isinstance(value, float) else value for name, value in row.items()})


def page_text(rows: Sequence[dict[str, Any]], command: str) -> str:
    """Return the Markdown page: seen divided by asked, mean (median) over seeds."""
    table = []
    for method, train_rows in sorted({(row["method"], int(row["train_rows"])) for row in rows}):
        some = [row for row in rows if (row["method"], row["train_rows"]) == (method, train_rows)]
        asked = list(SHARES) + [NEW_ROWS / per for per in ROWS_PER_ALARM]
        cells = [method, f"{train_rows:,}", str(len(some))]
        for name, number in zip((*SHARE_NAMES, *ALARM_NAMES), asked, strict=True):
            quotients = [row[name] / number for row in some]
            cells.append(f"{fmean(quotients):.2f} ({median(quotients):.2f})")
        cells.append(f"{fmean(row[DEFAULT_NAME] for row in some):.1f}")
        table.append(cells)
    header = ["method", "training rows", "series", *SHARE_NAMES, *ALARM_NAMES, f"{DEFAULT_NAME}, {NEW_ROWS:,} rows"]
    return "\n".join(
        [
            "# Asked and seen on stationary series\n",
            f"- Made by `{command}`.",
            "- Series of `make_anomalous_series` without anomalies, one a seed: 4 channels, a period of 50 rows.",
            f"- Fit on the training rows, counted on the {NEW_ROWS:,} rows after them.",
            "- A cell is *seen divided by asked*: mean over series, and the median in brackets. 1 is what was asked.",
            "- *share s*: rows above `score_tail_.threshold(s)`. *one in N*: alarms of "
            "`detect(X, false_alarms_per=N, follow_drift=False)`. Last column: mean number of alarms of `detect(X)`.\n",
            markdown_table(header, table),
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promise", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--train-rows", nargs="+", type=int, default=[2000], metavar="N")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="0 to N - 1 (default: %(default)s)")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS)
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    page, table = options.out / "promise.md", options.out / "promise.csv"
    options.out.mkdir(parents=True, exist_ok=True)
    rows = read_rows(table)
    known = {tuple(row[name] for name in COLUMNS[:3]) for row in rows}
    planned = [
        (method, n_rows, seed)
        for method in options.methods
        for n_rows in options.train_rows
        for seed in range(options.seeds)
        if (method, n_rows, seed) not in known
    ]
    jobs = Parallel(n_jobs=options.n_jobs, return_as="generator_unordered")(delayed(measure)(*one) for one in planned)
    for row in jobs:
        rows.append(row)
        write_rows(rows, table)
    page.write_text(page_text(rows, command_text("benchmarks.promise", arguments)), encoding="utf-8")
    print(page, table, sep="\n")


if __name__ == "__main__":
    main()
