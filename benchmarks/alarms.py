"""Alarms as a user gets them, on all development series: ``python -m benchmarks.alarms``.

``detect`` and ``predict`` of ours stand beside peers with a threshold, and beside the best threshold of each score. The
tables are written to ``docs/results/alarms.md``, every cell to ``alarms.csv``. A run that was stopped goes on where it
was; ``--report-only`` makes the tables from what there is. After a change of ours run ``--redo ours``.

Examples
--------
A look of a minute::

    python -m benchmarks.alarms --methods nearest-windows random-score --groups telemetry --out build/look

The whole, two cells at a time::

    python -m benchmarks.alarms --n-jobs 2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

from .alarm_cells import (
    ASKED_SHARES,
    CONTAMINATION,
    DETECT,
    MERGED,
    METHODS_BY_PROTOCOL,
    ORACLE,
    PREDICT,
    plan_cells,
    run_missing,
    write_cells,
)
from .alarm_measures import FAR_ROWS, MERGE_ROWS, ORACLE_NORMAL_SHARE, ORACLE_THRESHOLDS, known, pool
from .command import (
    DEFAULT_CELLS,
    DEFAULT_RESULTS,
    REPORT_ONLY,
    arguments_of,
    command_text,
    fail,
)
from .contract import DEFAULT_WINDOW, PROTOCOLS, SEMI_SUPERVISED, UNSUPERVISED, Record, Settings
from .harness import DEFAULT_TIMEOUT, ISOLATIONS, NO_ISOLATION, PROCESS_ISOLATION
from .isolation import FAILED, OK, TIMEOUT
from .report import environment_sentences, failures_table, markdown_table, number, seeds_sentence, settings_sentences
from .series import ECG_ROWS, GROUP_NAMES, load_groups
from .summary import records_by_method

CELLS_FOLDER = "alarms"  # in the folder of cells: the peers' command has cells of the same name
SHARED_SENTENCES = 2  # of the settings: scaling and window; the others are about smoothing and VUS
PROTOCOL_SENTENCES = {
    SEMI_SUPERVISED: "fit on the first `train_size` rows; alarms in the rows after them. `detect` and "
    "`decision_function` get all rows.",
    UNSUPERVISED: "fit on all rows; alarms among these rows, by `detect(None)` and `decision_scores_`. Ours have "
    "`clean_training=False`.",
}
KIND_SENTENCES = {
    DETECT: "the ranges that `detect` returns with its defaults.",
    PREDICT: f"runs of rows whose score exceeds the threshold at contamination {CONTAMINATION}: `threshold_` of ours, "
    f"the {1 - CONTAMINATION:g} quantile of a peer's training scores.",
    MERGED: f"the same runs, but two with fewer than {MERGE_ROWS} rows between them are one alarm.",
    ORACLE: f"labels known: for each series the best event F1 among {ORACLE_THRESHOLDS} quantiles of its scores, runs "
    f"merged. The alarms may hold at most {ORACLE_NORMAL_SHARE:.0%} of the normal rows, since one alarm over all rows "
    "has an event F1 of 1.",
}
COLUMNS = {
    "series": "measured, of how many planned if not all; with several seeds, series times seeds.",
    "alarms": "number of alarms.",
    "true": "alarms that overlap a labelled event.",
    "events": "labelled events.",
    "hit": "events that an alarm overlaps.",
    "precision": "true / alarms.",
    "recall": "hit / events.",
    "F1": "harmonic mean of this precision and recall, which come from sums over series. A single alarm over all rows "
    "is true and hits every event, so read the share of rows and IoU beside F1.",
    "far, mean": f"share in alarm of the normal rows at least {FAR_ROWS} rows from any anomaly; mean over the series "
    "that have such rows.",
    "far, median": "the same, median over series.",
    "rows": "share of all rows in alarm, mean over series.",
    "per 10,000": "alarms per 10,000 rows.",
    "IoU": "intersection over union of an event with its best alarm, mean over hit events.",
    "delay": "rows from an event's first row to its first row in alarm, median over hit events.",
}


def percent(share: float | None) -> str:
    """Return the share in percent, or a dash."""
    return number(share) if share is None else f"{number(100 * share, 2)} %"


def finished_by_method(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return all records of each method with a finished one, in the registry's order."""
    order = list(METHODS_BY_PROTOCOL[UNSUPERVISED])
    methods = records_by_method(sorted(records, key=lambda record: order.index(record["method"])))
    return {name: of for name, of in methods.items() if any(record["status"] == OK for record in of)}


