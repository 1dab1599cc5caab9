"""Would other series have chosen other defaults? ``python -m benchmarks.score_choices``.

Each number in the flagship's default score is changed alone, and chosen anew by the groups of development series but
one; the page says what that does to the groups that chose and to the one left out. A network is trained once for each
series, seed and protocol and scored by every choice. One page, ``score-choices.md``, holds both protocols.

Examples
--------
A look of a minute::

    python -m benchmarks.score_choices --groups skab --first-series 2 --out build/look

The whole, two cells at a time::

    python -m benchmarks.score_choices --n-jobs 2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from .cell_table import write_csv
from .choices import CHOICES, DEFAULT, METHODS
from .command import (
    add_run_options,
    add_study_options,
    arguments_of,
    command_text,
    fail,
    run_study,
    study_settings,
)
from .contract import PROTOCOL_SENTENCES, Record, Settings
from .measure import HEAD_METRIC, RAW
from .methods import FLAGSHIP
from .report import (
    environment_sentences,
    failures_table,
    markdown_table,
    number,
    seeds_sentence,
    settings_sentences,
)
from .series import GROUP_NAMES, load_groups
from .summary import SCORE, group_means, series_values

NAME = "score-choices"
GroupMeans = dict[str, float]


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.score_choices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study_options(parser, groups=GROUP_NAMES, methods=METHODS)
    add_run_options(parser)
    parser.set_defaults(seeds=[0])
    return parser


def means_by_choice(records: Sequence[Record]) -> dict[str, GroupMeans]:
    """Return each choice's VUS-PR by group, mean over the protocols there are."""
    groups = list(dict.fromkeys(record["group"] for record in records))
    protocols = list(dict.fromkeys(record["protocol"] for record in records))
    means: dict[str, GroupMeans] = {}
    for choice in CHOICES:
        by_protocol = []
        for protocol in protocols:
            of_choice = [r for r in records if r[SCORE] == choice.name and r["protocol"] == protocol]
            by_protocol.append(group_means(series_values(of_choice, HEAD_METRIC, RAW), groups))
        known = {group: [of_protocol[group] for of_protocol in by_protocol] for group in groups}
        means[choice.name] = {group: fmean(values) for group, values in known.items() if None not in values}
    return means


def choices_table(means: dict[str, GroupMeans]) -> str:
    """Return a choice a row, a group a column."""
    groups = list(means[DEFAULT])
    rows = [
        [name, *(number(of_group.get(group)) for group in groups), f"**{fmean(of_group.values()):.4f}**"]
        for name, of_group in means.items()
        if of_group
    ]
    return markdown_table(["choice", *groups, "**mean over groups**"], rows)


def chosen_without(means: dict[str, GroupMeans], names: Sequence[str], group: str) -> tuple[str, float, float]:
    """Return what the other groups choose, their gain over the default, and the gain of the group left out."""
    others = [other for other in means[DEFAULT] if other != group]
    best = max(names, key=lambda name: fmean(means[name][other] for other in others))
    gain = fmean(means[best][other] - means[DEFAULT][other] for other in others)
    return best, gain, means[best][group] - means[DEFAULT][group]


def left_out_table(means: dict[str, GroupMeans]) -> str:
    """Return a number of the score a row, a group left out a column: what the others choose and what it does."""
    groups = list(means[DEFAULT])
    rows = []
    for what in dict.fromkeys(choice.number for choice in CHOICES if choice.name != DEFAULT):
        choices = {choice.name: choice.value for choice in CHOICES if choice.number == what} | {DEFAULT: DEFAULT}
        cells = []
        for group in groups:
            best, gain, left_out = chosen_without(means, [DEFAULT, *choices], group)
            cells.append(DEFAULT if best == DEFAULT else f"{choices[best]} ({gain:+.3f}; {left_out:+.3f})")
        rows.append([what, *cells])
    return markdown_table(["number (default)", *(f"without {group}" for group in groups)], rows)


def page(records: Sequence[Record], command: str, settings: Settings, n_missing: int) -> str:
    """Return the Markdown page."""
    protocols = list(dict.fromkeys(record["protocol"] for record in records))
    means = means_by_choice(records)
    bullets = [
        f"Made by `{command}`.",
        f"`{FLAGSHIP}` as in the peers' tables, with one number of its score changed; VUS-PR of the raw scores.",
        *(f"Protocol **{protocol}**: {PROTOCOL_SENTENCES[protocol]}." for protocol in protocols),
        "A value is the mean over seeds, then series, then protocols; groups weigh the same.",
        *settings_sentences(settings),
        seeds_sentence([record for record in records if record[SCORE] == DEFAULT]),
        *environment_sentences(records),
    ]
    if n_missing:
        bullets.append(f"**Unfinished: {n_missing} planned cells have not run.**")
    return "\n".join(
        [
            "# Choices of the score\n",
            "\n".join(f"- {bullet}" for bullet in bullets) + "\n",
            "## Without one group\n",
            "What all groups but one choose, by their mean; in brackets their gain over the default, and what the "
            "choice does to the group that had no voice.\n",
            left_out_table(means),
            "## By group\n",
            choices_table(means),
            "## Cells without a value\n",
            failures_table([record for record in records if record[SCORE] == DEFAULT]),
        ]
    )


def write_page(records: Sequence[Record], out: Path, command: str, settings: Settings, n_missing: int) -> list[Path]:
    """Write the page and every cell; return their files."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{NAME}.csv", out / f"{NAME}.md"]
    write_csv(records, paths[0])
    paths[1].write_text(page(records, command, settings, n_missing), encoding="utf-8")
    return paths


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser()
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    try:
        settings = study_settings(options)
        groups = load_groups(options.groups, options.data)
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    chosen = {name: series[: options.first_series] for name, series in groups.items()}
    records, n_missing = run_study(
        options, list(METHODS.values()), chosen, protocols=options.protocols, settings=settings
    )
    for path in write_page(
        records, options.out, command_text("benchmarks.score_choices", arguments), settings, n_missing
    ):
        print(path)


if __name__ == "__main__":
    main()
