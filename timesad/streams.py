"""Scores of rows as they arrive: those of the whole series, a fixed number of rows later."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ._input import ERROR, check_times, first_row, read_next_rows
from ._one_fit import twin
from .alarm_events import AlarmTracker, Event
from .alarms import AlarmFinder, AlarmOptions
from .earlier_windows import KnownCandidates
from .held_rows import HeldRows
from .neighbors import KnownDistances
from .row_errors import KnownErrors
from .saving import save_detector
from .scoring import RowEvidence
from .torch_state import plain_torch
from .windows import Series

if TYPE_CHECKING:
    from ._base import BaseSeriesDetector

__all__ = ["Stream"]

ALL = slice(None)
Computed = TypeVar("Computed")
RESULTS = ("_scaled", "_windows", "_levels")  # attributes of a stream that are not stored
HELD = ("_values", "_times")  # attributes of a stream that are stored as arrays


@dataclass
class KnownWindows:
    """What a stream computed for its windows; each part drops the windows that it is not asked for."""

    errors: KnownErrors = field(default_factory=KnownErrors)
    candidates: KnownCandidates = field(default_factory=KnownCandidates)
    distances: KnownDistances = field(default_factory=KnownDistances)


class Stream:
    """Scores rows as they arrive. `BaseSeriesDetector.stream` creates it.

    The score of a row needs later rows. It is provisional at once and final after `delay` further rows. A final score
    is the one that `decision_function` gives to the row in the whole series, up to rounding.

    The stream holds the last `memory_rows` rows. With ``use_past=True``, a window of a series that is longer than
    `max_windows` windows is compared with the last earlier windows: at most `max_windows`, and at least seven eighths.

    Parameters
    ----------
    detector : BaseSeriesDetector
        Fitted. The stream keeps its state of now: a later fit does not change the stream.
    history : array-like of shape (n_rows, n_channels), default=None
        Rows before the first update: the end of the training rows, or `history` of another stream. The row number of
        a DataFrame, by its index, is kept. If its index has times, so must all later rows.

    Attributes
    ----------
    delay : int
        Rows that must follow until a score is final.
    memory_rows : int
        Rows that the stream holds, at most, beside those of an update.
    n_rows : int
        Rows seen, with those of the history.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import NearestWindowsDetector
    >>> X = np.sin(np.arange(1200) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(1200, 1))
    >>> detector = NearestWindowsDetector(window_size=32, smoothing=8).fit(X[:800])
    >>> stream = detector.stream(history=X[:800])
    >>> found = stream.update(X[800:900])
    >>> len(found), int(found["final"].sum()), stream.delay
    (100, 36, 64)
    >>> found = stream.update(X[900])  # one row: its provisional score, and the final one of an earlier row
    >>> found.index.tolist(), found["final"].tolist()
    ([836, 900], [True, False])
    """

    def __init__(self, detector: BaseSeriesDetector, history: ArrayLike | None = None) -> None:
        check_is_fitted(detector, "scorer_")
        self._detector = twin(detector)
        scorer = self._detector.scorer_
        self.delay = scorer.reach
        self.memory_rows = max(scorer.memory_rows, self._alarm_rows)
        self._values = HeldRows.of(np.empty((0, self._detector.n_features_in_)))
        self._times: HeldRows | None = None
        self._time_type = ""
        self._first_row = 0  # number of the first row that is held
        self._n_final = 0  # rows whose score is final
        self._n_before = 0  # rows of the history
        self._n_provisional = 0  # rows whose score was given, provisional or final
        self._tracker: AlarmTracker | None = None  # since alarms were asked for
        self._compute_anew()
        if history is not None:
            self._first_row = first_row(history)
            self._add(history)
            self._n_final = self._n_provisional = self._n_before = self.n_rows
            self._forget()

    @property
    def _alarm_rows(self) -> int:
        """Rows for the alarms: those shown, and those behind their level and their score."""
        scorer, finder = self._detector.scorer_, self._detector.alarm_finder_
        return scorer.near_rows + 2 * finder.memory + math.lcm(scorer.grid, finder.step)

    @property
    def n_rows(self) -> int:
        """Rows seen, with those of the history."""
        return self._first_row + len(self._values)

    @property
    def history(self) -> pd.DataFrame:
        """The rows that the stream holds: ``detector.stream(stream.history)`` goes on from here.

        Its index has the times of the rows, if they have some, else their numbers. Scores that are provisional now are
        then never given as final ones.
        """
        frame = self._frame().copy()
        times = self._labels()
        return frame if times is None else frame.set_axis(times)

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle, copy and `save`, without the results that follow from the rows held."""
        state = {name: value for name, value in vars(self).items() if name not in RESULTS}
        return {name: value.rows if isinstance(value, HeldRows) else value for name, value in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.__dict__.update(state)
        for name in HELD:
            rows = state[name]
            setattr(self, name, None if rows is None else HeldRows.of(rows))
        self._compute_anew()

    def _compute_anew(self) -> None:
        """Begin without the results that follow from the rows held."""
        # The search for nearest windows reads whole channels.
        self._scaled = HeldRows.of(np.empty((0, self._detector.n_features_in_), dtype=np.float32), order="F")
        self._windows = KnownWindows()
        self._levels = KnownLevels()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the stream, with its detector, to a file that `timesad.load` reads; see `BaseSeriesDetector.save`."""
        save_detector(self._detector, path, self.__getstate__())

    @classmethod
    def resumed(cls, detector: BaseSeriesDetector, state: dict[str, Any]) -> Stream:
        """The stream of a saved state."""
        stream = cls(detector)
        stream.__setstate__(state)
        return stream

    def update(self, rows: ArrayLike, *, alarms: bool = False, **options: Any) -> Any:
        """Add rows and score them.

        Parameters
        ----------
        rows : array-like of shape (n_rows, n_channels) or (n_channels,)
            The next rows in time order, or one row. If the first rows of a stream are a DataFrame whose index has
            times, all others must have times, too: later than the rows before, and no gap longer than a window.
        alarms : bool, default=False
            Whether to return the alarms that opened or closed, too.
        **options
            Those of `BaseSeriesDetector.detect`, such as `false_alarms_per` and `min_severity`; with ``alarms=True``.

        Returns
        -------
        scores : DataFrame
            By row number: ``time`` (only with times), ``score``, ``anomaly`` (whether it is above the threshold) and
            ``final``. It has the rows whose score became final, and the new rows with a provisional score. While there
            are fewer rows than a window, it is empty.
        alarms : DataFrame
            Only with ``alarms=True``: one row an event, with ``event``, ``alarm`` (its number, the same in events of
            an alarm) and the columns of `BaseSeriesDetector.detect` but `ongoing`, by row number of the stream.

            - "opened": the alarm is new. Its rows may be provisional.
            - "closed": later rows cannot change the alarm. It equals that of the whole series.
            - "withdrawn": later rows ended an alarm that was opened, or joined it to another.

        Raises
        ------
        ValueError
            If the rows or the options cannot be used. The stream is then as before.

        Warns
        -----
        TimeGapWarning
            If a step in time is longer than 1.5 median steps.
        """
        return self._advance(rows, alarms, options)

    def finish(self, *, alarms: bool = False, **options: Any) -> Any:
        """Final scores of all rows, when no further row will come; all alarms close.

        Parameters
        ----------
        alarms, **options
            As in `update`.

        Returns
        -------
        scores, alarms
            As of `update`.
        """
        return self._advance(None, alarms, options)

    def detect(self, **options: Any) -> pd.DataFrame:
        """Alarms in the last rows, as many as their level remembers; at least 2,000.

        Parameters
        ----------
        **options
            Those of `BaseSeriesDetector.detect`, such as `false_alarms_per` and `min_severity`.

        Returns
        -------
        alarms : DataFrame
            As of `BaseSeriesDetector.detect`, by row number of the stream. An alarm that reaches the last `delay` rows
            may change.
        """
        # Of a longer past, `detect` would read every second window.
        frame = self._frame().iloc[-max(self._alarm_rows, self._detector.scorer_.past_rows) :]
        n_before = max(0, len(frame) - self._detector.alarm_finder_.memory)
        alarms = self._detector.detect(frame.iloc[n_before:], context=frame.iloc[:n_before], **options)
        alarms[["start", "end", "peak"]] += self.n_rows - len(frame) + n_before
        return self._with_times(alarms)

    def _advance(self, rows: ArrayLike | None, alarms: bool, options: dict[str, Any]) -> Any:
        """Add rows, or end the stream, and return what changed; an error changes nothing."""
        if options and not alarms:
            raise ValueError(f"the options {sorted(options)} are of alarms; use them with alarms=True.")
        before = self.__dict__.copy()
        try:
            wanted = self._detector._alarm_options(**options) if alarms else None
            if rows is not None:
                self._add(rows)
            n_final = self.n_rows if rows is None else max(self._n_final, self.n_rows - self.delay)
            return self._results(n_final, wanted, ended=rows is None)
        except BaseException:
            self.__dict__ = before
            self._compute_anew()
            raise

    def _results(self, n_final: int, wanted: AlarmOptions | None, *, ended: bool) -> Any:
        """Scores, and events if alarms are wanted, when the first `n_final` rows are final."""
        enough = len(self._values) >= self._detector.scorer_.settings.window_size
        scores, events = np.empty(0), None
        if wanted is not None:
            tracker = self._tracked()
            finder = StreamFinder(**vars(self._detector.alarm_finder_), first_row=tracker.first_row, known=self._levels)
            new = self._new_evidence(tracker.end) if enough else RowEvidence.empty()
            evidence = tracker.evidence.followed_by(new)
            found, self._tracker = tracker.events(
                evidence, finder, wanted, n_final if enough else tracker.end, ended=ended
            )
            events = self._event_table(evidence, tracker.first_row, found)
            scores = evidence.score[self._n_final - tracker.first_row :]
        elif enough:
            scores = self._new_scores()
        table = self._scores(n_final, scores)
        if enough:
            self._n_final, self._n_provisional = n_final, self.n_rows
            self._forget()
        return table if events is None else (table, events)

    def _add(self, rows: ArrayLike) -> None:
        """Hold the next rows, and their times if they have some."""
        values, index = read_next_rows(self._detector, rows, self._detector._fitted_parameters["missing"])
        window_size = self._detector.scorer_.settings.window_size
        held = self._labels(slice(-window_size, None))
        if len(self._values) and (held is None) != (index is None):
            have, had = ("no times", "have") if index is None else ("times", "have none")
            raise ValueError(
                f"X has {have} in its index, and the rows before {had}. Pass all rows with times, or none."
            )
        if index is not None:
            index = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
            if held is not None:
                index = self._like(index, held)
            known = index[:0] if held is None else held
            joined = known.append(index)
            check_times(joined, np.array([0, len(joined)]), n_known=len(known), longest=window_size)
            self._time_type = str(index.dtype)
            self._times = HeldRows.of(index.asi8) if self._times is None else self._times.followed_by(index.asi8)
        self._values = self._values.followed_by(values)

    @staticmethod
    def _like(index: pd.Index, held: pd.Index) -> pd.Index:
        """The times in the type and the time zone of those held."""
        try:
            if getattr(index, "tz", None) is not None and held.tz is not None:
                index = index.tz_convert(held.tz)
            return index.astype(held.dtype)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"the times of X have the type {index.dtype}, and those of the rows before {held.dtype}. Pass all rows "
                "with times of one kind."
            ) from error

    def _labels(self, rows: slice | NDArray[np.intp] = ALL) -> pd.Index | None:
        """Times of rows, counted from the first one held."""
        return None if self._times is None else pd.Index(self._times.rows[rows]).astype(self._time_type)

    def _with_times(self, alarms: pd.DataFrame) -> pd.DataFrame:
        """The table with the times of the first and the last row of each alarm."""
        if self._times is not None:
            place = alarms.columns.get_loc("end") + 1
            alarms.insert(place, "end_time", self._times_of(alarms["end"].to_numpy() - 1))
            alarms.insert(place, "start_time", self._times_of(alarms["start"].to_numpy()))
        return alarms

    def _times_of(self, numbers: NDArray[np.int64]) -> Any:
        """Times of rows by row number; none for rows that are no longer held."""
        held = numbers - self._first_row
        times = self._labels(np.maximum(held, 0))
        assert times is not None, "the rows have no times"
        return times.where(held >= 0).array

    def _numbers(self) -> pd.RangeIndex:
        return pd.RangeIndex(self._first_row, self.n_rows)

    def _frame(self) -> pd.DataFrame:
        names = getattr(self._detector, "feature_names_in_", None)
        return pd.DataFrame(self._values.rows, index=self._numbers(), columns=names, copy=False)

    def _scores(self, n_final: int, scores: NDArray[np.float64]) -> pd.DataFrame:
        """The scores that become final when `n_final` rows are, and the new ones, of those from `_n_final` on."""
        numbers = np.arange(self._n_final, self._n_final + len(scores))
        anomaly = self._detector._label(scores).astype(bool) if len(scores) else np.empty(0, dtype=bool)
        shown = (numbers < n_final) | (numbers >= self._n_provisional)
        numbers = numbers[shown]
        times = self._labels(numbers - self._first_row)
        columns = {} if times is None else {"time": times}
        columns |= {"score": scores[shown], "anomaly": anomaly[shown], "final": numbers < n_final}
        return pd.DataFrame(columns, index=numbers if len(numbers) else pd.RangeIndex(0))

    def _tracked(self) -> AlarmTracker:
        """What follows the alarms. It begins anew where rows were forgotten that it has not got."""
        if self._tracker is None or self._tracker.end < self._first_row:
            finder = self._detector.alarm_finder_
            return AlarmTracker.begin(finder, self._first_row, self._n_final, self._n_before)
        return self._tracker

    def _new_scores(self) -> NDArray[np.float64]:
        """Scores of the rows held that are not final."""
        scores, n_before = self._computed(self._detector.scorer_.score, self._n_final)
        return scores[n_before:]

    def _new_evidence(self, first: int) -> RowEvidence:
        """Evidence of the rows held from row number `first` on."""
        evidence, n_before = self._computed(self._detector.scorer_.evidence, first)
        return evidence.part(n_before)

    def _computed(self, method: Callable[..., Computed], first: int) -> tuple[Computed, int]:
        """Output of a scorer's method for the row number `first` and later ones, and how many rows are before them."""
        scorer, device = self._detector.scorer_, self._detector._resolve_device()
        n_before = first - self._first_row
        n_far = scorer.n_far(n_before, self._first_row)
        with plain_torch(device):
            return method(self._series(), device, n_far), n_before - n_far

    def _series(self) -> Series:
        """The rows held, scaled."""
        if self._detector._fitted_parameters["missing"] != ERROR:  # later rows may change what is interpolated
            return replace(self._detector._scaled_series(self._frame(), None), known=KnownWindows())
        new = self._detector.scaling_(self._values.rows[len(self._scaled) :])
        self._scaled = self._scaled.followed_by(new)
        return Series(self._scaled.rows, np.array([0, len(self._scaled)]), None, self._first_row, self._windows)

    def _event_table(self, evidence: RowEvidence, first: int, events: list[Event]) -> pd.DataFrame:
        """One row an event; the evidence begins at row number `first`."""
        held = [alarm._replace(start=max(alarm.start, first)).moved(-first) for *_, alarm in events]
        found = self._detector._alarm_columns(evidence, held)
        starts = np.array([alarm.start for *_, alarm in events], dtype=np.int64)
        ends = found.pop("end") + first
        columns = {
            "event": pd.Series([event for event, *_ in events], dtype=object),
            "alarm": np.array([number for _, number, _ in events], dtype=np.int64),
            "start": starts,
            "end": ends,
        }
        if self._times is not None:
            columns |= {"start_time": self._times_of(starts), "end_time": self._times_of(ends - 1)}
        return pd.DataFrame(columns | found | {"peak": found["peak"] + first, "start": starts})

    def _forget(self) -> None:
        """Drop the oldest rows beyond the memory, in whole steps of the grid."""
        grid = self._detector.scorer_.grid
        surplus = min(len(self._values) - self.memory_rows, self._n_final - self._first_row)
        surplus -= (self._first_row + surplus) % grid
        if surplus > 0:
            self._values = self._values.without_first(surplus)
            self._scaled = self._scaled.without_first(min(surplus, len(self._scaled)))
            self._times = None if self._times is None else self._times.without_first(surplus)
            self._first_row += surplus


class KnownLevels:
    """The last levels of a stream before their minimum, by the rows that they follow."""

    def __init__(self) -> None:
        self._first_row = 0
        self._recent: NDArray[np.float64] = np.empty(0)
        self._raised: dict[tuple[int, int], float] = {}

    def update(
        self, finder: AlarmFinder, recent: NDArray[np.float64], first_row: int, blocks: list[tuple[int, int]]
    ) -> list[float]:
        """Level of each block that rows `begin` to before `end` of `recent` set, without its minimum.

        Parameters
        ----------
        finder : AlarmFinder
            The same in each call.
        recent : ndarray of shape (n_rows,)
            Localised scores of the rows.
        first_row : int
            Row number of the first of them.
        blocks : list of tuple of int
            `begin` and `end` of each block.
        """
        # Rows that are not those of the last call count as changed.
        changed = np.ones(len(recent), dtype=bool)
        n_gone = first_row - self._first_row
        if n_gone >= 0:
            old = self._recent[n_gone:][: len(recent)]
            changed[: len(old)] = old != recent[: len(old)]
        n_changed = np.concatenate([[0], changed.cumsum()])
        raised = {}
        for begin, end in blocks:
            key = first_row + begin, first_row + end
            known = self._raised.get(key) if n_changed[begin] == n_changed[end] else None
            if known is None:
                known = finder.level_after(recent[begin:end])
            raised[key] = known
        self._first_row, self._recent, self._raised = first_row, recent, raised
        return list(raised.values())


@dataclass(frozen=True)
class StreamFinder(AlarmFinder):
    """A finder for one series that keeps its levels, and computes those whose rows have changed.

    Parameters
    ----------
    first_row : int
        Row number of the first row of the evidence.
    known : KnownLevels
        Those of the update before.
    """

    first_row: int
    known: KnownLevels

    def levels(
        self, recent: NDArray[np.float64], borders: NDArray[np.intp], level: float, *, follow: bool
    ) -> NDArray[np.float64]:
        """Level of each row; see `AlarmFinder.levels`, which gives the same."""
        if not follow:
            return super().levels(recent, borders, level, follow=False)
        starts = range(0, len(recent), self.step)
        blocks = [(max(0, first - self.memory), first) for first in starts]
        raised = np.maximum(level, self.known.update(self, recent, self.first_row, blocks))
        return np.repeat(raised, self.step)[: len(recent)]
