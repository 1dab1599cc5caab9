"""Deep detectors for time series that behave like every other scikit-learn and PyOD estimator."""

from ._anomaly_transformer import AnomalyTransformerDetector
from ._timesnet import TimesNetDetector
from ._timesnet_discrepancy import TimesNetDiscrepancyDetector

__version__ = "0.1.0"

__all__ = [
    "AnomalyTransformerDetector",
    "TimesNetDetector",
    "TimesNetDiscrepancyDetector",
    "__version__",
]
