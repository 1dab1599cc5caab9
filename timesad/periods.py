"""Periods of a series, found once in its training rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .exceptions import PeriodFallbackWarning, warn
from .windows import Series

__all__ = ["find_periods", "mean_spectrum"]

SEGMENT_WINDOWS = 8  # windows in a segment of the spectrum; a longer segment resolves periods more finely
MAX_SEGMENTS = 64  # evenly spaced segments of a long series
ROUNDING_FRACTION = 1e-9  # of the largest value; a smaller peak is rounding


def mean_spectrum(series: Series, segment: int) -> NDArray[np.float64]:
    """Amplitude spectrum, averaged over segments and channels.

    Parameters
    ----------
    series : Series
        Scaled rows; the channels have comparable scales.
    segment : int
        Rows in a segment; a shorter series is zero-padded.

    Returns
    -------
    spectrum : ndarray of shape (segment // 2 + 1,)
        Mean amplitude at 0, 1, … cycles per segment. Each segment is linearly detrended and tapered by a Hann window.
    """
    from scipy.signal import detrend  # imported here: it takes as long as the rest of `import timesad`

    begins = [
        (begin, min(segment, end - begin))
        for first, end in pairwise(series.borders)
        for begin in range(first, max(first + 1, end - segment + 1), max(segment // 2, 1))
    ]
    chosen = np.linspace(0, len(begins) - 1, min(MAX_SEGMENTS, len(begins))).round().astype(int)
    total = np.zeros(segment // 2 + 1)
    for index in chosen:
        begin, length = begins[index]
        piece = detrend(
            np.asarray(series.values[begin : begin + length], dtype=np.float64), axis=0
        )  # (segment, channel)
        taper = np.hanning(length + 2)[1:-1, None]
        total += np.abs(np.fft.rfft(piece * taper, n=segment, axis=0)).mean(axis=1)
    return total / len(chosen)


def find_periods(series: Series, window_size: int, n_periods: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The strongest periods of the training series that a window can hold.

    TimesNet (Wu et al., ICLR 2023, equations 1-2) searches the periods anew in every batch, so a window's output
    depends on the other windows of its batch. Here the periods are peaks of the training series' spectrum, found once.
    The spectrum spans several windows: it finds a period of 40 rows as 40, where a window of 100 rows resolves 50 and
    33.

    Parameters
    ----------
    series : Series
        Scaled training rows.
    window_size : int
        Rows in a window; no period is longer.
    n_periods : int
        Number of periods, at most ``window_size - 1``.

    Returns
    -------
    periods : ndarray of shape (n_periods,), int
        Distinct periods in rows, strongest first, each in [2, window_size].
    weights : ndarray of shape (n_periods,)
        Share of each in the spectral amplitude of all, summing to 1.

    Warns
    -----
    PeriodFallbackWarning
        If the spectrum has fewer than `n_periods` peaks; a constant series has none. The window, its half, its third
        and so on are added, with the weight that the spectrum gives them.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.periods import find_periods
    >>> from timesad.windows import Series
    >>> wave = np.sin(np.arange(2000) * 2 * np.pi / 40)[:, None]
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=(2000, 1))
    >>> series = Series((wave + noise).astype(np.float32), np.array([0, 2000]))
    >>> int(find_periods(series, window_size=100, n_periods=2)[0][0])
    40
    """
    longest_series = int(np.diff(series.borders).max())
    segment = max(window_size, min(SEGMENT_WINDOWS * window_size, longest_series))
    spectrum = mean_spectrum(series, segment)
    largest = max(1.0, float(np.abs(series.values[:segment]).max(initial=0.0)))
    floor = ROUNDING_FRACTION * largest * segment
    inner = spectrum[1:-1]
    is_peak = (inner > spectrum[:-2]) & (inner >= spectrum[2:]) & (inner > floor)
    cycles = np.flatnonzero(is_peak) + 1
    found: dict[int, float] = {}
    for cycle in cycles[np.argsort(-spectrum[cycles], kind="stable")]:
        period = round(segment / (cycle + _peak_offset(spectrum, cycle)))
        if 2 <= period <= window_size and period not in found:
            found[period] = float(spectrum[cycle])
        if len(found) == n_periods:
            break
    if len(found) < n_periods:
        own = len(found)
        _fill_with_fractions(found, spectrum, segment, window_size, n_periods)
        warn(
            f"The spectrum of the training series has {own} peaks at periods of at most window_size={window_size} "
            f"rows, but n_periods={n_periods}. periods_={list(found)} is filled up with fractions of the window. Use "
            "a smaller n_periods or a longer series.",
            PeriodFallbackWarning,
        )
    amplitudes = np.array(list(found.values()))
    total = amplitudes.sum()
    weights = amplitudes / total if total > 0 else np.full(n_periods, 1.0 / n_periods)
    return np.array(list(found), dtype=np.intp), weights


def _peak_offset(spectrum: NDArray[np.float64], cycle: np.intp) -> float:
    """Offset of a peak from its bin, in (-0.5, 0.5]: vertex of the parabola through the bin and its two neighbours."""
    below, peak, above = spectrum[cycle - 1 : cycle + 2]
    return float(0.5 * (below - above) / (below - 2 * peak + above))


def _fill_with_fractions(
    found: dict[int, float], spectrum: NDArray[np.float64], segment: int, window_size: int, n_periods: int
) -> None:
    """Add window_size, window_size // 2, … and then any other period to `found` until it has `n_periods`."""
    fractions = [window_size // parts for parts in range(1, window_size // 2 + 1)]
    for period in (*fractions, *range(window_size, 1, -1)):
        if len(found) == n_periods:
            return
        if period >= 2 and period not in found:
            found[period] = float(spectrum[min(round(segment / period), len(spectrum) - 1)])
