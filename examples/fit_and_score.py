"""Fit a detector on a series, look at what it has learned, score rows it has not seen.

Run ``python examples/fit_and_score.py``; it takes a few seconds.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score

from timesad import TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.metrics import vus_pr_score

# A series with one anomaly of each kind in its second half; any array of shape (n_rows, n_channels) will do.
series = make_anomalous_series(n_rows=3000, period=40, random_state=0)
X, y = series.data, series.target
X_train, X_test, y_test = X[: series.train_size], X[series.train_size :], y[series.train_size :]

# Rows in time order, no labels. `contamination` is the share of training rows that the threshold leaves above it.
clf = TimesNetDiscrepancyDetector(window_size=64, max_epochs=4, contamination=0.01, random_state=0)
clf.fit(X_train)

print("periods in rows, strongest first:", clf.periods_.tolist())
print("held-out error, epoch by epoch:  ", [round(epoch["valid_reconstruction"], 3) for epoch in clf.history_])
print(
    f"training rows: {len(clf.decision_scores_)} scores, threshold {clf.threshold_:.2f}, {clf.labels_.sum()} above it"
)

# One score a row, larger is more abnormal; the labels come in only now, to judge the scores.
scores = clf.decision_function(X_test)
flags = clf.predict(X_test)
print(f"\ntest rows: VUS-PR {vus_pr_score(y_test, scores, buffer=40):.2f}, ", end="")
print(f"AUC-PR {average_precision_score(y_test, scores):.2f} (chance: {y_test.mean():.2f})")
print(f"{flags.sum()} rows flagged, {y_test[flags == 1].sum()} of them anomalous")

# What the most abnormal row's score is made of.
parts = clf.explain(X_test)
top = int(np.argmax(parts.score))
print(f"\nrow {series.train_size + top} scores highest, by channel:", parts.channels[top].round(2).tolist())
for anomaly in series.anomalies:
    if anomaly["start"] <= series.train_size + top < anomaly["stop"]:
        print(f"it is in an anomaly of the kind {anomaly['kind']!r} in the channels {anomaly['channels']}")
