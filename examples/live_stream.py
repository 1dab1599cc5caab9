"""Watch a machine
===============

Learn the normal load of the machine that this runs on, then score each new row as it arrives.

Run ``python examples/live_stream.py`` and start something heavy meanwhile; the picture is written anew every second. It
needs psutil and matplotlib: ``pip install timesad[benchmarks]``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from timesad import NearestWindowsDetector

CHANNELS = ["cpu_percent", "memory_percent", "context_switches_per_s"]
BLUE, RED, GREY = "#1f5fa8", "#c0392b", "#8a8a8a"


class Machine:
    """Reads one row of load at a time, evenly spaced."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.next_time = time.monotonic()
        self.switches = psutil.cpu_stats().ctx_switches
        psutil.cpu_percent()  # the first call has nothing to compare with

    def read(self) -> list[float]:
        """Wait for the next moment and return (cpu, memory, switches)."""
        self.next_time += self.interval
        time.sleep(max(0.0, self.next_time - time.monotonic()))
        switches = psutil.cpu_stats().ctx_switches
        row = [psutil.cpu_percent(), psutil.virtual_memory().percent, (switches - self.switches) / self.interval]
        self.switches = switches
        return row


def draw(
    rows: pd.DataFrame, scores: pd.Series, alarms: dict[int, tuple[int, int]], threshold: float, out: Path
) -> None:
    """Channels above, the score and its threshold below; alarms are shaded."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(CHANNELS) + 1, sharex=True)
    for axis, name in zip(axes, CHANNELS, strict=False):
        axis.plot(rows.index, rows[name], color=GREY, linewidth=0.8)
        axis.set_ylabel(name.replace("_", " "), rotation=0, ha="right", fontsize=8)
    axes[-1].plot(scores.index, scores, color=BLUE, linewidth=1.0)
    axes[-1].axhline(threshold, color=RED, linewidth=0.8, linestyle="--")
    axes[-1].set_ylabel("score", rotation=0, ha="right", fontsize=8)
    axes[-1].set_xlabel("row")
    for axis in axes:
        for start, end in alarms.values():
            axis.axvspan(start, end, color=RED, alpha=0.2, linewidth=0)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--learn", type=float, default=30.0, help="seconds of normal load to learn (default: 30)")
    parser.add_argument("--watch", type=float, default=60.0, help="seconds to watch (default: 60)")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between rows (default: 0.1)")
    parser.add_argument("--out", type=Path, default=Path("live.png"), help="picture to write (default: live.png)")
    args = parser.parse_args()

    machine = Machine(args.interval)
    print(f"learning for {args.learn:g} s")
    learned = pd.DataFrame([machine.read() for _ in range(round(args.learn / args.interval))], columns=CHANNELS)
    detector = NearestWindowsDetector(window_size=16, smoothing=4, contamination=0.001).fit(learned)
    stream = detector.stream(history=learned)
    print(f"watching for {args.watch:g} s; a score is final {stream.delay} rows later")

    scores = pd.Series(dtype=float)
    alarms: dict[int, tuple[int, int]] = {}  # rows by the number of the alarm
    written = time.monotonic()
    n_rows = round(args.watch / args.interval)
    for number in range(n_rows):
        found, events = stream.update(pd.DataFrame([machine.read()], columns=CHANNELS), alarms=True)
        scores = found["score"].combine_first(scores)  # a final score replaces a provisional one
        for one in events.itertuples():
            print(f"alarm {one.alarm} {one.event}: rows {one.start} to {one.end}, severity {one.severity:.1f}")
            alarms[one.alarm] = (one.start, one.end)
            if one.event == "withdrawn":
                del alarms[one.alarm]
        if time.monotonic() - written > 1.0 or number == n_rows - 1:
            draw(stream.history, scores, alarms, detector.threshold_, args.out)
            written = time.monotonic()
    print(f"median score {np.quantile(scores, 0.5):.2f}; {len(alarms)} alarms. Picture: {args.out}")


if __name__ == "__main__":
    main()
