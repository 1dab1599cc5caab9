"""The command line: ``timesad detect``, ``fit``, ``score`` and ``watch``, each a few calls of the API."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import sys
import time
import warnings
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from sklearn.utils import Bunch

from . import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
    __version__,
    load,
)
from ._input import ERROR, MISSING
from .datasets import load_csv
from .datasets._csv import iterate_csv, shown_times
from .metrics import vus_pr_score
from .metrics._events import find_events

__all__ = ["main"]

DETECTORS = {
    "timesnet-discrepancy": TimesNetDiscrepancyDetector,
    "nearest-windows": NearestWindowsDetector,
    "timesnet": TimesNetDetector,
    "anomaly-transformer": AnomalyTransformerDetector,
}
PARAMETERS = ("window_size", "smoothing", "contamination", "missing", "random_state", "max_epochs")
DONE, ALARMS, FAILED, INTERRUPTED = 0, 1, 2, 130  # exit status
STANDARD_INPUT = "-"
POLL_SECONDS = 0.2

EXAMPLES = {
    "detect": "timesad detect plant.csv --train-rows 5000 --alarms alarms.csv --plot plant.png",
    "fit": "timesad fit plant.csv --train-rows 5000 --save plant.safetensors",
    "score": "timesad score new.csv --model plant.safetensors --out scores.csv",
    "watch": "tail -n +1 -f sensors.csv | timesad watch --model plant.safetensors",
}
RULES = """
A CSV file has a header, one row per time step and one numeric column per channel. Columns of times and of labels are
recognised and are no channels. Numbers between semicolons or tabs may have decimal commas.
"""
STATUS = """
exit status: 0 done, 1 alarms were found (with --fail-on-alarm), 2 an argument or a file cannot be used, 130 interrupted
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
        0, also if the reader of the output has gone; 1 if there are alarms and ``--fail-on-alarm`` is given; 2 if a
        file or an argument cannot be used, with the message on standard error; 130 after an interrupt.
    """
    args = _parser().parse_args(arguments)

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        sys.stderr.write(f"timesad {args.command}: warning: {message}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            _check_outputs(args)
            status: int = args.run(args)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader of the output has gone, and would be missed again at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except KeyboardInterrupt:
            return INTERRUPTED
        except (OSError, ValueError, TypeError, RuntimeError, ImportError, MemoryError) as error:
            sys.stderr.write(f"timesad {args.command}: error: {error}\n")
            return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timesad",
        description="Find anomalies in time series.",
        epilog="examples:\n  " + "\n  ".join(EXAMPLES.values()) + f"\n{RULES}{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"timesad {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    detect = _add_command(commands, "detect", "fit on the first rows of a file, list the alarms in the others", _detect)
    _add_data(detect)
    _add_train_rows(detect)
    _add_detector(detect)
    _add_output(detect)

    fit = _add_command(commands, "fit", "fit on the first rows of a file, or on all, and save the detector", _fit)
    _add_data(fit)
    _add_train_rows(fit)
    _add_detector(fit)
    fit.add_argument("--save", type=Path, required=True, metavar="FILE", help="where to save the detector")

    score = _add_command(commands, "score", "score the rows of a file by a saved detector, list the alarms", _score)
    _add_data(score)
    _add_model(score)
    _add_output(score)

    watch = _add_command(
        commands, "watch", "score rows as they arrive, from standard input or from a growing file", _watch
    )
    watch.add_argument("data", nargs="?", default=STANDARD_INPUT, help="CSV file (default: -, the standard input)")
    _add_model(watch)
    watch.add_argument(
        "--alarms", type=Path, metavar="FILE", help="CSV file for alarms that open, close or are withdrawn"
    )
    watch.add_argument("--every", type=int, default=1, metavar="ROWS", help="rows in an update (default: 1)")
    watch.add_argument("--follow", action="store_true", help="wait for further rows at the end of the file")
    return parser


def _add_command(commands: Any, name: str, what: str, run: Callable[[argparse.Namespace], int]) -> Any:
    command = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example:\n  {EXAMPLES[name]}\n{RULES}{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="CSV file")
    parser.add_argument("--label", default="auto", metavar="COLUMN", help="column of labels: no channel, only reported")
    parser.add_argument("--no-label", dest="label", action="store_const", const=None, help="report no labels")


def _add_train_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train-rows", type=int, metavar="ROWS", help="first rows to fit on (default: all)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="a saved detector")


def _add_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detector", choices=DETECTORS, default="timesnet-discrepancy", help="default: %(default)s")
    parser.add_argument("--window-size", type=int, metavar="ROWS", help="rows of a window: a cycle or more")
    parser.add_argument("--smoothing", type=int, metavar="ROWS", help="rows of an expected anomaly, or less; 1 is off")
    parser.add_argument("--contamination", type=float, metavar="SHARE", help="of rows above the threshold")
    parser.add_argument("--missing", choices=MISSING, help="what to do with missing numbers (default: error)")
    parser.add_argument("--random-state", type=int, default=0, metavar="SEED", help="default: %(default)s")
    parser.add_argument("--max-epochs", type=int, metavar="EPOCHS", help="of training, at most")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file for the score of each row")
    parser.add_argument("--alarms", type=Path, metavar="FILE", help="CSV file for the alarms (default: print them)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of the scores and the alarms")
    parser.add_argument("--false-alarms-per", type=float, metavar="ROWS", help="at most one false alarm in as many")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="CSV file of labels, only reported")
    parser.add_argument("--fail-on-alarm", action="store_true", help="exit status 1 if there is an alarm")


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise an error for a file that could not be written, before a fit that would be lost."""
    for name in ("out", "alarms", "plot", "save"):
        path = getattr(args, name, None)
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"--{name} is {path}, but there is no folder {path.parent}. Create it first.")
    if getattr(args, "plot", None) and not find_spec("matplotlib"):
        raise ImportError("--plot needs matplotlib: pip install 'timesad[plots]'.")


