"""PyOD's own flow
===============

PyOD's example with ``IForest()`` replaced: all lines after the constructor are those that PyOD's examples have. Then
the scores of several detectors are combined, by hand, with SUOD, and with a threshold of PyThresh.

The last three parts need packages that PyOD does not install: ``pip install suod pythresh``. Without them they are
left out. Run ``python examples/pyod_flow.py``; it takes a few seconds.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.utils.data import evaluate_print, generate_ts_data
from pyod.utils.utility import standardizer

from timesad import NearestWindowsDetector

# %%
# PyOD's generator of time series. As most of PyOD's examples, it puts anomalies into the training rows, too.
contamination = 0.05
X_train, X_test, y_train, y_test = generate_ts_data(
    n_train=2000, n_test=1000, n_channels=2, contamination=contamination, anomaly_type="subsequence", random_state=42
)

# %%
# ``IForest(contamination=contamination)`` stood here. Anomalies among the training rows need `clean_training=False`;
# `contamination` then is the share of training rows above the threshold, as in PyOD. The anomalies last ten rows.
clf_name = "NearestWindowsDetector"
clf = NearestWindowsDetector(window_size=64, smoothing=8, clean_training=False, contamination=contamination)
clf.fit(X_train)

y_train_pred = clf.labels_  # binary labels (0: inliers, 1: outliers)
y_train_scores = clf.decision_scores_  # raw outlier scores

y_test_pred = clf.predict(X_test)  # outlier labels (0 or 1)
y_test_scores = clf.decision_function(X_test)  # outlier scores
y_test_pred, y_test_confidence = clf.predict(X_test, return_confidence=True)

print("On training data:")
evaluate_print(clf_name, y_train, y_train_scores)
print("On test data:")
evaluate_print(clf_name, y_test, y_test_scores)
evaluate_print("IForest, for comparison", y_test, IForest(random_state=0).fit(X_train).decision_function(X_test))
print(f"{y_train_pred.sum()} training rows and {y_test_pred.sum()} test rows are labelled as outliers,", end=" ")
print(f"{(y_test_confidence > 0.99).mean():.0%} of the test labels with a confidence above 0.99")

# %%
# Combination: scores have different units, so PyOD standardizes them by those of the training rows first.
detectors = [
    NearestWindowsDetector(window_size=window_size, smoothing=8, clean_training=False) for window_size in (32, 64, 96)
]
detectors.append(KNN())
train_scores = np.column_stack([one.fit(X_train).decision_scores_ for one in detectors])
test_scores = np.column_stack([one.decision_function(X_test) for one in detectors])
train_scores, test_scores = standardizer(train_scores, test_scores)

if find_spec("combo"):
    from pyod.models.combination import aom, average, maximization, moa

    print("\nCombination of four detectors:")
    evaluate_print("average", y_test, average(test_scores))
    evaluate_print("maximization", y_test, maximization(test_scores))
    evaluate_print("average of maximum", y_test, aom(test_scores, n_buckets=2))
    evaluate_print("maximum of average", y_test, moa(test_scores, n_buckets=2))

# %%
# SUOD fits, scores and combines the same detectors; with ``n_jobs=2`` side by side, in a script with
# ``if __name__ == "__main__":``. Its scheduler was trained on ten detectors of PyOD and writes a file among its own at
# each call. ``bps_flag=False`` gives each job equally many detectors instead.
if find_spec("suod"):
    from pyod.models.suod import SUOD

    ensemble = SUOD(base_estimators=detectors, contamination=contamination, bps_flag=False).fit(X_train)
    print("\nSUOD:")
    evaluate_print("the same detectors", y_test, ensemble.decision_function(X_test))
    print(f"{ensemble.labels_.sum()} training rows and {ensemble.predict(X_test).sum()} test rows are labelled")

# %%
# A threshold of PyThresh as `contamination`, from the training scores alone.
if find_spec("pythresh"):
    from pyod.models.thresholds import IQR

    clf = NearestWindowsDetector(window_size=64, smoothing=8, clean_training=False, contamination=IQR())
    clf.fit(X_train)
    print(f"\nPyThresh's IQR labels {clf.labels_.mean():.1%} of the training rows; {y_train.mean():.1%} are anomalous")
