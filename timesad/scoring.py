"""From what the network says of windows to one score a row.

The way of a score: squared reconstruction error of each row and channel, averaged over the windows that hold
the row → smoothed over time → calibrated per channel by the tail of its training rows → plus, so calibrated,
the channel's level, which a window brought to mean 0 cannot see → the largest channel → smoothed again. The
discrepancy, where a rule asks for it, is standardised per in-window position, so that no position is
systematically near zero, and averaged over the same windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from sklearn.utils import Bunch
from torch import Tensor

from .nn.networks import ReconstructionNetwork
from .windows import OverlapAverage, WindowSet

__all__ = [
    "SCORE_RULES",
    "Evidence",
    "PositionCalibration",
    "RowScorer",
    "TailCalibration",
    "calibrate_positions",
    "gather_evidence",
    "smooth",
]

SCORE_RULES = ("reconstruction", "discrepancy", "sum", "product")
PRODUCT_TEMPERATURE = 50.0  # of the official code's softmax(-50 D)
CALIBRATION_WINDOWS = 512  # evenly spread training windows that the position statistics are read from
SMALLEST_SCALE = 1e-7  # the rounding of float32: what varies less does not vary
SCALE_SHARE = 0.05  # no position's scale falls below this share of the positions' median scale
TAIL_SHARE = 0.01  # of the training rows make up a channel's tail
SMALLEST_TAIL = 5  # rows
SMALLEST_HEIGHT = 0.1  # standard deviations of the series
POINT_SHARE = 0.1  # of a single row's calibrated error stays unsmoothed


@dataclass(frozen=True)
class PositionCalibration:
    """Mean and spread of the discrepancy at each in-window position of training windows.

    Parameters
    ----------
    center, scale : ndarray of shape (window_size, n_priors)
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __call__(self, discrepancy: NDArray[np.floating]) -> NDArray[np.floating]:
        """Standard deviations by which D falls short of its position's mean: large = associates abnormally closely."""
        return (self.center - discrepancy) / self.scale


@dataclass(frozen=True)
class Evidence:
    """What the windows say of each row, averaged over the windows that hold it.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
        The scaled rows themselves.
    error : ndarray of shape (n_rows, n_channels)
        Squared reconstruction error, in squared standard deviations of the training series.
    closeness : ndarray of shape (n_rows, n_priors) or None
        Calibrated discrepancy with its sign turned, a column for each prior.
    product : ndarray of shape (n_rows,) or None
        The published score, softmax(-50 D) times the error, where it was asked for.
    """

    values: NDArray[np.float32]
    error: NDArray[np.float64]
    closeness: NDArray[np.float64] | None
    product: NDArray[np.float64] | None


@torch.inference_mode()
def judge_windows(network: ReconstructionNetwork, x: Tensor, *, with_discrepancy: bool) -> tuple[Tensor, Tensor | None]:
    """Squared error of each row where it was hidden, (batch, time, channel), and D, (batch, time, prior).

    Every complementary mask is applied in turn, so that each row is judged once by its context alone. D is averaged
    over the passes.
    """
    error = torch.zeros_like(x)
    discrepancies = []
    hides = [mask.expand(len(x), -1) for mask in network.masks] or [None]
    for hidden in hides:
        if with_discrepancy:
            output = network(x, hidden)
            reconstruction = output.reconstruction
            discrepancies.append(output.discrepancy)
        else:
            reconstruction = network.reconstruct(x, hidden)
        judged = 1.0 if hidden is None else hidden[..., None]
        error += (reconstruction - x) ** 2 * judged
    return error, torch.stack(discrepancies).mean(dim=0) if discrepancies else None


def calibrate_positions(
    network: ReconstructionNetwork, windows: WindowSet, batch_size: int, device: torch.device
) -> PositionCalibration:
    """Statistics of D per in-window position, from evenly spread training windows."""
    seen = []
    for _, x in windows.thinned(CALIBRATION_WINDOWS).batches(batch_size):
        _, discrepancy = judge_windows(network, x.to(device), with_discrepancy=True)
        assert discrepancy is not None
        seen.append(discrepancy.double().cpu().numpy())
    every = np.concatenate(seen)  # (window, time, prior)
    spread = every.std(axis=0)
    typical = np.maximum(np.median(spread, axis=0), SMALLEST_SCALE)
    return PositionCalibration(every.mean(axis=0), np.maximum(spread, SCALE_SHARE * typical))


