"""Find the faults in a recording
==============================

Fit on the first rows, list the alarms, compare with other detectors, draw.

Without arguments the recording is the host telemetry that timesad ships: 44 minutes of a small service, with no fault
in the first half and 21 injected faults in the second. Labels are used for the report only, not for the fit or the
threshold.

Run ``python examples/demo.py``. For a file of your own run ``python examples/demo.py --data my.csv --train-rows 5000
--out my.png``: one row per time step, one column per channel, and a header. A column of timestamps is recognised; the
report uses a column of labels (0 or 1) if there is one, named label, anomaly or the like, or as ``--label`` says.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from pyod.models.base import BaseDetector
from pyod.models.iforest import IForest
from pyod.models.pca import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from timesad import NearestWindowsDetector, TimesNetDiscrepancyDetector
from timesad.datasets import load_csv, load_host_telemetry

Scores = NDArray[np.float64]

CONTAMINATION = 0.01  # share of normal rows above the threshold, for each method
CHANNELS_NAMED = 2  # of each alarm in the table

MOST_CHANNELS = 8
TELEMETRY_CHANNELS = (
    "cpu0_percent",
    "memory_used_mb",
    "disk_write_mb_per_s",
    "context_switches_per_s",
    "service_cpu_percent",
    "loopback_kb_per_s",
    "request_rate",
    "latency_mean_ms",
)
TRAINING_SHOWN = 0.08  # training rows in the picture, as a share of the rows after them

LOGARITHMIC_FROM = 5.0  # thresholds; the axis of a score that rises higher is logarithmic above the threshold
FEW_DECADES = 3  # on such an axis; with so few, ticks at 2 and 5 are drawn as well

# Okabe and Ito's palette, distinct for every kind of colour vision.
INK, GREY, BLUE, ORANGE, VERMILLION, PURPLE = "#222222", "#767676", "#0072B2", "#E69F00", "#D55E00", "#CC79A7"


@dataclass(frozen=True)
class Outcome:
    """Scores of all rows by one method, its threshold, and the alarms after the training part if it has any."""

    method: str
    scores: Scores
    threshold: float
    seconds: float
    alarms: pd.DataFrame | None = None

    @property
    def flags(self) -> NDArray[np.bool_]:
        return self.scores > self.threshold


@dataclass(frozen=True)
class Fault:
    """Rows start to stop - 1 are faulty; `kind` is empty if the recording does not name it."""

    start: int
    stop: int
    kind: str = ""

    def is_hit(self, flags: NDArray[np.bool_]) -> bool:
        return bool(flags[self.start : self.stop].any())

    def overlap(self, alarm: Any) -> float:
        """Intersection over union with an alarm, 0 or less if they share no row."""
        shared = min(self.stop, alarm.end) - max(self.start, alarm.start)
        return float(shared / (max(self.stop, alarm.end) - min(self.start, alarm.start)))


def main() -> None:
    parser = make_parser()
    args = parser.parse_args()
    if args.train_rows is not None and args.data is None:
        parser.error("--train-rows needs --data: the shipped recording has a training part of its own")
    try:
        recording = load(args.data, args.train_rows, args.label)
        outcomes = run_methods(recording, args.seed, {"max_epochs": args.epochs, "smoothing": args.smoothing})
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    faults = find_faults(recording)
    report(recording, outcomes, faults)
    report_alarms(recording, outcomes[0], faults)
    draw(recording, outcomes[0], faults, args.out)
    print(f"\nPicture: {args.out}")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="CSV file (default: the telemetry that timesad ships)")
    parser.add_argument("--train-rows", type=int, help="number of first rows of --data to fit on (default: half)")
    parser.add_argument("--label", default="auto", help="column of --data with labels (default: label, anomaly, ...)")
    parser.add_argument("--out", type=Path, default=Path("demo.png"), help="picture to write (default: demo.png)")
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument("--epochs", type=int, help="epochs at most (default: the detector's)")
    parser.add_argument("--smoothing", type=int, help="rows of the moving averages (default: the detector's)")
    return parser


def load(path: Path | None, train_rows: int | None, label: str) -> Bunch:
    """The shipped telemetry, or the CSV at `path` with its first `train_rows` rows for fitting."""
    if path is None:
        return load_host_telemetry()
    recording = load_csv(path, train_size=train_rows, label=label)
    if recording.train_size is None:
        recording.train_size = len(recording.data) // 2
    n_rows = len(recording.data)
    if not 0 < recording.train_size < n_rows:
        raise ValueError(
            f"{path} has {n_rows} rows and {recording.train_size} of them are for fitting, so none are left to score. "
            "Pass a longer file, or a --train-rows below its length."
        )
    return recording


def run_methods(recording: Bunch, seed: int, settings: dict[str, int | None]) -> list[Outcome]:
    """Both detectors of windows, with the given settings; then two detectors of single rows, and a random score."""
    given = {name: value for name, value in settings.items() if value is not None}
    detector = TimesNetDiscrepancyDetector(contamination=CONTAMINATION, random_state=seed, verbose=1, **given)
    nearest = NearestWindowsDetector(contamination=CONTAMINATION, smoothing=detector.smoothing)
    rows, train_size = recording.data, recording.train_size
    scaler = make_pipeline(VarianceThreshold(), StandardScaler()).fit(rows[:train_size])
    scaled = scaler.transform(rows)
    return [
        score_with("TimesNetDiscrepancyDetector", detector, rows, train_size),
        score_with("NearestWindowsDetector", nearest, rows, train_size),
        score_with("IForest (PyOD)", IForest(contamination=CONTAMINATION, random_state=seed), scaled, train_size),
        score_with("PCA (PyOD)", PCA(contamination=CONTAMINATION, random_state=seed), scaled, train_size),
        score_at_random(len(rows), train_size, seed),
    ]


def score_with(method: str, detector: BaseDetector, rows: NDArray[np.float64], train_size: int) -> Outcome:
    """Fit on the first rows. Their scores are `decision_scores_`; `decision_function` is for new rows."""
    begin = time.perf_counter()
    detector.fit(rows[:train_size])
    scores = np.concatenate([detector.decision_scores_, detector.decision_function(rows)[train_size:]])
    seconds, alarms = time.perf_counter() - begin, None
    if hasattr(detector, "detect"):
        alarms = detector.detect(rows)  # with the training rows as context
        alarms = alarms[alarms["end"] > train_size].reset_index(drop=True)
    return Outcome(method, scores, float(detector.threshold_), seconds, alarms)


def score_at_random(n_rows: int, train_size: int, seed: int) -> Outcome:
    scores = np.random.default_rng(seed).random(n_rows)
    return Outcome("random score", scores, float(np.quantile(scores[:train_size], 1 - CONTAMINATION)), 0.0)


def find_faults(recording: Bunch) -> list[Fault]:
    """The faults that the recording lists, or else the runs of ones in its labels."""
    if "faults" in recording:
        return [Fault(fault["start"], fault["end"], fault["kind"]) for fault in recording.faults]
    if recording.target is None:
        return []
    edges = np.flatnonzero(np.diff(recording.target, prepend=0, append=0))
    return [Fault(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def report(recording: Bunch, outcomes: list[Outcome], faults: list[Fault]) -> None:
    """Print a table about the rows after the training part."""
    n_rows, n_channels = recording.data.shape
    train_size = recording.train_size
    print(f"\n{recording.name}: {n_rows} rows of {n_channels} channels; fitted on the first {train_size}.")
    print(f"The table is about the {n_rows - train_size} rows after them. A row is flagged if its score is above the")
    print(
        f"threshold that {CONTAMINATION:.0%} of normal rows exceed. IForest and PCA take the quantile of their training"
    )
    print("scores, the detectors of timesad a quantile for new rows.\n")
    columns = table_columns(recording, faults)
    cells = [list(columns), *([make(outcome) for make in columns.values()] for outcome in outcomes)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    for row in cells:
        print("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]))
    if "AUC-PR" in columns:
        share = recording.target[train_size:].mean()
        print(f"\n{share:.1%} of these rows are faulty: the expected AUC-PR of a random score.")


def report_alarms(recording: Bunch, outcome: Outcome, faults: list[Fault]) -> None:
    """Print the alarms as a shift log."""
    alarms = outcome.alarms
    assert alarms is not None, "the first method has alarms"
    n_rows = len(recording.data) - recording.train_size
    print(f"\nAlarms of {outcome.method}.detect with its defaults, after the training part:\n")
    if not len(alarms):
        print("none")
        return
    names = list(recording.feature_names)
    later = [fault for fault in faults if fault.stop > recording.train_size]
    log = pd.DataFrame({"first row": alarms["start"], "last row": alarms["end"] - 1})
    if "sampling_rate" in recording:
        log.insert(0, "minute", (alarms["start"] / (60.0 * recording.sampling_rate)).map("{:.1f}".format))
    elif recording.timestamps is not None:
        log.insert(0, "time", recording.timestamps[alarms["start"]])
    log["severity"] = alarms["severity"].map("{:.1f}".format)
    log["direction"] = alarms["direction"]
    log["ongoing"] = alarms["ongoing"].map({True: "yes", False: ""})
    log["channels"] = [
        ", ".join(f"{names[channel]} {share:.0%}" for channel, share in list(channels.items())[:CHANNELS_NAMED])
        for channels in alarms["channels"]
    ]
    if later:
        log["fault (for the report)"] = [
            max(later, key=lambda fault: fault.overlap(alarm)).kind or "fault"
            if any(fault.overlap(alarm) > 0 for fault in later)
            else "none"
            for alarm in alarms.itertuples()
        ]
    print(log.to_string(index=False))
    in_alarm = (alarms["end"] - alarms["start"].clip(lower=recording.train_size)).sum()
    print(f"\n{len(alarms)} alarms, {in_alarm / n_rows:.1%} of the rows in alarm", end="")
    if later:
        best = [max(fault.overlap(alarm) for alarm in alarms.itertuples()) for fault in later]
        hit = [overlap for overlap in best if overlap > 0]
        true = sum(any(fault.overlap(alarm) > 0 for fault in later) for alarm in alarms.itertuples())
        print(f"; {true} of them true, {len(hit)} of {len(later)} faults hit", end="")
        if hit:
            print(f", mean intersection over union {np.mean(hit):.2f}", end="")
    print(".")


def table_columns(recording: Bunch, faults: list[Fault]) -> dict[str, Callable[[Outcome], str]]:
    """Heading and cell of each column. Columns that need labels are left out without labels of both values."""
    train_size = recording.train_size
    later_faults = [fault for fault in faults if fault.stop > train_size]
    columns: dict[str, Callable[[Outcome], str]] = {"method": lambda outcome: outcome.method}
    labelled = recording.target is not None and len(np.unique(recording.target[train_size:])) == 2
    if labelled:
        truth = recording.target[train_size:]
        columns["AUC-PR"] = lambda outcome: f"{average_precision_score(truth, outcome.scores[train_size:]):.3f}"
        columns["AUC-ROC"] = lambda outcome: f"{roc_auc_score(truth, outcome.scores[train_size:]):.3f}"
    columns["rows flagged"] = lambda outcome: str(outcome.flags[train_size:].sum())
    if labelled:
        columns["of them faulty"] = lambda outcome: f"{truth[outcome.flags[train_size:]].sum()}"
        columns["faults hit"] = lambda outcome: (
            f"{sum(fault.is_hit(outcome.flags) for fault in later_faults)} of {len(later_faults)}"
        )
    columns["seconds"] = lambda outcome: f"{outcome.seconds:.1f}"
    return columns


def draw(recording: Bunch, outcome: Outcome, faults: list[Fault], path: Path) -> None:
    """Draw the channels above, the score with alarms and threshold below, and the true faults as shaded ranges."""
    names = choose_channels(list(recording.feature_names))
    with mpl.rc_context({"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GREY}):
        figure = Figure(figsize=(16, 9), dpi=150, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        *channel_axes, score_axis = figure.subplots(
            len(names) + 1, sharex=True, gridspec_kw={"height_ratios": [1.0] * len(names) + [3.0]}
        )
        clock = row_times(recording)
        for axis, name in zip(channel_axes, names, strict=True):
            draw_channel(axis, clock, recording, name)
        draw_score(score_axis, clock, outcome)
        for axis in (*channel_axes, score_axis):
            mark_time(axis, clock, recording.train_size, faults)
        first = recording.train_size - round(TRAINING_SHOWN * (len(clock) - recording.train_size))
        score_axis.set_xlim(clock[max(first, 0)], clock[-1])
        score_axis.set_xlabel("minutes" if "sampling_rate" in recording else "row")
        name_faults(channel_axes[0], clock, outcome, faults, recording.train_size)
        mark_alarms(score_axis, clock, outcome)
        figure.suptitle(headline(recording, outcome, faults), x=0.01, ha="left", fontsize=15)
        figure.align_ylabels()
        canvas.print_png(path)


def choose_channels(names: list[str]) -> list[str]:
    """A selection of the telemetry's channels; the first few of any other recording."""
    known = [name for name in TELEMETRY_CHANNELS if name in names]
    return known if len(known) == len(TELEMETRY_CHANNELS) else names[:MOST_CHANNELS]


