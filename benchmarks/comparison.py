"""Paired comparison of two methods over the same series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from .contract import FloatArray

SeriesKey = tuple[str, str]  # group, series

BOOTSTRAP_SAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """Method minus other over the series that both finished.

    Parameters
    ----------
    n_series : int
        Series in common.
    wins, losses : int
        Series on which the difference is positive, negative.
    mean_difference : float
        Mean over groups of the groups' mean differences.
    low, high : float
        Bootstrap interval of that mean; series are drawn within their group.
    p_value : float
        Wilcoxon signed-rank, two-sided, all series alike; 1 where no series differs.
    """

    n_series: int
    wins: int
    losses: int
    mean_difference: float
    low: float
    high: float
    p_value: float


def differences_by_group(values: Mapping[SeriesKey, float], other: Mapping[SeriesKey, float]) -> dict[str, FloatArray]:
    """Return value minus other value for the series in common, by group."""
    common = sorted(set(values) & set(other))
    groups = sorted({group for group, _ in common})
    return {g: np.array([values[key] - other[key] for key in common if key[0] == g]) for g in groups}


def bootstrap_interval(groups: Sequence[FloatArray], seed: int = 0) -> tuple[float, float]:
    """Return the percentile interval of the mean over groups, series drawn with replacement within each group.

    A group of one series adds no width: the interval is for other series of the same groups, not for other groups.
    """
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(len(values), size=(BOOTSTRAP_SAMPLES, len(values)))].mean(axis=1) for values in groups
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.mean(means, axis=0), [tail, 1 - tail])
    return float(low), float(high)


def compare(values: Mapping[SeriesKey, float], other: Mapping[SeriesKey, float]) -> Comparison | None:
    """Compare two methods by their values for each series; None if they have no series in common."""
    groups = differences_by_group(values, other)
    if not groups:
        return None
    pooled = np.concatenate(list(groups.values()))
    low, high = bootstrap_interval(list(groups.values()))
    return Comparison(
        n_series=len(pooled),
        wins=int(np.count_nonzero(pooled > 0)),
        losses=int(np.count_nonzero(pooled < 0)),
        mean_difference=float(np.mean([values.mean() for values in groups.values()])),
        low=low,
        high=high,
        p_value=float(wilcoxon(pooled).pvalue) if np.any(pooled) else 1.0,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: with twenty comparisons one falls below 0.05 by chance.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics, 1979.
    """
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()
