"""A detector in a Pipeline
========================

A detector as the last step of a scikit-learn Pipeline: clone, change a parameter, save and load.

Run ``python examples/pipeline.py``; it takes a few seconds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer

from timesad import TimesNetDetector
from timesad.datasets import make_anomalous_series

series = make_anomalous_series(n_rows=2000, period=25, random_state=1)
X_train = series.data[: series.train_size]

# %%
# The detector scales each channel, so a StandardScaler is not needed. Other transformations go in front of it; this one
# limits outliers.
detector = TimesNetDetector(window_size=50, max_epochs=3, random_state=0)
pipeline = Pipeline([("transform", QuantileTransformer(n_quantiles=200, random_state=0)), ("detect", detector)])
pipeline.fit(X_train)
print("steps:", ", ".join(f"{name} = {type(step).__name__}" for name, step in pipeline.steps))
print(f"largest score in row {int(np.argmax(pipeline.decision_function(series.data)))}; anomalies are in")
for anomaly in series.anomalies:
    print(f"  rows {anomaly['start']} to {anomaly['stop'] - 1}: {anomaly['kind']}")

# %%
# A clone has the same parameters and is not fitted. A parameter of a step has the step's name as its prefix.
other = clone(pipeline).set_params(detect__contamination=0.02).fit(X_train)
print(f"\nflagged at contamination 0.1: {pipeline.predict(series.data).sum()} rows, ", end="")
print(f"at 0.02: {other.predict(series.data).sum()} rows")

# %%
# A loaded pipeline gives the same scores, bit for bit. Load only files that you trust: a pickle can execute anything.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "pipeline.joblib")
    joblib.dump(pipeline, path)
    loaded = joblib.load(path)
same = np.array_equal(loaded.decision_function(series.data), pipeline.decision_function(series.data))
print(f"\nsaved and loaded again; the same scores: {same}")