def row_times(recording: Bunch) -> Scores:
    """Minutes if the sampling rate is known, else row numbers."""
    rows = np.arange(len(recording.data), dtype=np.float64)
    return rows / (60.0 * recording.sampling_rate) if "sampling_rate" in recording else rows


def draw_channel(axis: Axes, clock: Scores, recording: Bunch, name: str) -> None:
    """One channel, on 1.5 times the range of its training rows; larger values are cut off."""
    values = recording.data[:, list(recording.feature_names).index(name)]
    low, high = np.quantile(values[: recording.train_size], [0.001, 0.999])
    margin = 0.25 * (high - low)
    axis.plot(clock, values, color=INK, linewidth=0.6)
    if margin > 0:
        axis.set_ylim(low - margin, high + margin)
    axis.set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", labelpad=6)
    axis.yaxis.set_major_locator(MaxNLocator(2))
    axis.tick_params(axis="both", length=0, labelsize=7, labelcolor=GREY)
    axis.spines[:].set_visible(False)


def draw_score(axis: Axes, clock: Scores, outcome: Outcome) -> None:
    """The score, filled where rows are flagged; the axis is logarithmic above the threshold if the score rises far."""
    threshold = outcome.threshold
    axis.plot(clock, outcome.scores, color=BLUE, linewidth=0.8)
    axis.fill_between(clock, threshold, outcome.scores, where=outcome.flags, color=BLUE, alpha=0.5, linewidth=0)
    axis.axhline(threshold, color=VERMILLION, linewidth=1.2, linestyle="--")
    axis.annotate(
        f"threshold:\n{CONTAMINATION:.0%} of normal\nrows above",
        xy=(1.0, threshold),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=VERMILLION,
    )
    if 0 < LOGARITHMIC_FROM * threshold < outcome.scores.max():
        axis.set_yscale("symlog", linthresh=threshold)
        axis.set_yticks([0.0, *round_numbers(threshold, outcome.scores.max())])
        axis.set_yticks([], minor=True)
        axis.yaxis.set_major_formatter("{x:g}")
    axis.set_ylim(min(outcome.scores.min(), 0.0))
    axis.set_ylabel("anomaly score", rotation=0, ha="right", va="center", labelpad=6)
    axis.tick_params(labelcolor=GREY)
    axis.spines[["top", "right"]].set_visible(False)