def gather_evidence(
    network: ReconstructionNetwork,
    windows: WindowSet,
    calibration: PositionCalibration | None,
    *,
    with_product: bool,
    batch_size: int,
    device: torch.device,
) -> Evidence:
    """Judge all windows and average what they say of each row.

    Parameters
    ----------
    network : ReconstructionNetwork
        Trained, in evaluation mode.
    windows : WindowSet
        Windows that together hold every row.
    calibration : PositionCalibration or None
        Of the discrepancy; None leaves it out.
    with_product : bool
        Whether the published product score is wanted too.
    batch_size : int
        Windows at a time; has no influence on the result beyond rounding.
    device : torch.device
        Where the network is.

    Returns
    -------
    evidence : Evidence
    """
    n_rows, n_channels = windows.values.shape
    n_priors = 0 if calibration is None else calibration.center.shape[1]
    rows = OverlapAverage(n_rows, n_channels + n_priors + with_product)
    for starts, x in windows.batches(batch_size):
        error, discrepancy = judge_windows(network, x.to(device), with_discrepancy=calibration is not None)
        columns = [error.cpu().numpy()]
        if calibration is not None and discrepancy is not None:
            columns.append(calibration(discrepancy.cpu().numpy()))
        if with_product and discrepancy is not None:
            weight = torch.softmax(-PRODUCT_TEMPERATURE * discrepancy.mean(dim=-1), dim=-1)  # (batch, time)
            columns.append((weight * error.mean(dim=-1))[..., None].cpu().numpy())
        rows.add(starts, np.concatenate(columns, axis=-1))
    average = rows.average()
    return Evidence(
        windows.values,
        average[:, :n_channels],
        average[:, n_channels : n_channels + n_priors] if n_priors else None,
        average[:, -1] if with_product else None,
    )


