"""The periods of a series, learned once from its training rows."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .exceptions import PeriodFallbackWarning

__all__ = ["learn_periods", "mean_spectrum"]

SEGMENT_WINDOWS = (
    8  # a segment of the spectrum spans so many windows: periods are resolved finer than one window allows
)
MAX_SEGMENTS = 64  # of a very long series, so many segments, evenly spread, are read


def mean_spectrum(values: NDArray[np.floating], borders: NDArray[np.intp], segment: int) -> NDArray[np.float64]:
    """Amplitude spectrum averaged over segments and channels.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
        The series, channels on comparable scales.
    borders : ndarray of shape (n_series + 1,)
        Where one series ends and the next begins.
    segment : int
        Rows in a segment; a shorter series is zero-padded to it.

    Returns
    -------
    spectrum : ndarray of shape (segment // 2 + 1,)
        Mean amplitude at 0, 1, … cycles per segment, of linearly detrended and Hann-tapered segments.
    """
    from scipy.signal import detrend  # here, because it takes as long as the whole rest of `import timesad`

    begins = [
        (begin, min(segment, end - begin))
        for first, end in pairwise(borders)
        for begin in range(first, max(first + 1, end - segment + 1), max(segment // 2, 1))
    ]
    chosen = np.linspace(0, len(begins) - 1, min(MAX_SEGMENTS, len(begins))).round().astype(int)
    total = np.zeros(segment // 2 + 1)
    for index in chosen:
        begin, length = begins[index]
        piece = detrend(np.asarray(values[begin : begin + length], dtype=np.float64), axis=0)  # (segment, channel)
        taper = np.hanning(length + 2)[1:-1, None]
        total += np.abs(np.fft.rfft(piece * taper, n=segment, axis=0)).mean(axis=1)
    return total / len(chosen)


def learn_periods(
    values: NDArray[np.floating], borders: NDArray[np.intp], window_size: int, top_k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The `top_k` strongest periods of the training series that a window can hold.

    TimesNet (Wu et al., ICLR 2023, equations 1-2) searches periods anew in every batch, by the spectrum averaged over
    that batch; a window's result then depends on its companions. Here they are peaks of the training series'
    spectrum, found once and frozen. The spectrum spans several windows, so a period of 40 rows is found as 40 in
    windows of 100, where the window's own spectrum knows only 50 and 33.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
        The scaled training series.
    borders : ndarray of shape (n_series + 1,)
        Where one series ends and the next begins.
    window_size : int
        Rows in a window; no period is longer.
    top_k : int
        How many periods, at most ``window_size - 1``.

    Returns
    -------
    periods : ndarray of shape (top_k,), int
        Distinct periods in rows, strongest first, each in [2, window_size].
    weights : ndarray of shape (top_k,)
        Share of each in the spectral amplitude of all, summing to 1.

    Warns
    -----
    PeriodFallbackWarning
        If the spectrum has fewer than `top_k` peaks (a constant series has none). The window itself, its half, its
        third and so on stand in, with the weight that the spectrum gives them.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.periods import learn_periods
    >>> wave = np.sin(np.arange(2000) * 2 * np.pi / 40)[:, None]
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=(2000, 1))
    >>> int(learn_periods(wave + noise, np.array([0, 2000]), window_size=100, top_k=2)[0][0])
    40
    """
    longest_series = int(np.diff(borders).max())
    segment = max(window_size, min(SEGMENT_WINDOWS * window_size, longest_series))
    spectrum = mean_spectrum(values, borders, segment)
    floor = 1e-9 * max(1.0, float(np.abs(values[:segment]).max(initial=0.0))) * segment  # rounding, not a peak
    inner = spectrum[1:-1]
    is_peak = (inner > spectrum[:-2]) & (inner >= spectrum[2:]) & (inner > floor)
    cycles = np.flatnonzero(is_peak) + 1
    found: dict[int, float] = {}
    for cycle in cycles[np.argsort(-spectrum[cycles], kind="stable")]:
        period = round(segment / (cycle + _peak_offset(spectrum, cycle)))
        if 2 <= period <= window_size and period not in found:
            found[period] = float(spectrum[cycle])
        if len(found) == top_k:
            break
    if len(found) < top_k:
        own = len(found)
        _fill_with_divisions(found, spectrum, segment, window_size, top_k)
        warnings.warn(
            f"The training series shows {own} of its own periods of at most window_size={window_size} rows, but "
            f"top_k={top_k} are asked for; periods_={list(found)} is filled up with divisions of the window.",
            PeriodFallbackWarning,
            stacklevel=4,
        )
    amplitudes = np.array(list(found.values()))
    total = amplitudes.sum()
    weights = amplitudes / total if total > 0 else np.full(top_k, 1.0 / top_k)
    return np.array(list(found), dtype=np.intp), weights


def _peak_offset(spectrum: NDArray[np.float64], cycle: np.intp) -> float:
    """Where between the bins a peak lies, in (-0.5, 0.5]: the top of a parabola through it and its neighbours."""
    below, peak, above = spectrum[cycle - 1 : cycle + 2]
    return float(0.5 * (below - above) / (below - 2 * peak + above))


def _fill_with_divisions(
    found: dict[int, float], spectrum: NDArray[np.float64], segment: int, window_size: int, top_k: int
) -> None:
    """Add window_size, window_size // 2, … and then any other period to `found` until it holds `top_k`."""
    divisions = [window_size // parts for parts in range(1, window_size // 2 + 1)]
    for period in (*divisions, *range(window_size, 1, -1)):
        if len(found) == top_k:
            return
        if period >= 2 and period not in found:
            found[period] = float(spectrum[min(round(segment / period), len(spectrum) - 1)])
