"""Plots with scikit-learn's Display interface: a class method computes and draws, the object keeps the artists."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .metrics._events import find_events
from .nn.networks import AssociatingNetwork
from .torch_state import plain_torch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

__all__ = ["AnomalyScoreDisplay", "AssociationDisplay"]

SCORE_FIGURE_SIZE = (9.0, 3.0)  # inches
PANEL_SIZE = (3.6, 3.6)  # inches, of each association
SCORE_SHARE = 0.78  # of the axes' height, for the scores below the alarms
ALARM_BAND = (0.82, 0.88)  # of the axes' height; bars of the alarms
ALARM_EDGE = 1.5  # points around a bar; one row among 100,000 stays visible
ALARM_LABELS = 12  # of the most severe alarms, at most
LABEL_RISE = 0.015  # of the axes' height, between bars and labels
LABEL_GAP = 3.0  # points between two labels, at least
FRAME_WIDTH = 0.7  # points; a wider frame would cover the row
# The colour is the cube root of the weight: a narrow prior has a few large weights, attention many small ones.
COLOUR_EXPONENT = 1 / 3


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
        Horizontal coordinate of each row, increasing; row numbers if None.
    name : str, default=None
        Name of the scores in the legend.
    alarms : DataFrame, default=None
        Alarms among these rows, as `detect` returns them. Drawn as bars above the scores. At most twelve have the name
        of their leading channel: the most severe ones whose names do not overlap.

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D
        The scores.
    threshold_line_ : matplotlib.lines.Line2D or None
        The threshold.
    spans_ : list of matplotlib.patches.Polygon or Rectangle
        The true anomalies, one per event.
    alarm_bars_ : list of matplotlib.patches.Polygon or Rectangle
        The alarms. A short one is drawn with a width that can be seen.
    alarm_labels_ : list of matplotlib.text.Text
        Leading channels of at most twelve alarms, the most severe first.
    ax_ : matplotlib.axes.Axes
        The axes with the plot.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
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
        self.ax_ = _pyplot().subplots(figsize=SCORE_FIGURE_SIZE, layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        positions = np.arange(len(self.scores)) if self.positions is None else self.positions
        [self.line_] = self.ax_.plot(positions, self.scores, color="C0", linewidth=0.9, label=self.name or "score")
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axhline(
                self.threshold, color="C3", linestyle="--", linewidth=0.9, label="threshold"
            )
        edges = _edges(positions)
        self.spans_ = [] if self.y is None else self._shade(edges, find_events(self.y == 1))
        self.ax_.set(xlabel="row" if self.positions is None else "", ylabel="anomaly score")
        self.ax_.margins(x=0)
        if self.alarms is None or self.alarms.empty:
            self.alarm_bars_, self.alarm_labels_ = [], []
            self.ax_.legend(loc="upper left")
        else:
            self.alarm_bars_ = self._draw_alarms(edges, self.alarms)
            self.alarm_labels_ = self._label_alarms(self.alarms)
            self.ax_.legend(loc="upper left", bbox_to_anchor=(0.0, 0.0, 1.0, SCORE_SHARE))  # below the alarms
        return self

    def _draw_alarms(self, edges: NDArray[Any], alarms: pd.DataFrame) -> list[Any]:
        """Draw a bar for each alarm, above the scores on any scale of the axis."""
        bottom, _ = self.ax_.get_ylim()
        top = self.ax_.transAxes.transform((0.0, 1.0 / SCORE_SHARE))
        self.ax_.set_ylim(bottom, self.ax_.transData.inverted().transform(top)[1])
        return [
            self.ax_.axvspan(
                edges[start],
                edges[end],
                *ALARM_BAND,
                color="C4",
                linewidth=ALARM_EDGE,
                label=None if number else "alarm",
            )
            for number, (start, end) in enumerate(alarms[["start", "end"]].to_numpy(dtype=np.intp))
        ]

    def _label_alarms(self, alarms: pd.DataFrame) -> list[Text]:
        """Write the leading channel above the most severe alarms, where it overlaps no other label."""
        if not {"channels", "severity"} <= set(alarms.columns):
            return []
        self.figure_.canvas.figure.draw_without_rendering()  # the layout sets the width of the axes
        left, right = self.ax_.bbox.x0, self.ax_.bbox.x1  # pixels, as the ends below
        gap = LABEL_GAP * self.figure_.dpi / 72
        labels: list[Text] = []
        taken: list[tuple[float, float]] = []  # begin and end of each label
        for number in np.argsort(-alarms["severity"].to_numpy(dtype=np.float64), kind="stable"):
            bar = self.alarm_bars_[number].get_window_extent()
            middle = (bar.x0 + bar.x1) / 2
            channels = alarms["channels"].iloc[number]
            if not (isinstance(channels, Mapping) and channels and left <= middle <= right):
                continue
            label = self._write_above_bars(str(next(iter(channels))))
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

    def _write_above_bars(self, words: str) -> Text:
        return self.ax_.text(
            self.ax_.get_xlim()[0],
            ALARM_BAND[1] + LABEL_RISE,
            words,
            transform=self.ax_.get_xaxis_transform(),  # x in data, y in heights of the axes
            ha="center",
            va="bottom",
            fontsize="x-small",
            color="C4",
            clip_on=True,
            parse_math=False,  # a dollar sign in a name is no formula
        )

    def _shade(self, edges: NDArray[Any], events: NDArray[np.intp]) -> list[Any]:
        """Shade each event from half a row before its first row to half a row after its last."""
        return [
            self.ax_.axvspan(
                edges[begin], edges[end], color="C1", alpha=0.3, linewidth=0, label=None if number else "true anomaly"
            )
            for number, (begin, end) in enumerate(events)
        ]

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
            Rows to score. The index of a DataFrame gives the positions if it holds numbers or dates.
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
        positions = _positions(X)
        detector, X = _through_pipeline(estimator, X)
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
            If `scores` is empty or not one-dimensional, `y` or `positions` has another length, or `alarms` is not a
            table of rows of `scores`.
        """
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 1 or not len(scores):
            raise ValueError(f"scores has shape {scores.shape}; expected one score per row, (n_rows,).")
        return cls(
            scores=scores,
            threshold=threshold,
            y=_one_a_row("y", y, len(scores)),
            positions=_one_a_row("positions", positions, len(scores)),
            name=name,
            alarms=_checked_alarms(alarms, len(scores)),
        ).plot(ax)


