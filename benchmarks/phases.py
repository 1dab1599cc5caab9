"""Seconds of each phase of a fit and of scoring, taken from outside: the library knows nothing of being watched."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch

import timesad._base
import timesad.calibration
from timesad._base import BaseDeepDetector
from timesad.memory import WindowMemory
from timesad.nn import TimesBlock
from timesad.nn.fused import FusedAttention
from timesad.scaling import ChannelScaling
from timesad.training import MinimaxObjective
from timesad.windows import OverlapAverage, WindowSet

from .equal_size import Size
from .timing import made_up_series, settled_clock


class Stopwatch:
    """Seconds spent in each phase itself, phases nested in it left out, under the outermost phase.

    Parameters
    ----------
    clock : callable, default=time.perf_counter
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._open: list[str] = []
        self._mark = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge the time within to `name`, and to nothing that is open around it."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def _charge(self) -> None:
        now = self.clock()
        if self._open:
            self.seconds[self._open[0], self._open[-1]] += now - self._mark
        self._mark = now

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return the function, its time charged to `name`."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                return function(*args, **kwargs)

        return wrapper


PREPARATION, TRAINING, CALIBRATION, SCORING = "preparation", "training", "calibration", "scoring"
PARTS = (TRAINING, CALIBRATION, SCORING)  # of which everything else is a phase
THE_REST = "the rest"

# What is watched, and under which name.
WATCHED: tuple[tuple[Any, str, str], ...] = (
    (BaseDeepDetector, "_train", TRAINING),
    (BaseDeepDetector, "_calibrate", CALIBRATION),
    (BaseDeepDetector, "decision_function", SCORING),
    (timesad._base, "learn_periods", "periods"),
    (timesad._base, "calibrate_positions", "positions"),
    (ChannelScaling, "__call__", "scaling"),
    (WindowSet, "batch", "windows"),
    (TimesBlock, "kernels", "convolution"),
    (TimesBlock, "forward", "convolution"),
    (FusedAttention, "compare", "association"),
    (FusedAttention, "attend", "association"),
    (MinimaxObjective, "forward", "loss"),
    (torch.Tensor, "backward", "backward"),
    (torch.optim.Adam, "step", "optimizer"),
    (OverlapAverage, "add", "overlap average"),
    (WindowMemory, "_channel_distance", "memory"),
    (timesad.calibration, "uniform_filter1d", "smoothing"),
)


@contextmanager
def watching(watch: Stopwatch) -> Iterator[None]:
    """Within the block every watched function reports to the stopwatch."""
    with ExitStack() as stack:
        for owner, attribute, name in WATCHED:
            wrapped = watch.timed(getattr(owner, attribute), name)
            stack.enter_context(mock.patch.object(owner, attribute, wrapped))
        yield


def profile_phases(build: Callable[[Size], BaseDeepDetector], size: Size) -> dict[str, dict[str, float]]:
    """Seconds of each phase of a fit and of scoring, under its part: preparation, training, calibration, scoring."""
    series = made_up_series(2 * size.n_rows, size.n_channels)
    train_rows, rows = series[: size.n_rows], series[size.n_rows :]
    detector = build(size).fit(train_rows)  # once before the watch, so that nothing is a first call
    watch = Stopwatch(settled_clock)
    with watching(watch):
        detector.fit(train_rows).decision_function(rows)
    parts: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (part, name), seconds in watch.seconds.items():
        if part not in PARTS:
            parts[PREPARATION][part] = seconds
        else:
            parts[part][THE_REST if name == part else name] = seconds
    return {part: parts[part] for part in (PREPARATION, *PARTS)}
