"""TimesNet as a detector."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from ._base import BaseDeepDetector
from .nn.networks import TimesNetNetwork

__all__ = ["TimesNetDetector"]


class TimesNetDetector(BaseDeepDetector):
    """Anomalies are the rows that TimesNet cannot rebuild from the rows around them.

    Parameters
    ----------
    window_size : int, default=96
        Rows in a window.
    top_k : int, default=3
        How many periods are learned from the training series. Fewer than `window_size`.
    n_layers : int, default=2
        TimesNet blocks.
    model_size : int, default=16
        Features of each row inside the network.
    n_kernels : int, default=4
        Kernels of each inception convolution; the largest is ``2 * n_kernels - 1`` wide.
    dropout : float, default=0.0
        Dropout of the embedding, in [0, 1).
    normalize_windows : bool, default=True
        Whether each window is brought to mean 0 and scale 1 per channel before the network and back after it.
    n_masks : int, default=4
        Number of complementary masks. A share of ``1 / n_masks`` of the rows is hidden at a time, in training and in
        scoring, and every row is judged when it is hidden: by its context, never by a copy of itself. 0 shows the
        network everything, as the papers do.
    patch_size : int, default=8
        Rows that a mask hides together.
    smoothing : int, default=64
        Rows over which each channel's error and level are smoothed; what half of these rows say counts twice, and the
        score is smoothed again over an eighth. Anomalies much shorter than this are ranked better with a smaller
        number, longer ones with a larger. 1 is off.
    level_weight : float, default=0.3
        Weight of a channel's smoothed level, calibrated as its error is, beside the error. A window that is brought to
        mean 0 rebuilds a shifted level for free; this is where the shift is seen. 0 is off.
    clean_training : bool, default=True
        Whether the rows of `fit` are presumed normal. How unusual a channel is, is told in units of the most unusual
        hundredth of them; where anomalies lie among them, they would set that unit. False takes the median of the units
        of four quarters of the rows, which what happens in one of them does not move.
    score_stride : int or None, default=None
        Rows between the starts of two scoring windows; an eighth of a window if None.
    max_epochs : int, default=20
        Epochs at most.
    epoch_size : int, default=1024
        Windows drawn for an epoch (all of them if there are fewer), so that training time does not grow with the
        series.
    batch_size : int, default=64
        Windows in a training step and in a scoring batch. Scores do not depend on it beyond rounding, but for
        training.
    learning_rate : float, default=2e-3
        Step size of Adam.
    validation_fraction : float, default=0.2
        Share of each series' last rows that are held out to stop training early, in [0, 1). Between them and the rows
        trained on lies a gap of a window. 0, or a series too short to divide, trains for `max_epochs`.
    patience : int, default=2
        Epochs without a better held-out reconstruction error after which training stops.
    contamination : float or object, default=0.1
        Share of training rows above the threshold, in (0, 0.5]; or a thresholder object in the manner of PyThresh.
    device : str, default="auto"
        Where to compute: "auto" (a CUDA device if there is one, else the CPU) or a name torch knows. Applies from the
        next call on, to a detector loaded from a file too: what was fitted on one device scores on any other.
    random_state : int, RandomState or None, default=None
        Fixes weights, masks and order. The global generators are neither read nor moved.
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
    periods_ : ndarray of shape (top_k,)
        Periods in rows, learned from the training series, strongest first.
    period_weights_ : ndarray of shape (top_k,)
        Their shares of spectral amplitude.
    history_ : list of dict
        One record an epoch: training and held-out reconstruction error.
    network_ : torch.nn.Module
        The trained network.
    n_features_in_ : int
        Channels seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X was a DataFrame.

    See Also
    --------
    TimesNetDiscrepancyDetector : The same network with an association branch.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDeepDetector._parameter_constraints,
        "n_kernels": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        window_size: int = 96,
        top_k: int = 3,
        n_layers: int = 2,
        model_size: int = 16,
        n_kernels: int = 4,
        dropout: float = 0.0,
        normalize_windows: bool = True,
        n_masks: int = 4,
        patch_size: int = 8,
        smoothing: int = 64,
        level_weight: float = 0.3,
        clean_training: bool = True,
        score_stride: int | None = None,
        max_epochs: int = 20,
        epoch_size: int = 1024,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        validation_fraction: float = 0.2,
        patience: int = 2,
        contamination: float | Any = 0.1,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            window_size=window_size,
            top_k=top_k,
            n_layers=n_layers,
            model_size=model_size,
            dropout=dropout,
            normalize_windows=normalize_windows,
            n_masks=n_masks,
            patch_size=patch_size,
            smoothing=smoothing,
            level_weight=level_weight,
            clean_training=clean_training,
            score_stride=score_stride,
            max_epochs=max_epochs,
            epoch_size=epoch_size,
            batch_size=batch_size,
            learning_rate=learning_rate,
            validation_fraction=validation_fraction,
            patience=patience,
            contamination=contamination,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_kernels = n_kernels

    def _build_network(self) -> TimesNetNetwork:
        return TimesNetNetwork(self._window_settings(), self._block_settings(self.n_kernels))
