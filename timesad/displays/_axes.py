"""What goes onto axes: rows by number or by time, and a legend above what is drawn.

Colours are those of the style: "C0" and "C3" of its cycle, which differ for every kind of colour vision in matplotlib's
light and dark styles, and that of its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "colour_of",
    "coordinates",
    "lay_out",
    "leave_room",
    "legend_on_top",
    "positions_of",
    "pyplot",
    "set_ticks",
]

TICK_WIDTH, TICK_HEIGHT = 42.0, 25.0  # points from one tick to the next, at least
LEAST_SHARE = 0.3  # of the axes' height, for what is drawn; on lower axes the legend may cover some of it


def pyplot() -> Any:
    """matplotlib.pyplot, or an ImportError that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("displays draw with matplotlib: pip install timesad[plots].") from error
    return plt


def colour_of(name: str) -> str:
    """Colour of the present style: "text", or "C0", "C1", … of its cycle.

    A line would look such a name up when it is drawn, after a ``with`` statement for the style.
    """
    from matplotlib.colors import to_hex

    return to_hex(pyplot().rcParams["text.color"] if name == "text" else name)


def positions_of(X: Any) -> NDArray[Any] | None:
    """Index of a DataFrame or Series if it holds increasing numbers or times, else None."""
    if not hasattr(X, "iloc"):
        return None
    index = X.index.to_timestamp() if isinstance(X.index, pd.PeriodIndex) else X.index
    positions = np.asarray(index)  # of objects, for times with a time zone
    is_position = isinstance(index, pd.DatetimeIndex) or positions.dtype.kind in "iuf"
    return positions if is_position and index.is_monotonic_increasing else None


def coordinates(positions: NDArray[Any]) -> NDArray[Any]:
    """Positions as numbers or datetime64, in UTC if they have a time zone."""
    if positions.dtype.kind not in "MO":
        return positions
    times = pd.DatetimeIndex(positions)
    return (times if times.tz is None else times.tz_convert(None)).to_numpy()


def lay_out(ax: Axes) -> None:
    """Let the layout set the size of the axes."""
    ax.figure.canvas.figure.draw_without_rendering()


def set_ticks(axis: Axis, positions: NDArray[Any], *, dated: bool = True) -> None:
    """Set ticks with labels that do not overlap, after `lay_out`.

    Times have short labels, in their time zone if they have one. With `dated`, their common date is at the axis' end.
    """
    from matplotlib.axis import XAxis
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    box = axis.axes.bbox  # pixels
    n_spaces = box.width / TICK_WIDTH if isinstance(axis, XAxis) else box.height / TICK_HEIGHT
    n_ticks = max(int(n_spaces * 72 / axis.axes.figure.dpi), 2)
    if positions.dtype.kind in "MO":
        zone = pd.DatetimeIndex(positions).tz
        locator = AutoDateLocator(zone, minticks=n_ticks // 2, maxticks=n_ticks)
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator, zone, show_offset=dated))
    else:
        whole = positions.dtype.kind != "f"
        axis.set_major_locator(MaxNLocator(n_ticks, integer=whole, steps=[1, 2, 5, 10], min_n_ticks=1))


def legend_on_top(ax: Axes, *below: Axes) -> float:
    """Write the legend along the upper edge, in as few lines as fit; return its share of the height.

    It has the artists of `ax` and of further axes at the same place. To be called after `lay_out`.
    """
    artists = [artist for one in (*below, ax) for artist in one.get_legend_handles_labels()[0]]
    bottom = ax.bbox.y1
    for n_columns in range(len(artists), 0, -1):
        legend = ax.legend(
            handles=artists, loc="upper left", ncols=n_columns, frameon=False, fontsize="small", borderaxespad=0.2
        )
        extent = legend.get_window_extent()
        bottom = extent.y0
        if extent.width <= ax.bbox.width:
            break
    return (ax.bbox.y1 - bottom) / ax.bbox.height


def leave_room(ax: Axes, share: float) -> None:
    """Stretch the vertical axis upwards so that a share of its height is free, on any scale.

    It scales itself as before, if it does, to another display on the same axes.
    """
    bottom, _ = ax.get_ylim()
    top = ax.transAxes.transform((0.0, 1 / max(1 - share, LEAST_SHARE)))
    ax.set_ylim(bottom, ax.transData.inverted().transform(top)[1], auto=None)
