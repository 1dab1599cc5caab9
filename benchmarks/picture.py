"""One picture a table: every method's group means (or other points), their mean and its spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .summary import Summary

# Okabe and Ito's colours, told apart by colour-blind readers; markers differ too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MARKERS = ("o", "s", "^", "v", "D", "P", "X")
ROW_INCHES = 0.28
FRAME_INCHES = 1.9
LEGEND_COLUMNS = 4
WIDTH_INCHES = 9.0
RESOLUTION = 150  # dots an inch


@dataclass(frozen=True)
class Line:
    """One line of the picture.

    Parameters
    ----------
    label : str
    points : dict of str to float or None
        Marker's name to value; None is not drawn.
    mean, spread : float or None
        The black bar: the mean over groups and its deviation over seeds.
    """

    label: str
    points: dict[str, float | None]
    mean: float | None = None
    spread: float | None = None


def group_lines(summaries: Sequence[Summary]) -> list[Line]:
    """Return a line for each method, a point for each group."""
    return [Line(s.method, s.group_means, s.mean, s.seed_spread) for s in summaries]


def draw(lines: Sequence[Line], path: Path, *, title: str, metric_label: str, floor: str | None = None) -> None:
    """Write a dot plot as PNG.

    Parameters
    ----------
    lines : sequence of Line
        From top to bottom.
    path : Path
        File to write.
    title, metric_label : str
        Texts.
    floor : str or None, default=None
        Line whose mean is drawn through all the others.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("The picture needs matplotlib: pip install timesad[plots].") from error

    figure = Figure(figsize=(WIDTH_INCHES, FRAME_INCHES + ROW_INCHES * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = list(dict.fromkeys(name for line in lines for name in line.points))
    positions = range(len(lines) - 1, -1, -1)
    for i, name in enumerate(names):
        points = [(line.points.get(name), y) for line, y in zip(lines, positions, strict=True)]
        shown = [(value, y) for value, y in points if value is not None]
        axes.scatter(
            [value for value, _ in shown],
            [y for _, y in shown],
            marker=MARKERS[i % len(MARKERS)],
            color=COLOURS[i % len(COLOURS)],
            s=26,
            alpha=0.85,
            label=name,
        )
    means = [
        (line.mean, line.spread or 0.0, y) for line, y in zip(lines, positions, strict=True) if line.mean is not None
    ]
    axes.errorbar(
        [mean for mean, _, _ in means],
        [y for _, _, y in means],
        xerr=[spread for _, spread, _ in means],
        fmt="|",
        color="black",
        markersize=12,
        markeredgewidth=2.5,
        label="mean over groups ± spread over seeds",
    )
    for line in lines:
        if line.label == floor and line.mean is not None:
            axes.axvline(line.mean, color="0.6", linestyle=":", linewidth=1, label=floor)
    axes.set_yticks(list(positions), [line.label for line in lines])
    axes.set_xlim(left=0)
    axes.set_xlabel(metric_label)
    axes.set_title(title, loc="left")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside lower center", ncols=LEGEND_COLUMNS, fontsize="small", frameon=False)
    figure.savefig(path, dpi=RESOLUTION)
