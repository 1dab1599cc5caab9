"""Defaults, chosen again by all groups of series but one, and what that does to the one left out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

from .cell_table import write_csv
from .command import (
    add_run_options,
    add_study_options,
    arguments_of,
    command_text,
    fail,
    run_study,
    study_settings,
)
from .contract import PROTOCOL_SENTENCES, PROTOCOLS, Method, Record, Settings
from .measure import HEAD_METRIC, RAW
from .methods import select_methods
from .report import (
    environment_sentences,
    failures_table,
    markdown_table,
    number,
    seeds_sentence,
    settings_sentences,
)
from .series import GROUP_NAMES, load_groups
from .summary import group_means, series_values

__all__ = ["DEFAULT", "Alternative", "ChoiceStudy", "GroupMeans", "chosen_without", "left_out_table", "run"]

DEFAULT = "default"
GroupMeans = dict[str, float]
ByChoice = Mapping[str, Sequence[Record]]


class Alternative(Protocol):
    """What a default could have been."""

    @property
    def name(self) -> str:
        """Unique among all alternatives."""

    @property
    def number(self) -> str:
        """Which default; with its value in brackets."""

    @property
    def value(self) -> str:
        """What stands in its place."""


@dataclass(frozen=True)
class ChoiceStudy:
    """Defaults and what they could have been.

    Parameters
    ----------
    module, name, title, doc : str
        Of the command, of its files, of its page, and the help's text.
    remark : str
        What is changed of what.
    methods : mapping from str to Method
        The registry.
    alternatives : sequence of Alternative
        All but the default.
    scores : mapping from str to callable
        For each score that the page judges the choices by: from all records to those of each choice, the default among
        them.
    protocols : tuple of str, default=PROTOCOLS
        Where nothing else is asked for.
    """

    module: str
    name: str
    title: str
    doc: str
    remark: str
    methods: Mapping[str, Method]
    alternatives: Sequence[Alternative]
    scores: Mapping[str, Callable[[Sequence[Record]], ByChoice]]
    protocols: tuple[str, ...] = PROTOCOLS


def means_by_choice(records: ByChoice) -> dict[str, GroupMeans]:
    """Return each choice's VUS-PR by group, mean over the protocols there are.

    Parameters
    ----------
    records : mapping from str to sequence of dict
        The records of each choice, the one named `DEFAULT` among them. A group has a mean where the choice has a value
        for every series that the default has one for.
    """
    groups = list(dict.fromkeys(record["group"] for record in records[DEFAULT]))
    protocols = list(dict.fromkeys(record["protocol"] for record in records[DEFAULT]))
    means: dict[str, dict[str, list[float]]] = {name: {group: [] for group in groups} for name in records}
    for protocol in protocols:
        values = {
            name: series_values([record for record in of_choice if record["protocol"] == protocol], HEAD_METRIC, RAW)
            for name, of_choice in records.items()
        }
        for name, of_choice in values.items():
            missing = {group for group, _ in set(values[DEFAULT]) - set(of_choice)}
            for group, mean in group_means(of_choice, groups).items():
                if mean is not None and group not in missing:
                    means[name][group].append(mean)
    return {
        name: {group: fmean(found) for group, found in of_choice.items() if len(found) == len(protocols)}
        for name, of_choice in means.items()
    }


def choices_table(means: Mapping[str, GroupMeans]) -> str:
    """Return a choice a row, a group a column."""
    groups = list(means[DEFAULT])
    rows = [
        [name, *(number(of_group.get(group)) for group in groups), f"**{fmean(of_group.values()):.4f}**"]
        for name, of_group in means.items()
        if len(of_group) == len(groups)
    ]
    return markdown_table(["choice", *groups, "**mean over groups**"], rows)


def chosen_without(means: Mapping[str, GroupMeans], names: Sequence[str], group: str) -> tuple[str, float, float]:
    """Return what the other groups choose, their gain over the default, and the gain of the group left out."""
    others = [other for other in means[DEFAULT] if other != group]
    best = max(names, key=lambda name: fmean(means[name][other] for other in others))
    gain = fmean(means[best][other] - means[DEFAULT][other] for other in others)
    return best, gain, means[best][group] - means[DEFAULT][group]


def left_out_table(means: Mapping[str, GroupMeans], alternatives: Sequence[Alternative]) -> str:
    """Return a default a row, a group left out a column: what the others choose and what it does."""
    groups = list(means[DEFAULT])
    if len(groups) == 1:
        return "There is one group, and nobody to choose for it.\n"
    complete = [one for one in alternatives if len(means.get(one.name, {})) == len(groups)]
    rows = []
    for what in dict.fromkeys(one.number for one in complete):
        values = {DEFAULT: DEFAULT} | {one.name: one.value for one in complete if one.number == what}
        cells = []
        for group in groups:
            best, gain, left_out = chosen_without(means, list(values), group)
            cells.append(DEFAULT if best == DEFAULT else f"{values[best]} ({gain:+.3f}; {left_out:+.3f})")
        rows.append([what, *cells])
    return markdown_table(["number (default)", *(f"without {group}" for group in groups)], rows)


def sections(score: str, records: ByChoice, alternatives: Sequence[Alternative]) -> list[str]:
    """Return the tables of a score, each with its heading: without one group, by group, by group and protocol."""
    means = means_by_choice(records)
    protocols = list(dict.fromkeys(record["protocol"] for record in records[DEFAULT]))
    by_protocol = []
    for protocol in protocols if len(protocols) > 1 else ():
        of_protocol = {
            name: [one for one in of_choice if one["protocol"] == protocol] for name, of_choice in records.items()
        }
        by_protocol += [f"## {score}, by group, {protocol}\n", choices_table(means_by_choice(of_protocol))]
    return [
        f"## {score}, without one group\n",
        "What all groups but one choose, by their mean; in brackets their gain over the default, and what the "
        "choice does to the group that had no voice.\n",
        left_out_table(means, alternatives),
        f"## {score}, by group\n",
        choices_table(means),
        *by_protocol,
    ]


def page(study: ChoiceStudy, records: Sequence[Record], command: str, settings: Settings, n_missing: int) -> str:
    """Return the Markdown page."""
    protocols = list(dict.fromkeys(record["protocol"] for record in records))
    judged = {score: of_score(records) for score, of_score in study.scores.items()}
    bullets = [
        f"Made by `{command}`.",
        study.remark,
        *(f"Protocol **{protocol}**: {PROTOCOL_SENTENCES[protocol]}." for protocol in protocols),
        "VUS-PR of the raw scores. A value is the mean over seeds, then series, then protocols; groups weigh the same.",
        *settings_sentences(settings),
        seeds_sentence([record for of_choice in judged.values() for record in of_choice[DEFAULT]]),
        *environment_sentences(records),
    ]
    if n_missing:
        bullets.append(f"**Unfinished: {n_missing} planned cells have not run.**")
    parts = [part for score, by_choice in judged.items() for part in sections(score, by_choice, study.alternatives)]
    heading = [f"# {study.title}\n", "\n".join(f"- {bullet}" for bullet in bullets) + "\n"]
    return "\n".join([*heading, *parts, "## Cells without a value\n", failures_table(records)])


def make_parser(study: ChoiceStudy) -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {study.module}",
        description=study.doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study_options(parser, groups=GROUP_NAMES, methods=study.methods)
    add_run_options(parser)
    parser.set_defaults(seeds=[0], protocols=list(study.protocols))
    return parser


def run(study: ChoiceStudy, argv: Sequence[str] | None = None) -> list[Path]:
    """Run a study's command; return the page and the table of every cell."""
    parser = make_parser(study)
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    try:
        settings = study_settings(options)
        methods = select_methods(options.methods, study.methods)
        groups = load_groups(options.groups, options.data)
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    chosen = {name: series[: options.first_series] for name, series in groups.items()}
    records, n_missing = run_study(options, methods, chosen, protocols=options.protocols, settings=settings)
    options.out.mkdir(parents=True, exist_ok=True)
    table, text = options.out / f"{study.name}.csv", options.out / f"{study.name}.md"
    write_csv(records, table)
    text.write_text(page(study, records, command_text(study.module, arguments), settings, n_missing), encoding="utf-8")
    return [table, text]
