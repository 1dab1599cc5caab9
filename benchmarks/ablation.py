"""Which part of the association discrepancy adds to detection? ``python -m benchmarks.ablation``.

A variant is the flagship with one part replaced by another or by a placebo. It is trained once per series and seed and
scored by every rule; a rule with the discrepancy is compared with the reconstruction of the same network.

By default the command runs the first series of each group, one seed, semi-supervised. ``--full`` runs all variants,
series, seeds and protocols. Options that are given take precedence, and finished cells are not run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .ablation_methods import BASELINE, EPOCH_SIZE, FURTHER, METHODS, PLACEBO, SMALL
from .ablation_tables import sections
from .command import (
    DEFAULT_SEEDS,
    add_run_options,
    add_study_options,
    arguments_of,
    command_text,
    fail,
    run_study,
    study_settings,
)
from .contract import PROTOCOLS, SEMI_SUPERVISED
from .methods import select_methods
from .report import Study, write_report
from .score_rules import REFERENCE_RULE
from .series import ECG_ROWS, GROUP_NAMES, load_groups
from .summary import row_name

TITLE = "Ablation"
SMALL_METHODS = (SMALL, PLACEBO, BASELINE)
SMALL_SERIES = 1
WINDOW = 48  # rows, half the default: the cost of an association grows with the square of the window
REMARKS = (
    "A variant is named by its changes of the default: simultaneous minimax, local learnable prior, output S · V, "
    "detached trunk. Beside a detached trunk the reconstruction is plain TimesNet's to the bit, except for "
    "`alternating`, which takes two steps per batch.",
    f"Training, for all networks: {EPOCH_SIZE} windows per epoch, otherwise the detectors' defaults.",
    "All rules of a variant score one training; the cost table has the seconds of one training and all rules.",
    "The rule `product` is the published score and is not smoothed, while the others are: read it in the smoothed "
    "columns.",
    "Signs were fixed beforehand: a small D is abnormal, but for `sum-wrong-sign` (a large one) and the contrast rules "
    "(close to the local prior and far from the grid).",
    f"The electrocardiogram is cut to its first {ECG_ROWS:,} rows.",
)


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options, with the small setting as defaults."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study_options(parser, groups=GROUP_NAMES, methods=SMALL_METHODS)
    add_run_options(parser)
    parser.add_argument("--full", action="store_true", help="all variants, series, seeds and protocols")
    parser.add_argument(
        "--all-series", action="store_const", dest="first_series", const=None, help="all series of each group"
    )
    parser.add_argument("--name", default="ablation", help="begins the files' names (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list the variants and end")
    parser.set_defaults(first_series=SMALL_SERIES, seeds=[0], protocols=[SEMI_SUPERVISED], window=WINDOW)
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; ``--full`` changes the defaults, never what was given."""
    options = parser.parse_args(arguments)
    if options.full:
        parser.set_defaults(
            methods=[*SMALL_METHODS, FURTHER],
            first_series=None,
            seeds=list(DEFAULT_SEEDS),
            protocols=list(PROTOCOLS),
            name="ablation-full",
        )
        options = parser.parse_args(arguments)
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser()
    arguments = arguments_of(argv)
    options = parse(parser, arguments)
    if options.list:
        for method in METHODS.values():
            print(f"{method.name:48} {method.family}")
        return
    try:
        settings = study_settings(options)
        methods = select_methods(options.methods, METHODS)
        groups = load_groups(options.groups, options.data)
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    chosen = {name: series[: options.first_series] for name, series in groups.items()}
    records, n_missing = run_study(options, methods, chosen, protocols=options.protocols, settings=settings)
    remarks = REMARKS
    if options.first_series:
        remarks += (f"**Only the first {options.first_series} series of each group.**",)
    study = Study(
        name=options.name,
        title=TITLE,
        command=command_text("benchmarks.ablation", arguments),
        settings=settings,
        reference=row_name("default", REFERENCE_RULE),
        n_missing=n_missing,
        remarks=remarks,
        sections=sections,
    )
    for path in write_report(records, options.out, study):
        print(path)


if __name__ == "__main__":
    main()
