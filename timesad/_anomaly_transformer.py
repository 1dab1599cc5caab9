"""The Anomaly Transformer as a detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._associations import AssociationDetector
from .nn.networks import AnomalyTransformerNetwork

__all__ = ["AnomalyTransformerDetector"]


class AnomalyTransformerDetector(AssociationDetector):
    """The Anomaly Transformer: attention that rebuilds a window and is compared with a prior association.

    Parameters
    ----------
    window_size : int, default=96
        Rows in a window.
    top_k : int, default=3
        How many periods are learned from the training series. Fewer than `window_size`.
    n_layers : int, default=2
        Layers, each an anomaly attention and a feed-forward network.
    model_size : int, default=64
        Features of each row inside the network.
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
    n_heads : int, default=4
        Heads of each attention; they divide `model_size`.
    prior : {"local", "grid", "contrast"}, default="local"
        Prior association: "local" is the paper's Gaussian in time; "grid" a Gaussian over phase and cycle of each
        learned period; "contrast" both.
    divergence : {"kl", "js"}, default="kl"
        "kl" is the paper's symmetric Kullback-Leibler divergence, kept finite by the official code's 1e-4; "js" the
        Jensen-Shannon divergence.
    schedule : {"simultaneous", "alternating", "off"}, default="simultaneous"
        "simultaneous" takes one step with the gradients of both phases, as the official code does; "alternating" a
        step for each, as the paper writes; "off" reports the discrepancy without training on it.
    discrepancy_weight : float, "balanced" or "auto", default=3.0
        k of ``rec ± k·D``; the official code has 3. "balanced" takes ``rec / D`` of each batch, so that neither term
        drowns the other, and so does "auto" here. 0 trains the reconstruction alone.
    score_rule : {"reconstruction", "memory", "discrepancy", "sum", "product"}, default="reconstruction"
        "reconstruction" scores by calibrated error; "memory" by its agreement with the distance to the memory, which is
        association beyond the window: that of the strangest window around a row and that of the row itself;
        "discrepancy" by calibrated closeness of S and P; "sum" by both; "product" is the paper's softmax(-50 D) · error
        within each window.
    memory_size : int, default=4096
        Training windows, evenly spread, that the rule "memory" compares each window with, channel by channel. Where
        the training rows hold fewer than six windows side by side, the memory counts less, and with five or fewer not
        at all: a distance is the mean of the five nearest.
    smoothing : int, default=64
        Rows over which each channel's error and level are smoothed; what half of these rows say counts twice, and the
        score is smoothed again over an eighth. A row's own distance to the memory is smoothed over as many and over
        three times as many. Anomalies much shorter than this are ranked better with a smaller number, longer ones with
        a larger. 1 is off.
    level_weight : float, default=0.3
        Weight of a channel's smoothed level, calibrated as its error is, beside the error. A window that is brought to
        mean 0 rebuilds a shifted level for free; this is where the shift is seen. 0 is off.
    clean_training : bool, default=True
        Whether the rows of `fit` are presumed normal. How unusual a channel is, is told in units of the most unusual
        hundredth of them; where anomalies lie among them, they would set that unit. False takes the median of the units
        of four quarters of the rows, which what happens in one of them does not move. The memory's own unit hardly
        moves either way.
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
        One record an epoch: training and held-out reconstruction error, and the mean discrepancy and the share of
        saturated prior widths in each phase.
    network_ : torch.nn.Module
        The trained network.
    memory_scorer_ : MemoryScorer or None
        The training windows that the rule "memory" compares with, and in what units.
    n_features_in_ : int
        Channels seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X was a DataFrame.

    See Also
    --------
    TimesNetDiscrepancyDetector : The same associations on TimesNet's features.

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
        top_k: int = 3,
        n_layers: int = 2,
        model_size: int = 64,
        dropout: float = 0.0,
        normalize_windows: bool = True,
        n_masks: int = 4,
        patch_size: int = 8,
        n_heads: int = 4,
        prior: str = "local",
        divergence: str = "kl",
        schedule: str = "simultaneous",
        discrepancy_weight: float | str = 3.0,
        score_rule: str = "reconstruction",
        memory_size: int = 4096,
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
            n_heads=n_heads,
            prior=prior,
            divergence=divergence,
            schedule=schedule,
            discrepancy_weight=discrepancy_weight,
            score_rule=score_rule,
            memory_size=memory_size,
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

    def _build_network(self) -> AnomalyTransformerNetwork:
        return self._network_class(self._window_settings(), self._association_settings())
