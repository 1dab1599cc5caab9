"""Series and prior association of the rows in a window."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..nn.networks import AssociatingNetwork
from ..torch_state import plain_torch
from ._axes import colour_of, coordinates, lay_out, positions_of, pyplot, set_ticks
from ._steps import through_pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

__all__ = ["AssociationDisplay"]

PANEL_SIZE = (3.6, 3.6)  # inches, of each association
TITLES = {"S": "series, $S$", "P": "prior, $P$"}
# The colour is the cube root of the weight: a narrow prior has a few large weights, attention many small ones.
COLOUR_EXPONENT = 1 / 3
COLOUR_TICKS = 5


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
    positions : ndarray of shape (window_size,), numbers or times, default=None
        Coordinate of each row of the window on both axes; row numbers if None.

    Attributes
    ----------
    images_ : list of matplotlib.image.AxesImage
        One per association.
    marks_ : list of tuple of matplotlib.lines.Line2D
        A triangle at each end of the requested row, per association.
    colorbar_ : matplotlib.colorbar.Colorbar
        Colour bar of the common scale.
    axes_ : ndarray of matplotlib.axes.Axes
        The axes with the plot.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    AnomalyScoreDisplay : Scores of a series.
    TrainingDisplay : The mean discrepancy of both by epoch.

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

    def __init__(
        self,
        *,
        associations: dict[str, NDArray[np.float32]],
        row: int,
        first_row: int,
        positions: NDArray[Any] | None = None,
    ) -> None:
        self.associations = associations
        self.row = row
        self.first_row = first_row
        self.positions = positions

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
        plt = pyplot()
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
        rows = np.arange(len(self.associations["S"])) + self.first_row if self.positions is None else self.positions
        self.images_ = [self._draw(ax, association, rows, norm) for ax, (_, association) in panels]
        self.marks_ = [self._mark(ax, image) for ax, image in zip(self.axes_, self.images_, strict=True)]
        for ax, (name, _) in panels:
            ax.set_title(TITLES[name])
            ax.set_xlabel("row attended to")
        begin = f", {pd.Timestamp(rows[0]):%Y-%m-%d}" if rows.dtype.kind in "MO" else ""  # no room at the ticks
        self.axes_[0].set_ylabel(f"attending row{begin}")
        self.colorbar_ = self.figure_.colorbar(
            self.images_[0],
            ax=self.axes_.tolist(),
            label="weight",
            ticks=norm.inverse(np.linspace(0.0, 1.0, COLOUR_TICKS)),
            format="%.2g",
        )
        lay_out(self.axes_[0])
        for ax in self.axes_:
            set_ticks(ax.xaxis, rows, dated=False)
            set_ticks(ax.yaxis, rows, dated=False)
        return self

    def _draw(self, ax: Axes, association: NDArray[np.float32], rows: NDArray[Any], norm: Any) -> AxesImage:
        """Draw one matrix; its cells have equal sizes, since rows are evenly spaced."""
        numbers = ax.xaxis.convert_units(coordinates(rows))
        half = (numbers[-1] - numbers[0]) / (len(numbers) - 1) / 2
        begin, end = numbers[0] - half, numbers[-1] + half
        # A pixel that covers several cells has the colour of their mean.
        return ax.imshow(
            association, norm=norm, cmap="viridis", extent=(begin, end, end, begin), interpolation_stage="data"
        )

    def _mark(self, ax: Axes, image: AxesImage) -> tuple[Line2D, Line2D]:
        """Point to the requested row from both sides; a frame would cover it in a long window."""
        from matplotlib.markers import CARETLEFT, CARETRIGHT

        begin, end, _, _ = image.get_extent()
        height = begin + (end - begin) * (self.row - self.first_row + 0.5) / len(self.associations["S"])
        ends = [
            ax.plot(
                side, height, transform=ax.get_yaxis_transform(), color=colour_of("C3"), marker=marker, clip_on=False
            )[0]
            for side, marker in ((0.0, CARETRIGHT), (1.0, CARETLEFT))
        ]
        return ends[0], ends[1]

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
            The series; at least `window_size` rows. The index of a DataFrame gives the positions if it holds increasing
            numbers or times.
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
        positions = positions_of(X)
        detector, X = through_pipeline(estimator, X)
        network = _associating_network(detector)
        series = detector._scaled_series(X, groups)
        row = index(row)
        if not 0 <= row < len(series):
            raise ValueError(f"row={row} is not a row of X; expected a number from 0 to {len(series) - 1}.")
        size = network.window.window_size
        number = int(np.searchsorted(series.borders, row, side="right")) - 1
        first_row = int(np.clip(row - size // 2, series.borders[number], series.borders[number + 1] - size))
        window = slice(first_row, first_row + size)
        return cls(
            associations=_associations(network, series.values[window]),
            row=row,
            first_row=first_row,
            positions=None if positions is None else positions[window],
        ).plot(axes)


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
