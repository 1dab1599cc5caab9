"""All cells of a study in one CSV beside its pages. Where the cells' files are missing, a run continues from it.

The environments of the cells are in a JSON file beside it; a row has the number of its environment.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .contract import Record
from .harness import Cell, write_record
from .isolation import OK
from .measure import BY_SCORE, METRICS, VARIANTS
from .summary import row_name

DIGEST = "digest"
ENVIRONMENT = "environment"
WHOLE_NUMBERS = ("window", "buffer")
NUMBERS = ("fit_seconds", "score_seconds", "cpu_seconds", "memory_before_mb", "memory_peak_mb")
IDENTITY = ("protocol", "group", "series", "method", "family", "seed", "n_rows", "n_channels", "train_size")
OUTCOME = ("status", *WHOLE_NUMBERS, *NUMBERS, "error", "isolation")
DIGITS = 5  # decimal places of metrics and seconds
METRIC_COLUMNS = {f"{variant}_{metric}": (variant, metric) for variant in VARIANTS for metric in METRICS}
Row = dict[str, Any]  # of the file: a cell, or one score of a cell with several


def environments_file(path: Path) -> Path:
    """Return the file of the environments beside a CSV."""
    return path.with_suffix(".environments.json")


def write_csv(records: Sequence[Record], path: Path) -> None:
    """Write one line per table row, metrics as ``raw_…`` and ``smoothed_…`` columns."""
    columns = (*IDENTITY, *OUTCOME, DIGEST, ENVIRONMENT, *METRIC_COLUMNS)
    environments: list[Record] = []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for record in sorted(records, key=lambda r: tuple(r[column] for column in IDENTITY)):
            row = record | {
                column: record[variant][metric]
                for column, (variant, metric) in METRIC_COLUMNS.items()
                if variant in record
            }
            if ENVIRONMENT in record:
                if record[ENVIRONMENT] not in environments:
                    environments.append(record[ENVIRONMENT])
                row[ENVIRONMENT] = environments.index(record[ENVIRONMENT])
            writer.writerow({k: round(v, DIGITS) if isinstance(v, float) else v for k, v in row.items()})
    text = json.dumps(environments, indent=1, sort_keys=True)
    environments_file(path).write_text(text + "\n", encoding="utf-8")


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Return the file's rows by the digest of their cell; raise ValueError if a column is missing."""
    rows: dict[str, list[Row]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {*IDENTITY, *OUTCOME, DIGEST, ENVIRONMENT, *METRIC_COLUMNS} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} is no table of cells: it has no column {sorted(missing)}. Give a study's CSV.")
        environments = json.loads(environments_file(path).read_text(encoding="utf-8"))
        for row in reader:
            if row[ENVIRONMENT]:
                row[ENVIRONMENT] = environments[int(row[ENVIRONMENT])]
            rows[row[DIGEST]].append(row)
    return rows


def restore(cells: Sequence[Cell], rows: Mapping[str, Sequence[Row]], cells_dir: Path) -> None:
    """Write the files of cells that have none and stand in the rows, under the very digest."""
    for cell in cells if rows else ():
        path, of_cell = cell.path(cells_dir), rows.get(cell.digest())
        if of_cell and not path.exists():
            write_record(record_of(cell, of_cell), path)


def record_of(cell: Cell, rows: Sequence[Row]) -> Record:
    """Return the record of a cell from its rows; the traceback and warnings of the run are not in a table."""
    first = rows[0]
    outcome: Record = {name: first[name] for name in ("status", "error", "isolation", DIGEST)}
    if first[ENVIRONMENT]:
        outcome[ENVIRONMENT] = first[ENVIRONMENT]
    if first["status"] == OK:
        outcome |= {name: int(first[name]) for name in WHOLE_NUMBERS}
        outcome |= {name: float(first[name]) if first[name] else None for name in NUMBERS}
        by_name = {row["method"]: metrics_of(row) for row in rows}
        if cell.method.scores:
            outcome[BY_SCORE] = {score: by_name[row_name(cell.method.name, score)] for score in cell.method.scores}
        else:
            outcome |= by_name[cell.method.name]
    return cell.identity() | outcome


def metrics_of(row: Row) -> Record:
    """Return the row's metrics by variant."""
    metrics: Record = {variant: {} for variant in VARIANTS}
    for column, (variant, metric) in METRIC_COLUMNS.items():
        metrics[variant][metric] = float(row[column])
    return metrics
