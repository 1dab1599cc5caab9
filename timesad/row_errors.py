"""From a network's window errors to row errors.

For each row and channel: the squared reconstruction error, divided by what is typical at its position in the window,
averaged over the windows that contain the row. The discrepancy, where the network has one, is standardised by position
and averaged over the same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .accelerator import Recorded, send
from .arrays import Array, beside, double, library
from .nn.networks import ReconstructionNetwork
from .windows import MOST_KNOWN, OverlapAverage, WindowSet

__all__ = [
    "KnownErrors",
    "PositionCalibration",
    "RowErrors",
    "WindowErrors",
    "average_over_windows",
    "batch_errors",
    "window_errors",
]

SCORING_BATCH = 64  # windows; does not change a score beyond rounding
ACCELERATOR_BATCH = 512  # the same on an accelerator, which is slower to start a batch than to compute it
MIN_ERROR = 1e-12  # squared standard deviations; keeps a logarithm finite
ERROR_FLOOR = 1e-4  # squared standard deviations, inside the logarithm of the geometric mean
LARGEST_RATIO = 4.0  # of held-out to trained errors; more is a change of regime, not a network that fits its rows
MIN_SPREAD = 1e-7  # of the discrepancy: the rounding of float32
MIN_SPREAD_FRACTION = 0.05  # of the positions' median spread; no position's spread is smaller


class WindowErrors(NamedTuple):
    """Output of a network for a batch of windows."""

    starts: NDArray[np.intp]  # (batch,), first row of each window
    deviation: Tensor  # (batch, time, channel), row minus reconstruction while the row was hidden
    discrepancy: Tensor | None = None  # (batch, time, prior)

    @property
    def squared_error(self) -> Tensor:
        """Square of the deviation, (batch, time, channel)."""
        return self.deviation.square()


@torch.inference_mode()
def batch_errors(
    network: ReconstructionNetwork, x: Tensor, missing: Tensor | None = None, *, with_discrepancy: bool
) -> tuple[Tensor, Tensor | None]:
    """Row minus reconstruction, (batch, time, channel), and discrepancy, (batch, time, prior), of a batch of windows.

    The network runs once for each complementary mask. A row's deviation comes from the pass that hides it: the network
    predicts the row from its context and cannot copy it. The discrepancy is the mean over the passes. Missing cells,
    (batch, time, channel), are hidden in every pass.
    """
    deviation = torch.zeros_like(x)
    discrepancies = []
    for hidden in [mask.expand(len(x), -1) for mask in network.masks] or [None]:
        counted = 1.0 if hidden is None else hidden[..., None]
        unseen = hidden
        if missing is not None:
            unseen = missing if hidden is None else missing | hidden[..., None]
        if with_discrepancy:
            output = network(x, unseen)
            reconstruction = output.reconstruction
            discrepancies.append(output.discrepancy)
        else:
            reconstruction = network.reconstruct(x, unseen)
        deviation += (x - reconstruction) * counted
    return deviation, torch.stack(discrepancies).mean(dim=0) if discrepancies else None


def window_errors(
    network: ReconstructionNetwork, windows: WindowSet, device: torch.device, *, with_discrepancy: bool
) -> Iterator[WindowErrors]:
    """Run the network on all windows, one batch at a time; see `batch_errors`.

    Parameters
    ----------
    network : ReconstructionNetwork
        Trained, in evaluation mode, on `device`.
    windows : WindowSet
        Windows to reconstruct.
    device : torch.device
        Where the network is.
    with_discrepancy : bool
        Whether to compute the discrepancy; the network then needs associations.

    Yields
    ------
    errors : WindowErrors
    """

    def run(x: Tensor, missing: Tensor | None) -> dict[str, Tensor]:
        deviation, discrepancy = batch_errors(network, x, missing, with_discrepancy=with_discrepancy)
        output = {"deviation": deviation}
        return output if discrepancy is None else output | {"discrepancy": discrepancy}

    recorded = Recorded(run)
    with network.frozen():
        for starts, x in windows.batches(SCORING_BATCH if device.type == "cpu" else ACCELERATOR_BATCH):
            missing = windows.batch_missing(starts)
            yield WindowErrors(starts, **recorded(send(x, device), None if missing is None else send(missing, device)))


class KnownErrors:
    """Errors of a stream's windows by row number: the network runs on new windows only.

    The rows of a number must stay the same from call to call.
    """

    def __init__(self) -> None:
        self._of_window: dict[int, tuple[Tensor, ...]] = {}  # deviation and, if there is one, discrepancy

    def window_errors(
        self,
        network: ReconstructionNetwork,
        windows: WindowSet,
        device: torch.device,
        *,
        with_discrepancy: bool,
        first_row: int,
    ) -> Iterator[WindowErrors]:
        """As of the function `window_errors`; forgets the windows that are not asked for.

        Parameters
        ----------
        network, windows, device, with_discrepancy
            As there; all but the windows the same in each call.
        first_row : int
            Number of the windows' first row in the stream.

        Yields
        ------
        errors : WindowErrors
        """
        if len(windows) > MOST_KNOWN:
            self._of_window = {}
            yield from window_errors(network, windows, device, with_discrepancy=with_discrepancy)
            return
        numbers = (windows.starts + first_row).tolist()
        new = windows.part(np.array([number not in self._of_window for number in numbers]))
        found = {number: self._of_window[number] for number in numbers if number in self._of_window}
        for starts, *columns in window_errors(network, new, device, with_discrepancy=with_discrepancy):
            of_batch = zip(*(column for column in columns if column is not None), strict=True)
            found.update(zip((starts + first_row).tolist(), of_batch, strict=True))
        self._of_window = found
        for begin in range(0, len(numbers), SCORING_BATCH):
            batch = slice(begin, begin + SCORING_BATCH)
            stacked = [
                torch.stack(column) for column in zip(*(found[number] for number in numbers[batch]), strict=True)
            ]
            yield WindowErrors(windows.starts[batch], *stacked)


@dataclass(frozen=True)
class PositionCalibration:
    """Typical error and discrepancy at each position of a window.

    A row at a window's edge has context on one side only, so its error is larger.

    Parameters
    ----------
    error : Array of shape (window_size,)
        Geometric mean of the squared error at each position, divided by the mean over positions.
    center, spread : Array of shape (window_size, n_priors)
        Mean and standard deviation of the discrepancy; no columns without a discrepancy.
    """

    error: Array
    center: Array
    spread: Array

    @classmethod
    def fit(cls, batches: Iterable[WindowErrors]) -> PositionCalibration:
        """Fit on the errors of training windows."""
        errors, discrepancies = [], []
        for _, deviation, discrepancy in batches:
            errors.append(deviation.square().mean(dim=-1).double().cpu().numpy())
            none = deviation.new_empty(*deviation.shape[:2], 0)
            discrepancies.append((none if discrepancy is None else discrepancy).double().cpu().numpy())
        # A few windows with a huge error move a geometric mean less than a mean.
        typical = np.exp(np.log(np.maximum(np.concatenate(errors), MIN_ERROR)).mean(axis=0))
        every = np.concatenate(discrepancies)  # (window, time, prior)
        spread = every.std(axis=0)
        floor = MIN_SPREAD_FRACTION * np.maximum(np.median(spread, axis=0), MIN_SPREAD)
        return cls(typical / typical.mean(), every.mean(axis=0), np.maximum(spread, floor))

    def on(self, device: torch.device) -> PositionCalibration:
        """The same calibration as tensors on a device, so that no batch waits for a copy."""
        parts = self.error, self.center, self.spread
        return PositionCalibration(*(torch.as_tensor(part).to(device) for part in parts))

    def level_error(self, squared_error: Tensor) -> Tensor:
        """Squared error, (batch, time, channel), divided by the typical error of its position."""
        return squared_error / torch.as_tensor(self.error).to(squared_error)[:, None]

    def closeness(self, discrepancy: Tensor) -> Tensor:
        """(center - D) / spread, (batch, time, prior): large where S is unusually close to the prior."""
        center, spread = (torch.as_tensor(one).to(discrepancy.device) for one in (self.center, self.spread))
        return ((center - discrepancy) / spread).float()


class RowErrors(NamedTuple):
    """Errors of each row over the windows that contain it.

    Parameters
    ----------
    mean : Array of shape (n_rows, n_channels), float32
        Arithmetic mean of the squared errors, in squared standard deviations of the training series.
    geometric_mean : Array of shape (n_rows, n_channels), float32
        Geometric mean of the squared errors. A normal row beside an anomaly has a large error only in windows that
        also contain the anomaly; the geometric mean stays small there.
    closeness : Array of shape (n_rows, n_priors), float32
        Mean standardised closeness of S to each prior; no columns without a discrepancy.
    deviation : Array of shape (n_rows, n_channels), float32
        Mean of row minus reconstruction, in standard deviations; no columns unless asked for.
    """

    mean: Array
    geometric_mean: Array
    closeness: Array
    deviation: Array

    def without(self, missing: NDArray[np.bool_] | None) -> RowErrors:
        """The same errors, but none in missing cells, (n_rows, n_channels); None changes nothing."""
        if missing is None:
            return self
        xp, hidden = library(self.mean), beside(missing, self.mean)
        return self._replace(
            mean=xp.where(hidden, 0.0, self.mean),
            geometric_mean=xp.where(hidden, ERROR_FLOOR, self.geometric_mean),
            deviation=xp.where(hidden, 0.0, self.deviation) if self.deviation.shape[1] else self.deviation,
        )

    def as_unseen(self, held_out: NDArray[np.bool_]) -> RowErrors:
        """Errors of training rows, had the network not been trained on them.

        Errors of the rows it was trained on are multiplied by the ratio of held-out to trained errors, channel by
        channel: the quotient of their geometric means, at least 1 and at most 4.

        Parameters
        ----------
        held_out : ndarray of shape (n_rows,)
            Rows that the network was not trained on. Without any, or with all, the errors are returned unchanged.
        """
        if not held_out.any() or held_out.all():
            return self
        xp, held = library(self.mean), beside(held_out, self.mean)
        logarithm = xp.log(double(self.geometric_mean))
        ratio = xp.exp(logarithm[held].mean(axis=0) - logarithm[~held].mean(axis=0)).clip(1.0, LARGEST_RATIO)
        factor = xp.asarray(xp.where(held[:, None], 1.0, ratio), dtype=self.mean.dtype)
        return self._replace(mean=self.mean * factor, geometric_mean=self.geometric_mean * factor)


def average_over_windows(
    batches: Iterable[WindowErrors],
    positions: PositionCalibration,
    n_rows: int,
    n_channels: int,
    *,
    signed: bool = False,
) -> RowErrors:
    """Average window errors over the windows that contain each row.

    Parameters
    ----------
    batches : iterable of WindowErrors
        Errors of windows that together contain every row.
    positions : PositionCalibration
        Typical errors by position.
    n_rows, n_channels : int
        Shape of the series.
    signed : bool, default=False
        Whether to average the deviation, too.

    Returns
    -------
    errors : RowErrors
    """
    average = None
    for starts, deviation, discrepancy in batches:
        if average is None:
            positions = positions.on(deviation.device)
        levelled = positions.level_error(deviation.square())
        columns = [levelled, (levelled + ERROR_FLOOR).log()]
        if signed:
            columns.append(deviation)
        if discrepancy is not None:
            columns.append(positions.closeness(discrepancy))
        values = torch.cat(columns, dim=-1)  # (batch, time, column)
        if average is None:
            average = OverlapAverage(n_rows, values.shape[-1], values.device)
        average.add(starts, values)
    assert average is not None, "a series has at least one window"
    rows = average.average()
    signs, closeness = 2 * n_channels, (3 if signed else 2) * n_channels  # where their columns begin
    logarithm = rows[:, n_channels:signs]
    geometric_mean = library(rows).exp(logarithm, out=logarithm)
    return RowErrors(rows[:, :n_channels], geometric_mean, rows[:, closeness:], rows[:, signs:closeness])