def _detect(args: argparse.Namespace) -> int:
    series = _read(args, _may_miss(args.missing), args.train_rows, args.labels)
    if series.train_size is None:  # all rows are fitted and may hold anomalies
        detector = _fitted(args, series.frame, clean_training=False)
        alarms = detector.detect(None, false_alarms_per=args.false_alarms_per)
        return _report(args, detector, series, 0, alarms, (detector.decision_scores_, detector.labels_))
    return _score_rows(args, _fitted(args, series.frame[: series.train_size]), series, series.train_size)


def _fit(args: argparse.Namespace) -> int:
    series = _read(args, _may_miss(args.missing), args.train_rows)
    _fitted(args, series.frame[: series.train_size]).save(args.save)
    return DONE


def _score(args: argparse.Namespace) -> int:
    detector = load(args.model)
    series = _read(args, _may_miss(detector.missing), labels=args.labels)
    if not hasattr(detector, "feature_names_in_"):
        series.frame.columns = range(series.frame.shape[1])
    return _score_rows(args, detector, series, 0)


def _watch(args: argparse.Namespace) -> int:
    if args.every < 1:
        raise ValueError(f"--every is {args.every}; expected a number of rows of at least 1.")
    detector = load(args.model)
    is_file = args.data != STANDARD_INPUT
    name = Path(args.data) if is_file else Path("standard input")
    with (
        open(args.alarms, "w", encoding="utf-8") if args.alarms else nullcontext() as alarms,
        _opened(args.data) if is_file else open(0, "rb", closefd=False) as source,
    ):
        watch = _Watch(detector, alarms)
        lines = _lines(source, follow=args.follow and is_file)
        try:
            for values, moment in iterate_csv(lines, name, watch.channels, allow_nan=_may_miss(detector.missing)):
                watch.add(values, moment)
                if watch.n_rows % args.every == 0:
                    watch.update()
        except BrokenPipeError:
            raise
        except BaseException:  # the rows before an unusable one, or before an interrupt, have their scores
            watch.finish()
            raise
        watch.finish()
    if watch.n_rows < detector.window_size:
        raise ValueError(
            f"{name} has {watch.n_rows} rows, but a window has {detector.window_size}, so no row has a score. Pass "
            "more rows."
        )
    return DONE


