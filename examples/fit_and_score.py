"""Fit, score, alarms
==================

Fit a detector on a series, print its fitted attributes, score new rows, and list the alarms among them.

Run ``python examples/fit_and_score.py``; it takes a few seconds.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score

from timesad import TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.metrics import vus_pr_score

# %%
# A series with one anomaly of each kind in its second half. Any array of shape (n_rows, n_channels) can take its place.
series = make_anomalous_series(n_rows=3000, period=40, random_state=0)
X, y = series.data, series.target
X_train, X_test, y_test = X[: series.train_size], X[series.train_size :], y[series.train_size :]

# %%
# Rows in time order, no labels. `contamination` is the share of new normal rows that may score above the threshold.
detector = TimesNetDiscrepancyDetector(window_size=64, max_epochs=4, contamination=0.01, random_state=0)
detector.fit(X_train)

print("periods in rows, strongest first:", detector.periods_.tolist())
print("held-out error of each epoch:", [round(epoch["valid_reconstruction"], 3) for epoch in detector.history_])
print(f"{detector.labels_.sum()} of {len(X_train)} training rows score above the threshold {detector.threshold_:.2f}")

# %%
# One score per row, larger is more abnormal. The labels are used for the metrics only.
scores = detector.decision_function(X_test)
flags = detector.predict(X_test)
print(f"\ntest rows: VUS-PR {vus_pr_score(y_test, scores, buffer=40):.2f}, ", end="")
print(f"AUC-PR {average_precision_score(y_test, scores):.2f} (chance: {y_test.mean():.2f})")
print(f"{flags.sum()} rows flagged, {y_test[flags == 1].sum()} of them anomalous")

# %%
# Ranges of rows instead of rows. A third of the test rows are anomalous and normal behaviour stays as it was, so the
# level must not follow recent rows.
alarms = detector.detect(X_test, follow_drift=False)
print("\nalarms in the test rows:")
print(alarms[["start", "end", "severity", "direction", "channels"]].round(1).to_string(index=False))
print("anomalies:", [(a["start"] - len(X_train), a["stop"] - len(X_train), a["kind"]) for a in series.anomalies])

# %%
# The parts of the largest score, by channel.
parts = detector.explain(X_test)
top = int(np.argmax(parts.score))
print(f"\nrow {series.train_size + top} has the largest score; its parts by channel:")
print("  reconstruction", parts.reconstruction_by_channel[top].round(2).tolist())
print("  neighbours    ", parts.neighbors_by_channel[top].round(2).tolist())
for anomaly in series.anomalies:
    if anomaly["start"] <= series.train_size + top < anomaly["stop"]:
        print(f"It is in an anomaly of the kind {anomaly['kind']!r} in the channels {anomaly['channels']}.")
