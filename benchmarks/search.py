"""Seconds to score new rows: by the search for nearest windows, by the network, and by both.

    python -m benchmarks.search
    python -m benchmarks.search --rows 10000 --channels 1 25 --repeats 3

The detectors have their defaults and are fitted on 5,000 rows; the network for one epoch, which does not change the
time of a score. They run in turn. The page shows medians, the quotient of search and network, and microseconds for
each row and channel: equal numbers in a column mean that the cost is linear.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from timesad import NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .report import ABSENT, markdown_table
from .speed import clock, machine_sentence, made_up_series

DEFAULT_ROWS, DEFAULT_CHANNELS = (10_000, 100_000, 1_000_000), (1, 25, 100, 500)
MAX_VALUES = 50_000_000  # rows times channels; a size above it is left out
FIT_ROWS = 5000
SEARCH, NETWORK, BOTH = "NearestWindowsDetector", "TimesNetDetector", "TimesNetDiscrepancyDetector"
MICROSECONDS = 1e6


def measure(n_rows: int, n_channels: int, repeats: int, device: str) -> dict[str, list[float]]:
    """Seconds of each repeat, by detector; one repeat before them does not count."""
    series = made_up_series(FIT_ROWS + n_rows, n_channels)
    train, new = series[:FIT_ROWS], series[FIT_ROWS:]
    network = {"max_epochs": 1, "random_state": 0, "device": device}
    detectors = {
        SEARCH: NearestWindowsDetector(device=device),
        NETWORK: TimesNetDetector(**network),
        BOTH: TimesNetDiscrepancyDetector(**network, discrepancy_weight=0),
    }
    for detector in detectors.values():
        detector.fit(train)
        detector.decision_function(new[:FIT_ROWS])
    seconds: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(repeats):
        for name, detector in detectors.items():
            start = clock()
            detector.decision_function(new)
            seconds[name].append(clock() - start)
    return seconds


def table_row(n_rows: int, n_channels: int, seconds: dict[str, list[float]] | None) -> list[str]:
    """Size, seconds, quotient of search and network, and microseconds of the search a row and channel."""
    size = [f"{n_rows:,}", f"{n_channels:,}"]
    if seconds is None:
        return [*size, *[ABSENT] * 5]
    search, network, both = (statistics.median(seconds[name]) for name in (SEARCH, NETWORK, BOTH))
    per_value = MICROSECONDS * search / (n_rows * n_channels)
    return [*size, *(f"{one:.3g}" for one in (search, network, both)), f"{search / network:.2f}", f"{per_value:.2f}"]


def page(command: str, machine: str, repeats: int, max_values: int, rows: Sequence[Sequence[str]]) -> str:
    """The page."""
    names = [
        "rows",
        "channels",
        "search, s",
        "network, s",
        "both, s",
        "search / network",
        "search, µs a row and channel",
    ]
    return (
        f"# The search for nearest windows\n\n- Made by `{command}`.\n- Machine: {machine}.\n- Seconds to score "
        f"new rows, median of {repeats}, by `{SEARCH}` (search), `{NETWORK}` (network) and `{BOTH}` (both), fitted on "
        f"{FIT_ROWS:,} rows with their defaults.\n- Sizes of more than {max_values:,} values are left out "
        f"({ABSENT}).\n\n{markdown_table(names, rows)}\n"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=list(DEFAULT_ROWS), help="rows to score")
    parser.add_argument("--channels", type=int, nargs="+", default=list(DEFAULT_CHANNELS))
    parser.add_argument("--max-values", type=int, default=MAX_VALUES, help="rows times channels (%(default)s)")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="search", help="begins the file's name (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    arguments = arguments_of(argv)
    options = parser.parse_args(arguments)

    options.out.mkdir(parents=True, exist_ok=True)
    path, rows = options.out / f"{options.name}.md", []
    for n_channels in options.channels:
        for n_rows in options.rows:
            too_large = n_rows * n_channels > options.max_values
            seconds = None if too_large else measure(n_rows, n_channels, options.repeats, options.device)
            rows.append(table_row(n_rows, n_channels, seconds))
            print(*rows[-1], flush=True)
            text = page(
                command_text("benchmarks.search", arguments),
                machine_sentence(options.device),
                options.repeats,
                options.max_values,
                rows,
            )
            path.write_text(text, encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
