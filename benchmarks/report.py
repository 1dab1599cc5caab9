"""Tables from records: a CSV with every cell, and a Markdown page for each protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cell_table import write_csv
from .comparison import CONFIDENCE, Comparison, compare, holm
from .contract import (
    PEER_FAMILIES,
    PERIOD_WINDOW,
    PROTOCOL_SENTENCES,
    STANDARD_SCALING,
    Record,
    Settings,
)
from .harness import NO_ISOLATION
from .isolation import OK
from .measure import HEAD_METRIC, RAW, SMOOTHED, VARIANTS, WINDOWS_TO_FIT
from .summary import (
    KINDS,
    Summary,
    group_kinds,
    records_by_method,
    series_values,
    summarise,
)

ABSENT = "–"
ERROR_CHARACTERS = 160
COUNTS = re.compile(r"\d+ of \d+")


def no_sections(records: Sequence[Record]) -> list[str]:
    """Return nothing: the page has the common tables alone."""
    return []


@dataclass(frozen=True)
class Study:
    """What the tables say about themselves.

    Parameters
    ----------
    name : str
        Begins the files' names.
    title : str
        Heading.
    command : str
        The command line that makes the same files again.
    settings : Settings
        Of all cells.
    reference : str
        Method that the paired tables compare with the others.
    n_missing : int
        Planned cells that have not run.
    remarks : tuple of str
        Further sentences for the head, about the series for instance.
    sections : callable
        From the records of one protocol to further parts of its page, which stand before the tables of all methods.
    """

    name: str
    title: str
    command: str
    settings: Settings
    reference: str
    n_missing: int = 0
    remarks: tuple[str, ...] = ()
    sections: Callable[[Sequence[Record]], Sequence[str]] = no_sections


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def number(value: float | None, digits: int = 3) -> str:
    """Return the value with fixed digits, or a dash."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def settings_sentences(settings: Settings) -> list[str]:
    """Return what is the same for all methods, one sentence each."""
    if settings.window == PERIOD_WINDOW:
        window = "the autocorrelation period of channel 0 over the rows to fit (125 where none is found)"
    else:
        window = f"{settings.window} rows"
    scaling = (
        "every channel standardised with mean and deviation of the rows to fit"
        if settings.scaling == STANDARD_SCALING
        else "none"
    )
    return [
        f"Scaling, for all methods: {scaling}.",
        f"Window, for all windowed methods: {window}, at most 1/{WINDOWS_TO_FIT} of the rows to fit.",
        f"Smoothing, offered to all methods: the *smoothed* columns are the same scores after a centred moving average "
        f"over {settings.smoothing} rows; *raw* are the scores as the method gives them.",
        "Buffer of VUS: the autocorrelation period of channel 0 over all rows, 125 where none is found "
        "(TSB-AD's rule).",
        f"Each cell has {settings.threads} thread(s).",
    ]


def isolation_sentence(records: Sequence[Record]) -> str:
    """Return what memory figures mean, and how many cells have none."""
    sentence = "Memory is the peak above what a cell's own process held before the method was built"
    n_shared = sum(record.get("isolation") == NO_ISOLATION for record in records)
    return sentence + (f"; {n_shared} cells shared a process with others and have no figure." if n_shared else ".")


def seeds_sentence(records: Sequence[Record]) -> str:
    """Return how many seeds each method finished at most, the methods with the most first."""
    seeds: dict[str, set[int]] = {}
    for record in records:
        if record["status"] == OK:
            seeds.setdefault(record["method"], set()).add(record["seed"])
    methods_by_count: dict[int, list[str]] = {}
    for method, drawn in sorted(seeds.items()):
        methods_by_count.setdefault(len(drawn), []).append(f"`{method}`")
    counts = sorted(methods_by_count.items(), reverse=True)
    return "Seeds: " + "; ".join(f"{count} of {', '.join(methods)}" for count, methods in counts) + "."


