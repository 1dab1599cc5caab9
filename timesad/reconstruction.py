"""The reconstruction score of each row, from a trained network.

For each channel: row errors → moving averages at two horizons → tail calibration. The channel's level, calibrated in
the same way, is added: a network that normalises each window cannot see a shift of the level. What has become typical
is subtracted: the median of this sum over the last rows, where it is positive. The score is the largest channel,
smoothed once more. The calibrated discrepancy is computed beside it where the network has associations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .arrays import Array, beside, double, library
from .calibration import (
    CONTAMINATED_BLOCKS,
    TailCalibration,
    absolute_level,
    root_mean_square,
    smooth,
    trailing_median,
)
from .local_evidence import LargestChannel, LocalEvidence, local_columns
from .nn.networks import AssociatingNetwork, ReconstructionNetwork
from .row_errors import PositionCalibration, RowErrors, WindowErrors, average_over_windows, window_errors
from .windows import Series

__all__ = ["ReconstructionParts", "ReconstructionScorer", "smoothed_closeness"]

CALIBRATION_WINDOWS = 512  # evenly spaced training windows for the position calibration, at most
NEAR_DIVISOR = 2  # near horizon = smoothing // NEAR_DIVISOR rows
NEAR_WEIGHT = 2 / 3  # of the near horizon; the wide one has the rest
FINAL_DIVISOR = 8  # the score is smoothed again over smoothing // FINAL_DIVISOR rows
LEVEL_WEIGHT = 0.3  # of the calibrated level, beside 1 for the calibrated error
DRIFT_WINDOWS = 10  # window lengths of past rows; their median is what has become typical


class ReconstructionParts(NamedTuple):
    """Parts of the reconstruction score, (n_rows,) each."""

    error: Array  # calibrated reconstruction error, above what has become typical
    level: Array  # weighted calibrated level
    by_channel: Array | None  # (n_rows, n_channels), sums to error + level
    discrepancy: Array | None  # calibrated closeness of S and P, mean over priors
    local: LocalEvidence | None = None  # calibrated errors over short horizons

    @property
    def score(self) -> Array:
        """Error + level, (n_rows,)."""
        return self.error + self.level


@dataclass(frozen=True)
class HorizonScorer:
    """Error and level of one channel, smoothed over one horizon and calibrated.

    Parameters
    ----------
    width : int
        Rows of the moving average.
    error, level : TailCalibration
        Fitted on the smoothed errors and levels of training rows.
    """

    width: int
    error: TailCalibration
    level: TailCalibration

    @classmethod
    def fit(cls, squares: Array, values: Array, width: int, borders: NDArray[np.intp], n_blocks: int) -> HorizonScorer:
        """Fit on squared errors and values of training rows, both (n_rows,)."""
        return cls(
            width,
            TailCalibration.fit(root_mean_square(squares, width, borders), n_blocks),
            TailCalibration.fit(absolute_level(values, width, borders), n_blocks),
        )

    def __call__(self, squares: Array, values: Array, borders: NDArray[np.intp]) -> tuple[Array, Array]:
        """Calibrated error and level of any rows, both (n_rows,)."""
        return (
            self.error(root_mean_square(squares, self.width, borders)),
            self.level(absolute_level(values, self.width, borders)),
        )


@dataclass(frozen=True)
class ChannelScorer:
    """Calibrated error and level of one channel: 2/3 of the near horizon and 1/3 of the wide one.

    Parameters
    ----------
    near : HorizonScorer
        Of the geometric mean error. It locates the first and last row of an anomaly.
    wide : HorizonScorer
        Of the mean error. It detects long anomalies.
    local : tuple of TailCalibration
        Of the geometric mean error over each short horizon.
    """

    near: HorizonScorer
    wide: HorizonScorer
    local: tuple[TailCalibration, ...]

    @classmethod
    def fit(cls, errors: RowErrors, series: Series, channel: int, smoothing: int, n_blocks: int) -> ChannelScorer:
        """Fit on training rows."""
        mean, geometric_mean, values = channel_columns(errors, series, channel)
        near = max(1, smoothing // NEAR_DIVISOR)
        return cls(
            HorizonScorer.fit(geometric_mean, values, near, series.borders, n_blocks),
            HorizonScorer.fit(mean, values, smoothing, series.borders, n_blocks),
            tuple(
                TailCalibration.fit(column, n_blocks)
                for column in local_columns(geometric_mean, smoothing, series.borders)
            ),
        )

    def __call__(self, errors: RowErrors, series: Series, channel: int) -> tuple[Array, Array]:
        """Calibrated error and level of any rows, both (n_rows,)."""
        mean, geometric_mean, values = channel_columns(errors, series, channel)
        near_error, near_level = self.near(geometric_mean, values, series.borders)
        wide_error, wide_level = self.wide(mean, values, series.borders)
        return blend(near_error, wide_error), blend(near_level, wide_level)

    def local_errors(self, errors: RowErrors, series: Series, channel: int, smoothing: int) -> list[Array]:
        """Calibrated error of any rows over each short horizon, (n_rows,) each."""
        columns = local_columns(errors.geometric_mean[:, channel], smoothing, series.borders)
        return [calibration(column) for calibration, column in zip(self.local, columns, strict=True)]


def channel_columns(errors: RowErrors, series: Series, channel: int) -> tuple[Array, ...]:
    """Mean error, geometric mean error and values of one channel in double precision, (n_rows,) each."""
    values = beside(series.values[:, channel], errors.mean)
    return tuple(double(column) for column in (errors.mean[:, channel], errors.geometric_mean[:, channel], values))


def smoothed_closeness(errors: RowErrors, series: Series, smoothing: int) -> list[Array]:
    """Moving average of the closeness to each prior, (n_rows,) each."""
    return [smooth(double(closeness), smoothing, series.borders) for closeness in errors.closeness.T]


def blend(near: Array, wide: Array) -> Array:
    """Weighted mean of both horizons."""
    return NEAR_WEIGHT * near + (1 - NEAR_WEIGHT) * wide


@dataclass(frozen=True)
class ReconstructionScorer:
    """Calibrated reconstruction score of a trained network.

    Parameters
    ----------
    network : ReconstructionNetwork
        Trained.
    stride : int
        Rows between the starts of consecutive windows.
    smoothing : int
        Rows of the wide moving average; see `NEAR_DIVISOR` and `FINAL_DIVISOR` for the others.
    positions : PositionCalibration
        Typical errors by position in a window.
    channels : tuple of ChannelScorer
        One per channel.
    priors : tuple of TailCalibration
        One per prior association; empty without associations.
    uses_past : bool
        Whether what has become typical is subtracted.
    """

    network: ReconstructionNetwork
    stride: int
    smoothing: int
    positions: PositionCalibration
    channels: tuple[ChannelScorer, ...]
    priors: tuple[TailCalibration, ...]
    uses_past: bool

    @classmethod
    def fit(
        cls,
        network: ReconstructionNetwork,
        series: Series,
        *,
        stride: int,
        smoothing: int,
        clean_training: bool,
        device: torch.device,
        held_out: NDArray[np.bool_] | None = None,
        uses_past: bool = True,
    ) -> tuple[ReconstructionScorer, ReconstructionParts, ReconstructionParts]:
        """Calibrate on training rows, and score them.

        Parameters
        ----------
        held_out : ndarray of shape (n_rows,), default=None
            Training rows that no optimiser step has used. None presumes that there are none.

        Returns
        -------
        scorer : ReconstructionScorer
        parts : ReconstructionParts
            Of the training rows.
        unseen : ReconstructionParts
            Of the training rows, had the network not been trained on them; see `RowErrors.as_unseen`. With local
            evidence.

        Raises
        ------
        FloatingPointError
            If the network reconstructs a row as NaN or infinity.
        """
        windows = series.windows(network.window.window_size, stride)
        with_discrepancy = isinstance(network, AssociatingNetwork)
        calibrated = list(
            window_errors(network, windows.thinned(CALIBRATION_WINDOWS), device, with_discrepancy=with_discrepancy)
        )
        positions = PositionCalibration.fit(calibrated)
        batches: Iterable[WindowErrors] = calibrated  # all windows, if there are at most so many
        if len(windows) > CALIBRATION_WINDOWS:
            batches = window_errors(network, windows, device, with_discrepancy=with_discrepancy)
        errors = average_over_windows(batches, positions, len(series), series.n_channels, signed=True)
        if not library(errors.mean).isfinite(errors.mean).all():
            raise FloatingPointError("the network reconstructs rows as NaN or infinity")
        errors = errors.without(series.missing)
        n_blocks = 1 if clean_training else CONTAMINATED_BLOCKS
        scorer = cls(
            network,
            stride,
            smoothing,
            positions,
            tuple(
                ChannelScorer.fit(errors, series, channel, smoothing, n_blocks) for channel in range(series.n_channels)
            ),
            tuple(
                TailCalibration.fit(closeness, n_blocks) for closeness in smoothed_closeness(errors, series, smoothing)
            ),
            uses_past,
        )
        unseen = errors if held_out is None else errors.as_unseen(held_out)
        return scorer, scorer.parts(errors, series), scorer.parts(unseen, series, with_local=True)

    def __call__(
        self,
        series: Series,
        device: torch.device,
        *,
        with_discrepancy: bool,
        by_channel: bool = False,
        with_local: bool = False,
    ) -> ReconstructionParts:
        """Score any rows.

        Parameters
        ----------
        series : Series
            Rows to score.
        device : torch.device
            Where to run the network.
        with_discrepancy : bool
            Whether to compute the discrepancy; without it the network skips its associations.
        by_channel : bool, default=False
            Whether to split the score by channel.
        with_local : bool, default=False
            Whether to compute the local evidence.
        """
        self.network.to(device)
        windows = series.windows(self.network.window.window_size, self.stride)
        if series.known is None:
            batches = window_errors(self.network, windows, device, with_discrepancy=with_discrepancy)
        else:
            batches = series.known.errors.window_errors(
                self.network, windows, device, with_discrepancy=with_discrepancy, first_row=series.first_row
            )
        errors = average_over_windows(batches, self.positions, len(series), series.n_channels, signed=with_local)
        return self.parts(errors.without(series.missing), series, by_channel=by_channel, with_local=with_local)

    def parts(
        self, errors: RowErrors, series: Series, *, by_channel: bool = False, with_local: bool = False
    ) -> ReconstructionParts:
        """Parts of the score from row errors."""
        xp, final = library(errors.mean), self.smoothing // FINAL_DIVISOR
        # One channel at a time: memory is a few columns, whatever the number of channels.
        error: Array = None
        level: Array = None
        largest: Array = None  # the channel with the largest error + level
        local = LargestChannel()
        for channel, scorer in enumerate(self.channels):
            new_error, new_level = scorer(errors, series, channel)
            new_level *= LEVEL_WEIGHT
            if self.uses_past:
                new_error -= self.typical(new_error + new_level, series.borders)
            if channel == 0:
                error, level, largest = new_error, new_level, xp.zeros_like(new_error, dtype=xp.int64)
            else:
                larger = new_error + new_level > error + level
                error, level = xp.where(larger, new_error, error), xp.where(larger, new_level, level)
                largest = xp.where(larger, channel, largest)
            if with_local:
                columns = scorer.local_errors(errors, series, channel, self.smoothing)
                local.add(channel, columns, errors.deviation[:, channel])
        split = None
        if by_channel:
            total = error + level
            split = xp.column_stack(
                [
                    smooth(xp.where(largest == channel, total, 0.0), final, series.borders)
                    for channel in range(len(self.channels))
                ]
            )
        return ReconstructionParts(
            smooth(error, final, series.borders),
            smooth(level, final, series.borders),
            split,
            self.discrepancy(errors, series) if errors.closeness.shape[1] else None,
            local.evidence() if with_local else None,
        )

    @property
    def memory_rows(self) -> int:
        """Earlier rows that set what has become typical."""
        return DRIFT_WINDOWS * self.network.window.window_size

    @property
    def step(self) -> int:
        """Rows between those that are read for it; a smoothed error hardly changes within so few rows."""
        return max(1, self.smoothing // FINAL_DIVISOR)

    def typical(self, calibrated: Array, borders: NDArray[np.intp]) -> Array:
        """What has become typical of a channel: the median over the last `DRIFT_WINDOWS` windows, at least 0."""
        return trailing_median(calibrated, self.memory_rows, self.step, borders).clip(min=0.0)

    def discrepancy(self, errors: RowErrors, series: Series) -> Array:
        """Calibrated closeness of S and P, mean over priors, (n_rows,): a small discrepancy is abnormal."""
        final = self.smoothing // FINAL_DIVISOR
        pairs = zip(self.priors, smoothed_closeness(errors, series, self.smoothing), strict=True)
        columns = [smooth(tail(closeness), final, series.borders) for tail, closeness in pairs]
        return sum(columns) / len(columns)
