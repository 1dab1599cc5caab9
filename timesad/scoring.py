"""From what is known of each row to its score.

Squared errors, averaged over the windows that hold a row → smoothed over time → calibrated per channel by the tail of
its training rows → plus, so calibrated, the channel's level, which a window brought to mean 0 cannot see → the largest
channel → smoothed again. All but the last two steps are taken at two horizons: a wide one, for anomalies that last,
and a near one, for where they begin and end. What the memory says of a row is multiplied to this score, or the
discrepancy added to it, where a rule asks for either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .calibration import TailCalibration, root_mean_square, smooth, smooth_level
from .evidence import ChannelEvidence, Evidence

__all__ = ["DISCREPANCY_RULES", "SCORE_RULES", "RowScorer"]

DISCREPANCY_RULES = ("discrepancy", "sum", "product")
SCORE_RULES = ("reconstruction", "memory", *DISCREPANCY_RULES)
NEAR_SHARE = 2  # the near horizon is so many times shorter than the wide one
NEAR_WEIGHT = 2 / 3  # of what the near horizon says
FINISH_SHARE = 8  # and the score is smoothed once more over so many times fewer rows
POINT_SHARE = 0.1  # of a single row's calibrated error stays unsmoothed
SMALLEST_FACTOR = 0.05  # of the product with the memory: a row that is calmer than typical still has an order


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
    memory_weight : float
        Power of the memory's factor in the product with it (`MemoryScorer`): with 0 it says nothing.
    """

    rule: str
    smoothing: int
    level_weight: float
    channels: tuple[ChannelScorer, ...]
    priors: tuple[TailCalibration, ...]
    memory_weight: float

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
        memory_weight: float = 1.0,
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
            memory_weight=memory_weight,
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
            score = np.sqrt(factor(score) * factor(memory) ** self.memory_weight) - 1.0
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


def factor(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """A calibrated score to multiply with: typical is 1 and not 0.

    In the geometric mean of two factors, what only one of them finds strange counts less than what both do.
    """
    return np.maximum(1.0 + score, SMALLEST_FACTOR)
