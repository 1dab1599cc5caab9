"""TimesNet as a detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._network_detector import PeriodsMixin
from .nn.networks import TimesNetNetwork

__all__ = ["TimesNetDetector"]


class TimesNetDetector(PeriodsMixin):
    """Reconstruction error of TimesNet: a row is abnormal if the network cannot predict it from the rows around it.

    Each window is folded by the periods of the series and convolved in two dimensions. A quarter of the rows is hidden
    at a time, and a row's error is taken while it is hidden.

    Parameters
    ----------
    window_size : int, default=96
        Rows in a window, at least 4. A window should cover a full cycle of the series, and the training rows at least
        six windows.
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
    n_periods : int, default=3
        Number of periods that are found in the training series, less than `window_size`. The network compares rows that
        are one period apart.
    n_layers : int, default=2
        Layers of the network (TimesNet blocks).
    model_size : int, default=16
        Features of each row inside the network.
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
        One record per epoch: training and held-out reconstruction error.
    network_ : torch.nn.Module
        The trained network.
    n_features_in_ : int
        Channels seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X was a DataFrame.

    See Also
    --------
    TimesNetDiscrepancyDetector : The same network, joined with the distance to the nearest windows.

    Notes
    -----
    A parameter that changes after `fit` takes effect at the next `fit`; `device` takes effect at the next call.

    References
    ----------
    Wu et al., "TimesNet: Temporal 2D-Variation Modeling for General Time Series Analysis", ICLR 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import TimesNetDetector
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = TimesNetDetector(window_size=32, max_epochs=1, random_state=0).fit(X)
    >>> detector.decision_function(X[:100]).shape
    (100,)
    """

    def __init__(
        self,
        *,
        window_size: int = 96,
        smoothing: int = 64,
        clean_training: bool = True,
        use_past: bool = True,
        missing: str = "error",
        n_periods: int = 3,
        n_layers: int = 2,
        model_size: int = 16,
        max_epochs: int = 8,
        batch_size: int = 16,
        learning_rate: float = 5e-3,
        contamination: float | Any = 0.1,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.window_size = window_size
        self.smoothing = smoothing
        self.clean_training = clean_training
        self.use_past = use_past
        self.missing = missing
        self.n_periods = n_periods
        self.n_layers = n_layers
        self.model_size = model_size
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.contamination = contamination
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _build_network(self) -> TimesNetNetwork:
        return TimesNetNetwork(self._window_settings(), self._block_settings())
