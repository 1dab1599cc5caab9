"""How reconstruction and discrepancy move during training: ``python -m benchmarks.training_curves``.

The flagship is trained on the shipped telemetry's fault-free half under each schedule with the official code's
weight, 3. Under ``alternating`` D is measured in both phases of each batch: in the maximise phase as the last
minimise phase left it, and in the minimise phase after S has fled. The picture goes to
``docs/images/training-curves.png``, the numbers to ``docs/results/training-curves.csv``.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from timesad import TimesNetDiscrepancyDetector
from timesad.datasets import load_host_telemetry

from .series import REPOSITORY

DOCS = REPOSITORY / "docs"
OFFICIAL_WEIGHT = 3.0
PANELS = {
    "alternating": {
        "train_discrepancy_maximise": "maximise phase: S is moved away from P",
        "train_discrepancy_minimise": "minimise phase: P is moved towards S",
    },
    "simultaneous": {"train_discrepancy_simultaneous": "both gradients in one step"},
    "off": {"train_discrepancy_reconstruct": "no gradient of D at all"},
}
COLOURS = ("#0072B2", "#D55E00")


def train(schedule: str, epochs: int, seed: int) -> list[dict[str, float]]:
    """One training's record of each epoch."""
    telemetry = load_host_telemetry()
    detector = TimesNetDiscrepancyDetector(
        window_size=48,
        epoch_size=512,
        max_epochs=epochs,
        patience=epochs,
        schedule=schedule,
        discrepancy_weight=OFFICIAL_WEIGHT,
        score_rule="sum",
        random_state=seed,
    )
    return detector.fit(telemetry.data[: telemetry.train_size]).history_


def draw(histories: dict[str, list[dict[str, float]]], path: Path) -> None:
    """A panel for each schedule, on one scale."""
    figure = Figure(figsize=(12, 3.8), dpi=140, layout="constrained")
    for axis, (schedule, lines) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
        history = histories[schedule]
        epochs = [record["epoch"] for record in history]
        for (name, label), colour in zip(lines.items(), COLOURS, strict=False):
            axis.plot(epochs, [record[name] for record in history], color=colour, marker="o", markersize=3, label=label)
        axis.set_title(f'schedule="{schedule}"', loc="left")
        axis.set_xlabel("epoch")
        axis.legend(frameon=False, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("mean discrepancy D")
    FigureCanvasAgg(figure).print_png(path)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_curves", description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    histories = {schedule: train(schedule, options.epochs, options.seed) for schedule in PANELS}
    rows = [{"schedule": schedule} | record for schedule, history in histories.items() for record in history]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (DOCS / "results" / "training-curves.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    picture = DOCS / "images" / "training-curves.png"
    picture.parent.mkdir(exist_ok=True)
    draw(histories, picture)
    print(picture)


if __name__ == "__main__":
    main()
