"""How many rows around an anomaly still count: a number, or the period of the series."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len

from ._validation import check_integer

__all__ = ["DEFAULT_BUFFER", "autocorrelation_period", "resolve_buffer"]

DEFAULT_BUFFER = 100
PERIOD_WHERE_NONE = 125
ROWS_READ = 20_000
LONGEST_LAG = 400
SHORTEST_LAG = 3
PEAK_OFFSETS = (3, 300)  # of the peak from SHORTEST_LAG, so that periods lie in 6 … 303


def autocorrelation_period(X: ArrayLike) -> int:
    """The period of a series after TSB-AD's rule: the highest peak of its autocorrelation.

    TSB-AD calls it ``find_length_rank(..., rank=1)`` and takes it as the buffer of VUS. Reproduced
    to the letter, so that values can be compared with its published tables: the first 20,000 rows
    of channel 0, the biased autocorrelation at lags 3 to 400, its highest strict local maximum; 125
    where there is none, or where it lies below lag 6 or above 303.

    Parameters
    ----------
    X : array-like of shape (n_rows,) or (n_rows, n_channels)
        The series; only channel 0 is read.

    Returns
    -------
    period : int
        Period in rows.

    Raises
    ------
    ValueError
        If `X` is empty, has more than two dimensions, or channel 0 is not finite.

    References
    ----------
    .. [1] Q. Liu and J. Paparrizos, "The Elephant in the Room: Towards A Reliable Time-Series
       Anomaly Detection Benchmark", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.metrics import autocorrelation_period
    >>> autocorrelation_period(np.sin(np.arange(1000) * 2 * np.pi / 40))
    40
    >>> autocorrelation_period(np.ones(1000))
    125
    """
    values = np.asarray(X, dtype=np.float64)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(
            f"X has shape {values.shape}; expected (n_rows,) or (n_rows, n_channels) with at least one row."
        )
    channel = (values if values.ndim == 1 else values[:, 0])[:ROWS_READ]
    bad = np.flatnonzero(~np.isfinite(channel))
    if len(bad) > 0:
        raise ValueError(
            f"Channel 0 of X has NaN or infinite values (first at row {bad[0]}); fill them in, or pass buffer as a "
            "number of rows."
        )
    centred = channel - channel.mean()
    if not centred.any():
        return PERIOD_WHERE_NONE
    correlation = _autocorrelation(centred)[SHORTEST_LAG : LONGEST_LAG + 1]
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:])) + 1
    if len(peaks) == 0:
        return PERIOD_WHERE_NONE
    highest = int(peaks[np.argsort(correlation[peaks])[-1]])
    return highest + SHORTEST_LAG if PEAK_OFFSETS[0] <= highest <= PEAK_OFFSETS[1] else PERIOD_WHERE_NONE


def _autocorrelation(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    # A complex transform of this very length: on a flat stretch of the autocorrelation its rounding decides
    # which lag is a peak, and TSB-AD's rounding is the one that the published tables were made with.
    size = next_fast_len(2 * len(centred) + 1, real=True)
    spectrum = np.fft.fft(centred, n=size)
    autocovariance = np.fft.ifft(spectrum * np.conjugate(spectrum))[: len(centred)].real / len(centred)
    return autocovariance / autocovariance[0]


def resolve_buffer(buffer: int | Literal["auto"], X: ArrayLike | None) -> int:
    """The buffer in rows, read from the series where it is "auto".

    Parameters
    ----------
    buffer : int or "auto"
        Rows, or the series' own period.
    X : array-like of shape (n_rows,) or (n_rows, n_channels), or None
        The series; only read for "auto".

    Returns
    -------
    buffer : int
        Rows.

    Raises
    ------
    ValueError
        If `buffer` is negative, another string, or "auto" without `X`.
    TypeError
        If `buffer` is neither an integer nor "auto".

    Examples
    --------
    >>> from timesad.metrics._buffer import resolve_buffer
    >>> resolve_buffer(20, None)
    20
    """
    if isinstance(buffer, str):
        if buffer != "auto":
            raise ValueError(f'buffer is {buffer!r}; expected a number of rows or "auto".')
        if X is None:
            raise ValueError('buffer="auto" needs the series: pass X=, or buffer as a number of rows.')
        return autocorrelation_period(X)
    return check_integer(buffer, "buffer", minimum=0)