def kinds_of(records: Sequence[Record]) -> list[str]:
    """Return the kinds of alarms in the records."""
    return [kind for kind in KIND_SENTENCES if any(kind in record.get("kinds", ()) for record in records)]


def cells_of_row(records: Sequence[Record], kind: str) -> list[str]:
    """Return the columns of a table from the records of one method."""
    finished = [record["kinds"][kind] for record in records if record["status"] == OK]
    one = pool(finished)
    return [
        str(len(finished)) if len(finished) == len(records) else f"{len(finished)} of {len(records)}",
        *(str(one[name]) for name in ("alarms", "true_alarms", "events", "hit")),
        *(number(one[name]) for name in ("precision", "recall", "f1")),
        *(percent(one[name]) for name in ("far_mean", "far_median", "flagged_share")),
        number(one["alarms_per_10000"], 1),
        number(one["iou"]),
        number(one["delay"], 0),
    ]


def protocol_table(records: Sequence[Record]) -> str:
    """Return the table of one protocol over all series: a row a method and kind."""
    rows = [
        [method, kind, *cells_of_row(of_method, kind)]
        for method, of_method in finished_by_method(records).items()
        for kind in kinds_of(of_method)
    ]
    return markdown_table(["method", "kind", *COLUMNS], rows)


def group_table(records: Sequence[Record]) -> str:
    """Return the table of one group: a row a protocol and method of ours, alarms of `detect`."""
    rows = []
    for protocol in PROTOCOLS:
        of_protocol = [record for record in records if record["protocol"] == protocol]
        for method, of_method in finished_by_method(of_protocol).items():
            if DETECT in kinds_of(of_method):
                rows.append([protocol, method, *cells_of_row(of_method, DETECT)])
    return markdown_table(["protocol", "method", *COLUMNS], rows) if rows else ""


def curve_table(records: Sequence[Record]) -> str:
    """Return the shares of far rows above the thresholds for asked shares: mean and median over series."""
    rows = []
    for protocol in PROTOCOLS:
        of_protocol = [record for record in records if record["protocol"] == protocol]
        for method, of_method in finished_by_method(of_protocol).items():
            row = [protocol, method]
            for asked in ASKED_SHARES:
                seen = known([record["curve"][f"{asked:g}"] for record in of_method if record["status"] == OK])
                row += [percent(fmean(seen)), percent(median(seen))] if seen else [percent(None)] * 2
            rows.append([*row[:2], str(len(seen)), *row[2:]])
    header = [f"{percent(asked)} asked, {what}" for asked in ASKED_SHARES for what in ("mean", "median")]
    return markdown_table(["protocol", "method", "series", *header], rows)


def page_text(records: Sequence[Record], command: str, settings: Settings, n_missing: int) -> str:
    """Return the Markdown page."""
    bullets = [
        f"Made by `{command}`.",
        *settings_sentences(settings)[:SHARED_SENTENCES],
        f"The electrocardiogram is cut to its first {ECG_ROWS:,} rows.",
        seeds_sentence(records),
        *environment_sentences(records),
    ]
    if n_missing:
        bullets.append(f"**Unfinished: {n_missing} planned cells have not run.**")
    parts = ["# Alarms\n", "\n".join(f"- {bullet}" for bullet in bullets) + "\n", "## What the rows and columns are\n"]
    parts.append("\n".join(f"- *{name}*: {text}" for name, text in (KIND_SENTENCES | COLUMNS).items()) + "\n")
    for protocol in PROTOCOLS:
        of_protocol = [record for record in records if record["protocol"] == protocol]
        if of_protocol:
            parts += [f"## All series, {protocol}\n", f"Protocol: {PROTOCOL_SENTENCES[protocol]}\n"]
            parts.append(protocol_table(of_protocol))
    for group in dict.fromkeys(record["group"] for record in records):
        table = group_table([record for record in records if record["group"] == group])
        parts += [f"## `detect` on {group}\n", table] if table else []
    parts += [
        "## Asked and seen shares\n",
        f"Share of the normal rows at least {FAR_ROWS} rows from any anomaly whose score exceeds the threshold for an "
        "asked share. Ours: `score_tail_.threshold(share)`. Peers: the quantile of their training scores. *series*: "
        "with such rows.\n",
        curve_table(records),
        "## Cells without a value\n",
        failures_table(records),
    ]
    return "\n".join(parts)


