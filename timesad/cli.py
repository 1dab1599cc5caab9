"""The command line: ``timesad detect``, ``fit``, ``score`` and ``watch``, each a few calls of the API."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch

from . import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
    __version__,
    load,
)
from .datasets import load_csv

__all__ = ["main"]

DETECTORS = {
    "timesnet-discrepancy": TimesNetDiscrepancyDetector,
    "nearest-windows": NearestWindowsDetector,
    "timesnet": TimesNetDetector,
    "anomaly-transformer": AnomalyTransformerDetector,
}
PARAMETERS = ("window_size", "smoothing", "contamination", "missing", "random_state", "max_epochs")
FAILED = 2  # exit status of a wrong argument or an unusable file
POLL_SECONDS = 0.2

EXAMPLES = """
examples:
  timesad detect plant.csv --train-rows 5000 --alarms alarms.csv --plot plant.png
  timesad fit plant.csv --train-rows 5000 --save plant.safetensors
  timesad score new.csv --model plant.safetensors --out scores.csv
  tail -f sensors.csv | timesad watch --model plant.safetensors

A CSV file has a header, one row per time step and one numeric column per channel. Columns of times and of labels are
recognised and are no channels.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        Those of the command line; None takes `sys.argv`.

    Returns
    -------
    status : int
        0, or 2 if a file or an argument cannot be used; the message is on standard error.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        args.run(args)
    except BrokenPipeError:  # the reader of the output has gone
        sys.stderr.close()
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        sys.stderr.write(f"timesad {args.command}: error: {error}\n")
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timesad",
        description="Find anomalies in time series.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"timesad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    detect = commands.add_parser("detect", help="fit on the first rows of a file, list the alarms in the others")
    _add_data(detect)
    _add_detector(detect)
    _add_output(detect)
    detect.set_defaults(run=_detect)

    fit = commands.add_parser("fit", help="fit on the first rows of a file, or on all, and save the detector")
    _add_data(fit)
    _add_detector(fit)
    fit.add_argument("--save", type=Path, required=True, metavar="FILE", help="where to save the detector")
    fit.set_defaults(run=_fit)

    score = commands.add_parser("score", help="score the rows of a file by a saved detector, list the alarms")
    score.add_argument("data", type=Path, help="CSV file")
    score.add_argument("--model", type=Path, required=True, metavar="FILE", help="a saved detector")
    _add_label(score)
    _add_output(score)
    score.set_defaults(run=_score)

    watch = commands.add_parser("watch", help="score rows as they arrive, from standard input or a growing file")
    watch.add_argument("data", nargs="?", default="-", help="CSV file (default: -, the standard input)")
    watch.add_argument("--model", type=Path, required=True, metavar="FILE", help="a saved detector")
    watch.add_argument("--every", type=int, default=1, metavar="ROWS", help="rows in an update (default: 1)")
    watch.add_argument("--follow", action="store_true", help="wait for further rows at the end of the file")
    watch.set_defaults(run=_watch)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="CSV file")
    parser.add_argument("--train-rows", type=int, metavar="ROWS", help="first rows to fit on (default: all)")
    _add_label(parser)


def _add_label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", default="auto", metavar="COLUMN", help="column of labels, which is no channel")


def _add_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detector", choices=DETECTORS, default="timesnet-discrepancy")
    parser.add_argument("--window-size", type=int, metavar="ROWS")
    parser.add_argument("--smoothing", type=int, metavar="ROWS")
    parser.add_argument("--contamination", type=float, metavar="SHARE")
    parser.add_argument("--missing", choices=["error", "interpolate", "mask"])
    parser.add_argument("--random-state", type=int, default=0, metavar="SEED", help="default: 0")
    parser.add_argument("--max-epochs", type=int, metavar="EPOCHS")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file for the score of each row")
    parser.add_argument("--alarms", type=Path, metavar="FILE", help="CSV file for the alarms (default: print them)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of the scores and the alarms")
    parser.add_argument("--false-alarms-per", type=float, metavar="ROWS", help="at most one false alarm in as many")


def _detect(args: argparse.Namespace) -> None:
    series = _read(args.data, args.label, args.train_rows)
    if series.train_size is None:  # all rows are fitted and may hold anomalies
        detector = _fitted(args, series.frame, clean_training=False)
        alarms = detector.detect(None, false_alarms_per=args.false_alarms_per)
        _report(args, detector, series, 0, alarms, (detector.decision_scores_, detector.labels_))
    else:
        _score_rows(args, _fitted(args, series.frame[: series.train_size]), series, series.train_size)


def _fit(args: argparse.Namespace) -> None:
    series = _read(args.data, args.label, args.train_rows)
    _fitted(args, series.frame[: series.train_size]).save(args.save)


def _score(args: argparse.Namespace) -> None:
    detector = load(args.model)
    _score_rows(args, detector, _read(args.data, args.label, None), 0)


def _watch(args: argparse.Namespace) -> None:
    if args.every < 1:
        raise ValueError(f"--every is {args.every}; expected a number of rows of at least 1.")
    detector = load(args.model)
    stream, writer = detector.stream(), csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["row", "score", "anomaly", "final"])
    source: IO[str] = sys.stdin if args.data == "-" else open(args.data, newline="", encoding="utf-8")  # noqa: SIM115
    with source:
        for rows in _batches(_lines(source, follow=args.follow), detector, args.every):
            _write(writer, stream.update(rows))
    _write(writer, stream.finish())


