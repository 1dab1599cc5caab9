"""Random and halving search, with folds in time
=============================================

`RandomizedSearchCV` draws parameters, `HalvingGridSearchCV` gives more epochs to the better candidates only, and
`groups` of several series reach the detector through scikit-learn's metadata routing.

Run ``python examples/searches.py``; it takes some ten seconds.
"""

from __future__ import annotations

import numpy as np
import sklearn
from scipy.stats import randint
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    TimeSeriesSplit,
)

from timesad import NearestWindowsDetector, TimesNetDetector
from timesad.datasets import make_anomalous_series
from timesad.metrics import get_scorer

# %%
# Anomalies begin after the first 600 rows: the test rows of both folds contain some.
series = make_anomalous_series(n_rows=1800, period=25, n_anomalies=7, train_size=600, random_state=2)
X, y = series.data, series.target
folds = TimeSeriesSplit(n_splits=2)

# %%
# Six draws of two parameters.
search = RandomizedSearchCV(
    NearestWindowsDetector(),
    {"window_size": randint(24, 97), "smoothing": [4, 8, 16, 32, 64]},
    n_iter=6,
    cv=folds,
    scoring=get_scorer("vus_pr"),
    random_state=0,
).fit(X, y)
print("random search:", search.best_params_, f"VUS-PR {search.best_score_:.3f}")

# %%
# Successive halving with `max_epochs` as the resource: 1 epoch for all candidates, 3 for the best third.
# The usual resource, ``n_samples``, draws rows at random, which is no series. For a detector without a network,
# `max_windows` is a resource. There are no anomalies in the training rows to score, hence ``return_train_score=False``.
halving = HalvingGridSearchCV(
    TimesNetDetector(smoothing=8, n_layers=1, model_size=16, random_state=0),
    {"window_size": [24, 48, 72]},
    resource="max_epochs",
    min_resources=1,
    max_resources=3,
    factor=3,
    cv=folds,
    scoring=get_scorer("vus_pr"),
    return_train_score=False,
).fit(X, y)
for epochs, params, score in zip(
    halving.cv_results_["n_resources"],
    halving.cv_results_["params"],
    halving.cv_results_["mean_test_score"],
    strict=True,
):
    print(f"{epochs} epochs, window_size {params['window_size']:2d}: VUS-PR {score:.3f}")
print("halving:", halving.best_params_)

# %%
# Several series in one X. `GridSearchCV` gives `groups` to the splitter alone, unless metadata routing is enabled and
# the detector requests them. Then no window of a fit crosses from one series to the next. Each test fold is one series
# here, which needs no `groups`.
runs = [make_anomalous_series(n_rows=900, period=25, n_anomalies=3, random_state=seed) for seed in (5, 6, 7)]
X = np.concatenate([run.data for run in runs])
y = np.concatenate([run.target for run in runs])
groups = np.repeat(["first", "second", "third"], 900)

with sklearn.config_context(enable_metadata_routing=True):
    of_runs = GridSearchCV(
        NearestWindowsDetector(smoothing=8, clean_training=False).set_fit_request(groups=True),
        {"window_size": [24, 48, 96]},
        cv=LeaveOneGroupOut(),
        scoring=get_scorer("vus_pr"),
    ).fit(X, y, groups=groups)
print("three series:", of_runs.best_params_, f"VUS-PR {of_runs.best_score_:.3f}")
scores = of_runs.best_estimator_.decision_function(X, groups=groups)  # the search itself takes no groups here
