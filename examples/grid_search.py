"""Search the window's length with folds that respect time.

A grid search needs labels to tell which setting is better, so this is for the case in which some past anomalies are
known. `TimeSeriesSplit` always trains on earlier rows and judges on later ones; a shuffled split would train on the
neighbours of the rows it judges. The rows that the final report is about take no part in the search.

Run ``python examples/grid_search.py``; it takes under a minute.
"""

from __future__ import annotations

from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from timesad import TimesNetDetector
from timesad.datasets import make_anomalous_series
from timesad.metrics import get_scorer

# Anomalies begin after the first 1,000 rows, so that each of the two folds judges on rows with some in them.
series = make_anomalous_series(n_rows=4500, period=40, n_anomalies=14, train_size=1000, random_state=2)
X_search, y_search = series.data[:3000], series.target[:3000]
X_report, y_report = series.data[3000:], series.target[3000:]

search = GridSearchCV(
    TimesNetDetector(max_epochs=2, random_state=0),
    {"window_size": [48, 80, 120]},
    cv=TimeSeriesSplit(n_splits=2),
    scoring=get_scorer("vus_pr"),
    error_score="raise",  # a fold that is shorter than a window stops the search and says so
)
search.fit(X_search, y_search)  # the labels go to the scorer; the detector does not look at them

results = search.cv_results_
print("window_size  VUS-PR of each fold")
for window_size, first, second in zip(
    results["param_window_size"], results["split0_test_score"], results["split1_test_score"], strict=True
):
    print(f"{window_size:11d}  {first:.3f}  {second:.3f}")
print(f"\nchosen: {search.best_params_}, fitted again on all {len(X_search)} rows of the search")
print(f"VUS-PR on the {len(X_report)} rows after them: {search.score(X_report, y_report):.3f}")