def _write(writer: Any, found: pd.DataFrame) -> None:
    for row, score, anomaly, final in found.itertuples():
        writer.writerow([row, f"{score:.6g}", int(anomaly), int(final)])
    sys.stdout.flush()


def _lines(source: IO[str], *, follow: bool) -> Iterator[str]:
    """Whole lines of a file that may grow."""
    begun = ""
    while True:
        begun += source.readline()
        if begun.endswith("\n"):
            yield begun
            begun = ""
        elif not follow:
            if begun:
                yield begun
            return
        else:
            time.sleep(POLL_SECONDS)


def _batches(lines: Iterator[str], detector: Any, size: int) -> Iterator[pd.DataFrame]:
    """The channels of the detector in every `size` rows of a CSV file, and in the last ones."""
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    names = getattr(detector, "feature_names_in_", None)
    names = header if names is None else names.tolist()
    absent = [name for name in names if name not in header]
    if absent or len(names) != detector.n_features_in_:
        raise ValueError(
            f"the header has the columns {header}, and the detector was fitted on {detector.n_features_in_} channels"
            + (f" with the names {names}" if absent else "")
            + ". Pass a CSV file with a header that has them."
        )
    places, rows = [header.index(name) for name in names], []
    for cells in reader:
        if not cells:
            continue
        try:
            rows.append([float(cells[place]) if cells[place].strip() else float("nan") for place in places])
        except (IndexError, ValueError) as error:
            raise ValueError(f"line {reader.line_num}: {cells} has no number for each of {names} ({error}).") from error
        if len(rows) == size:
            yield pd.DataFrame(rows, columns=names)
            rows = []
    if rows:
        yield pd.DataFrame(rows, columns=names)


def _read(path: Path, label: str, train_rows: int | None) -> Bunch:
    """The file, with its channels as a DataFrame that has their names."""
    series = load_csv(path, train_size=train_rows, label=label)
    series.frame = pd.DataFrame(series.data, columns=series.feature_names)
    return series


def _fitted(args: argparse.Namespace, train: pd.DataFrame, **further: Any) -> Any:
    """The chosen detector, fitted; a progress bar on a terminal."""
    detector_class = DETECTORS[args.detector]
    known = signature(detector_class).parameters
    given = {name: getattr(args, name) for name in PARAMETERS if name in known and getattr(args, name) is not None}
    if "verbose" in known and sys.stderr.isatty() and find_spec("tqdm"):
        given["verbose"] = 1
    return detector_class(**given, **further).fit(train)


def _score_rows(args: argparse.Namespace, detector: Any, series: Bunch, first: int) -> None:
    """Report the rows from `first` on, which the detector was not fitted on."""
    if first == len(series.frame):
        raise ValueError(f"all {first} rows of {args.data} were fitted. Pass fewer --train-rows, or none for all rows.")
    new = series.frame[first:]
    alarms = detector.detect(new, false_alarms_per=args.false_alarms_per)
    scored = None
    if args.out or args.plot:
        scores = detector.decision_function(new)
        scored = scores, detector._label(scores)
    _report(args, detector, series, first, alarms, scored)


def _report(
    args: argparse.Namespace,
    detector: Any,
    series: Bunch,
    first: int,
    alarms: pd.DataFrame,
    scored: tuple[NDArray[np.float64], NDArray[np.int_]] | None,
) -> None:
    """Write or print what was asked for, of the rows from `first` on; scores and labels only if they are needed."""
    times = None if series.timestamps is None else series.timestamps[first:]
    rows = np.arange(first, len(series.frame))
    if args.plot and scored:
        _draw(args, scored[0], detector.threshold_, rows, alarms)
    alarms = alarms.drop(columns=["start_time", "end_time"], errors="ignore")
    if times is not None:
        alarms.insert(2, "start_time", times[alarms["start"]])
        alarms.insert(3, "end_time", times[alarms["end"] - 1])
    alarms[["start", "end", "peak"]] += first
    if args.out and scored:
        scores, labels = scored
        columns = {"row": rows} | ({} if times is None else {"time": times})
        pd.DataFrame(columns | {"score": scores, "anomaly": labels}).to_csv(args.out, index=False)
    if args.alarms:
        alarms.to_csv(args.alarms, index=False)
    elif len(alarms):
        shown = alarms.drop(columns=["peak", "score"])
        sys.stdout.write(shown.to_string(index=False, float_format="{:.3g}".format) + "\n")
    else:
        sys.stdout.write("no alarms\n")


def _draw(
    args: argparse.Namespace,
    scores: NDArray[np.float64],
    threshold: float,
    rows: NDArray[np.int_],
    alarms: pd.DataFrame,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .displays import AnomalyScoreDisplay

    figure = Figure(figsize=(11, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    AnomalyScoreDisplay.from_predictions(
        scores, threshold=threshold, positions=rows, ax=figure.subplots(), name=args.data.name, alarms=alarms
    )
    figure.savefig(args.plot, dpi=120)
