"""The flagship: TimesNet with nearest windows and the association discrepancy."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ._network_detector import AssociationsMixin, PeriodsMixin
from .nn.networks import TimesNetDiscrepancyNetwork, TimesNetNetwork
from .scoring import RECONSTRUCTION, RECONSTRUCTION_AND_NEIGHBORS, RECONSTRUCTION_PLUS_DISCREPANCY

__all__ = ["TimesNetDiscrepancyDetector"]


class TimesNetDiscrepancyDetector(PeriodsMixin, AssociationsMixin):
    """TimesNet's reconstruction error joined with nearest windows; the association discrepancy beside it.

    The default score contains the reconstruction error of TimesNet and the distance to the nearest windows: training
    windows and, for new rows, earlier windows of their own series. It does not contain the association discrepancy,
    which added nothing to detection in any measurement; `explain`, `history_` and `AssociationDisplay` show it.

    The discrepancy compares S, the attention of a row to the rows of its window, with P, a Gaussian over their distance
    in time. A minimax trains both on the features of each TimesNet block, with the gradient to the blocks stopped.

    Parameters
    ----------
    window_size : int, default=96
        Rows in a window, at least 4. A window should cover a full cycle of the series, and the training rows at least
        six windows.
    anomaly_score : {"reconstruction*neighbors", "reconstruction", "reconstruction+discrepancy"}, \
            default="reconstruction*neighbors"
        "reconstruction*neighbors" joins the calibrated reconstruction error and the calibrated distance to the nearest
        windows: a row scores high where one is very high or both are high. "reconstruction" is the first alone.
        "reconstruction+discrepancy" adds the calibrated closeness of S and P to it; it ranked rows worse on the
        development series.
    smoothing : int, default=64
        Rows of the moving averages of the score. A smaller number ranks anomalies better that are much shorter, a
        larger number longer ones. 1 is off.
    clean_training : bool, default=True
        Whether the training rows are presumed normal. With False, training windows are compared with windows that start
        at least five windows away, so that a long anomaly is not its own neighbour, and the distance counts three times
        as much as the reconstruction. The other two scores then take the scale of each channel's error from the median
        of four quarters of the training rows.
    use_past : bool, default=True
        Whether a score depends on all earlier rows of its series in X: windows are compared with earlier ones, too, and
        what has become typical is subtracted from the reconstruction error. False scores a row by the rows near it, so
        that a long series can be scored in chunks.
    missing : {"error", "interpolate", "mask"}, default="error"
        What NaN in X means. "error" raises ValueError. "mask" draws a line between the numbers before and after, and a
        missing number counts as expected: it adds nothing to a score. "interpolate" does the same and raises ValueError
        for a gap of more than `window_size` rows.
    discrepancy_weight : float or "balanced", default="balanced"
        k in the loss ``reconstruction ± k · discrepancy``. "balanced" takes ``reconstruction / discrepancy`` of each
        batch, so that both terms have the same size; the official code has 3. 0 trains no associations. The
        associations do not change the reconstruction, so the first two scores are the same for every value.
    n_periods : int, default=3
        Number of periods that are found in the training series, less than `window_size`. The network compares rows that
        are one period apart.
    n_layers : int, default=2
        Layers of the network (TimesNet blocks, each with an anomaly attention).
    model_size : int, default=16
        Features of each row inside the network.
    n_heads : int, default=1
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
    periods_ : ndarray of shape (n_periods,)
        Periods of the training series in rows, strongest first.
    period_weights_ : ndarray of shape (n_periods,)
        Their shares of spectral amplitude.
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
    NearestWindowsDetector : The distance to the nearest training windows alone, without a network.
    TimesNetDetector : The reconstruction error alone.
    AnomalyTransformerDetector : The discrepancy without TimesNet.

    Notes
    -----
    A parameter that changes after `fit` takes effect at the next `fit`; `device` takes effect at the next call.

    References
    ----------
    Wu et al., "TimesNet: Temporal 2D-Variation Modeling for General Time Series Analysis", ICLR 2023.

    Xu et al., "Anomaly Transformer: Time Series Anomaly Detection with Association Discrepancy", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import TimesNetDiscrepancyDetector
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = TimesNetDiscrepancyDetector(window_size=32, max_epochs=1, random_state=0).fit(X)
    >>> detector.decision_function(X[:100]).shape
    (100,)
    >>> sorted(detector.explain(X[:100]))
    ['discrepancy', 'level', 'neighbors', 'neighbors_by_channel', 'reconstruction', 'reconstruction_by_channel',
    'score']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **PeriodsMixin._parameter_constraints,
        **AssociationsMixin._parameter_constraints,
        "anomaly_score": [StrOptions({RECONSTRUCTION, RECONSTRUCTION_AND_NEIGHBORS, RECONSTRUCTION_PLUS_DISCREPANCY})],
    }
    _network_class = TimesNetDiscrepancyNetwork

    def __init__(
        self,
        *,
        window_size: int = 96,
        anomaly_score: str = "reconstruction*neighbors",
        smoothing: int = 64,
        clean_training: bool = True,
        use_past: bool = True,
        missing: str = "error",
        discrepancy_weight: float | str = "balanced",
        n_periods: int = 3,
        n_layers: int = 2,
        model_size: int = 16,
        n_heads: int = 1,
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
        self.n_periods = n_periods
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

    def _build_network(self) -> TimesNetNetwork:
        window, blocks = self._window_settings(), self._block_settings()
        if self.discrepancy_weight == 0 and not self._score_settings().uses_discrepancy:
            return TimesNetNetwork(window, blocks)
        return self._network_class(window, blocks, self._association_settings(), detached=True)