def show_progress(record: Record, done: int, total: int) -> None:
    """Print one line a cell."""
    words = [f"[{done}/{total}]", *(record[name] for name in ("protocol", "group", "series", "method"))]
    words.append(f"seed {record['seed']}:")
    if record["status"] == OK:
        for kind, one in record["kinds"].items():
            words.append(f"{kind} {one['true_alarms']}/{one['alarms']} true, {one['hit']}/{one['events']} hit;")
        words.append(f"{record['seconds']:.1f} s")
    else:
        words.append(f"{record['status']}: {record['error']}")
    print(*words, flush=True)


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.alarms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = list(METHODS_BY_PROTOCOL[UNSUPERVISED])
    what = parser.add_argument_group("what")
    what.add_argument("--methods", nargs="+", default=names, metavar="METHOD", help=f"or family; {', '.join(names)}")
    what.add_argument("--groups", nargs="+", default=list(GROUP_NAMES), metavar="GROUP", help=", ".join(GROUP_NAMES))
    what.add_argument("--first-series", type=int, metavar="N", help="only the first N series of each group")
    what.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    what.add_argument("--window", type=int, default=DEFAULT_WINDOW, help="rows (default: %(default)s)")
    where = parser.add_argument_group("where")
    where.add_argument("--data", type=Path, help="folder of the development series (default: TIMESAD_DATA)")
    where.add_argument("--cells", type=Path, default=DEFAULT_CELLS, help="folder of finished cells (benchmarks/cells)")
    where.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the tables (docs/results)")
    how = parser.add_argument_group("how")
    how.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    how.add_argument("--n-jobs", type=int, default=1, help="cells at a time")
    how.add_argument("--isolation", choices=ISOLATIONS, default=PROCESS_ISOLATION)
    how.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds a cell (default: %(default)g)")
    how.add_argument("--threads", type=int, default=1, help="threads of each cell")
    how.add_argument("--retry", nargs="+", choices=(FAILED, TIMEOUT), default=[], help="run such cells again")
    how.add_argument("--redo", nargs="+", default=[], metavar="METHOD", help="run finished cells of these again")
    how.add_argument(REPORT_ONLY, action="store_true", help="run nothing; report the finished cells")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser()
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    try:
        if options.isolation == NO_ISOLATION and options.n_jobs != 1:
            raise ValueError("Threads would share one process's seeds. Pass --isolation process or --n-jobs 1.")
        settings = Settings(window=options.window, threads=options.threads)
        groups = load_groups(options.groups, options.data)
        chosen = {name: series[: options.first_series] for name, series in groups.items()}
        cells = plan_cells(options.methods, chosen, protocols=options.protocols, seeds=options.seeds, settings=settings)
        records, n_missing = run_missing(cells, options.cells / CELLS_FOLDER, options, show_progress)
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    if not records:
        fail(parser, ValueError("There is no finished cell to report."))
    options.out.mkdir(parents=True, exist_ok=True)
    page, table = options.out / "alarms.md", options.out / "alarms.csv"
    text = page_text(records, command_text("benchmarks.alarms", arguments), settings, n_missing)
    page.write_text(text, encoding="utf-8")
    write_cells(records, table)
    print(page, table, sep="\n")


if __name__ == "__main__":
    main()