def environment_sentences(records: Sequence[Record]) -> list[str]:
    """Return versions, and a warning where cells were made by different states of the library."""
    made = [record for record in records if "environment" in record]
    if not made:
        return []
    sources = {record["environment"]["timesad_source"] for record in made if record["family"] not in PEER_FAMILIES}
    last = {key: value for key, value in made[-1]["environment"].items() if key != "timesad_source"}
    sentences = ["Made with " + ", ".join(f"{key} {value}" for key, value in last.items()) + "."]
    if len(sources) > 1:
        sentences.append(
            "**The cells come from several states of timesad's source**; "
            "rows of ours may not belong together. Run again with `--redo ours`."
        )
    return sentences


def _group_cell(summary: Summary, group: str) -> str:
    finished, total = summary.finished[group], summary.total[group]
    mean = number(summary.group_means[group])
    return mean if finished == total else f"{mean} ({finished}/{total})"


def _overall_cell(summary: Summary) -> str:
    if summary.mean is None:
        return ABSENT
    return f"**{number(summary.mean)}**" + ("" if summary.complete else " *")


def summary_table(summaries: Sequence[Summary], kinds: dict[str, str]) -> str:
    """Return the main table: a method a row, a group a column."""
    shown_kinds = [kind for kind in KINDS if kind in kinds.values()]
    header = ["method", *kinds, *(f"{kind} mean" for kind in shown_kinds), "**mean over groups**", "± seeds"]
    rows = [
        [
            summary.method,
            *(_group_cell(summary, group) for group in kinds),
            *(number(summary.kind_means[kind]) for kind in shown_kinds),
            _overall_cell(summary),
            number(summary.seed_spread),
        ]
        for summary in summaries
    ]
    return markdown_table(header, rows)


def paired(records: Sequence[Record], pairs: Mapping[str, tuple[str, str]], variant: str) -> dict[str, Comparison]:
    """Return the first minus the second method of each named pair (VUS-PR), where they have series in common."""
    values = {
        method: series_values(of_method, HEAD_METRIC, variant)
        for method, of_method in records_by_method(records).items()
    }
    compared = {name: compare(values.get(one, {}), values.get(other, {})) for name, (one, other) in pairs.items()}
    return {name: comparison for name, comparison in compared.items() if comparison is not None}


def comparisons(records: Sequence[Record], reference: str, variant: str) -> dict[str, Comparison]:
    """Return reference minus each other method over their common series (VUS-PR)."""
    others = [method for method in records_by_method(records) if method != reference]
    return paired(records, {other: (reference, other) for other in others}, variant)


def comparison_table(compared: Mapping[str, Comparison], label: str = "other method") -> str:
    """Return the paired table, largest difference first; the first column has the names under the label."""
    adjusted = dict(zip(compared, holm([c.p_value for c in compared.values()]), strict=True))
    header = [label, "series", "won / lost", "mean difference", f"{CONFIDENCE:.0%} interval", "p", "p (Holm)"]
    rows = [
        [
            method,
            str(c.n_series),
            f"{c.wins} / {c.losses}",
            f"{c.mean_difference:+.3f}",
            f"[{c.low:+.3f}, {c.high:+.3f}]",
            f"{c.p_value:.2g}",
            f"{adjusted[method]:.2g}",
        ]
        for method, c in sorted(compared.items(), key=lambda item: -item[1].mean_difference)
    ]
    return markdown_table(header, rows)


def cost_table(summaries: Sequence[Summary]) -> str:
    """Return medians of seconds and memory, methods in the order of the main table."""
    header = ["method", "fit, s", "score, s", "memory, MB"]
    rows = [
        [s.method, number(s.fit_seconds, 2), number(s.score_seconds, 2), number(s.memory_mb, 0)]
        for s in summaries
        if s.fit_seconds is not None
    ]
    return markdown_table(header, rows)


