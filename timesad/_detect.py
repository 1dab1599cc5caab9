"""`detect` and its companions: alarms, p-values and a check of the threshold, for every detector."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ._input import group_names, plain_number, row_labels, with_context
from ._one_fit import of_one_fit
from ._output import in_output
from .alarms import Alarm, AlarmFinder, AlarmOptions, channel_shares, direction_of
from .scoring import RowEvidence, SeriesScorer
from .thresholds import ScoreTail
from .torch_state import plain_torch
from .windows import Series

__all__ = ["DetectMixin"]

CHECKED_SHARES = (0.05, 0.01, 0.001)
LARGEST = 10**15  # of any number that is an option of `detect`


class DetectMixin:
    """Alarms and p-values of a detector with a fitted `SeriesScorer`."""

    scorer_: SeriesScorer
    score_tail_: ScoreTail
    alarm_finder_: AlarmFinder
    training_evidence_: RowEvidence
    training_borders_: NDArray[np.intp]
    thresholder_: Any
    contamination_: float
    n_features_in_: int

    if TYPE_CHECKING:

        def _scaled_series(self, X: ArrayLike, groups: ArrayLike | None) -> Series: ...
        def _resolve_device(self) -> torch.device: ...
        def _channels(self) -> list[Any]: ...
        def _scores(self, X: ArrayLike, groups: ArrayLike | None, context: ArrayLike | None) -> NDArray[np.float64]: ...

    def _fit_detection(self, evidence: RowEvidence, borders: NDArray[np.intp]) -> None:
        """Fit the tails of the training scores, and what turns evidence into alarms."""
        settings = self.scorer_.settings
        self.score_tail_ = ScoreTail.fit(evidence.score, borders, settings.window_size)
        self.alarm_finder_ = AlarmFinder.fit(evidence, borders, settings.window_size, settings.smoothing)
        self.training_evidence_, self.training_borders_ = evidence, borders

    @of_one_fit
    def detect(
        self,
        X: ArrayLike | None,
        *,
        groups: ArrayLike | None = None,
        context: ArrayLike | None = None,
        false_alarms_per: float | None = None,
        follow_drift: bool = True,
        merge: int | None = None,
        direction: Literal["both", "up", "down"] = "both",
        min_duration: int = 1,
        min_severity: float = 1.0,
        index: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Alarms in X: ranges of rows, how severe they are, and which channels carry them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_channels) or None
            Rows in time order, as in `decision_function`. None takes the rows that were fitted.
        groups : array-like of shape (n_rows,), default=None
            Series of each row, if X holds several series. No alarm crosses a border.
        context : array-like of shape (n_earlier_rows, n_channels), default=None
            Rows right before X, as in `decision_function`. The alarms are those of the joined rows that end in X. One
            that began before has a negative `start`.
        false_alarms_per : float, default=None
            At most one false alarm in so many normal rows, in the mean. It holds for rows like the training rows and
            is extrapolated from their peaks; see `timesad.thresholds.ScoreTail`. None takes the level that 1 % of
            normal rows exceed, or a little more than the largest alarm score of the training rows if that is less. With
            ``clean_training=False``, None takes the level that the share `contamination` of the training rows exceeds.
        follow_drift : bool, default=True
            Whether the level rises with recent rows, so that a change that stays is one alarm. False keeps one level
            for all rows. Choose it where normal behaviour does not change, or more than a tenth of X is anomalous.
        merge : int, default=None
            Largest number of rows between two parts of one alarm. None takes `window_size`.
        direction : {"both", "up", "down"}, default="both"
            "up" keeps alarms whose rows lie above what the detector expected, "down" those below.
        min_duration : int, default=1
            Fewest rows of an alarm.
        min_severity : float, default=1.0
            Least severity of an alarm.
        index : array-like of shape (n_rows,), default=None
            Label of each row, such as its time, increasing. None takes the index of a DataFrame, unless it merely
            counts the rows.

        Returns
        -------
        alarms : DataFrame
            One row an alarm, in time order:

            - ``start``, ``end``: first row, and the row after the last one.
            - ``start_time``, ``end_time``: labels of the first and the last row; only with an index.
            - ``series``: only with `groups`.
            - ``peak``: row with the largest local evidence.
            - ``score``: largest alarm score.
            - ``severity``: largest ``(1 + alarm score) / (1 + level)`` of its rows.
            - ``direction``: "up" or "down", in the channel of the peak.
            - ``ongoing``: whether the change did not end: the alarm reaches the last row, or half of the rows after it
              (as many as `follow_drift` remembers) would exceed the level, were they compared with training rows alone.
            - ``channels``: dict of channel name (or number) to its share, the largest first.
            - ``p_value``: probability that a normal row has such an alarm score.

            Without alarms, an empty frame with the same columns.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If a parameter or X cannot be used.

        Warns
        -----
        ExtrapolationWarning
            If the training rows are far too few for `false_alarms_per`.

        See Also
        --------
        predict : Label of each row by one fixed threshold.

        Notes
        -----
        Alarms are found by a score of their own (`timesad.scoring.RowEvidence`) and a level that follows recent rows
        (`timesad.alarms.AlarmFinder`). Rows inside alarms therefore differ from rows with ``predict(X) == 1``.

        Examples
        --------
        >>> import numpy as np
        >>> from timesad import NearestWindowsDetector
        >>> X = np.sin(np.arange(3000) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(3000, 1))
        >>> X[2500:2520] += 2.0
        >>> alarms = NearestWindowsDetector(window_size=64).fit(X[:2000]).detect(X[2000:])
        >>> alarms[["start", "end", "direction", "ongoing"]].values.tolist()
        [[498, 522, 'up', False]]
        """
        check_is_fitted(self, "scorer_")
        options = self._alarm_options(
            false_alarms_per=false_alarms_per,
            follow_drift=follow_drift,
            merge=merge,
            direction=direction,
            min_duration=min_duration,
            min_severity=min_severity,
        )
        if X is None:
            if groups is not None or context is not None:
                raise ValueError("groups or context without X: detect(None) takes the series that were given to fit.")
            evidence, borders, n_before, n_far = self.training_evidence_, self.training_borders_, 0, 0
            labels = row_labels(X, index, borders)
        else:
            if context is not None and index is not None:
                raise ValueError("index with context: pass both as DataFrames that have the labels as their index.")
            X, n_before = with_context(X, context, groups)
            series, finder = self._scaled_series(X, groups), self.alarm_finder_
            labels = row_labels(X, index, series.borders)
            n_far = self.scorer_.n_far(max(0, n_before - finder.memory), series.first_row, finder.step)
            borders = series.from_row(n_far).borders
            device = self._resolve_device()
            with plain_torch(device):
                evidence = self.scorer_.evidence(series, device, n_far)
        found = self.alarm_finder_.wanted(evidence, borders, options)
        alarms = [alarm for alarm in found if alarm.end + n_far > n_before]
        fixed = evidence
        if alarms and X is not None:
            with plain_torch(device):
                fixed = self.scorer_.without_past().evidence(series.from_row(n_far), device)
        names = None if groups is None else group_names(groups, int(borders[-1]))
        labels = None if labels is None else labels[n_far:]
        table = self._alarm_table(evidence, alarms, labels, names)
        ongoing = self.alarm_finder_.ongoing(fixed, borders, options.level, alarms)
        table.insert(table.columns.get_loc("direction") + 1, "ongoing", np.array(ongoing, dtype=bool))
        table[["start", "end", "peak"]] += n_far - n_before
        return table

    def _alarm_options(
        self,
        *,
        false_alarms_per: float | None = None,
        follow_drift: bool = True,
        merge: int | None = None,
        direction: str = "both",
        min_duration: int = 1,
        min_severity: float = 1.0,
    ) -> AlarmOptions:
        """The options of `detect`, validated."""
        merge = self.scorer_.settings.window_size if merge is None else merge
        merge = _checked("merge", merge, Integral, 0)
        min_duration = _checked("min_duration", min_duration, Integral, 1)
        min_severity = _checked("min_severity", min_severity, Real, 0)
        if not isinstance(follow_drift, (bool, np.bool_)):
            raise ValueError(f"follow_drift={follow_drift!r} cannot be used; expected True or False.")
        if not isinstance(direction, str) or direction not in ("both", "up", "down"):
            raise ValueError(f"direction={direction!r} is not one of 'both', 'up' and 'down'.")
        level = self._level(false_alarms_per)
        return AlarmOptions(level, bool(follow_drift), merge, direction, min_duration, min_severity)

    def _level(self, false_alarms_per: float | None) -> float:
        """Smallest level of an alarm."""
        tail = self.alarm_finder_.tail
        if false_alarms_per is not None:
            return tail.threshold_per(float(_checked("false_alarms_per", false_alarms_per, Real, 1)))
        if self.scorer_.settings.clean_training or self.thresholder_ is not None:
            return self.alarm_finder_.level
        return float(np.quantile(tail.scores, 1 - self.contamination_))

    def _alarm_table(
        self,
        evidence: RowEvidence,
        alarms: Sequence[Alarm],
        labels: pd.Index | None = None,
        groups: pd.Series | None = None,
    ) -> pd.DataFrame:
        """One row an alarm, by rows of the evidence; see `detect`."""
        return pd.DataFrame(self._alarm_columns(evidence, alarms, labels, groups))

    def _alarm_columns(
        self,
        evidence: RowEvidence,
        alarms: Sequence[Alarm],
        labels: pd.Index | None = None,
        groups: pd.Series | None = None,
    ) -> dict[str, Any]:
        """The columns of `_alarm_table`."""
        starts = np.array([alarm.start for alarm in alarms], dtype=np.int64)
        ends = np.array([alarm.end for alarm in alarms], dtype=np.int64)
        scores = np.array([alarm.score for alarm in alarms], dtype=np.float64)
        channels = self._channels()
        columns: dict[str, Any] = {"start": starts, "end": ends}
        if labels is not None:
            columns |= {"start_time": labels[starts], "end_time": labels[ends - 1]}
        if groups is not None:
            columns["series"] = groups.iloc[starts].to_numpy()
        columns |= {
            "peak": np.array([alarm.peak for alarm in alarms], dtype=np.int64),
            "score": scores,
            "severity": np.array([alarm.severity for alarm in alarms], dtype=np.float64),
            "direction": pd.Series([direction_of(evidence, alarm) for alarm in alarms], dtype=object),
            "channels": pd.Series([channel_shares(evidence, alarm, channels) for alarm in alarms], dtype=object),
            "p_value": self.alarm_finder_.tail.p_value(scores),
        }
        return columns

    @of_one_fit
    def p_values(
        self, X: ArrayLike, *, groups: ArrayLike | None = None, context: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Probability that a normal row scores at least as high, for each row of X.

        Conformal as far as the training scores reach, and extrapolated above. Pass them to
        `scipy.stats.false_discovery_control` to control the share of false rows among those flagged.

        Parameters
        ----------
        X, groups, context
            As in `decision_function`.

        Returns
        -------
        p_values : ndarray of shape (n_rows,)
            In (0, 1]. Neighbouring rows share windows, so their p-values are not independent.
        """
        return in_output(self, X, self.score_tail_.p_value(self._scores(X, groups, context)), "p_value")

    @of_one_fit
    def check_threshold(
        self, X: ArrayLike, *, groups: ArrayLike | None = None, context: ArrayLike | None = None
    ) -> pd.DataFrame:
        """Asked and seen share of rows above a threshold, on rows that are known to be normal.

        Parameters
        ----------
        X, groups, context
            Normal rows that were not fitted, as in `decision_function`.

        Returns
        -------
        table : DataFrame
            ``asked``: shares 0.05, 0.01, 0.001. ``threshold``: for this share. ``expected`` and ``seen``: numbers of
            rows above it. Far more than expected means that normal behaviour has changed since `fit`.
        """
        scores = self._scores(X, groups, context)
        thresholds = [self.score_tail_.threshold(share) for share in CHECKED_SHARES]
        return pd.DataFrame(
            {
                "asked": CHECKED_SHARES,
                "threshold": thresholds,
                "expected": [share * len(scores) for share in CHECKED_SHARES],
                "seen": [int((scores > threshold).sum()) for threshold in thresholds],
            }
        )


def _checked(name: str, value: Any, kind: type, least: float) -> Any:
    """The value as Python's own number."""
    value = plain_number(value)
    if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= LARGEST:  # type: ignore[operator]
        what = "an integer" if kind is Integral else "a number"
        raise ValueError(f"{name}={value!r} cannot be used; expected {what} from {least} to {LARGEST:g}.")
    return value
