"""The Anomaly Transformer as a detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._network_detector import AssociationsMixin
from .nn.networks import AnomalyTransformerNetwork

__all__ = ["AnomalyTransformerDetector"]


class AnomalyTransformerDetector(AssociationsMixin):
    """Reconstruction error of the Anomaly Transformer, on request plus its association discrepancy.

    In each layer, S is the attention of a row to the rows of its window, and P a Gaussian over their distance in time,
    with a learned width. The discrepancy is the symmetric Kullback-Leibler divergence of S and P. Training is a
    minimax: S moves away from P, and P moves towards S, while the network reconstructs hidden rows.

    The default score is the reconstruction error alone and contains no discrepancy; `explain` returns both.

    Parameters
    ----------
    window_size : int, default=96
        Rows in a window, at least 4. A window should cover a full cycle of the series, and the training rows at least
        six windows.
    anomaly_score : {"reconstruction", "reconstruction+discrepancy"}, default="reconstruction"
        "reconstruction" is the calibrated reconstruction error. "reconstruction+discrepancy" adds the calibrated
        closeness of S and P; it ranked rows worse on the development series.
    smoothing : int, default=64
        Rows of the moving averages of the score. A smaller number ranks anomalies better that are much shorter, a
        larger number longer ones. 1 is off.
    clean_training : bool, default=True
        Whether the training rows are presumed normal. The scale of each channel's error is the mean of its top 1 %
        training errors; False takes the median of that mean over four quarters of the training rows, so that an anomaly
        in one quarter does not set the scale.
    use_past : bool, default=True
        Whether a score depends on all earlier rows of its series in X: what has become typical is subtracted. False
        scores a row by the rows near it, so that a long series can be scored in chunks.
    missing : {"error", "interpolate", "mask"}, default="error"
        What NaN in X means. "error" raises ValueError. "mask" draws a line between the numbers before and after, and a
        missing number counts as expected: it adds nothing to a score. "interpolate" does the same and raises ValueError
        for a gap of more than `window_size` rows.
    discrepancy_weight : float or "balanced", default=3.0
        k in the loss ``reconstruction ± k · discrepancy``; 3 is the official code's. "balanced" takes ``reconstruction
        / discrepancy`` of each batch. 0 trains without the discrepancy.
    n_layers : int, default=2
        Layers of the network (attention and feed-forward).
    model_size : int, default=64
        Features of each row inside the network.
    n_heads : int, default=4
        Attention heads of each layer. They divide `model_size`.
    max_epochs : int, default=8
        Epochs of at most 512 windows. The weights of the epoch with the smallest error on the held-out last fifth of
        each series are kept, or those of the last epoch where no series can hold a window in both parts.
    batch_size : int, default=16
        Windows in a training step.
    learning_rate : float, default=5e-3
        Largest step size of Adam. It grows in the first quarter of the steps and then shrinks (one cycle).
    contamination : float or object, default=0.1
        Share of rows above the threshold, in (0, 0.5]: with `clean_training`, at most this share of new normal rows;
        without, of the training rows, as in PyOD. Or a thresholder object such as PyThresh's.
    device : str, default="auto"
        Where to compute: "auto" (a CUDA device if there is one, else the CPU) or a name that torch accepts. Takes
        effect at the next call, also for a detector that was loaded from a file.
    random_state : int, RandomState or None, default=None
        Fixes initial weights, masks and the order of training windows. The global generators are neither used nor
        changed.
    verbose : int, default=0
        1 shows a progress bar (needs tqdm).

    Attributes
    ----------
    decision_scores_ : ndarray of shape (n_rows,)
        Scores of the training rows.
    threshold_ : float
        Rows with a larger score are anomalies.
    labels_ : ndarray of shape (n_rows,)
        Labels of the training rows, 1 for anomalies.
    scorer_ : SeriesScorer
        The fitted score: calibrated network, training windows, or both.
    score_tail_ : ScoreTail
        Distribution of the scores of normal rows, beyond the largest one seen.
    alarm_finder_ : AlarmFinder
        What `detect` finds alarms with.
    training_evidence_ : RowEvidence
        Evidence of the training rows, as of rows that the detector was not trained on.
    history_ : list of dict
        One record per epoch: training and held-out reconstruction error, mean discrepancy, and the share of
        saturated prior widths.
    network_ : torch.nn.Module
        The trained network.
    n_features_in_ : int
        Channels seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X was a DataFrame.

    See Also
    --------
    TimesNetDiscrepancyDetector : The same associations on TimesNet's features.

    Notes
    -----
    A parameter that changes after `fit` takes effect at the next `fit`; `device` takes effect at the next call.

    References
    ----------
    Xu et al., "Anomaly Transformer: Time Series Anomaly Detection with Association Discrepancy", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import AnomalyTransformerDetector
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = AnomalyTransformerDetector(window_size=32, max_epochs=1, random_state=0).fit(X)
    >>> detector.decision_function(X[:100]).shape
    (100,)
    """

    _network_class = AnomalyTransformerNetwork

    def __init__(
        self,
        *,
        window_size: int = 96,
        anomaly_score: str = "reconstruction",
        smoothing: int = 64,
        clean_training: bool = True,
        use_past: bool = True,
        missing: str = "error",
        discrepancy_weight: float | str = 3.0,
        n_layers: int = 2,
        model_size: int = 64,
        n_heads: int = 4,
        max_epochs: int = 8,
        batch_size: int = 16,
        learning_rate: float = 5e-3,
        contamination: float | Any = 0.1,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.window_size = window_size
        self.anomaly_score = anomaly_score
        self.smoothing = smoothing
        self.clean_training = clean_training
        self.use_past = use_past
        self.missing = missing
        self.discrepancy_weight = discrepancy_weight
        self.n_layers = n_layers
        self.model_size = model_size
        self.n_heads = n_heads
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.contamination = contamination
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _build_network(self) -> AnomalyTransformerNetwork:
        return self._network_class(self._window_settings(), self._association_settings())
