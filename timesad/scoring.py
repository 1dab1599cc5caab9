"""From what the network says of windows to one score a row.

The way of a score: squared reconstruction error of each row and channel, in units of what is usual at its position
in a window, averaged over the windows that hold the row → smoothed over time → calibrated per channel by the tail of
its training rows → plus, so calibrated, the channel's level, which a window brought to mean 0 cannot see → the largest
channel → smoothed again. All but the last two steps are taken at two horizons: a wide one, for anomalies that last,
and a near one, for where they begin and end. The distance to the memory, where a rule asks for it, is that of the
strangest window around a row and that of the row itself, in units that anomalies among the training rows hardly set;
it is multiplied to this score. The discrepancy, where a rule asks for it, is standardised per position, so that no
position is systematically near zero, and averaged over the same windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from sklearn.utils import Bunch
from torch import Tensor

from .memory import ChannelDistance, WindowMemory
from .nn.networks import ReconstructionNetwork
from .windows import OverlapAverage, WindowSet

__all__ = [
    "DISCREPANCY_RULES",
    "MIXED_BLOCKS",
    "SCORE_RULES",
    "Evidence",
    "MemoryScorer",
    "PositionCalibration",
    "RowScorer",
    "TailCalibration",
    "calibrate_positions",
    "gather_evidence",
    "smooth",
]

DISCREPANCY_RULES = ("discrepancy", "sum", "product")
SCORE_RULES = ("reconstruction", "memory", *DISCREPANCY_RULES)
PRODUCT_TEMPERATURE = 50.0  # of the official code's softmax(-50 D)
CALIBRATION_WINDOWS = 512  # evenly spread training windows that the position statistics are read from
SMALLEST_ERROR = 1e-12  # squared standard deviations
SMALLEST_AGREED = 1e-4  # squared standard deviations; a window that rebuilds a row even better outvotes no more
NEAR_SHARE = 2  # the near horizon is so many times shorter than the wide one
NEAR_WEIGHT = 2 / 3  # of what the near horizon says
FINISH_SHARE = 8  # and the score is smoothed once more over so many times fewer rows
SMALLEST_SCALE = 1e-7  # the rounding of float32: what varies less does not vary
SCALE_SHARE = 0.05  # no position's scale falls below this share of the positions' median scale
TAIL_SHARE = 0.01  # of the training rows make up a channel's tail
SMALLEST_TAIL = 5  # rows
MIXED_BLOCKS = 4  # parts of training rows that hold anomalies; the median of their tails is calibrated by
SMALLEST_HEIGHT = 0.1  # standard deviations of the series
POINT_SHARE = 0.1  # of a single row's calibrated error stays unsmoothed
SMALLEST_FACTOR = 0.05  # of the product with the memory: a row that is calmer than typical still has an order


@dataclass(frozen=True)
class PositionCalibration:
    """What is usual at each in-window position of training windows.

    A row at a window's edge has context on one side only and is rebuilt worse; the first and last rows of a series are
    always at an edge.

    Parameters
    ----------
    error : ndarray of shape (window_size,)
        Typical squared error, relative to that of all positions.
    center, spread : ndarray of shape (window_size, n_priors)
        Mean and standard deviation of the discrepancy; without columns where nobody asks for it.
    """

    error: NDArray[np.float64]
    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    @property
    def n_priors(self) -> int:
        """Priors whose discrepancy is calibrated."""
        return self.center.shape[1]

    def level_error(self, error: NDArray[np.floating]) -> NDArray[np.floating]:
        """Squared error, (batch, time, channel), as if every position were rebuilt equally well."""
        return error / self.error[:, None]

    def closeness(self, discrepancy: NDArray[np.floating]) -> NDArray[np.floating]:
        """Standard deviations by which D falls short of its position's mean: large = associates abnormally closely."""
        return (self.center - discrepancy) / self.spread


