"""Search over window_size
=======================

Search over `window_size` with folds in time order.

A grid search needs labels of some past anomalies. `TimeSeriesSplit` trains on earlier rows and tests on later ones; a
shuffled split would train on rows beside the tested ones. The rows of the final report are not part of the search.

Run ``python examples/grid_search.py``; it takes under a minute.
"""

from __future__ import annotations

from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from timesad import TimesNetDetector
from timesad.datasets import make_anomalous_series
from timesad.metrics import get_scorer

# %%
# Anomalies begin after the first 1,000 rows: the test rows of both folds contain some.
series = make_anomalous_series(n_rows=4500, period=40, n_anomalies=14, train_size=1000, random_state=2)
X_search, y_search = series.data[:3000], series.target[:3000]
X_report, y_report = series.data[3000:], series.target[3000:]

search = GridSearchCV(
    TimesNetDetector(max_epochs=2, random_state=0),
    {"window_size": [48, 80, 120]},
    cv=TimeSeriesSplit(n_splits=2),
    scoring=get_scorer("vus_pr"),
    error_score="raise",  # stop at a fold that is shorter than a window
)
search.fit(X_search, y_search)  # the scorer uses the labels, the detector does not

results = search.cv_results_
print("window_size  VUS-PR of each fold")  # larger is better
for window_size, first, second in zip(
    results["param_window_size"], results["split0_test_score"], results["split1_test_score"], strict=True
):
    print(f"{window_size:11d}  {first:.3f}  {second:.3f}")
print(f"\nbest: {search.best_params_}, fitted again on all {len(X_search)} rows of the search")
print(f"VUS-PR on the {len(X_report)} rows after them: {search.score(X_report, y_report):.3f}")
