"""Buffer around events, in rows: a number, or the period of the series."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len

from ._validation import check_integer

__all__ = ["DEFAULT_BUFFER", "autocorrelation_period", "resolve_buffer"]

DEFAULT_BUFFER = 100  # rows
PERIOD_WHERE_NONE = 125  # rows
ROWS_READ = 20_000
LONGEST_LAG = 400  # rows
SHORTEST_LAG = 3  # rows
PEAK_OFFSETS = (3, 300)  # rows from SHORTEST_LAG to the peak: periods of 6 to 303 rows


def autocorrelation_period(X: ArrayLike) -> int:
    """Period of a series by the rule of TSB-AD: the highest peak of the autocorrelation.

    The rule reads the first 20,000 rows of channel 0 and takes the biased autocorrelation at lags 3
    to 400. The period is the lag of the highest strict local maximum. It is 125 if there is none,
    or if its lag is below 6 or above 303.

    Equal to ``find_length_rank(..., rank=1)`` of TSB-AD, the buffer of VUS in its published tables.

    Parameters
    ----------
    X : array-like of shape (n_rows,) or (n_rows, n_channels)
        The series. Only channel 0 is read.

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
    # Complex transform of this length, as in TSB-AD. Where the autocorrelation is flat, rounding decides which lag is
    # a peak, and the published tables contain TSB-AD's rounding.
    size = next_fast_len(2 * len(centred) + 1, real=True)
    spectrum = np.fft.fft(centred, n=size)
    autocovariance = np.fft.ifft(spectrum * np.conjugate(spectrum))[: len(centred)].real / len(centred)
    return autocovariance / autocovariance[0]


def resolve_buffer(buffer: int | Literal["auto"], X: ArrayLike | None) -> int:
    """Buffer in rows; "auto" takes the period of the series.

    Parameters
    ----------
    buffer : int or "auto"
        Rows, or "auto" for ``autocorrelation_period(X)``.
    X : array-like of shape (n_rows,) or (n_rows, n_channels), or None
        The series. Required by "auto", ignored otherwise.

    Returns
    -------
    buffer : int
        Buffer in rows.

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