class _Watch:
    """Scores rows as they arrive and writes the scores to standard output."""

    def __init__(self, detector: Any, alarms: IO[str] | None) -> None:
        names = getattr(detector, "feature_names_in_", None)
        self.channels = detector.n_features_in_ if names is None else names.tolist()
        self._names = names
        self._stream = detector.stream()
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._pending: list[list[float]] = []
        self._times: dict[int, str] = {}  # of the rows that the stream holds
        self._columns: list[str] = []
        self._alarms = alarms
        self._alarms_begun = False

    @property
    def n_rows(self) -> int:
        """Rows taken."""
        return int(self._stream.n_rows) + len(self._pending)

    def add(self, values: list[float], moment: str | None) -> None:
        """Take a row and its time."""
        if moment is not None:
            self._times[self.n_rows] = moment
        self._pending.append(values)

    def update(self) -> None:
        """Score the rows that wait."""
        rows = pd.DataFrame(self._pending, columns=self._names)
        self._pending = []
        self._write(self._stream.update(rows, alarms=self._alarms is not None))

    def finish(self) -> None:
        """Score the rows that wait, and give each row its final score."""
        if self._pending:
            self.update()
        if self.n_rows:
            self._write(self._stream.finish(alarms=self._alarms is not None))

    def _write(self, found: Any) -> None:
        if self._alarms is not None:
            found, events = found
            table = _alarm_csv(events, self._times.get if self._times else None)
            table.to_csv(self._alarms, index=False, header=not self._alarms_begun)
            self._alarms.flush()
            self._alarms_begun = True
        if not self._columns:
            self._columns = ["row", *["time"] * bool(self._times), "score", "anomaly", "final"]
            self._writer.writerow(self._columns)
        for row, score, anomaly, final in found.itertuples():
            moment = [self._times[row]] if "time" in self._columns else []
            self._writer.writerow([row, *moment, f"{score:.6g}", int(anomaly), int(final)])
        sys.stdout.flush()
        for row in list(islice(self._times, max(0, len(self._times) - self._stream.memory_rows - self._stream.delay))):
            del self._times[row]


def _opened(path: str) -> IO[bytes]:
    return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # type: ignore[return-value]


def _lines(source: IO[bytes], *, follow: bool) -> Iterator[str]:
    """Whole lines of a file that may grow."""
    decoder, begun = getincrementaldecoder("utf-8-sig")(), ""
    while True:
        piece = source.readline()
        begun += decoder.decode(piece, final=not (piece or follow))
        if begun.endswith("\n"):
            yield begun
            begun = ""
        elif not piece:
            if not follow:
                break
            time.sleep(POLL_SECONDS)
    if begun:
        yield begun


def _may_miss(missing: str | None) -> bool:
    """Whether a detector with this `missing` accepts NaN."""
    return missing not in (None, ERROR)


def _read(
    args: argparse.Namespace, allow_nan: bool, train_rows: int | None = None, labels: Path | None = None
) -> Bunch:
    """The file, with its channels as a DataFrame that has their names."""
    _progress(args, f"reading {args.data}")
    series = load_csv(args.data, train_size=train_rows, label=args.label, labels_path=labels, allow_nan=allow_nan)
    series.frame = pd.DataFrame(series.data, columns=series.feature_names)
    return series


def _fitted(args: argparse.Namespace, train: pd.DataFrame, **further: Any) -> Any:
    """The chosen detector, fitted; a progress bar on a terminal."""
    detector_class = DETECTORS[args.detector]
    known = signature(detector_class).parameters
    given = {name: getattr(args, name) for name in PARAMETERS if name in known and getattr(args, name) is not None}
    if "verbose" in known and sys.stderr.isatty() and find_spec("tqdm"):
        given["verbose"] = 1
    _progress(args, f"fitting {detector_class.__name__} on {len(train)} rows of {train.shape[1]} channels")
    return detector_class(**given, **further).fit(train)


def _progress(args: argparse.Namespace, what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"timesad {args.command}: {what}\n")


