"""Scores, threshold, alarms and true anomalies of a series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..metrics._events import find_events
from ._axes import colour_of, coordinates, lay_out, leave_room, legend_on_top, positions_of, pyplot, set_ticks
from ._steps import through_pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text

__all__ = ["AnomalyScoreDisplay"]

FIGURE_SIZE = (9.0, 3.0)  # inches
SINGLE_ROWS = 2000  # of so many rows at most, each is drawn
POINTS = 1000  # of the line through more rows; about one a pixel
RANGE_OPACITY = 0.35
ANOMALY_OPACITY = 0.35
MARK_EDGE = 1.5  # points around an alarm or a true anomaly; one row among 100,000 stays visible
BAR_HEIGHT = 7.0  # points
BAR_MARGIN = 4.0  # points between a bar and the scores, or its label
LABEL_HEIGHT = 9.0  # points
LABEL_GAP = 3.0  # points between two labels, at least
ALARM_LABELS = 12  # of the most severe alarms, at most
LABEL_LENGTH = 28  # characters; of a longer name, its begin


class AnomalyScoreDisplay:
    """Score of each row, with the threshold, the alarms, and the true anomalies if they are known.

    Create one with `from_estimator` or `from_predictions`. All parameters are stored as attributes.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Anomaly scores, larger is more abnormal.
    threshold : float, default=None
        Rows with a larger score are anomalies. Drawn as a line.
    y : ndarray of shape (n_rows,), default=None
        True labels, 1 for anomalies. Drawn as shaded ranges.
    positions : ndarray of shape (n_rows,), numbers or datetime64, default=None
        Horizontal coordinate of each row, increasing; row numbers if None. Times may have a time zone.
    name : str, default=None
        Name of the scores in the legend.
    alarms : DataFrame, default=None
        Alarms among these rows, as `detect` returns them. Drawn as bars above the scores. At most twelve have the name
        of their leading channel: the most severe ones whose names do not overlap.

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D
        The scores. Of more than 2,000 rows it has the largest score of every group of rows, at its position.
    range_ : matplotlib.collections.PolyCollection or None
        Range of the scores in each group, if there are groups.
    threshold_line_ : matplotlib.lines.Line2D or None
        The threshold.
    spans_ : list of matplotlib.patches.Rectangle
        The true anomalies, one per event. Events less than a group apart are one.
    alarm_bars_ : list of matplotlib.patches.Rectangle
        The alarms. A short one is drawn with a width that can be seen.
    alarm_labels_ : list of matplotlib.text.Text
        Leading channels of at most twelve alarms, the most severe first.
    ax_ : matplotlib.axes.Axes
        The axes with the plot.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    TrainingDisplay : How the network was trained.
    AssociationDisplay : Associations of the rows in a window.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.displays import AnomalyScoreDisplay
    >>> display = AnomalyScoreDisplay.from_predictions(np.array([0.1, 0.3, 2.5, 0.2]), threshold=1.0, y=[0, 0, 1, 0])
    >>> len(display.spans_)
    1

    With alarms:

    >>> from timesad import NearestWindowsDetector
    >>> X = np.sin(np.arange(3000) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(3000, 1))
    >>> X[2500:2520] += 2.0
    >>> detector = NearestWindowsDetector(window_size=64).fit(X[:2000])
    >>> display = AnomalyScoreDisplay.from_estimator(detector, X[2000:], alarms=True)
    >>> len(display.alarm_bars_)
    1
    """

    line_: Line2D

    def __init__(
        self,
        *,
        scores: NDArray[np.float64],
        threshold: float | None = None,
        y: NDArray[Any] | None = None,
        positions: NDArray[Any] | None = None,
        name: str | None = None,
        alarms: pd.DataFrame | None = None,
    ) -> None:
        self.alarms = alarms
        self.scores = scores
        self.threshold = threshold
        self.y = y
        self.positions = positions
        self.name = name

    def plot(self, ax: Axes | None = None) -> AnomalyScoreDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on; a new figure if None.

        Returns
        -------
        display : AnomalyScoreDisplay
            This object.

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        self.ax_ = pyplot().subplots(figsize=FIGURE_SIZE, layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        rows = np.arange(len(self.scores)) if self.positions is None else self.positions
        positions = coordinates(rows)
        group = 1 if len(self.scores) <= SINGLE_ROWS else -(-len(self.scores) // POINTS)  # rows
        self.line_, self.range_ = self._draw_scores(positions, group)
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axhline(
                self.threshold, color=colour_of("text"), linestyle="--", linewidth=0.9, label="threshold"
            )
        edges = self.ax_.xaxis.convert_units(_edges(positions))
        events = np.empty((0, 2), dtype=np.intp) if self.y is None else _joined(find_events(self.y == 1), group)
        self.spans_ = self._mark(
            edges, events, "true anomaly", color=colour_of("C1"), alpha=ANOMALY_OPACITY, linewidth=MARK_EDGE
        )
        ranges = np.empty((0, 2), dtype=np.intp) if self.alarms is None else self.alarms[["start", "end"]].to_numpy(int)
        self.alarm_bars_ = self._mark(edges, ranges, "alarm", color=colour_of("C3"), linewidth=MARK_EDGE)
        self.ax_.set(xlabel="row" if self.positions is None else "", ylabel="anomaly score")
        self.ax_.margins(x=0)
        lay_out(self.ax_)
        set_ticks(self.ax_.xaxis, rows)
        self.alarm_labels_ = self._arrange()
        return self

    def _draw_scores(self, positions: NDArray[Any], group: int) -> tuple[Line2D, PolyCollection | None]:
        """Draw each row, or the range of each group of rows and a line along its largest scores."""
        name = self.name or "score"
        style: dict[str, Any] = {"color": colour_of("C0"), "linewidth": 0.9}
        if group == 1:
            return self.ax_.plot(positions, self.scores, label=name, **style)[0], None
        groups = np.pad(self.scores, (0, -len(self.scores) % group), mode="edge").reshape(-1, group)
        largest = np.where(np.isnan(groups), -np.inf, groups).argmax(axis=1) + np.arange(len(groups)) * group
        x, y = positions[largest], self.scores[largest]
        [line] = self.ax_.plot(x, y, label=name, **style)
        band = self.ax_.fill_between(
            positions[np.linspace(0, len(self.scores) - 1, len(groups)).astype(int)],
            np.fmin.reduce(groups, axis=1),
            y,
            color=style["color"],
            alpha=RANGE_OPACITY,
            linewidth=0,
            label=f"range of each {group} rows",
        )
        return line, band

    def _mark(self, edges: NDArray[np.float64], ranges: NDArray[np.intp], label: str, **style: Any) -> list[Rectangle]:
        """Mark each range from half a row before its first row to half a row after its last."""
        from matplotlib.patches import Rectangle

        transform = self.ax_.get_xaxis_transform()  # x in data, y in heights of the axes
        marks = [
            Rectangle((edges[begin], 0.0), edges[end] - edges[begin], 1.0, transform=transform, **style)
            for begin, end in ranges
        ]
        for number, mark in enumerate(marks):
            mark.set_label("" if number else label)
            self.ax_.add_artist(mark)
        return marks

    def _arrange(self) -> list[Text]:
        """From top to bottom: legend, labels of the alarms, their bars, and the scores on any scale."""
        head = 1 - legend_on_top(self.ax_)
        point = self.figure_.dpi / 72 / self.ax_.bbox.height  # in heights of the axes, as all here
        labels: list[Text] = []
        bar_height = 0.0
        if self.alarms is not None and self.alarm_bars_:
            labels = self._label_alarms(self.alarms, head - LABEL_HEIGHT * point)
            head -= (LABEL_HEIGHT + BAR_MARGIN / 2) * point
            bar_height = BAR_HEIGHT * point
        for bar in self.alarm_bars_:
            bar.set(y=head - bar_height, height=bar_height)
        for span in self.spans_:
            span.set_height(head)  # no text on a shade
        leave_room(self.ax_, 1 - head + bar_height + BAR_MARGIN * point)
        return labels

    def _label_alarms(self, alarms: pd.DataFrame, foot: float) -> list[Text]:
        """Write the leading channel above the most severe alarms, where it overlaps no other label."""
        if not {"channels", "severity"} <= set(alarms.columns):
            return []
        left, right = self.ax_.bbox.x0, self.ax_.bbox.x1  # pixels, as all below
        centres = [(bar.get_x() + bar.get_width() / 2, 0.0) for bar in self.alarm_bars_]
        middles = self.ax_.get_xaxis_transform().transform(centres)[:, 0]
        gap = LABEL_GAP * self.figure_.dpi / 72
        labels: list[Text] = []
        taken: list[tuple[float, float]] = []  # begin and end of each label
        for number in np.argsort(-alarms["severity"].to_numpy(dtype=np.float64), kind="stable"):
            middle, channels = middles[number], alarms["channels"].iloc[number]
            is_covered = any(begin <= middle <= end for begin, end in taken)  # most are; a label is slow to measure
            if is_covered or not (isinstance(channels, Mapping) and channels and left <= middle <= right):
                continue
            label = self._write(str(next(iter(channels))), foot)
            width = label.get_window_extent().width
            begin = max(min(middle - width / 2, right - width), left)
            if any(begin < end + gap and start < begin + width + gap for start, end in taken):
                label.remove()
                continue
            label.set_x(self.ax_.transData.inverted().transform((begin + width / 2, 0.0))[0])
            labels.append(label)
            taken.append((begin, begin + width))
            if len(labels) == ALARM_LABELS:
                break
        return labels

    def _write(self, words: str, foot: float) -> Text:
        return self.ax_.text(
            self.ax_.get_xlim()[0],
            foot,
            words if len(words) <= LABEL_LENGTH else words[: LABEL_LENGTH - 1] + "…",
            transform=self.ax_.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize="x-small",
            clip_on=True,
            parse_math=False,  # a dollar sign in a name is no formula
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        ax: Axes | None = None,
        name: str | None = None,
        alarms: pd.DataFrame | bool | None = None,
    ) -> AnomalyScoreDisplay:
        """Score rows with a fitted detector and draw the scores.

        Parameters
        ----------
        estimator : detector or Pipeline that ends in one
            Any fitted detector with a ``decision_function`` that is larger for anomalies, such as PyOD's. Its
            ``threshold_`` is drawn if it has one.
        X : array-like of shape (n_rows, n_channels)
            Rows to score. The index of a DataFrame gives the positions if it holds increasing numbers or times.
        y : array-like of shape (n_rows,), default=None
            True labels, 1 for anomalies.
        groups : array-like of shape (n_rows,), default=None
            Series of each row, for a detector whose ``decision_function`` accepts it.
        ax : matplotlib axes, default=None
            Axes to draw on; a new figure if None.
        name : str, default=None
            Name in the legend; the detector's class if None.
        alarms : DataFrame or bool, default=None
            Alarms among the rows of X, as `detect` returns them. True calls `detect` with its defaults.

        Returns
        -------
        display : AnomalyScoreDisplay

        Raises
        ------
        ValueError
            If `alarms` is True and the detector has no `detect`.
        """
        positions = positions_of(X)
        detector, X = through_pipeline(estimator, X)
        if alarms is True:
            if not hasattr(detector, "detect"):
                raise ValueError(
                    f"alarms=True, but {type(detector).__name__} has no method detect. Pass a DataFrame of alarms, or "
                    "a detector of timesad."
                )
            alarms = detector.detect(X, groups=groups)
        return cls.from_predictions(
            detector.decision_function(X) if groups is None else detector.decision_function(X, groups=groups),
            threshold=getattr(detector, "threshold_", None),
            y=y,
            positions=positions,
            ax=ax,
            name=name or type(detector).__name__,
            alarms=None if alarms is False else alarms,
        )

    @classmethod
    def from_predictions(
        cls,
        scores: ArrayLike,
        *,
        threshold: float | None = None,
        y: ArrayLike | None = None,
        positions: ArrayLike | None = None,
        ax: Axes | None = None,
        name: str | None = None,
        alarms: pd.DataFrame | None = None,
    ) -> AnomalyScoreDisplay:
        """Draw given scores.

        Parameters
        ----------
        scores : array-like of shape (n_rows,)
            Anomaly scores, larger is more abnormal.
        threshold : float, default=None
            Rows with a larger score are anomalies.
        y : array-like of shape (n_rows,), default=None
            True labels, 1 for anomalies.
        positions : array-like of shape (n_rows,), numbers or datetime64, default=None
            Horizontal coordinate of each row, increasing; row numbers if None.
        ax : matplotlib axes, default=None
            Axes to draw on; a new figure if None.
        name : str, default=None
            Name in the legend.
        alarms : DataFrame, default=None
            Alarms among these rows: columns ``start`` and ``end``, and for their names ``channels`` and ``severity``.

        Returns
        -------
        display : AnomalyScoreDisplay

        Raises
        ------
        ValueError
            If `scores` is empty or not one-dimensional, `y` or `positions` has another length, `positions` does not
            increase, or `alarms` is not a table of rows of `scores`.
        """
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 1 or not len(scores):
            raise ValueError(f"scores has shape {scores.shape}; expected one score per row, (n_rows,).")
        return cls(
            scores=scores,
            threshold=threshold,
            y=_one_a_row("y", y, len(scores)),
            positions=_increasing(_one_a_row("positions", positions, len(scores))),
            name=name,
            alarms=_checked_alarms(alarms, len(scores)),
        ).plot(ax)


def _edges(positions: NDArray[Any]) -> NDArray[Any]:
    """Border of each row: halfway to the row before it, (n_rows + 1,)."""
    halfway = positions[:-1] + (positions[1:] - positions[:-1]) / 2
    return np.concatenate([positions[:1], halfway, positions[-1:]])


def _joined(events: NDArray[np.intp], gap: int) -> NDArray[np.intp]:
    """Events, those less than `gap` rows apart as one."""
    apart = events[1:, 0] - events[:-1, 1] >= gap
    begins, ends = np.insert(apart, 0, True), np.append(apart, True)
    return np.column_stack([events[begins[: len(events)], 0], events[ends[: len(events)], 1]])


def _increasing(positions: NDArray[Any] | None) -> NDArray[Any] | None:
    if positions is None or (positions.dtype.kind in "iufMO" and pd.Index(positions).is_monotonic_increasing):
        return positions
    raise ValueError(
        "positions must be numbers or times that increase from row to row. Sort the rows, or pass None to count them."
    )


def _checked_alarms(alarms: Any, n_rows: int) -> pd.DataFrame | None:
    if alarms is None:
        return None
    if not isinstance(alarms, pd.DataFrame) or not {"start", "end"} <= set(alarms.columns):
        raise ValueError("alarms must be a DataFrame with the columns start and end, such as detect returns.")
    if alarms.empty:
        return alarms
    if not all(pd.api.types.is_integer_dtype(alarms[bound]) for bound in ("start", "end")):
        raise ValueError("alarms has a start or end that is not an integer. Pass row numbers, such as detect returns.")
    wrong = alarms[(alarms["start"] < 0) | (alarms["end"] <= alarms["start"]) | (alarms["end"] > n_rows)]
    if len(wrong):
        start, end = wrong[["start", "end"]].iloc[0]
        raise ValueError(
            f"alarms has an alarm with start={start} and end={end}, but there are {n_rows} scores. Pass the alarms of "
            "the same rows, counted from 0 and with start before end."
        )
    return alarms


def _one_a_row(name: str, values: ArrayLike | None, n_rows: int) -> NDArray[Any] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} has shape {array.shape}; expected one entry for each of the {n_rows} scores, ({n_rows},)."
        )
    return array
