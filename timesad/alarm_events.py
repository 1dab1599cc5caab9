"""Alarms of rows as they arrive: which opened, and which later rows cannot change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .alarms import Alarm, AlarmFinder, AlarmOptions
from .scoring import RowEvidence

__all__ = ["CLOSED", "OPENED", "WITHDRAWN", "AlarmTracker", "Event"]

OPENED, CLOSED, WITHDRAWN = "opened", "closed", "withdrawn"

Event = tuple[str, int, Alarm]  # what happened, number of the alarm, the alarm


@dataclass(frozen=True)
class AlarmTracker:
    """The alarms of a stream so far, with the evidence that they need.

    Parameters
    ----------
    first_row : int
        Number of the first row whose evidence is kept.
    n_closed : int
        Rows whose alarms are closed.
    evidence : RowEvidence
        Of rows that are final, as many as two memories of the level: a level is right where it has the whole of its
        memory before it.
    opened : tuple of (int, Alarm), default=()
        Alarms that are neither closed nor withdrawn, with their numbers.
    n_opened : int, default=0
        Alarms so far; the number of the next one.
    """

    first_row: int
    n_closed: int
    evidence: RowEvidence
    opened: tuple[tuple[int, Alarm], ...] = ()
    n_opened: int = 0

    @classmethod
    def begin(cls, finder: AlarmFinder, first_held: int, n_final: int, n_closed: int) -> AlarmTracker:
        """A tracker without evidence, which needs that of rows before row `n_final`, from row `first_held` on."""
        first = n_final - 2 * finder.memory
        first = max(first_held, first - first % finder.step)
        return cls(first, max(n_closed, first + finder.memory if first > 0 else 0), RowEvidence.empty())

    @property
    def end(self) -> int:
        """Number of the first row whose evidence is not kept."""
        return self.first_row + len(self.evidence.score)

    def events(
        self, evidence: RowEvidence, finder: AlarmFinder, options: AlarmOptions, n_final: int, *, ended: bool
    ) -> tuple[list[Event], AlarmTracker]:
        """What happened to alarms, by row number, and the tracker after it.

        An alarm of this update and one of the update before are the same if they share a row.

        Parameters
        ----------
        evidence : RowEvidence
            That which is kept, followed by that of the later rows.
        finder : AlarmFinder
        options : AlarmOptions
        n_final : int
            Rows whose evidence is final.
        ended : bool
            Whether no further row will come.
        """
        n_rows = len(evidence.score)
        # A level depends on the local evidence of a window and the smoothing after its rows.
        n_closed = n_final if ended else n_final - options.merge - finder.window_size - finder.smoothing
        known, opened, events, n_opened = list(self.opened), [], [], self.n_opened
        for found in finder.wanted(evidence, np.array([0, n_rows]), options) if n_rows else []:
            alarm = found.moved(self.first_row)
            same = next((one for one in known if one[1].start < alarm.end and alarm.start < one[1].end), None)
            if same is not None:
                known.remove(same)
                number = same[0]
                if alarm.start == self.first_row:  # it began before the rows that are kept
                    alarm = alarm._replace(start=same[1].start)
            elif alarm.until > self.n_closed:
                number, n_opened = n_opened, n_opened + 1
                events.append((OPENED, number, alarm))
            else:
                continue
            if alarm.until <= n_closed:
                events.append((CLOSED, number, alarm))
            else:
                opened.append((number, alarm))
        surplus = n_final - 2 * finder.memory - self.first_row
        surplus = max(0, surplus - (self.first_row + surplus) % finder.step)
        after = AlarmTracker(
            self.first_row + surplus,
            max(self.n_closed, n_closed),
            evidence.part(surplus, n_final - self.first_row),
            tuple(opened),
            n_opened,
        )
        return [*((WITHDRAWN, *one) for one in known), *events], after
