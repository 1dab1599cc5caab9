"""The picture of the frontier: a panel for each protocol, VUS-PR over seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .frontier_points import Point, frontier, size_text

# Okabe and Ito's vermillion, and a grey; both are legible on white and on black.
OUR_COLOUR, PEER_COLOUR = "#D55E00", "#7A7A7A"
PANEL_SIZE = (9.0, 5.4)  # inches
FONT_SIZE, LABEL_SIZE = 9, 8  # points
MARKER_SIZE = 6  # points
LABEL_GAP = 1 / 30  # between two labels, as a share of the axis
LABEL_PLACE = 1.03  # of the panel's width
MARGIN = 1.6  # factor between the outermost points and the border, on the axis of seconds


def spread(values: Sequence[float], gap: float, top: float) -> list[float]:
    """Move increasing values apart, to at least so far from each other, at most up to the top."""
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + gap) if places else value)
    for index in reversed(range(len(places))):
        places[index] = min(places[index], top - gap * (len(places) - 1 - index))
    return places


def draw_panel(axes: Any, points: Sequence[Point]) -> None:
    """Draw points, labels and the frontier; the axes have their limits and scale."""
    best = frontier(points)
    for point in points:
        colour = point_colour(point)
        face = colour if point in best else "none"
        axes.plot(point.seconds, point.quality, "o", ms=MARKER_SIZE, mec=colour, mfc=face, zorder=3)
    corners = step_corners(best, axes.get_xlim()[1])
    axes.plot([x for x, _ in corners], [y for _, y in corners], color=PEER_COLOUR, lw=1.0, zorder=1)
    draw_labels(axes, points)


def step_corners(best: Sequence[Point], right: float) -> list[tuple[float, float]]:
    """Return the corners of the frontier's line: a quality holds until a slower method has a better one."""
    corners = [(point.seconds, point.quality) for point in best[:1]]
    for before, point in pairwise(best):
        corners += [(point.seconds, before.quality), (point.seconds, point.quality)]
    return corners + [(right, point.quality) for point in best[-1:]]


def draw_labels(axes: Any, points: Sequence[Point]) -> None:
    """Write the names beside the panel in the order of quality; a line joins each with its point."""
    points = sorted(points, key=lambda point: point.quality)
    top = axes.get_ylim()[1]
    heights = spread([point.quality for point in points], top * LABEL_GAP, top)
    for point, height in zip(points, heights, strict=True):
        axes.annotate(
            label_text(point),
            xy=(point.seconds, point.quality),
            xytext=(LABEL_PLACE, height),
            textcoords=("axes fraction", "data"),
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": point_colour(point), "lw": 0.4, "alpha": 0.6, "shrinkB": 3},
            **label_style(point),
        )


def point_colour(point: Point) -> str:
    """Return the colour of ours or of peers."""
    return OUR_COLOUR if point.ours else PEER_COLOUR


def label_text(point: Point) -> str:
    """Return the label of a point."""
    return point.label + ("" if point.complete else " *")


def label_style(point: Point) -> dict[str, Any]:
    """Return colour, size and weight of a label."""
    return {"color": point_colour(point), "fontsize": LABEL_SIZE, "fontweight": "bold" if point.ours else "normal"}


def picture(by_protocol: Mapping[str, Sequence[Point]], size: tuple[int, int]) -> Figure:
    """Draw a panel for each protocol; the ground is transparent."""
    figure = Figure(figsize=(PANEL_SIZE[0], PANEL_SIZE[1] * len(by_protocol)), layout="constrained")
    FigureCanvasAgg(figure)
    seconds = [point.seconds for points in by_protocol.values() for point in points]
    panels = figure.subplots(len(by_protocol), 1, sharex=True)
    for axes, (protocol, points) in zip(panels, by_protocol.items(), strict=True):
        axes.set_xscale("log")
        if seconds:
            axes.set_xlim(min(seconds) / MARGIN, max(seconds) * MARGIN)
        axes.set_ylim(0, max([0.1, *(point.quality for point in points)]) * 1.1)
        axes.set_ylabel(f"mean VUS-PR, {protocol}", color=PEER_COLOUR, fontsize=FONT_SIZE)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(colors=PEER_COLOUR, which="both", labelsize=FONT_SIZE, labelbottom=True)
        axes.grid(color=PEER_COLOUR, alpha=0.2, lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(PEER_COLOUR)
        axes.patch.set_visible(False)
    has_missing = any(not point.complete for points in by_protocol.values() for point in points)
    panels[0].set_title(
        f"{size_text(size)}. Ours: orange. Peers: grey. Filled, on the line: the frontier."
        + (" *: some series did not finish." if has_missing else ""),
        color=PEER_COLOUR,
        fontsize=FONT_SIZE,
        loc="left",
    )
    panels[-1].set_xlabel(
        f"seconds to fit {size[0]:,} rows and to score {size[0]:,} others", color=PEER_COLOUR, fontsize=FONT_SIZE
    )
    figure.patch.set_visible(False)
    for axes, points in zip(panels, by_protocol.values(), strict=True):
        draw_panel(axes, points)
    return figure


def write_picture(figure: Figure, path: Path) -> None:
    """Write an SVG that is the same for the same numbers, or what else the suffix says."""
    with mpl.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
