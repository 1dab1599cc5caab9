"""What does each part of the association discrepancy add? ``python -m benchmarks.ablation``.

A variant is the flagship with a part replaced, by another or by a placebo. It is trained once for each series and
seed and scored by every rule; a rule that reads the discrepancy is compared with the reconstruction alone of the
same network.

The command as it stands changes one part at a time, on the first series of each group, with one seed and the
semi-supervised protocol. ``--full`` crosses all parts, on all series, with three seeds and both protocols. Options
that are given win over both, and cells that another setting of the command has finished are not run again.

Examples
--------
The small setting, two cells at a time::

    python -m benchmarks.ablation --n-jobs 2

The same variants on all development series with three seeds::

    python -m benchmarks.ablation --n-jobs 2 --all-series --seeds 0 1 2 --name ablation-all
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .ablation_methods import BASELINE, CROSS, EPOCH_SIZE, FURTHER, METHODS, PLACEBO, SMALL
from .ablation_tables import rule_lines, sections
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
from .methods import FLOOR_METHOD, select_methods
from .report import Study, write_report
from .score_rules import REFERENCE_RULE
from .series import ECG_ROWS, GROUP_NAMES, load_groups
from .summary import row_name

TITLE = "Ablation"
SMALL_METHODS = (SMALL, PLACEBO, BASELINE)
SMALL_SERIES = 1
# Half the detectors' default: what an association costs grows with the window's square.
WINDOW = 48
REMARKS = (
    "A variant is named by what it changes of the default: simultaneous minimax, local learnable prior, S carries the "
    "values, detached trunk. Beside a detached trunk the reconstruction is plain TimesNet's to the bit, whatever the "
    "association does; only `alternating`, which takes two steps a batch, trains the trunk otherwise.",
    f"Training, for all networks: {EPOCH_SIZE} windows an epoch, otherwise the detectors' defaults.",
    "All rules of a variant score one training; the seconds in the cost table are those of one training and all rules.",
    "The rule `product` is the published score and comes unsmoothed, while the others are smoothed by the detector: "
    "read it in the smoothed columns.",
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
            methods=[*SMALL_METHODS, FURTHER, CROSS],
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
        floor=FLOOR_METHOD,
        n_missing=n_missing,
        remarks=remarks,
        lines=rule_lines,
        sections=sections,
    )
    for path in write_report(records, options.out, study):
        print(path)


if __name__ == "__main__":
    main()
