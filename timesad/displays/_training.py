"""Training of a network, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import EarlyStopping

from ..training.net import MONITOR
from ._axes import colour_of, lay_out, leave_room, legend_on_top, pyplot
from ._steps import last_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["TrainingDisplay"]

FIGURE_SIZE = (6.4, 3.6)  # inches
TRAINED = "train_reconstruction"
DISCREPANCY = "train_discrepancy_"  # and the name of the phase
DISCREPANCY_STYLES = ((":", "^"), ("-.", "v"))  # line and marker of each phase


class TrainingDisplay:
    """Reconstruction error by epoch, the epoch whose weights were kept, and the association discrepancy.

    Create one with `from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    history : list of dict
        One record per epoch, such as `history_` of a detector: ``epoch``, ``train_reconstruction``, and if there are
        any ``valid_reconstruction`` and ``train_discrepancy_<phase>``.

    Attributes
    ----------
    train_line_ : matplotlib.lines.Line2D
        Mean squared error of the hidden rows in the training windows, while the weights change.
    valid_line_ : matplotlib.lines.Line2D or None
        The same of the held-out windows, after the epoch. None if no window was held out.
    kept_epoch_ : int
        Epoch whose weights the detector has: that of the smallest held-out error, where an improvement below 0.01 %
        does not count, or the last one if no window was held out.
    kept_line_ : matplotlib.lines.Line2D
        A vertical line at this epoch.
    discrepancy_lines_ : dict of str to matplotlib.lines.Line2D
        Mean association discrepancy of the training windows, one line per phase. Its axis is on the right.
    ax_ : matplotlib.axes.Axes
        The axes with the errors.
    discrepancy_ax_ : matplotlib.axes.Axes or None
        The axes with the discrepancy. None if there is none.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    AnomalyScoreDisplay : Scores of a series.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import AnomalyTransformerDetector
    >>> from timesad.displays import TrainingDisplay
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = AnomalyTransformerDetector(window_size=32, max_epochs=2, random_state=0).fit(X)
    >>> display = TrainingDisplay.from_estimator(detector)
    >>> list(display.discrepancy_lines_)
    ['minimax']
    """

    def __init__(self, *, history: Sequence[dict[str, float]]) -> None:
        self.history = history

    def plot(self, ax: Axes | None = None) -> TrainingDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Axes to draw on; a new figure if None.

        Returns
        -------
        display : TrainingDisplay
            This object.

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        plt = pyplot()
        from matplotlib.ticker import MaxNLocator

        self.ax_ = plt.subplots(figsize=FIGURE_SIZE, layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        self.train_line_ = self._draw(self.ax_, TRAINED, color=colour_of("C0"), marker="o", label="training error")
        self.valid_line_ = None
        if MONITOR in self.history[0]:
            self.valid_line_ = self._draw(
                self.ax_, MONITOR, color=colour_of("C3"), marker="s", linestyle="--", label="held-out error"
            )
        self.kept_epoch_ = _kept_epoch(self.history)
        self.kept_line_ = self.ax_.axvline(
            self.kept_epoch_,
            color=colour_of("text"),
            linewidth=0.9,
            alpha=0.6,
            label=f"weights of epoch {self.kept_epoch_}",
        )
        self.ax_.set(xlabel="epoch", ylabel="mean squared error")
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.discrepancy_ax_, self.discrepancy_lines_ = self._draw_discrepancies()
        axes = [self.ax_] if self.discrepancy_ax_ is None else [self.discrepancy_ax_, self.ax_]
        lay_out(self.ax_)
        share = legend_on_top(*axes)
        for one in axes:
            leave_room(one, share)
        self.kept_line_.set_ydata([0.0, 1 - share])  # below the legend
        return self

    def _draw(self, ax: Axes, name: str, **style: Any) -> Line2D:
        epochs = [record["epoch"] for record in self.history]
        return ax.plot(epochs, [record[name] for record in self.history], linewidth=1.2, markersize=4, **style)[0]

    def _draw_discrepancies(self) -> tuple[Axes | None, dict[str, Line2D]]:
        """Draw the discrepancy of each phase on an axis of its own, since it has another unit."""
        names = [name for name in self.history[0] if name.startswith(DISCREPANCY)]
        if not names:
            return None, {}
        ax = self.ax_.twinx()
        ax.set_ylabel("association discrepancy")
        lines = {}
        for name, (linestyle, marker) in zip(names, cycle(DISCREPANCY_STYLES)):
            phase = name.removeprefix(DISCREPANCY)
            label = f"discrepancy, {phase} (right)"
            lines[phase] = self._draw(
                ax, name, color=colour_of("text"), linestyle=linestyle, marker=marker, label=label
            )
        return ax, lines

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> TrainingDisplay:
        """Draw the training of a fitted detector.

        Parameters
        ----------
        estimator : detector with a network or Pipeline that ends in one
            Fitted, or loaded from a file.
        ax : matplotlib axes, default=None
            Axes to draw on; a new figure if None.

        Returns
        -------
        display : TrainingDisplay

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the detector trains no network.
        """
        detector = last_step(estimator)
        check_is_fitted(detector)
        if not hasattr(detector, "history_"):
            raise ValueError(
                f"This {type(detector).__name__} has no training to show: it trains no network. Fit a "
                "TimesNetDetector, an AnomalyTransformerDetector or a TimesNetDiscrepancyDetector."
            )
        return cls(history=detector.history_).plot(ax)


def _kept_epoch(history: Sequence[dict[str, float]]) -> int:
    """Epoch whose weights training keeps: a smaller error counts if it is smaller by a threshold."""
    if MONITOR not in history[0]:
        return int(history[-1]["epoch"])
    kept, bound, threshold = 0, math.inf, EarlyStopping().threshold
    for record in history:
        if record[MONITOR] < bound:
            kept, bound = int(record["epoch"]), record[MONITOR] - threshold * record[MONITOR]
    return kept