class AssociationDisplay:
    """Series association S and prior association P of the rows in the window around one row.

    An association is a matrix whose rows sum to 1: row i holds the weights that row i of the window gives to all rows.
    S is the attention of the network, P a Gaussian over distance in time. Both are of the last layer, averaged over
    heads and complementary masks, on one colour scale.

    Create one with `from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    associations : dict of str to ndarray of shape (window_size, window_size)
        "S" and "P".
    row : int
        The requested row.
    first_row : int
        First row of the window.

    Attributes
    ----------
    images_ : list of matplotlib.image.AxesImage
        One per association.
    marks_ : list of matplotlib.patches.Rectangle
        Frame around the requested row, one per association.
    colorbar_ : matplotlib.colorbar.Colorbar
        Colour bar of the common scale.
    axes_ : ndarray of matplotlib.axes.Axes
        The axes with the plot.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    AnomalyScoreDisplay : Scores of a series.

    References
    ----------
    Xu et al., "Anomaly Transformer: Time Series Anomaly Detection with Association Discrepancy", ICLR 2022, equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import AnomalyTransformerDetector
    >>> from timesad.displays import AssociationDisplay
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = AnomalyTransformerDetector(window_size=32, max_epochs=1, random_state=0).fit(X)
    >>> display = AssociationDisplay.from_estimator(detector, X, row=200)
    >>> list(display.associations)
    ['S', 'P']
    """

    def __init__(self, *, associations: dict[str, NDArray[np.float32]], row: int, first_row: int) -> None:
        self.associations = associations
        self.row = row
        self.first_row = first_row

    def plot(self, axes: ArrayLike | None = None) -> AssociationDisplay:
        """Draw the display.

        Parameters
        ----------
        axes : array-like of matplotlib axes, default=None
            One per association; a new figure if None.

        Returns
        -------
        display : AssociationDisplay
            This object.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the number of axes differs from the number of associations.
        """
        plt = _pyplot()
        from matplotlib.colors import PowerNorm

        n_panels = len(self.associations)
        if axes is None:
            size = (PANEL_SIZE[0] * n_panels, PANEL_SIZE[1])
            axes = plt.subplots(1, n_panels, figsize=size, sharey=True, squeeze=False, layout="compressed")[1]
        self.axes_ = np.ravel(axes)
        if len(self.axes_) != n_panels:
            raise ValueError(
                f"axes has {len(self.axes_)} axes; expected {n_panels}, one for each of {list(self.associations)}."
            )
        self.figure_ = self.axes_[0].figure
        largest = max(float(association.max()) for association in self.associations.values())
        norm = PowerNorm(COLOUR_EXPONENT, vmin=0.0, vmax=largest)
        panels = list(zip(self.axes_, self.associations.items(), strict=True))
        self.images_ = [self._draw(ax, association, norm) for ax, (_, association) in panels]
        self.marks_ = [self._mark(ax) for ax in self.axes_]
        for ax, (name, _) in panels:
            ax.set(title=f"${name}$", xlabel="row attended to")
        self.axes_[0].set_ylabel("attending row")
        self.colorbar_ = self.figure_.colorbar(self.images_[0], ax=self.axes_.tolist(), label="share of attention")
        return self

    def _draw(self, ax: Axes, association: NDArray[np.float32], norm: Any) -> Any:
        begin, end = self.first_row - 0.5, self.first_row + len(association) - 0.5
        extent = (begin, end, end, begin)
        return ax.imshow(association, norm=norm, cmap="viridis", interpolation="nearest", extent=extent)

    def _mark(self, ax: Axes) -> Any:
        """Frame the requested row."""
        from matplotlib.patches import Rectangle

        width = len(self.associations["S"])
        corner = (self.first_row - 0.5, self.row - 0.5)
        return ax.add_patch(Rectangle(corner, width, 1.0, fill=False, edgecolor="C3", linewidth=FRAME_WIDTH))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        row: int,
        *,
        groups: ArrayLike | None = None,
        axes: ArrayLike | None = None,
    ) -> AssociationDisplay:
        """Compute the associations in the window around a row and draw them.

        Parameters
        ----------
        estimator : TimesNetDiscrepancyDetector, AnomalyTransformerDetector or Pipeline that ends in one
            Fitted.
        X : array-like of shape (n_rows, n_channels)
            The series; at least `window_size` rows.
        row : int
            Row of X, in [0, n_rows). It is the middle of the window, except near an end of its series.
        groups : array-like of shape (n_rows,), default=None
            Series of each row, if X holds several.
        axes : array-like of matplotlib axes, default=None
            One per association; a new figure if None.

        Returns
        -------
        display : AssociationDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the detector has no associations, X does not fit it, or X has no such row.
        """
        detector, X = _through_pipeline(estimator, X)
        network = _associating_network(detector)
        series = detector._scaled_series(X, groups)
        row = index(row)
        if not 0 <= row < len(series):
            raise ValueError(f"row={row} is not a row of X; expected a number from 0 to {len(series) - 1}.")
        size = network.window.window_size
        number = int(np.searchsorted(series.borders, row, side="right")) - 1
        first_row = int(np.clip(row - size // 2, series.borders[number], series.borders[number + 1] - size))
        window = series.values[first_row : first_row + size]
        return cls(associations=_associations(network, window), row=row, first_row=first_row).plot(axes)


def _associations(network: AssociatingNetwork, window: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Associations of the last layer, (time, time) each, averaged over heads and complementary masks."""
    hidden, device = network.masks if len(network.masks) else None, network.masks.device
    with plain_torch(device), torch.inference_mode():
        x = torch.from_numpy(window).to(device)[None]  # (1, time, channel)
        last = network.associations(x.expand(max(len(network.masks), 1), -1, -1), hidden)[-1]
    named = {"S": last.series, "P": last.priors[0]}
    return {name: association.mean(dim=(0, 1)).cpu().numpy() for name, association in named.items()}


def _associating_network(detector: Any) -> AssociatingNetwork:
    check_is_fitted(detector)
    network = getattr(detector, "network_", None)
    if isinstance(network, AssociatingNetwork):
        return network
    raise ValueError(
        f"This {type(detector).__name__} has no associations to show. Fit an AnomalyTransformerDetector, or a "
        "TimesNetDiscrepancyDetector with a discrepancy_weight other than 0."
    )


def _through_pipeline(estimator: Any, X: ArrayLike) -> tuple[Any, ArrayLike]:
    """The last step of a pipeline, and X after the steps before it."""
    if not isinstance(estimator, Pipeline):
        return estimator, X
    return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X


def _positions(X: Any) -> NDArray[Any] | None:
    """Index of a DataFrame if it holds numbers or dates, else None."""
    positions = np.asarray(X.index) if hasattr(X, "iloc") else None
    return positions if positions is not None and positions.dtype.kind in "iufM" else None


def _edges(positions: NDArray[Any]) -> NDArray[Any]:
    """Border of each row: halfway to the row before it, (n_rows + 1,)."""
    halfway = positions[:-1] + (positions[1:] - positions[:-1]) / 2
    return np.concatenate([positions[:1], halfway, positions[-1:]])


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


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("displays draw with matplotlib: pip install timesad[plots].") from error
    return plt