@dataclass(frozen=True)
class Evidence:
    """What the windows say of each row, averaged over the windows that hold it.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
        The scaled rows themselves.
    error : ndarray of shape (n_rows, n_channels)
        Squared reconstruction error, in squared standard deviations of the training series.
    agreed : ndarray of shape (n_rows, n_channels)
        The same by the geometric mean. Normal rows beside an anomaly are badly rebuilt in the windows that the anomaly
        spoils, and well in the others; here the others count, and only what no context explains stays large.
    closeness : ndarray of shape (n_rows, n_priors) or None
        Calibrated discrepancy with its sign turned, a column for each prior.
    product : ndarray of shape (n_rows,) or None
        The published score, softmax(-50 D) times the error, where it was asked for.
    memory : ndarray of shape (n_rows,) or None
        What the memory says of each row (`MemoryScorer`), where it was asked for.
    """

    values: NDArray[np.float32]
    error: NDArray[np.float32]
    agreed: NDArray[np.float32]
    closeness: NDArray[np.float32] | None
    product: NDArray[np.float32] | None
    memory: NDArray[np.float64] | None

    def by_channel(self) -> Iterator[ChannelEvidence]:
        """Each channel's columns in double precision, one channel at a time: memory is that of one."""
        for columns in zip(self.values.T, self.error.T, self.agreed.T, strict=True):
            yield ChannelEvidence(*(column.astype(np.float64) for column in columns))

    def by_prior(self) -> Iterator[NDArray[np.float64]]:
        """The closeness to each prior in double precision, one prior at a time; nothing without the discrepancy."""
        for column in () if self.closeness is None else self.closeness.T:
            yield column.astype(np.float64)


class ChannelEvidence(NamedTuple):
    """One channel of `Evidence`, (n_rows,) each."""

    values: NDArray[np.float64]
    error: NDArray[np.float64]
    agreed: NDArray[np.float64]


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
    network: ReconstructionNetwork,
    windows: WindowSet,
    *,
    with_discrepancy: bool,
    batch_size: int,
    device: torch.device,
) -> PositionCalibration:
    """Read what is usual at each position off evenly spread training windows."""
    errors, discrepancies = [], []
    for _, x in windows.thinned(CALIBRATION_WINDOWS).batches(batch_size):
        error, discrepancy = judge_windows(network, x.to(device), with_discrepancy=with_discrepancy)
        errors.append(error.mean(dim=-1).double().cpu().numpy())
        discrepancies.append(np.empty((*x.shape[:2], 0)) if discrepancy is None else discrepancy.double().cpu().numpy())
    # The geometric mean: a few windows that cannot be rebuilt are no reason to trust their position less.
    usual = np.exp(np.log(np.maximum(np.concatenate(errors), SMALLEST_ERROR)).mean(axis=0))
    every = np.concatenate(discrepancies)  # (window, time, prior)
    spread = every.std(axis=0)
    typical = np.maximum(np.median(spread, axis=0), SMALLEST_SCALE)
    return PositionCalibration(usual / usual.mean(), every.mean(axis=0), np.maximum(spread, SCALE_SHARE * typical))


