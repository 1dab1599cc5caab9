"""Pictures of a detector
======================

Scores with alarms, the training of the network, and its associations; also of 100,000 rows, and on a dark ground.

Run ``python examples/pictures.py``; it takes a few seconds. ``python examples/pictures.py docs/images`` writes the
pictures of the documentation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from timesad import TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.displays import AnomalyScoreDisplay, AssociationDisplay, TrainingDisplay

# %%
# A series with times, and a detector that is fitted on its first rows.
series = make_anomalous_series(
    n_rows=4000, train_size=2500, period=25, kinds=["frequency", "trend"], n_cycles=4, random_state=0
)
times = pd.date_range("2026-01-01", periods=4000, freq="min")
X = pd.DataFrame(series.data, columns=["pressure", "flow", "temperature", "speed"], index=times)
X_train, X_new, y_new = X[:2500], X[2500:], series.target[2500:]
detector = TimesNetDiscrepancyDetector(window_size=64, smoothing=32, contamination=0.01, max_epochs=4, random_state=0)
detector.fit(X_train)

# %%
# Scores of new rows with the threshold and the alarms. A bar is an alarm, with the name of its leading channel.
scores = AnomalyScoreDisplay.from_estimator(detector, X_new, y=y_new, alarms=True)
print(f"{len(scores.alarm_bars_)} alarms:", [label.get_text() for label in scores.alarm_labels_])

# %%
# The training: error on the windows trained on and on those held out, the epoch whose weights the detector has, and the
# mean association discrepancy.
training = TrainingDisplay.from_estimator(detector)
print(f"the detector has the weights of epoch {training.kept_epoch_} of {len(detector.history_)}")

# %%
# Series and prior association in the window around the first row of the most severe alarm.
row = int(scores.alarms.loc[scores.alarms["severity"].idxmax(), "start"])
associations = AssociationDisplay.from_estimator(detector, X_new, row=row)
print(f"row {row} is in the window from row {associations.first_row}")

# %%
# Of 100,000 rows, the line has the largest score of every 100 rows, so one high row stays visible. The style sets all
# colours.
rng = np.random.default_rng(0)
many = rng.gamma(2.0, size=100_000)
many[70_000] = 30.0
with plt.style.context("dark_background"):
    dark = AnomalyScoreDisplay.from_predictions(many, threshold=14.0, name="noise, one row of it high")
print(f"{len(many)} rows, {len(dark.line_.get_xdata())} points")

# %%
# Write the pictures to a folder, if one is named.
for folder in sys.argv[1:]:
    for name, display in {"scores": scores, "training": training, "associations": associations, "dark": dark}.items():
        display.figure_.savefig(Path(folder) / f"display-{name}.png", dpi=120)
