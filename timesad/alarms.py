"""From evidence to alarms: ranges of rows that say where, how sure and in which channels.

An alarm is found by the alarm score, which is smoothed and therefore sure. Its first and last row come from the local
evidence, which is precise. The level that the alarm score must exceed follows the recent rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing, maximum_filter1d

from .scoring import RowEvidence
from .thresholds import ScoreTail
from .windows import runs

__all__ = ["Alarm", "AlarmFinder", "AlarmOptions", "channel_shares", "direction_of"]

LEVEL_SHARE = 0.01  # of new normal rows exceed the level
LARGEST_FACTOR = 1.05  # times the largest training score plus one; the level plus one is at most that
BASELINE_QUANTILE = 0.9  # of the localised score of recent rows
BASELINE_FACTOR = 2.75  # times the baseline; the alarm score must exceed it
MEMORY_ROWS = 2000  # recent rows of the baseline, at least; a third of the training rows if that is more
MEMORY_DIVISOR = 3
UPDATES = 64  # of the baseline in as many rows as it remembers
LOCALISING_OFFSET = 2.0  # of the local evidence; a peak that is small beside it does not localise

STRONG = 4.0  # times the local level; a weaker peak does not give the extent
LOCAL_LEVEL_SHARE = 0.01  # of the training rows have a larger local evidence than the local level
MIN_LOCAL_LEVEL = 0.5
EXTENT_FRACTION = 0.5  # of the largest local evidence; rows above it are the alarm
PEAK_FRACTION = 0.7  # of the largest local evidence; a separate part needs as much to be an alarm of its own

SMALLEST_SHARE = 0.05  # of an alarm's evidence; channels with less are not named


class Alarm(NamedTuple):
    """One alarm.

    Parameters
    ----------
    start, end : int
        First row, and the row after the last one.
    peak : int
        Row with the largest local evidence.
    score : float
        Largest alarm score.
    severity : float
        Largest ``(1 + alarm score) / (1 + level)``.
    until : int
        The row after the last one above the level, of the run of rows that the alarm is in.
    """

    start: int
    end: int
    peak: int
    score: float
    severity: float
    until: int

    def moved(self, n_rows: int) -> Alarm:
        """The same alarm where rows are counted from another row, `n_rows` before."""
        return self._replace(
            start=self.start + n_rows, end=self.end + n_rows, peak=self.peak + n_rows, until=self.until + n_rows
        )


@dataclass(frozen=True)
class AlarmOptions:
    """Which alarms are wanted; see `BaseSeriesDetector.detect`.

    Parameters
    ----------
    level : float
        Smallest level of an alarm.
    follow : bool
        Whether the level follows recent rows.
    merge : int
        Largest number of rows between two parts of one alarm.
    direction : {"both", "up", "down"}
        Direction of the alarms to keep.
    min_duration : int
        Fewest rows of an alarm.
    min_severity : float
        Least severity of an alarm.
    """

    level: float
    follow: bool
    merge: int
    direction: str
    min_duration: int
    min_severity: float


@dataclass(frozen=True)
class AlarmFinder:
    """Fitted rule that turns evidence into alarms.

    Parameters
    ----------
    tail : ScoreTail
        Distribution of the alarm scores of normal rows.
    baseline : ndarray of shape (n_training_rows,)
        Localised scores of the training rows.
    local_level : float
        Local evidence that 1 % of the training rows exceed.
    window_size, smoothing : int
        Of the detector, in rows.

    Notes
    -----
    A row is in alarm if its alarm score exceeds ``max(level, 2.75 · q)``. At most 1 % of new normal rows exceed the
    level. q is the 90 % quantile of the localised scores of the training rows and of the last 2,000 rows before this
    one (or a third of the number of training rows, if that is more). A change that stays thus raises the level after a
    while and gives one alarm. Siffer et al., KDD 2017 (DSPOT), and Hundman et al., KDD 2018, have thresholds that
    follow recent scores, too.

    The localised score is the score with its smoothing taken back: ``(1 + score) · (2 + e) / (2 + E) - 1``, with e the
    local evidence and E the largest local evidence within a window. One strong fault thus raises q in its own rows
    only, and does not hide the faults after it.

    Runs of rows in alarm with at most `merge` rows between them are one alarm. If its largest local evidence is at
    least four times the local level, its extent is the rows with half of that largest evidence. Parts of it that are
    more than `merge` rows apart are alarms of their own if they reach 70 %. A weaker alarm has no sharp peak and keeps
    the rows whose alarm score exceeds the level.
    """

    tail: ScoreTail
    baseline: NDArray[np.float64]
    local_level: float
    window_size: int
    smoothing: int

    @classmethod
    def fit(cls, evidence: RowEvidence, borders: NDArray[np.intp], window_size: int, smoothing: int) -> AlarmFinder:
        """Fit on the evidence of training rows that the model was not trained on."""
        local_level = float(np.quantile(evidence.local, 1 - LOCAL_LEVEL_SHARE))
        return cls(
            ScoreTail.fit(evidence.alarm, borders, window_size),
            localised(evidence, borders, window_size, smoothing),
            max(local_level, MIN_LOCAL_LEVEL),
            window_size,
            smoothing,
        )

    @property
    def level(self) -> float:
        """Alarm score that at most 1 % of new normal rows exceed, but at most ``1.05 · (1 + largest of training) - 1``.

        Few training rows have few independent peaks. Their extrapolated tail is then far above everything seen.
        """
        largest = LARGEST_FACTOR * (1.0 + float(self.tail.scores[-1])) - 1.0  # no score is below -1
        return min(self.tail.exceeded_by(LEVEL_SHARE), largest)

    @property
    def memory(self) -> int:
        """Recent rows of the baseline."""
        return max(MEMORY_ROWS, len(self.baseline) // MEMORY_DIVISOR)

    @property
    def step(self) -> int:
        """Rows after which the baseline is computed anew."""
        return max(1, self.memory // UPDATES)

    def levels(
        self, recent: NDArray[np.float64], borders: NDArray[np.intp], level: float, *, follow: bool
    ) -> NDArray[np.float64]:
        """Level of each row that its alarm score must exceed, (n_rows,).

        Parameters
        ----------
        recent : ndarray of shape (n_rows,)
            Localised scores of the rows.
        borders : ndarray of shape (n_series + 1,)
            Rows where the series begin and end. Every series starts with the training rows alone.
        level : float
            Smallest level.
        follow : bool
            Whether the level follows recent rows.
        """
        levels = np.full(len(recent), level)
        if follow:
            for begin, end in pairwise(borders):
                for first in range(begin, end, self.step):
                    raised = self.level_after(recent[max(begin, first - self.memory) : first])
                    levels[first : min(first + self.step, end)] = max(level, raised)
        return levels

    def level_after(self, recent: NDArray[np.float64]) -> float:
        """Level that recent rows set, by their localised scores, (n_rows,), and those of the training rows."""
        return float(BASELINE_FACTOR * np.quantile(np.concatenate([self.baseline, recent]), BASELINE_QUANTILE))

    def find(
        self, evidence: RowEvidence, borders: NDArray[np.intp], level: float, *, follow: bool, merge: int
    ) -> list[Alarm]:
        """Alarms in time order; see the class.

        Parameters
        ----------
        evidence : RowEvidence
            Of the rows.
        borders, level, follow
            As in `levels`.
        merge : int
            Largest number of rows between two parts of one alarm.
        """
        recent = localised(evidence, borders, self.window_size, self.smoothing)
        levels = self.levels(recent, borders, level, follow=follow)
        severity = (1.0 + evidence.alarm) / (1.0 + levels)
        alarms = []
        for begin, end in pairwise(borders):
            series = slice(begin, end)
            for first, last in runs(evidence.alarm[series] > levels[series], merge) + begin:
                for start, stop in self._extents(evidence.local[first:last], merge) + first:
                    rows = slice(start, stop)
                    alarms.append(
                        Alarm(
                            int(start),
                            int(stop),
                            int(start + evidence.local[rows].argmax()),
                            float(evidence.alarm[rows].max()),
                            float(severity[rows].max()),
                            int(last),
                        )
                    )
        return alarms

    def wanted(self, evidence: RowEvidence, borders: NDArray[np.intp], options: AlarmOptions) -> list[Alarm]:
        """Alarms that the options keep, in time order."""
        found = self.find(evidence, borders, options.level, follow=options.follow, merge=options.merge)
        return [
            alarm
            for alarm in found
            if alarm.end - alarm.start >= options.min_duration
            and alarm.severity >= options.min_severity
            and options.direction in ("both", direction_of(evidence, alarm))
        ]

    def _extents(self, local: NDArray[np.float64], merge: int) -> NDArray[np.intp]:
        """Extents inside a run of rows in alarm, (n_alarms, 2)."""
        largest = local.max()
        if largest < STRONG * self.local_level:
            return np.array([[0, len(local)]])
        parts = runs(local > EXTENT_FRACTION * largest, merge)
        kept = [local[start:end].max() >= PEAK_FRACTION * largest for start, end in parts]
        return parts[kept]

    def ongoing(
        self, evidence: RowEvidence, borders: NDArray[np.intp], level: float, alarms: Sequence[Alarm]
    ) -> list[bool]:
        """Whether each alarm reaches the last row, or half of the localised scores after it exceed the level.

        Parameters
        ----------
        evidence : RowEvidence
            Of the rows, compared with the training rows alone: what stays must not have become typical.
        borders, level
            As in `levels`. As many rows after an alarm count as the level remembers.
        alarms : sequence of Alarm
        """
        scores = localised(evidence, borders, self.window_size, self.smoothing)
        ends = borders[np.searchsorted(borders, [alarm.end for alarm in alarms])]
        after = [scores[alarm.end : end][: self.memory] for alarm, end in zip(alarms, ends, strict=True)]
        return [bool(np.median(one) > level) if len(one) else True for one in after]


def localised(
    evidence: RowEvidence, borders: NDArray[np.intp], window_size: int, smoothing: int
) -> NDArray[np.float64]:
    """The score with its smoothing taken back, (n_rows,); see `AlarmFinder`.

    Gaps in the local evidence that are shorter than `smoothing` rows are closed first: an anomaly need not be evident
    in each of its rows.
    """
    found = np.empty_like(evidence.score)
    for begin, end in pairwise(borders):
        local = np.maximum(evidence.local[begin:end], 0.0)
        closed = grey_closing(local, size=smoothing, mode="nearest")
        largest = maximum_filter1d(closed, 2 * window_size + 1, mode="nearest")
        share = (LOCALISING_OFFSET + closed) / (LOCALISING_OFFSET + largest)
        found[begin:end] = (1.0 + evidence.score[begin:end]) * share - 1.0
    return found


def channel_shares(evidence: RowEvidence, alarm: Alarm, names: Sequence[Any]) -> dict[Any, float]:
    """Share of each channel in an alarm's local evidence, the largest first; others below 5 % are left out.

    Parameters
    ----------
    evidence : RowEvidence
        Of the rows.
    alarm : Alarm
        Rows to look at.
    names : sequence of length n_channels
        Keys of the result.
    """
    rows = slice(alarm.start, alarm.end)
    weights = np.maximum(evidence.local[rows], np.finfo(float).tiny)
    sums = np.bincount(evidence.channel[rows], weights, minlength=len(names)) / weights.sum()
    order = np.argsort(-sums, kind="stable")
    named = [order[0], *(channel for channel in order[1:] if sums[channel] >= SMALLEST_SHARE)]
    return {names[channel]: round(float(sums[channel]), 4) for channel in named}


def direction_of(evidence: RowEvidence, alarm: Alarm) -> str:
    """Direction in the channel of the peak: "up" if its rows lie above what was expected, else "down"."""
    rows = slice(alarm.start, alarm.end)
    leading = evidence.channel[rows] == evidence.channel[alarm.peak]
    deviation = evidence.deviation[rows][leading].astype(np.float64)
    return "up" if (deviation * np.abs(deviation)).sum() >= 0 else "down"