def round_numbers(low: float, high: float) -> list[float]:
    """Powers of ten between `low` and `high`; with 2 and 5 times each if they are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    factors = (1.0, 2.0, 5.0) if len(decades) <= FEW_DECADES else (1.0,)
    return [factor * 10.0**decade for decade in decades for factor in factors if low < factor * 10.0**decade <= high]


def mark_time(axis: Axes, clock: Scores, train_size: int, faults: list[Fault]) -> None:
    """Shade the true faults and draw the border between the training part and the rest."""
    half_a_row = (clock[1] - clock[0]) / 2
    for fault in faults:
        begin, end = clock[fault.start] - half_a_row, clock[fault.stop - 1] + half_a_row
        axis.axvspan(begin, end, color=ORANGE, alpha=0.35, linewidth=0, zorder=0)
    axis.axvline(clock[train_size], color=INK, linewidth=1.2)


def mark_alarms(axis: Axes, clock: Scores, outcome: Outcome) -> None:
    """Draw each alarm as a bar above the score."""
    assert outcome.alarms is not None
    shown = axis.get_xlim()[0]  # an alarm may begin in the training part
    for alarm in outcome.alarms.itertuples():
        axis.axvspan(
            max(clock[alarm.start], shown), clock[alarm.end - 1], 1.01, 1.06, color=PURPLE, linewidth=1.5, clip_on=False
        )
    axis.text(1.005, 1.035, "alarms", transform=axis.transAxes, va="center", fontsize=9, color=PURPLE)


def in_alarm(outcome: Outcome) -> NDArray[np.bool_]:
    """Whether each row is inside an alarm."""
    inside = np.zeros(len(outcome.scores), dtype=bool)
    assert outcome.alarms is not None
    for alarm in outcome.alarms.itertuples():
        inside[alarm.start : alarm.end] = True
    return inside


def name_faults(axis: Axes, clock: Scores, outcome: Outcome, faults: list[Fault], train_size: int) -> None:
    """Write above the first channel where training ends, and the kind of each fault; missed ones in another colour."""
    above = axis.get_xaxis_transform()  # x in data, y in heights of the axis
    axis.text(clock[train_size], 1.05, "training ", transform=above, ha="right", va="bottom")
    for fault in faults:
        if fault.kind and fault.start >= train_size:
            hit = fault.is_hit(in_alarm(outcome))
            axis.text(
                (clock[fault.start] + clock[fault.stop - 1]) / 2,
                1.05,
                fault.kind.replace("_", " ") + ("" if hit else " (missed)"),
                transform=above,
                rotation=60,
                ha="left",
                va="bottom",
                fontsize=8,
                color=INK if hit else VERMILLION,
            )


def headline(recording: Bunch, outcome: Outcome, faults: list[Fault]) -> str:
    """Title of the picture: alarms, faults found and rows in alarm."""
    inside = in_alarm(outcome)
    assert outcome.alarms is not None
    what = f"{len(outcome.alarms)} alarms, {inside[recording.train_size :].mean():.1%} of the rows"
    later = [fault for fault in faults if fault.stop > recording.train_size]
    if not later:
        return f"{outcome.method} on {recording.name}: {what}"
    hits = sum(fault.is_hit(inside) for fault in later)
    return f"{outcome.method}: {hits} of {len(later)} faults (shaded) found; {what}"


if __name__ == "__main__":
    main()
