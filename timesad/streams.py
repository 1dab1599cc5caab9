"""Scores of rows as they arrive: those of the whole series, a fixed number of rows later."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ._input import first_row, read_next_rows
from ._one_fit import twin
from .saving import save_detector

if TYPE_CHECKING:
    from ._base import BaseSeriesDetector

__all__ = ["Stream"]


class Stream:
    """Scores rows as they arrive. `BaseSeriesDetector.stream` creates it.

    The score of a row needs later rows. It is provisional at once and final after `delay` further rows. A final score
    is the one that `decision_function` gives to the row in the whole series, up to rounding.

    The stream holds the last `memory_rows` rows. With ``use_past=True`` and a score with nearest windows these are
    enough for `max_windows` earlier windows; a longer series is compared with its last ones.

    Parameters
    ----------
    detector : BaseSeriesDetector
        Fitted. The stream keeps its state of now: a later fit does not change the stream.
    history : array-like of shape (n_rows, n_channels), default=None
        Rows before the first update: the end of the training rows, or `history` of another stream. The row number of
        a DataFrame, by its index, is kept.

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
        finder = self._detector.alarm_finder_
        of_alarms = 2 * finder.memory + math.lcm(scorer.grid, finder.step)  # shown, and behind their level
        self.memory_rows = max(scorer.memory_rows, scorer.near_rows + of_alarms)
        self._values: NDArray[np.floating] = np.empty((0, self._detector.n_features_in_))
        self._first_row = 0  # number of the first row that is held
        self._n_final = 0  # rows whose score is final
        self._n_provisional = 0  # rows whose score was given, provisional or final
        if history is not None:
            self._first_row = first_row(history)
            self._values = self._read(history)
            self._n_final = self._n_provisional = self.n_rows
            self._forget()

    @property
    def n_rows(self) -> int:
        """Rows seen, with those of the history."""
        return self._first_row + len(self._values)

    @property
    def history(self) -> pd.DataFrame:
        """The rows that the stream holds, by row number: ``detector.stream(stream.history)`` goes on from here.

        Scores that are provisional now are then never given as final ones.
        """
        return self._frame().copy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the stream, with its detector, to a file that `timesad.load` reads; see `BaseSeriesDetector.save`."""
        save_detector(self._detector, path, vars(self))

    @classmethod
    def resumed(cls, detector: BaseSeriesDetector, state: dict[str, Any]) -> Stream:
        """The stream of a saved state."""
        stream = cls(detector)
        stream.__dict__.update(state)
        return stream

    def update(self, rows: ArrayLike) -> pd.DataFrame:
        """Add rows and score them.

        Parameters
        ----------
        rows : array-like of shape (n_rows, n_channels) or (n_channels,)
            The next rows in time order, or one row.

        Returns
        -------
        scores : DataFrame
            By row number: ``score``, ``anomaly`` (whether it is above the threshold) and ``final``. It has the rows
            whose score became final, and the new rows with a provisional score. While there are fewer rows than a
            window, it is empty.

        Raises
        ------
        ValueError
            If the rows cannot be used. The stream is then as before.
        """
        self._values = np.concatenate([self._values, self._read(rows)])
        return self._scores(max(self._n_final, self.n_rows - self.delay))

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
        n_before = max(0, len(self._values) - self._detector.alarm_finder_.memory)
        frame = self._frame()
        alarms = self._detector.detect(frame.iloc[n_before:], context=frame.iloc[:n_before], **options)
        alarms[["start", "end", "peak"]] += self._first_row + n_before
        return alarms

    def finish(self) -> pd.DataFrame:
        """Final scores of all rows, when no further row will come."""
        return self._scores(self.n_rows)

    def _frame(self) -> pd.DataFrame:
        names = getattr(self._detector, "feature_names_in_", None)
        return pd.DataFrame(self._values, index=pd.RangeIndex(self._first_row, self.n_rows), columns=names)

    def _read(self, rows: ArrayLike) -> NDArray[np.floating]:
        return read_next_rows(self._detector, rows, self._detector._fitted_parameters["missing"])

    def _scores(self, n_final: int) -> pd.DataFrame:
        """Scores that become final when `n_final` rows are, and those that are new."""
        found = pd.DataFrame(
            {"score": np.empty(0), "anomaly": np.empty(0, dtype=bool), "final": np.empty(0, dtype=bool)},
            index=pd.RangeIndex(0),
        )
        if len(self._values) < self._detector.scorer_.settings.window_size:
            return found
        scores = self._detector._score_rows(self._frame(), self._n_final - self._first_row)
        labels = self._detector._label(scores)
        numbers = np.arange(self._n_final, self.n_rows)
        shown = (numbers < n_final) | (numbers >= self._n_provisional)
        found = pd.DataFrame(
            {"score": scores, "anomaly": labels.astype(bool), "final": numbers < n_final}, index=numbers
        )[shown]
        self._n_final, self._n_provisional = n_final, self.n_rows
        self._forget()
        return found

    def _forget(self) -> None:
        """Drop the oldest rows beyond the memory, in whole steps of the grid."""
        grid = self._detector.scorer_.grid
        surplus = min(len(self._values) - self.memory_rows, self._n_final - self._first_row)
        surplus -= (self._first_row + surplus) % grid
        if surplus > 0:
            self._values = self._values[surplus:].copy()
            self._first_row += surplus
