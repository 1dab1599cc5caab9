"""Tables of the ablation: variants by rules, and each rule minus its network's reconstruction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .ablation_methods import FACTORS, VARIANTS
from .contract import Record
from .measure import HEAD_METRIC
from .measure import VARIANTS as VERSIONS
from .report import comparison_table, markdown_table, number, paired
from .score_rules import REFERENCE_RULE
from .summary import (
    group_kinds,
    group_means,
    mean_or_none,
    records_by_method,
    row_name,
    series_values,
)

__all__ = ["sections"]

# Fixed before any run: a discrepancy with information must beat these by the same rule.
PLACEBOS = {
    "default": ("fixed-width.random-series", "random-series", "untrained", "fixed-width"),
    "grid": ("fixed-width.random-series", "shuffled-phases"),
    "contrast": ("fixed-width.random-series",),
}
RULES = tuple(dict.fromkeys(rule.name for variant in VARIANTS.values() for rule in variant.rules))


def present(names: Iterable[str]) -> list[str]:
    """Return the variants with a row among these, in the registry's order."""
    known = set(names)
    return [name for name, variant in VARIANTS.items() if known & {row_name(name, r.name) for r in variant.rules}]


def row_means(records: Sequence[Record], version: str) -> dict[str, float | None]:
    """Return each row's mean over groups (VUS-PR), of its raw or smoothed scores."""
    groups = list(group_kinds(records))
    return {
        row: mean_or_none(group_means(series_values(of_row, HEAD_METRIC, version), groups).values())
        for row, of_row in records_by_method(records).items()
    }


def variants_table(means: dict[str, float | None]) -> str:
    """Return a variant a row, a rule a column."""
    rows = [[name, *(number(means.get(row_name(name, rule))) for rule in RULES)] for name in present(means)]
    return markdown_table(["variant", *RULES], rows)


def levels_table() -> str:
    """Return the description of every level."""
    levels = dict.fromkeys(level for factor in FACTORS for level in factor)
    beside = {change: None for variant in VARIANTS.values() for change in variant.changes if change not in levels}
    return markdown_table(["level", "what it is"], [[level.name, level.what] for level in (*levels, *beside)])


def added_pairs(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return each rule with a discrepancy beside the reconstruction of the same network."""
    return {
        row_name(name, rule.name): (row_name(name, rule.name), row_name(name, REFERENCE_RULE))
        for name in present(names)
        for rule in VARIANTS[name].rules
        if rule.name != REFERENCE_RULE
    }


def placebo_pairs() -> dict[str, tuple[str, str]]:
    """Return each rule with a discrepancy beside the same rule of the variant's placebos."""
    pairs = {}
    for name, placebos in PLACEBOS.items():
        for placebo in placebos:
            shared = {rule.name for rule in VARIANTS[placebo].rules} - {REFERENCE_RULE}
            for rule in RULES:
                if rule in shared:
                    pairs[f"{name} - {placebo}, {rule}"] = (row_name(name, rule), row_name(placebo, rule))
    return pairs


def sections(records: Sequence[Record]) -> list[str]:
    """Return the parts of a page that are the ablation's own."""
    names = list(records_by_method(records))
    parts = []
    for version in VERSIONS:
        means = row_means(records, version)
        parts += [f"## VUS-PR by variant and rule, {version} scores, mean over groups\n", variants_table(means)]
    parts += ["## Levels\n", levels_table()]
    questions = (
        ("Does the discrepancy add anything? Each rule minus the network's reconstruction", "row", added_pairs(names)),
        ("Does it add more than a placebo? The same rule on both", "variant - placebo, rule", placebo_pairs()),
    )
    for title, label, pairs in questions:
        parts.append(f"## {title}\n")
        for version in VERSIONS:
            compared = paired(records, pairs, version)
            if compared:
                parts += [f"### {version.capitalize()} scores\n", comparison_table(compared, label)]
    return parts
