"""Beside PyOD's detectors
=======================

PyOD's detectors and those of timesad have the same interface, so one loop runs them all.

All are fitted on the same first rows, without labels, and evaluated on the rows after them by metrics without a
threshold. The last line is a random score, the baseline.

Run ``python examples/compare_with_pyod.py``; it takes a few seconds.
"""

from __future__ import annotations

import time

import numpy as np
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.pca import PCA
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from timesad import NearestWindowsDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.datasets import make_anomalous_series
from timesad.metrics import vus_pr_score

series = make_anomalous_series(n_rows=3000, period=40, random_state=3)
scaler = StandardScaler().fit(series.data[: series.train_size])  # as PyOD's detectors need it
X_train, X_test = np.split(scaler.transform(series.data), [series.train_size])
y_test = series.target[series.train_size :]

detectors = {
    "IForest": IForest(random_state=0),
    "ECOD": ECOD(),
    "KNN": KNN(),
    "PCA": PCA(random_state=0),
    "NearestWindowsDetector": NearestWindowsDetector(window_size=64),
    "TimesNetDetector": TimesNetDetector(window_size=64, max_epochs=4, random_state=0),
    "TimesNetDiscrepancyDetector": TimesNetDiscrepancyDetector(window_size=64, max_epochs=4, random_state=0),
}

print(f"{'detector':27s}  VUS-PR  AUC-PR  seconds")
for name, detector in detectors.items():
    begin = time.perf_counter()
    scores = detector.fit(X_train).decision_function(X_test)
    seconds = time.perf_counter() - begin
    vus_pr, auc_pr = vus_pr_score(y_test, scores, buffer=40), average_precision_score(y_test, scores)
    print(f"{name:27s}  {vus_pr:6.3f}  {auc_pr:6.3f}  {seconds:7.1f}")

random_scores = np.random.default_rng(0).random(len(y_test))
vus_pr, auc_pr = vus_pr_score(y_test, random_scores, buffer=40), average_precision_score(y_test, random_scores)
print(f"{'random score':27s}  {vus_pr:6.3f}  {auc_pr:6.3f}")
