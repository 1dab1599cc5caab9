"""Metrics of anomaly scores: ``f(y_true, y_score)`` of one labelled series, larger is better.

Start with `vus_pr_score`. For row-wise areas use scikit-learn's ``average_precision_score`` and
``roc_auc_score``. For several series, compute the metric of each series and take the mean: an event
or a buffer must not cross the border between two series.

Only the metrics whose names begin with ``pa_k`` apply point adjustment.
"""

from __future__ import annotations

from ._affiliation import affiliation_f1_score, affiliation_precision_score, affiliation_recall_score
from ._buffer import autocorrelation_period
from ._f1 import best_f1_score, event_f1_score, pa_k_auc_score, pa_k_f1_score
from ._range_f1 import range_f1_score
from ._scorers import get_scorer, get_scorer_names
from ._vus import range_auc_pr_score, range_auc_roc_score, vus_pr_score, vus_roc_score

__all__ = [
    "affiliation_f1_score",
    "affiliation_precision_score",
    "affiliation_recall_score",
    "autocorrelation_period",
    "best_f1_score",
    "event_f1_score",
    "get_scorer",
    "get_scorer_names",
    "pa_k_auc_score",
    "pa_k_f1_score",
    "range_auc_pr_score",
    "range_auc_roc_score",
    "range_f1_score",
    "vus_pr_score",
    "vus_roc_score",
]
