"""Seeded series with anomalies of known kinds."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from sklearn.utils import Bunch
from sklearn.utils.validation import check_scalar

from timesad.datasets._series import series_bunch

HARMONIC_AMPLITUDE = 0.5  # of the wave's second harmonic; it makes the wave differ from its own reverse
AMPLITUDE_RANGE = (0.7, 1.3)
WEIGHT_RANGE = (0.4, 0.8)  # of the factor that the channels share
DESCRIPTION = """\
A generated series, see timesad.datasets.make_anomalous_series: {n_channels} channels with a common period of {period}
rows, a common random factor and noise; anomalies of known kinds after row {train_size}.
"""


@dataclass
class Ingredients:
    """What a series is composed of; an anomaly changes one ingredient in its rows and channels.

    Parameters
    ----------
    phase : ndarray of shape (n_rows, n_channels)
        Where in its cycle each channel is, in cycles.
    factor : ndarray of shape (n_rows, n_channels)
        The slow random factor that channels share; the same in every column of normal rows.
    shocks : ndarray of shape (n_rows, n_channels)
        The noise.
    offset : ndarray of shape (n_rows, n_channels)
        What is added at the end, in standard deviations of the channel.
    amplitude, weight : ndarray of shape (n_channels,)
        Size of the wave and of the factor in each channel.
    period : int
        Rows in a cycle.
    strength : float
        How far offsets and noise leave the normal.
    rng : numpy.random.Generator
        Source of everything random.
    """

    phase: NDArray[np.float64]
    factor: NDArray[np.float64]
    shocks: NDArray[np.float64]
    offset: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    weight: NDArray[np.float64]
    period: int
    strength: float
    rng: np.random.Generator


@dataclass(frozen=True)
class Span:
    """The rows and channels of one anomaly.

    Parameters
    ----------
    start, stop : int
        First row, and the row after the last.
    channels : ndarray of int
        The affected channels.
    """

    start: int
    stop: int
    channels: NDArray[np.int64]

    @property
    def elapsed(self) -> NDArray[np.float64]:
        """Rows since the anomaly began, as a column."""
        return np.arange(self.stop - self.start, dtype=np.float64)[:, None]  # (row, 1)

    @property
    def cells(self) -> tuple[slice, NDArray[np.int64]]:
        """Index of the affected cells."""
        return slice(self.start, self.stop), self.channels


def _add_offset(parts: Ingredients, span: Span) -> None:
    """Spike (of one row) and level: the values are moved up or down."""
    signs = parts.rng.choice([-1.0, 1.0], size=len(span.channels))
    parts.offset[span.cells] += parts.strength * signs


def _add_trend(parts: Ingredients, span: Span) -> None:
    """Trend: the values drift away, and are back at once when it ends."""
    signs = parts.rng.choice([-1.0, 1.0], size=len(span.channels))
    parts.offset[span.cells] += parts.strength * signs * (span.elapsed + 1) / (span.stop - span.start)


def _scale_noise(parts: Ingredients, span: Span) -> None:
    """Variance: the noise grows."""
    parts.shocks[span.cells] *= 1 + parts.strength


def _double_frequency(parts: Ingredients, span: Span) -> None:
    """Frequency: twice as many cycles in the same rows; whole ones, so that the wave joins at both ends."""
    parts.phase[span.cells] += span.elapsed / parts.period


def _skip_phase(parts: Ingredients, span: Span) -> None:
    """Phase skip: half a cycle is left out, and the wave runs ahead until the anomaly ends."""
    parts.phase[span.cells] += 0.5


def _reverse_pattern(parts: Ingredients, span: Span) -> None:
    """Pattern swap: the cycle runs backwards. It takes the same values equally often, in another order."""
    parts.phase[span.cells] -= 2 * span.elapsed / parts.period


def _break_correlation(parts: Ingredients, span: Span) -> None:
    """Correlation break: a factor of the channel's own, alike in law, replaces the shared one."""
    n_rows = span.stop - span.start
    own = np.stack([_slow_factor(n_rows, parts.period, parts.rng) for _ in span.channels], axis=1)  # (row, channel)
    # Faded in and out at constant variance, so that no jump gives the anomaly away.
    edge = np.minimum(span.elapsed, span.elapsed[::-1])
    angle = np.minimum(1.0, (edge + 1) / max(1, parts.period // 10)) * np.pi / 2  # (row, 1)
    parts.factor[span.cells] = np.cos(angle) * parts.factor[span.cells] + np.sin(angle) * own


EFFECTS: dict[str, Callable[[Ingredients, Span], None]] = {
    "spike": _add_offset,
    "level": _add_offset,
    "trend": _add_trend,
    "variance": _scale_noise,
    "frequency": _double_frequency,
    "phase_skip": _skip_phase,
    "pattern_swap": _reverse_pattern,
    "correlation_break": _break_correlation,
}
ONE_ROW = frozenset({"spike"})
BETWEEN_CHANNELS = frozenset({"correlation_break"})


def make_anomalous_series(
    n_rows: int = 4000,
    n_channels: int = 4,
    *,
    kinds: Sequence[str] | None = None,
    n_anomalies: int | None = None,
    train_size: int | None = None,
    period: int = 50,
    n_cycles: int = 2,
    strength: float = 3.0,
    noise: float = 0.1,
    random_state: int | np.random.Generator | None = None,
) -> Bunch:
    """Generate a periodic series whose anomalies are of known kinds, at known rows.

    Every channel is a wave of the common period, plus a slow random factor that all channels share,
    plus noise. In its rows an anomaly changes one of these, in some of the channels:

    ===================== =====================================================================
    ``spike``             one row is moved by `strength` standard deviations
    ``level``             all rows are moved so
    ``trend``             the rows drift away by as much
    ``variance``          the noise is 1 + `strength` times as strong
    ``frequency``         the wave runs at twice the speed
    ``phase_skip``        half a cycle is left out
    ``pattern_swap``      the wave runs backwards: the same values in another order
    ``correlation_break`` the shared factor gives way to one of the channel's own
    ===================== =====================================================================

    The last four keep each channel within its usual range: only the context gives them away.

    Parameters
    ----------
    n_rows : int, default=4000
        Length of the series.
    n_channels : int, default=4
        Number of channels.
    kinds : sequence of str, default=None
        Kinds of anomaly to take turns, in random order. None means all of the table
        (``correlation_break`` only from two channels on).
    n_anomalies : int, default=None
        How many to put in. None means one of each kind; 0 makes a clean series.
    train_size : int, default=None
        The first rows, which stay clean. None means half of the rows.
    period : int, default=50
        Rows in a cycle, at least 4.
    n_cycles : int, default=2
        Length of every anomaly but a spike, in cycles.
    strength : float, default=3.0
        Size of spike, level, trend and variance, see the table; above 0.
    noise : float, default=0.1
        Standard deviation of the noise; above 0. The wave and the factor are of the order of 1.
    random_state : int, numpy.random.Generator or None, default=None
        An int gives the same series every time, and the same clean rows whatever the anomalies;
        None gives another one every time. numpy's global state is neither read nor changed.

    Returns
    -------
    Bunch
        In the format of :mod:`timesad.datasets`, and

        anomalies : list of dict
            By time: ``kind`` (str), ``start`` and ``stop`` (int, the rows from `start` up to, not
            including, `stop`), ``channels`` (list of int).

    Raises
    ------
    TypeError
        If a number is of another type, or `kinds` is a string.
    ValueError
        If a number is out of range, a kind is unknown or needs more channels, or the rows after
        `train_size` are too few for the anomalies.

    Examples
    --------
    >>> from timesad.datasets import make_anomalous_series
    >>> series = make_anomalous_series(1000, 2, kinds=["spike", "phase_skip"], random_state=0)
    >>> series.data.shape, series.train_size
    ((1000, 2), 500)
    >>> sorted(anomaly["kind"] for anomaly in series.anomalies)
    ['phase_skip', 'spike']
    >>> int(series.target.sum())  # one row, and two cycles of 50
    101
    """
    check_scalar(n_rows, "n_rows", numbers.Integral, min_val=2)
    check_scalar(n_channels, "n_channels", numbers.Integral, min_val=1)
    check_scalar(period, "period", numbers.Integral, min_val=4)
    check_scalar(n_cycles, "n_cycles", numbers.Integral, min_val=1)
    check_scalar(strength, "strength", numbers.Real, min_val=0, include_boundaries="neither")
    check_scalar(noise, "noise", numbers.Real, min_val=0, include_boundaries="neither")
    train_size = n_rows // 2 if train_size is None else train_size
    check_scalar(train_size, "train_size", numbers.Integral, min_val=1, max_val=n_rows)
    kinds = _checked_kinds(kinds, n_channels)
    n_anomalies = len(kinds) if n_anomalies is None else n_anomalies
    check_scalar(n_anomalies, "n_anomalies", numbers.Integral, min_val=0)

    rng = np.random.default_rng(random_state)
    parts = _normal_ingredients(n_rows, n_channels, period, strength, noise, rng)
    anomalies = []
    target = np.zeros(n_rows, dtype=np.int64)
    for kind, start, stop in _place(_take_turns(kinds, n_anomalies, rng), train_size, n_rows, period, n_cycles, rng):
        span = Span(start, stop, _choose_channels(kind, n_channels, rng))
        EFFECTS[kind](parts, span)
        target[start:stop] = 1
        anomalies.append({"kind": kind, "start": start, "stop": stop, "channels": span.channels.tolist()})

    bunch = series_bunch(
        name="generated",
        data=_compose(parts),
        target=target,
        feature_names=[f"channel_{number}" for number in range(n_channels)],
        train_size=train_size,
        description=DESCRIPTION.format(n_channels=n_channels, period=period, train_size=train_size),
    )
    bunch.anomalies = anomalies
    return bunch


def _checked_kinds(kinds: Sequence[str] | None, n_channels: int) -> tuple[str, ...]:
    if isinstance(kinds, str):
        raise TypeError(f"kinds must be a list of kinds, got the string {kinds!r}. Pass kinds=[{kinds!r}].")
    if kinds is None:
        return tuple(kind for kind in EFFECTS if n_channels > 1 or kind not in BETWEEN_CHANNELS)
    if not kinds:
        raise ValueError("kinds is empty. Name at least one kind, or pass n_anomalies=0 for a clean series.")
    for kind in kinds:
        if kind not in EFFECTS:
            raise ValueError(f"kinds holds {kind!r}, which is no kind of anomaly. Choose from {', '.join(EFFECTS)}.")
        if kind in BETWEEN_CHANNELS and n_channels == 1:
            raise ValueError(f"kinds holds {kind!r}, which needs at least two channels, but n_channels=1.")
    return tuple(kinds)


def _normal_ingredients(
    n_rows: int, n_channels: int, period: int, strength: float, noise: float, rng: np.random.Generator
) -> Ingredients:
    """All that a clean series needs is drawn here, first: anomalies change their own rows and no others."""
    cycles = np.arange(n_rows, dtype=np.float64)[:, None] / period  # (row, 1)
    return Ingredients(
        phase=cycles + rng.uniform(size=n_channels),  # (row, channel)
        factor=np.tile(_slow_factor(n_rows, period, rng)[:, None], n_channels),  # (row, channel)
        shocks=rng.normal(scale=noise, size=(n_rows, n_channels)),
        offset=np.zeros((n_rows, n_channels)),
        amplitude=rng.uniform(*AMPLITUDE_RANGE, size=n_channels),
        weight=rng.uniform(*WEIGHT_RANGE, size=n_channels) * rng.choice([-1.0, 1.0], size=n_channels),
        period=period,
        strength=strength,
        rng=rng,
    )


def _slow_factor(n_rows: int, period: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """An autoregressive process of unit variance that remembers about one period."""
    memory = np.exp(-1.0 / period)
    innovation = np.sqrt(1 - memory**2)
    shocks = rng.normal(size=n_rows) * innovation
    shocks[0] /= innovation  # stationary from the first row on
    factor: NDArray[np.float64] = lfilter([1.0], [1.0, -memory], shocks)
    return factor


def _take_turns(kinds: Sequence[str], n_anomalies: int, rng: np.random.Generator) -> list[str]:
    """Every kind once, in random order, before any comes up again."""
    n_rounds = -(-n_anomalies // len(kinds))
    turns = [kinds[index] for _ in range(n_rounds) for index in rng.permutation(len(kinds))]
    return turns[:n_anomalies]


def _place(
    kinds: Sequence[str], first: int, last: int, period: int, n_cycles: int, rng: np.random.Generator
) -> list[tuple[str, int, int]]:
    """A random place for each anomaly, each in its own equal share of the rows, half a period from the share's ends."""
    borders = np.linspace(first, last, len(kinds) + 1).astype(int)
    margin = period // 2
    placed = []
    for kind, low, high in zip(kinds, borders[:-1], borders[1:], strict=True):
        length = 1 if kind in ONE_ROW else n_cycles * period
        starts = np.arange(low + margin, high - margin - length + 1)
        if not starts.size:
            raise ValueError(
                f"The {last - first} rows after train_size={first} give each of the {len(kinds)} anomalies "
                f"{high - low} rows, but {length + 2 * margin} are needed. Pass a larger n_rows, a smaller "
                "n_anomalies or train_size, or a shorter period."
            )
        start = int(rng.choice(starts))
        placed.append((kind, start, start + length))
    return placed


def _choose_channels(kind: str, n_channels: int, rng: np.random.Generator) -> NDArray[np.int64]:
    # A correlation breaks between channels: one at least must stay as it was.
    most = n_channels - 1 if kind in BETWEEN_CHANNELS else n_channels
    return np.sort(rng.choice(n_channels, size=rng.integers(1, most + 1), replace=False))


def _compose(parts: Ingredients) -> NDArray[np.float64]:
    angle = 2 * np.pi * parts.phase  # (row, channel)
    wave = np.sin(angle) + HARMONIC_AMPLITUDE * np.sin(2 * angle)
    values = parts.amplitude * wave + parts.weight * parts.factor + parts.shocks
    return values + parts.offset * values.std(axis=0)
