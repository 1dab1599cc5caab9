"""All methods on all development series: ``python -m benchmarks.peers``.

The table is written to ``docs/results/peers-semi-supervised.md`` and ``peers-unsupervised.md``, every cell to
``peers.csv``. A run that was stopped goes on where it was; ``--report-only`` makes the tables from what there is.

Examples
--------
A look of a minute::

    python -m benchmarks.peers --methods simple --groups skab --first-series 2 --seeds 0 --out build/look

The whole, two cells at a time::

    python -m benchmarks.peers --n-jobs 2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from .command import (
    add_run_options,
    add_study_options,
    arguments_of,
    command_text,
    fail,
    run_study,
    study_settings,
)
from .contract import PEER_FAMILIES
from .methods import DEFAULT_FAMILIES, METHODS, REFERENCE_METHOD, select_methods
from .report import Study, write_report
from .series import ECG_ROWS, GROUP_NAMES, load_groups

TITLE = "Peers"
REMARKS = (
    "No method is given the borders between recordings inside a series (telemanom: training and test recording).",
    f"Series are whole but for the electrocardiogram, cut to its first {ECG_ROWS:,} rows; "
    "methods that are quadratic in rows may still meet the timeout.",
    "PaAno and KAN-AD ran on another machine: its seconds do not compare.",
    "The flagship's seeds 1 and 2 ran before its search was C code: where neighbours are equally near, another may be "
    "chosen. The median cell changes by less than 1e-6, the largest by 0.023.",
)


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_study_options(parser, groups=GROUP_NAMES, methods=DEFAULT_FAMILIES)
    add_run_options(parser)
    parser.add_argument("--name", default="peers", help="begins the files' names (default: %(default)s)")
    parser.add_argument("--reference", default=REFERENCE_METHOD, metavar="METHOD")
    parser.add_argument("--peer-seeds", type=int, metavar="N", help="seeds of methods that are not ours, at most")
    parser.add_argument("--list", action="store_true", help="list the methods and end")
    return parser


def list_methods() -> None:
    """Print every method with its family and note."""
    for method in METHODS.values():
        print(f"{method.name:32} {method.family:12} {method.note}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser()
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)
    if options.list:
        list_methods()
        return
    try:
        settings = study_settings(options)
        selected = select_methods(options.methods, METHODS)
        methods = [
            replace(method, max_seeds=options.peer_seeds) if method.family in PEER_FAMILIES else method
            for method in selected
        ]
        groups = load_groups(options.groups, options.data)
    except (ValueError, FileNotFoundError) as error:
        fail(parser, error)
    chosen = {name: series[: options.first_series] for name, series in groups.items()}
    records, n_missing = run_study(options, methods, chosen, protocols=options.protocols, settings=settings)
    remarks: tuple[str, ...] = REMARKS
    if options.first_series:
        remarks += (f"**Only the first {options.first_series} series of each group.**",)
    study = Study(
        name=options.name,
        title=TITLE,
        command=command_text("benchmarks.peers", arguments),
        settings=settings,
        reference=options.reference,
        n_missing=n_missing,
        remarks=remarks,
    )
    for path in write_report(records, options.out, study):
        print(path)


if __name__ == "__main__":
    main()