def failures_table(records: Sequence[Record]) -> str:
    """Return the cells without a value, with their reason; those that differ by counts only in one row."""
    reasons: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record["status"] != OK:
            error = COUNTS.sub("n of m", record["error"])[:ERROR_CHARACTERS].replace("\n", " ")
            reasons.setdefault((record["method"], record["status"], error), []).append(record)
    rows = [
        [method, status, str(len(cells)), ", ".join(sorted({cell["group"] for cell in cells})), error]
        for (method, status, error), cells in sorted(reasons.items())
    ]
    return markdown_table(["method", "status", "cells", "groups", "reason"], rows) if rows else "Every cell finished.\n"


def notes_table(records: Sequence[Record]) -> str:
    """Return what a reader must know about single methods."""
    notes = {record["method"]: record["note"] for record in records if record["note"]}
    return markdown_table(["method", "note"], [[method, note] for method, note in notes.items()]) if notes else ""


def _paired_section(records: Sequence[Record], study: Study) -> list[str]:
    parts = []
    for variant in VARIANTS:
        compared = comparisons(records, study.reference, variant)
        if compared:
            parts += [f"### {variant.capitalize()} scores\n", comparison_table(compared)]
    if not parts:
        return []
    return [
        f"## Paired: `{study.reference}` minus each other method\n",
        "VUS-PR over the series that both finished, seeds averaged first. Mean difference: mean over groups. Interval: "
        "bootstrap, series drawn within their group. p: Wilcoxon signed-rank over all series; Holm for the number of "
        "methods.\n",
        *parts,
    ]


def protocol_text(records: Sequence[Record], protocol: str, study: Study) -> str:
    """Return the Markdown page of one protocol."""
    kinds = group_kinds(records)
    tables = {variant: summarise(records, HEAD_METRIC, variant) for variant in VARIANTS}
    n_series = sum(tables[RAW][0].total.values())
    bullets = [
        f"Made by `{study.command}`.",
        f"Protocol **{protocol}**: {PROTOCOL_SENTENCES[protocol]}.",
        *settings_sentences(study.settings),
        isolation_sentence(records),
        seeds_sentence(records),
        *study.remarks,
        *environment_sentences(records),
    ]
    if study.n_missing:
        bullets.append(f"**Unfinished: {study.n_missing} planned cells have not run.**")
    return "\n".join(
        [
            f"# {study.title}: {protocol}\n",
            "\n".join(f"- {bullet}" for bullet in bullets) + "\n",
            f"{n_series} series in {len(kinds)} groups. A value is the mean over seeds, then series; groups weigh the "
            "same. (k/n): only k of n series finished, so that mean is over k series; the overall mean then carries * "
            "and only the paired table compares fairly.\n",
            *study.sections(records),
            "## VUS-PR, raw scores\n",
            summary_table(tables[RAW], kinds),
            "## VUS-PR, smoothed scores\n",
            summary_table(tables[SMOOTHED], kinds),
            *_paired_section(records, study),
            "## Cost, median over finished cells\n",
            cost_table(tables[RAW]),
            "## Cells without a value\n",
            failures_table(records),
            "## Notes on methods\n",
            notes_table(records),
        ]
    )


def write_report(records: Sequence[Record], out_dir: Path, study: Study) -> list[Path]:
    """Write CSV and Markdown.

    Parameters
    ----------
    records : sequence of dict
        Cells of any protocols.
    out_dir : Path
        Folder, created where missing.
    study : Study
        Names and texts.

    Returns
    -------
    list of Path
        ``NAME.csv``, and ``NAME-PROTOCOL.md`` for each protocol with records.
    """
    if not records:
        raise ValueError("There is no finished cell to report.")
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = [out_dir / f"{study.name}.csv"]
    write_csv(records, paths[0])
    for protocol in PROTOCOL_SENTENCES:
        selected = [record for record in records if record["protocol"] == protocol]
        if not selected:
            continue
        paths.append(out_dir / f"{study.name}-{protocol}.md")
        paths[-1].write_text(protocol_text(selected, protocol, study), encoding="utf-8")
    return paths
