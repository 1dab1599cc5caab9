"""A part of the score of your own
================================

A detector whose score has one more part: how far a row lies outside the range of the training rows. The checks of the
contract run on it.

Run ``python examples/own_score_part.py``; it takes a few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timesad import NearestWindowsDetector
from timesad.calibration import smooth
from timesad.datasets import make_anomalous_series
from timesad.scoring import SeriesScorer, joined_mean
from timesad.testing import CHECKS, check_detector


@dataclass(frozen=True)
class RangeScorer(SeriesScorer):
    """The mean of the score and the distance from the training range, in standard deviations of the training rows."""

    lowest: np.ndarray  # (n_channels,)
    highest: np.ndarray  # (n_channels,)

    def outside(self, series, n_far=0):
        rows = series.from_row(n_far)
        distance = np.maximum(rows.values - self.highest, self.lowest - rows.values).clip(min=0)  # (n_rows, n_channels)
        return smooth(distance.max(axis=1).astype(float), self.settings.smoothing, rows.borders)

    def score(self, series, device, n_far=0):
        return joined_mean(super().score(series, device, n_far), self.outside(series, n_far))

    def evidence(self, series, device, n_far=0):
        found, outside = super().evidence(series, device, n_far), self.outside(series, n_far)
        return found._replace(score=joined_mean(found.score, outside), alarm=joined_mean(found.alarm, outside))

    def explain(self, series, device):
        parts = super().explain(series, device)
        outside = self.outside(series)
        parts.update(score=joined_mean(parts.score, outside), outside=outside)
        return parts


class RangeDetector(NearestWindowsDetector):
    """Nearest windows and the training range."""

    def _fit_scorer(self, series, device):
        scorer, scores, evidence = super()._fit_scorer(series, device)
        fitted = RangeScorer(**vars(scorer), lowest=series.values.min(axis=0), highest=series.values.max(axis=0))
        nothing = np.zeros(len(scores))  # no training row is outside
        joined = evidence._replace(
            score=joined_mean(evidence.score, nothing), alarm=joined_mean(evidence.alarm, nothing)
        )
        return fitted, joined_mean(scores, nothing), joined


def main() -> None:
    series = make_anomalous_series(n_rows=3000, train_size=2000, period=25, kinds=["spike"], random_state=0)
    train, new = np.split(series.data, [series.train_size])
    detector = RangeDetector(window_size=50, smoothing=16).fit(train)
    alarms = detector.detect(new)
    parts = detector.explain(new)
    print(alarms[["start", "end", "severity"]].round(2).to_string(index=False))
    print("anomalies:", [(one["start"] - len(train), one["stop"] - len(train)) for one in series.anomalies])
    print("largest parts:", {name: round(float(parts[name].max()), 2) for name in ("neighbors", "outside")})

    checks = [check for check in CHECKS if check.__name__ != "check_pickle"]  # a class of a script cannot be imported
    check_detector(RangeDetector(window_size=16, smoothing=4), checks)
    print(f"{len(checks)} checks passed")


if __name__ == "__main__":
    main()