def gather_evidence(
    network: ReconstructionNetwork,
    windows: WindowSet,
    calibration: PositionCalibration,
    *,
    memory: NDArray[np.float64] | None,
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
    calibration : PositionCalibration
        Of the windows' positions.
    memory : ndarray of shape (n_rows,) or None
        What the memory says of each row, if it is asked.
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
    n_priors = calibration.n_priors
    n_errors = 2 * n_channels
    rows = OverlapAverage(n_rows, n_errors + n_priors + with_product)
    for starts, x in windows.batches(batch_size):
        error, discrepancy = judge_windows(network, x.to(device), with_discrepancy=n_priors > 0)
        levelled = calibration.level_error(error.cpu().numpy())
        columns = [levelled, np.log(levelled + SMALLEST_AGREED)]
        if discrepancy is not None:
            columns.append(calibration.closeness(discrepancy.cpu().numpy()))
        if with_product and discrepancy is not None:
            weight = torch.softmax(-PRODUCT_TEMPERATURE * discrepancy.mean(dim=-1), dim=-1)  # (batch, time)
            columns.append((weight * error.mean(dim=-1))[..., None].cpu().numpy())
        rows.add(starts, np.concatenate(columns, axis=-1))
    average = rows.average()
    return Evidence(
        windows.values,
        average[:, :n_channels],
        np.exp(average[:, n_channels:n_errors], out=average[:, n_channels:n_errors]),
        average[:, n_errors : n_errors + n_priors] if n_priors else None,
        average[:, -1] if with_product else None,
        memory,
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
    """How unusual a channel's evidence is, in units of what training rows show at their most unusual.

    Evidence z becomes (z - m) / h: m is the median of the training rows, and h the height above it of the mean of
    their largest percent. 0 is typical and 1 is as unusual as training rows ever get, in every channel: a heavy-tailed
    channel must do more to stand out than a calm one.

    Parameters
    ----------
    center, height : float
        m and h.
    """

    center: float
    height: float

    @classmethod
    def learn(cls, evidence: NDArray[np.float64], n_blocks: int) -> TailCalibration:
        """Read m and h off training rows, (n_rows,), in so many blocks: h is the median of theirs.

        h is at least 0.1 standard deviations of the series: a channel that stood still in training is heard when it
        wakes up, but its first twitch does not outweigh all others.
        """
        tail = float(np.median([mean_of_tail(block) for block in np.array_split(evidence, n_blocks)]))
        center = float(np.median(evidence))
        return cls(center, max(tail - center, SMALLEST_HEIGHT))

    def centered_on(self, evidence: NDArray[np.float64]) -> TailCalibration:
        """Calibration with the same unit, to which these training rows are typical."""
        return TailCalibration(float(np.median(evidence)), self.height)

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated evidence, of the same shape."""
        return (evidence - self.center) / self.height


def mean_of_tail(evidence: NDArray[np.float64]) -> float:
    """Mean of the largest percent, (n_rows,) -> number."""
    n_tail = min(max(round(TAIL_SHARE * len(evidence)), SMALLEST_TAIL), len(evidence))
    return float(np.partition(evidence, len(evidence) - n_tail)[-n_tail:].mean())


@dataclass(frozen=True)
class MemoryScorer:
    """What the distance to the memory says of each row, calibrated per channel.

    The strangest window that holds a row tells of shapes that never were, and the row's own distance where they are.
    Both count the same, and of all channels the farthest.

    Parameters
    ----------
    memory : WindowMemory
        What windows are compared with.
    smoothing : int
        Rows that the row's own distance is smoothed over.
    channels : tuple of (TailCalibration, TailCalibration)
        Of the window's distance and of the row's, a pair for each channel.
    """

    memory: WindowMemory
    smoothing: int
    channels: tuple[tuple[TailCalibration, ...], ...]

    @classmethod
    def learn(
        cls,
        memory: WindowMemory,
        windows: WindowSet,
        smoothing: int,
        borders: NDArray[np.intp],
        device: torch.device | str,
    ) -> tuple[MemoryScorer, NDArray[np.float64]]:
        """Calibrate on windows that hold all training rows; also returns what the scorer says of these rows.

        The unit is the tail of their distances with everything counted: a window to itself, to its surroundings and to
        its likes. It says how finely the memory knows what the series holds. An anomaly among the training rows lies
        near itself, so that it hardly sets the unit, and neither does what is normal but seldom. What is typical, and
        becomes 0, is read off the distances as they are scored.
        """
        channels = []
        farthest = np.full(len(windows.values), -np.inf)
        every = zip(memory.distances(windows, device), memory.distances(windows, device, own_counts=True), strict=True)
        for scored, with_own in every:
            evidence = memory_evidence(scored, smoothing, borders)
            tails = tuple(
                TailCalibration.learn(unit, n_blocks=1).centered_on(one)
                for unit, one in zip(memory_evidence(with_own, smoothing, borders), evidence, strict=True)
            )
            channels.append(tails)
            np.maximum(farthest, mean_of_calibrated(tails, evidence), out=farthest)
        return cls(memory, smoothing, tuple(channels)), farthest

    def __call__(
        self, windows: WindowSet, borders: NDArray[np.intp], device: torch.device | str
    ) -> NDArray[np.float64]:
        """Calibrated distance of each row in the channel where it is largest, (n_rows,)."""
        farthest = np.full(len(windows.values), -np.inf)
        for tails, distance in zip(self.channels, self.memory.distances(windows, device), strict=True):
            evidence = memory_evidence(distance, self.smoothing, borders)
            np.maximum(farthest, mean_of_calibrated(tails, evidence), out=farthest)
        return farthest


def memory_evidence(
    distance: ChannelDistance, smoothing: int, borders: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The window's and the row's distance in standard deviations, (n_rows,) each, the latter smoothed."""
    of_window, of_row = (squares.astype(np.float64) for squares in distance)
    return np.sqrt(of_window), root_mean_square(of_row, smoothing, borders)


def mean_of_calibrated(
    tails: Sequence[TailCalibration], evidence: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Mean of several kinds of evidence, each calibrated by its own tail."""
    return np.mean([tail(one) for tail, one in zip(tails, evidence, strict=True)], axis=0)


@dataclass(frozen=True)
class HorizonScorer:
    """What a channel's error and level, smoothed over one horizon, say of each row, calibrated.

    Parameters
    ----------
    width : int
        Rows to smooth over.
    error, level : TailCalibration
        Of the smoothed errors and levels of training rows.
    """

    width: int
    error: TailCalibration
    level: TailCalibration

    @classmethod
    def learn(
        cls,
        error: NDArray[np.float64],
        values: NDArray[np.float64],
        width: int,
        borders: NDArray[np.intp],
        n_blocks: int,
    ) -> HorizonScorer:
        """Calibrate on the training rows' squared errors and values, both (n_rows,)."""
        return cls(
            width,
            TailCalibration.learn(root_mean_square(error, width, borders), n_blocks),
            TailCalibration.learn(smooth_level(values, width, borders), n_blocks),
        )

    def __call__(
        self, error: NDArray[np.float64], values: NDArray[np.float64], borders: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Calibrated error and level of any rows, both (n_rows,)."""
        return (
            self.error(root_mean_square(error, self.width, borders)),
            self.level(smooth_level(values, self.width, borders)),
        )


@dataclass(frozen=True)
class ChannelScorer:
    """What one channel says of each row.

    Parameters
    ----------
    near, wide : HorizonScorer
        Of the agreed error and of the mean one.
    point : TailCalibration
        Of single rows' agreed error.
    """

    near: HorizonScorer
    wide: HorizonScorer
    point: TailCalibration

    @classmethod
    def learn(cls, channel: ChannelEvidence, smoothing: int, borders: NDArray[np.intp], n_blocks: int) -> ChannelScorer:
        """Calibrate on training rows."""
        near = max(1, smoothing // NEAR_SHARE)
        return cls(
            HorizonScorer.learn(channel.agreed, channel.values, near, borders, n_blocks),
            HorizonScorer.learn(channel.error, channel.values, smoothing, borders, n_blocks),
            TailCalibration.learn(np.sqrt(channel.agreed), n_blocks),
        )

    def __call__(self, channel: ChannelEvidence, borders: NDArray[np.intp]) -> tuple[NDArray[np.float64], ...]:
        """Error and level, each of both horizons, and the single row's error, all (n_rows,)."""
        near_error, near_level = self.near(channel.agreed, channel.values, borders)
        wide_error, wide_level = self.wide(channel.error, channel.values, borders)
        point = POINT_SHARE * self.point(np.sqrt(channel.agreed))
        return blend(near_error, wide_error), blend(near_level, wide_level), point


def blend(near: NDArray[np.float64], wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean of what both horizons say."""
    return NEAR_WEIGHT * near + (1 - NEAR_WEIGHT) * wide


class Loudest:
    """The contribution of the channel that is loudest at each row, found channel by channel.

    No array is as large as the evidence: memory beside it is a few columns, however many channels there are.

    Parameters
    ----------
    n_rows : int
        Rows of the series.
    """

    def __init__(self, n_rows: int) -> None:
        self.error = np.full(n_rows, -np.inf)
        self.level = np.zeros(n_rows)
        self.channel = np.zeros(n_rows, dtype=np.intp)
        self.point = np.full(n_rows, -np.inf)
        self.point_channel = np.zeros(n_rows, dtype=np.intp)

    def hear(
        self, channel: int, error: NDArray[np.float64], point: NDArray[np.float64], level: NDArray[np.float64]
    ) -> None:
        """Take over the rows at which this channel is louder than those before it."""
        louder = error + level > self.error + self.level
        self.error[louder], self.level[louder], self.channel[louder] = error[louder], level[louder], channel
        louder = point > self.point
        self.point[louder], self.point_channel[louder] = point[louder], channel


@dataclass(frozen=True)
class RowScorer:
    """Calibrated score of each row from its evidence, and its parts.

    Parameters
    ----------
    rule : {"reconstruction", "memory", "discrepancy", "sum", "product"}
        Which evidence counts.
    smoothing : int
        Rows that errors and levels are smoothed over at the wide horizon; half as many at the near one. The score is
        smoothed again over an eighth as many.
    level_weight : float
        Weight of a channel's level beside its reconstruction error.
    channels : tuple of ChannelScorer
        One a channel.
    priors : tuple of TailCalibration
        Of the smoothed closeness to each prior.
    """

    rule: str
    smoothing: int
    level_weight: float
    channels: tuple[ChannelScorer, ...]
    priors: tuple[TailCalibration, ...]

    @classmethod
    def learn(
        cls,
        rule: str,
        smoothing: int,
        level_weight: float,
        evidence: Evidence,
        borders: NDArray[np.intp],
        *,
        n_blocks: int,
    ) -> RowScorer:
        """Calibrate on the evidence of training rows, in `n_blocks` blocks where anomalies may lie among them."""
        return cls(
            rule,
            smoothing,
            level_weight,
            channels=tuple(
                ChannelScorer.learn(channel, smoothing, borders, n_blocks) for channel in evidence.by_channel()
            ),
            priors=tuple(
                TailCalibration.learn(smooth(prior, smoothing, borders), n_blocks) for prior in evidence.by_prior()
            ),
        )

    @property
    def finish(self) -> int:
        """Rows that the score is smoothed over once more."""
        return self.smoothing // FINISH_SHARE

    def loudest(self, evidence: Evidence, borders: NDArray[np.intp]) -> Loudest:
        """What the loudest channel at each row says; the others are silent there.

        A share of a row's own error stays unsmoothed, so that among the rows around a spike the spike itself comes
        first.
        """
        loudest = Loudest(len(evidence.error))
        for index, (scorer, channel) in enumerate(zip(self.channels, evidence.by_channel(), strict=True)):
            error, level, point = scorer(channel, borders)
            loudest.hear(index, error, point, self.level_weight * level)
        return loudest

    def by_channel(self, loudest: Loudest, borders: NDArray[np.intp]) -> NDArray[np.float64]:
        """Contribution of each channel to the score by its error and level, (n_rows, n_channels)."""
        contributions = np.empty((len(loudest.error), len(self.channels)))
        both = loudest.error + loudest.level
        for index in range(len(self.channels)):
            heard = np.where(loudest.channel == index, both, 0.0)
            contributions[:, index] = smooth(heard, self.finish, borders)
            contributions[:, index] += np.where(loudest.point_channel == index, loudest.point, 0.0)
        return contributions

    def discrepancy_parts(self, evidence: Evidence, borders: NDArray[np.intp]) -> NDArray[np.float64]:
        """Contribution of each prior to the discrepancy part, (n_rows, n_priors)."""
        assert evidence.closeness is not None, "evidence was gathered without the discrepancy"
        assert self.priors, "the scorer has learned without the discrepancy"
        parts = [
            smooth(tail(smooth(prior, self.smoothing, borders)), self.finish, borders)
            for tail, prior in zip(self.priors, evidence.by_prior(), strict=True)
        ]
        return np.column_stack(parts) / len(parts)

    def explain(self, evidence: Evidence, borders: NDArray[np.intp], *, by_channel: bool = True) -> Bunch:
        """Score and parts of each row, as `BaseDeepDetector.explain` documents them."""
        n_rows, n_channels = evidence.error.shape
        reconstruction = level = memory = np.zeros(n_rows)
        channels = np.zeros((n_rows, n_channels if by_channel else 0))
        discrepancy = np.zeros((n_rows, 0))
        if self.rule != "discrepancy":
            loudest = self.loudest(evidence, borders)
            reconstruction = smooth(loudest.error, self.finish, borders) + loudest.point
            level = smooth(loudest.level, self.finish, borders)
            if by_channel:
                channels = self.by_channel(loudest, borders)
        if self.rule in ("discrepancy", "sum"):
            discrepancy = self.discrepancy_parts(evidence, borders)
        score = reconstruction + level + discrepancy.sum(axis=1)
        if self.rule == "product":
            assert evidence.product is not None, "evidence was gathered without the product"
            score = evidence.product.astype(np.float64)
        elif self.rule == "memory":
            assert evidence.memory is not None, "evidence was gathered without the memory"
            memory = evidence.memory
            score = agreement(score, memory)
        return Bunch(
            score=score,
            reconstruction=reconstruction,
            level=level,
            channels=channels,
            memory=memory,
            discrepancy=discrepancy,
        )

    def __call__(self, evidence: Evidence, borders: NDArray[np.intp]) -> NDArray[np.float64]:
        """Score of each row, (n_rows,), larger is more abnormal."""
        score: NDArray[np.float64] = self.explain(evidence, borders, by_channel=False).score
        return score


def agreement(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Geometric mean of two calibrated scores counted from -1, so that 0 stays typical.

    What only one of them finds strange counts less than what both do.
    """
    factors = (np.maximum(1.0 + score, SMALLEST_FACTOR) for score in (first, second))
    return np.sqrt(np.multiply(*factors)) - 1.0


def root_mean_square(error: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """Root of the smoothed squared error: in standard deviations of the series, as its level is."""
    # A running sum of squares can end a rounding below zero.
    return np.sqrt(np.maximum(smooth(error, width, borders), 0.0))


def smooth_level(values: NDArray[np.float64], width: int, borders: NDArray[np.intp]) -> NDArray[np.float64]:
    """How far the smoothed rows lie from the training mean, in standard deviations."""
    return np.abs(smooth(values, width, borders))
