"""The arithmetic of a table: cells to series, series to groups, groups to one number.

Seeds are averaged within a series, series within a group, groups with equal weight. A mean holds the series that
finished, and its counts say how many those are; nothing is filled in for a cell that failed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from .comparison import SeriesKey
from .contract import Record
from .isolation import OK
from .measure import BY_SCORE, SCORE_NAMES

MULTICHANNEL = "multichannel"
UNIVARIATE = "univariate"
KINDS = (MULTICHANNEL, UNIVARIATE)

SCORE = "score"  # of a row that is one score of a method with several: that score's name


@dataclass(frozen=True)
class Summary:
    """One method in one table.

    Parameters
    ----------
    method, family : str
    group_means : dict of str to float or None
        Mean over the finished series of each group; None where none finished.
    finished, total : dict of str to int
        Series of each group that finished and that were planned.
    kind_means : dict of str to float or None
        Mean over the multichannel and over the univariate groups.
    mean : float or None
        Mean over all groups; None where a group has no finished series.
    seed_spread : float or None
        Standard deviation over seeds of the mean over groups; None for fewer than two seeds.
    fit_seconds, score_seconds, memory_mb : float or None
        Median over finished cells; the memory is the peak above what the process held before.
    """

    method: str
    family: str
    group_means: dict[str, float | None]
    finished: dict[str, int]
    total: dict[str, int]
    kind_means: dict[str, float | None]
    mean: float | None
    seed_spread: float | None
    fit_seconds: float | None
    score_seconds: float | None
    memory_mb: float | None

    @property
    def complete(self) -> bool:
        """Whether every planned series finished."""
        return self.finished == self.total


def row_name(method: str, score: str) -> str:
    """Return how the tables name one score of a method with several."""
    return f"{method} / {score}"


def table_rows(record: Record) -> list[Record]:
    """Return the record as the tables want it: one for each score of its method, whether the cell finished or not."""
    if SCORE_NAMES not in record:
        return [record]
    shared = {name: value for name, value in record.items() if name not in (SCORE_NAMES, BY_SCORE)}
    values = record.get(BY_SCORE, {})
    return [
        shared | {"method": row_name(record["method"], score), SCORE: score} | values.get(score, {})
        for score in record[SCORE_NAMES]
    ]


def all_table_rows(records: Iterable[Record]) -> list[Record]:
    """Return the table rows of all records."""
    return [row for record in records for row in table_rows(record)]


def series_key(record: Record) -> SeriesKey:
    """Return (group, series)."""
    return record["group"], record["series"]


def series_values(records: Iterable[Record], metric: str, variant: str) -> dict[SeriesKey, float]:
    """Return the mean over seeds for each series with a finished cell."""
    values: dict[SeriesKey, list[float]] = defaultdict(list)
    for record in records:
        if record["status"] == OK:
            values[series_key(record)].append(record[variant][metric])
    return {key: fmean(seeds) for key, seeds in values.items()}


def group_kinds(records: Iterable[Record]) -> dict[str, str]:
    """Return for each group whether it is multichannel (any series has several channels) or univariate."""
    channels: dict[str, int] = defaultdict(int)
    for record in records:
        channels[record["group"]] = max(channels[record["group"]], record["n_channels"])
    return {group: MULTICHANNEL if n > 1 else UNIVARIATE for group, n in channels.items()}


def mean_or_none(values: Iterable[float | None]) -> float | None:
    """Return the mean, or None where a value is missing or there is none."""
    known = list(values)
    present = [value for value in known if value is not None]
    return fmean(present) if present and len(present) == len(known) else None


def group_means(values: dict[SeriesKey, float], groups: Iterable[str]) -> dict[str, float | None]:
    """Return the mean over the series of each group."""
    return {group: mean_or_none(value for key, value in values.items() if key[0] == group) for group in groups}


def _seed_spread(records: Sequence[Record], metric: str, variant: str, groups: Sequence[str]) -> float | None:
    n_series = len(series_values(records, metric, variant))
    means = []
    for seed in sorted({record["seed"] for record in records}):
        values = series_values([record for record in records if record["seed"] == seed], metric, variant)
        # A seed that misses a series has another mean for that reason alone.
        if len(values) == n_series:
            means.append(mean_or_none(group_means(values, groups).values()))
    known = [mean for mean in means if mean is not None]
    return stdev(known) if len(known) > 1 else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _memory_above_start(record: Record) -> float | None:
    if record["memory_peak_mb"] is None:
        return None
    return float(record["memory_peak_mb"] - record["memory_before_mb"])


def _summarise_method(
    records: Sequence[Record], metric: str, variant: str, kinds: dict[str, str], totals: dict[str, int]
) -> Summary:
    values = series_values(records, metric, variant)
    means = group_means(values, kinds)
    finished = [record for record in records if record["status"] == OK]
    return Summary(
        method=records[0]["method"],
        family=records[0]["family"],
        group_means=means,
        finished={group: sum(key[0] == group for key in values) for group in kinds},
        total=totals,
        kind_means={kind: mean_or_none(means[g] for g in kinds if kinds[g] == kind) for kind in KINDS},
        mean=mean_or_none(means.values()),
        seed_spread=_seed_spread(records, metric, variant, list(kinds)),
        fit_seconds=_median(record["fit_seconds"] for record in finished),
        score_seconds=_median(record["score_seconds"] for record in finished),
        memory_mb=_median(_memory_above_start(record) for record in finished),
    )


def records_by_method(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each method, methods in order of appearance."""
    methods: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        methods[record["method"]].append(record)
    return dict(methods)


def summarise(records: Sequence[Record], metric: str, variant: str) -> list[Summary]:
    """Summarise a metric of the raw or smoothed scores, for the cells of one protocol; highest mean first."""
    kinds = group_kinds(records)
    totals = {group: len({r["series"] for r in records if r["group"] == group}) for group in kinds}
    summaries = [
        _summarise_method(of_method, metric, variant, kinds, totals)
        for of_method in records_by_method(records).values()
    ]
    return sorted(summaries, key=lambda s: (s.mean is None, -(s.mean or 0.0), s.method))