def _score_rows(args: argparse.Namespace, detector: Any, series: Bunch, first: int) -> int:
    """Report the rows from `first` on, which the detector was not fitted on."""
    if first == len(series.frame):
        raise ValueError(f"all {first} rows of {args.data} were fitted. Pass fewer --train-rows, or none for all rows.")
    new = series.frame[first:]
    _progress(args, f"scoring {len(new)} rows")
    alarms = detector.detect(new, false_alarms_per=args.false_alarms_per)
    scored = None
    if args.out or args.plot or series.target is not None:
        scores = detector.decision_function(new)
        scored = scores, detector._label(scores)
    return _report(args, detector, series, first, alarms, scored)


def _report(
    args: argparse.Namespace,
    detector: Any,
    series: Bunch,
    first: int,
    alarms: pd.DataFrame,
    scored: tuple[NDArray[np.float64], NDArray[np.int_]] | None,
) -> int:
    """Write or print what was asked for, of the rows from `first` on; scores and labels only if they are needed."""
    times = shown_times(series)
    rows = np.arange(first, len(series.frame))
    if series.target is not None and scored:
        sys.stderr.write(f"timesad {args.command}: {_compare(series.target[first:], scored[0], alarms)}\n")
    table = alarms.copy()
    table[["start", "end", "peak"]] += first
    table = _alarm_csv(table, None if times is None else times.__getitem__)
    if args.out and scored:
        scores, labels = scored
        columns = {"row": rows} | ({} if times is None else {"time": times[first:]})
        pd.DataFrame(columns | {"score": scores, "anomaly": labels}).to_csv(args.out, index=False)
    if args.alarms:
        table.to_csv(args.alarms, index=False)
    elif len(table):
        table["channels"] = [
            ", ".join(f"{name} {share:.2f}" for name, share in shares.items()) for shares in alarms["channels"]
        ]
        shown = table.drop(columns=["peak", "score"])
        sys.stdout.write(shown.to_string(index=False, float_format="{:.3g}".format) + "\n")
    else:
        sys.stdout.write("no alarms\n")
    if args.plot and scored:
        _draw(args, detector.threshold_, series, first, scored[0], alarms)
    return ALARMS if args.fail_on_alarm and len(alarms) else DONE


def _alarm_csv(alarms: pd.DataFrame, time_of: Callable[[int], Any] | None) -> pd.DataFrame:
    """Alarms with the times of their first and last row, and with their channels as JSON."""
    table = alarms.assign(channels=[json.dumps(shares) for shares in alarms["channels"]])
    if time_of is not None:
        place = table.columns.get_loc("end") + 1
        table.insert(place, "start_time", [time_of(row) for row in table["start"]])
        table.insert(place + 1, "end_time", [time_of(row - 1) for row in table["end"]])
    return table


def _compare(target: NDArray[np.int64], scores: NDArray[np.float64], alarms: pd.DataFrame) -> str:
    """Scores and alarms against labels, in one line."""
    events, found = find_events(target == 1), alarms[["start", "end"]].to_numpy()
    shared = (events[:, None, 0] < found[None, :, 1]) & (found[None, :, 0] < events[:, None, 1])  # (event, alarm)
    n_hit, n_true = shared.any(axis=1).sum(), shared.any(axis=0).sum()
    what = f"{n_hit} of {len(events)} events hit, {n_true} of {len(found)} alarms true"
    if 0 < target.sum() < len(target):
        areas = vus_pr_score(target, scores), average_precision_score(target, scores)
        what = "VUS-PR {:.3f}, AUC-PR {:.3f}, ".format(*areas) + what
    return f"compared with the labels: {what}"


def _draw(
    args: argparse.Namespace,
    threshold: float,
    series: Bunch,
    first: int,
    scores: NDArray[np.float64],
    alarms: pd.DataFrame,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .displays import AnomalyScoreDisplay

    figure = Figure(figsize=(11, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    positions = np.arange(len(series.data)) if series.index is None else series.index.tz_localize(None).to_numpy()
    AnomalyScoreDisplay.from_predictions(
        scores,
        threshold=threshold,
        y=None if series.target is None else series.target[first:],
        positions=positions[first:],
        ax=figure.subplots(),
        name=args.data.name,
        alarms=alarms,
    )
    figure.savefig(args.plot, dpi=120)