def smooth(values: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Moving average over time with a triangular kernel that ends where a series ends.

    Parameters
    ----------
    values : ndarray of shape (n_rows,) or (n_rows, n_columns)
    width : int
        Half the kernel's foot, in rows; 1 leaves the values as they are.
    borders : ndarray of shape (n_series + 1,)
        Nothing is averaged across a border; at a series' ends its rows are mirrored.

    Returns
    -------
    smoothed : ndarray of the same shape

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.scoring import smooth
    >>> smooth(np.array([0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]), width=3, borders=np.array([0, 7])).tolist()
    [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]
    """
    if width <= 1:
        return values
    smoothed = np.empty_like(values)
    for begin, end in pairwise(borders):
        once = uniform_filter1d(values[begin:end], width, axis=0, mode="reflect")
        # The second pass is shifted back for even widths, so that the kernel stays centred.
        smoothed[begin:end] = uniform_filter1d(once, width, axis=0, mode="reflect", origin=-1 if width % 2 == 0 else 0)
    return smoothed


@dataclass(frozen=True)
class TailCalibration:
    """How unusual each channel's evidence is, in units of what training rows show at their most unusual.

    A channel's evidence z becomes (z - m) / h: m is the median of the training rows, and h the height above it of the
    mean of their largest percent. 0 is typical and 1 is as unusual as training rows ever get, in every channel: a
    heavy-tailed channel must do more to stand out than a calm one.

    Parameters
    ----------
    center, height : ndarray of shape (n_channels,)
        m and h.
    """

    center: NDArray[np.float64]
    height: NDArray[np.float64]

    @classmethod
    def learn(cls, evidence: NDArray[np.float64]) -> TailCalibration:
        """Read m and h off training rows, (n_rows, n_channels).

        h is at least 0.1 standard deviations of the series: a channel that stood still in training is heard when it
        wakes up, but its first twitch does not outweigh all others.
        """
        n_tail = min(max(round(TAIL_SHARE * len(evidence)), SMALLEST_TAIL), len(evidence))
        tail = np.partition(evidence, len(evidence) - n_tail, axis=0)[-n_tail:]
        center = np.median(evidence, axis=0)
        return cls(center, np.maximum(tail.mean(axis=0) - center, SMALLEST_HEIGHT))

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated evidence, of the same shape."""
        return (evidence - self.center) / self.height


@dataclass(frozen=True)
class RowScorer:
    """Calibrated score of each row from its evidence, and its parts.

    Parameters
    ----------
    rule : {"reconstruction", "discrepancy", "sum", "product"}
        Which evidence counts.
    smoothing : int
        Rows that errors and levels are smoothed over; the score is smoothed again over half as many.
    level_weight : float
        Weight of a channel's level beside its reconstruction error.
    error_tail, point_tail, level_tail : TailCalibration
        Of the smoothed errors, single rows' errors and smoothed levels of the training rows.
    closeness_tail : TailCalibration or None
        Of their smoothed closeness to each prior.
    """

    rule: str
    smoothing: int
    level_weight: float
    error_tail: TailCalibration
    point_tail: TailCalibration
    level_tail: TailCalibration
    closeness_tail: TailCalibration | None

    @classmethod
    def learn(
        cls, rule: str, smoothing: int, level_weight: float, evidence: Evidence, borders: NDArray[np.intp]
    ) -> RowScorer:
        """Calibrate on the evidence of training rows."""
        return cls(
            rule,
            smoothing,
            level_weight,
            error_tail=TailCalibration.learn(root_mean_square(evidence.error, smoothing, borders)),
            point_tail=TailCalibration.learn(np.sqrt(evidence.error)),
            level_tail=TailCalibration.learn(smooth_level(evidence.values, smoothing, borders)),
            closeness_tail=None
            if evidence.closeness is None
            else TailCalibration.learn(smooth(evidence.closeness, smoothing, borders)),
        )

    def channel_parts(
        self, evidence: Evidence, borders: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Contribution of each channel by its reconstruction error and by its level, both (n_rows, n_channels).

        At each row the channel with the largest sum of both counts alone; smoothing then spreads it over rows. A
        share of the row's own error stays unsmoothed, so that among the rows around a spike the spike itself comes
        first.
        """
        error = self.error_tail(root_mean_square(evidence.error, self.smoothing, borders))
        level = np.zeros_like(error)
        if self.level_weight:
            level = self.level_weight * self.level_tail(smooth_level(evidence.values, self.smoothing, borders))
        others = all_but_largest(error + level)
        error[others] = level[others] = 0.0
        point = POINT_SHARE * self.point_tail(np.sqrt(evidence.error))
        point[all_but_largest(point)] = 0.0
        again = self.smoothing // 2
        return smooth(error, again, borders) + point, smooth(level, again, borders)

    def discrepancy_parts(self, evidence: Evidence, borders: NDArray[np.intp]) -> NDArray[np.float64]:
        """Contribution of each prior to the discrepancy part, (n_rows, n_priors)."""
        assert evidence.closeness is not None, "evidence was gathered without the discrepancy"
        assert self.closeness_tail is not None, "the scorer has learned without the discrepancy"
        calibrated = self.closeness_tail(smooth(evidence.closeness, self.smoothing, borders))
        return smooth(calibrated, self.smoothing // 2, borders) / calibrated.shape[1]

    def explain(self, evidence: Evidence, borders: NDArray[np.intp]) -> Bunch:
        """Score and parts of each row, as `BaseDeepDetector.explain` documents them."""
        error = level = np.zeros_like(evidence.error)
        discrepancy = np.zeros((len(evidence.error), 0))
        if self.rule != "discrepancy":
            error, level = self.channel_parts(evidence, borders)
        if self.rule in ("discrepancy", "sum"):
            discrepancy = self.discrepancy_parts(evidence, borders)
        channels = error + level
        score = evidence.product if self.rule == "product" else channels.sum(axis=1) + discrepancy.sum(axis=1)
        return Bunch(
            score=score,
            reconstruction=error.sum(axis=1),
            level=level.sum(axis=1),
            channels=channels,
            discrepancy=discrepancy,
        )

    def __call__(self, evidence: Evidence, borders: NDArray[np.intp]) -> NDArray[np.float64]:
        """Score of each row, (n_rows,), larger is more abnormal."""
        score: NDArray[np.float64] = self.explain(evidence, borders).score
        return score


def all_but_largest(columns: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True but for the largest entry of each row."""
    kept: NDArray[np.bool_] = np.arange(columns.shape[1]) != columns.argmax(axis=1)[:, None]
    return kept


def root_mean_square(error: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Root of the smoothed squared error: in standard deviations of the series, as its level is."""
    # A running sum of squares can end a rounding below zero.
    return np.sqrt(np.maximum(smooth(error, width, borders), 0.0))


def smooth_level(values: NDArray[np.float32], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """How far the smoothed rows lie from the training mean, in standard deviations."""
    return np.abs(smooth(values.astype(np.float64), width, borders))
