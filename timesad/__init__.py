"""Anomaly detectors for time series: scikit-learn estimators with PyOD's contract."""

from ._anomaly_transformer import AnomalyTransformerDetector
from ._nearest_windows import NearestWindowsDetector
from ._timesnet import TimesNetDetector
from ._timesnet_discrepancy import TimesNetDiscrepancyDetector
from ._versions import show_versions
from .many import fit_many, score_many
from .saving import load

__version__ = "0.2.0.dev0"  # the only place; pyproject.toml reads it

__all__ = [
    "AnomalyTransformerDetector",
    "NearestWindowsDetector",
    "TimesNetDetector",
    "TimesNetDiscrepancyDetector",
    "__version__",
    "fit_many",
    "load",
    "score_many",
    "show_versions",
]
