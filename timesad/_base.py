"""The contract, once: PyOD's BaseDetector and scikit-learn's estimator outside, windows and a network inside."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pyod.models.base import BaseDetector
from scipy.special import erf
from scipy.stats import binom
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, Options
from sklearn.utils.validation import check_is_fitted, validate_data

from .calibration import MIXED_BLOCKS
from .evidence import CALIBRATION_WINDOWS, Evidence, JudgedWindows, calibrate_positions, gather_evidence, judge_all
from .exceptions import TrainingError
from .memory import MemoryScorer, WindowMemory
from .nn.networks import BlockSettings, ReconstructionNetwork, WindowSettings
from .periods import learn_periods
from .scaling import ChannelScaling
from .scoring import DISCREPANCY_RULES, RowScorer
from .thresholds import fit_threshold
from .training import SCHEDULES, Phase, train_network
from .windows import WindowSet, chronological_split, series_borders, window_starts

__all__ = ["BaseDeepDetector"]

WINDOWS_OVER_A_ROW = 8  # scoring windows that hold each row, at the default stride
LARGEST_SEED = np.iinfo(np.int32).max


class BaseDeepDetector(BaseDetector):
    """Fit a network on windows of a series, score every row of any series with it.

    A subclass is a constructor that stores, a docstring, and `_build_network`.

    Notes
    -----
    The constructor stores and nothing else: PyOD's own would validate `contamination` there, which breaks `clone`
    and `set_params`. All parameters are validated at fit.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "window_size": [Interval(Integral, 4, None, closed="left")],
        "top_k": [Interval(Integral, 1, None, closed="left")],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "model_size": [Interval(Integral, 2, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "normalize_windows": ["boolean"],
        "n_masks": [Interval(Integral, 2, None, closed="left"), Options(Integral, {0})],
        "patch_size": [Interval(Integral, 1, None, closed="left")],
        "smoothing": [Interval(Integral, 1, None, closed="left")],
        "level_weight": [Interval(Real, 0, None, closed="left")],
        "clean_training": ["boolean"],
        "score_stride": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "epoch_size": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), HasMethods(["fit", "predict"])],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        window_size: int,
        top_k: int,
        n_layers: int,
        model_size: int,
        dropout: float,
        normalize_windows: bool,
        n_masks: int,
        patch_size: int,
        smoothing: int,
        level_weight: float,
        clean_training: bool,
        score_stride: int | None,
        max_epochs: int,
        epoch_size: int,
        batch_size: int,
        learning_rate: float,
        validation_fraction: float,
        patience: int,
        contamination: float | Any,
        device: str,
        random_state: int | np.random.RandomState | None,
        verbose: int,
    ) -> None:
        self.window_size = window_size
        self.top_k = top_k
        self.n_layers = n_layers
        self.model_size = model_size
        self.dropout = dropout
        self.normalize_windows = normalize_windows
        self.n_masks = n_masks
        self.patch_size = patch_size
        self.smoothing = smoothing
        self.level_weight = level_weight
        self.clean_training = clean_training
        self.score_stride = score_stride
        self.max_epochs = max_epochs
        self.epoch_size = epoch_size
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.contamination = contamination
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @abstractmethod
    def _build_network(self) -> ReconstructionNetwork:
        """The untrained network, for ``n_features_in_`` channels and ``periods_``."""

    def _window_settings(self) -> WindowSettings:
        return WindowSettings(
            n_channels=self.n_features_in_,
            window_size=self.window_size,
            model_size=self.model_size,
            dropout=self.dropout,
            normalize=self.normalize_windows,
            n_masks=self.n_masks,
            patch_size=self.patch_size,
        )

    def _block_settings(self, n_kernels: int) -> BlockSettings:
        return BlockSettings(self.n_layers, self.periods_.tolist(), n_kernels)

    # What the subclasses with associations differ in; the plain detector has none of it.

    def _phases(self) -> tuple[Phase, ...]:
        """Steps taken on each training batch."""
        return SCHEDULES["off"]

    def _discrepancy_weight(self) -> float | str:
        return 0.0

    def _score_rule(self) -> str:
        return "reconstruction"

    def _build_memory(self, values: NDArray[np.float32], borders: NDArray[np.intp]) -> WindowMemory | None:
        """What the windows are compared with beyond the network, if anything."""
        return None

    # Fitting

    def fit(self, X: ArrayLike, y: Any = None, groups: ArrayLike | None = None) -> BaseDeepDetector:
        """Train on a series and score its rows.

        A fit that fails, or is interrupted, leaves the detector as it was: fitted on earlier rows, or not at all.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_channels)
            The series, rows in time order at even spacing. It may hold anomalies; no labels are used.
        y : Ignored
            Present for scikit-learn's sake.
        groups : array-like of shape (n_rows,), default=None
            Which series each row belongs to, where X holds several, one after the other. No window crosses a border.

        Returns
        -------
        self : detector

        Raises
        ------
        ValueError
            If a parameter or X is unusable; the message says what to change.
        TrainingError
            If the training loss becomes NaN or infinite.
        """
        before = vars(self).copy()
        try:
            self._learn(X, groups)
        except BaseException:  # an interrupt, too: half a fit would scale by one series and rebuild by another
            self.__dict__ = before
            raise
        return self

    def _learn(self, X: ArrayLike, groups: ArrayLike | None) -> None:
        self._validate_params()
        self._check_parameters_together()
        rows, borders = self._check_series(X, groups, reset=True)
        device = self._resolve_device()
        seed = self._draw_seed()

        self.scaling_ = ChannelScaling.learn(rows)
        values = self.scaling_(rows)
        self.periods_, self.period_weights_ = learn_periods(values, borders, self.window_size, self.top_k)
        self._train(values, borders, device, seed)
        self._calibrate(values, borders, device)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle or a copy holds: the network on the CPU, so that a machine without the accelerator loads it."""
        state: dict[str, Any] = super().__getstate__()
        if "network_" in state:
            state["network_"] = copy.deepcopy(self.network_).cpu()
        return state

    def _check_parameters_together(self) -> None:
        """Constraints that no single parameter shows."""
        if self.top_k > self.window_size - 1:
            raise ValueError(
                f"top_k={self.top_k} periods do not fit in window_size={self.window_size}, which holds only the "
                f"periods 2 to {self.window_size}. Use a window_size of at least {self.top_k + 1} or a top_k of at "
                f"most {self.window_size - 1}."
            )
        if self.n_masks * self.patch_size > self.window_size:
            raise ValueError(
                f"n_masks={self.n_masks} masks of patch_size={self.patch_size} rows need a window_size of at least "
                f"{self.n_masks * self.patch_size}, but it is {self.window_size}. Use smaller patches, fewer masks, a "
                "longer window, or n_masks=0."
            )

    def _check_series(
        self, X: ArrayLike, groups: ArrayLike | None, *, reset: bool
    ) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
        """X as a floating-point array (not copied where it is one), and the borders of its series."""
        if not reset and self.n_features_in_ == 1 and np.ndim(X) == 1:
            X = np.asarray(X).reshape(-1, 1)
        try:
            rows: NDArray[np.floating] = validate_data(
                self, X, reset=reset, dtype=[np.float64, np.float32], ensure_min_samples=2
            )
        except ValueError as error:
            same = "" if reset else ", with the channels of fit in the same order"
            raise ValueError(
                f"X is not a series that can be used. {error}\nPass finite numbers of shape (n_rows, n_channels), "
                f"rows in time order{same}. Fill or drop missing values first."
            ) from error
        names = None if groups is None else np.asarray(groups)
        if names is not None and names.shape != (len(rows),):
            raise ValueError(f"groups has shape {names.shape} but X has {len(rows)} rows; give one entry a row.")
        borders = series_borders(len(rows), names)
        shortest = int(np.diff(borders).min())
        # What scores is the fitted network: a window_size set since then waits for the next fit.
        window_size = self.window_size if reset else self.network_.window.window_size
        if shortest < window_size:
            which = "X has" if groups is None else "the shortest series in groups has"
            raise ValueError(
                f"{which} {shortest} rows (n_samples={shortest}) but window_size is {window_size}. Pass a longer "
                f"series or a window_size of at most {shortest} (at most {max(shortest // 2, 1)} is advisable: a "
                "series should hold several windows). In cross-validation every fold must hold a window."
            )
        return rows, borders

    def _resolve_device(self) -> torch.device:
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            return torch.empty(0, device=name).cpu().to(name).device  # there and back: "meta" holds no numbers
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"device={self.device!r} cannot be used here ({error}). Use 'auto', 'cpu' or a device torch can see."
            ) from error

    def _draw_seed(self) -> int:
        """A seed for torch; fresh entropy without a `random_state`, so that numpy's global generator stays still."""
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(check_random_state(self.random_state).randint(LARGEST_SEED))

    def _train(self, values: NDArray[np.float32], borders: NDArray[np.intp], device: torch.device, seed: int) -> None:
        train, valid = chronological_split(borders, self.window_size, self.validation_fraction)
        self.network_, self.history_ = train_network(
            self._build_network,
            WindowSet(values, train, self.window_size),
            # Validation costs no more than it must.
            WindowSet(values, valid, self.window_size).thinned(self.epoch_size) if len(valid) else None,
            phases=self._phases(),
            discrepancy_weight=self._discrepancy_weight(),
            max_epochs=self.max_epochs,
            epoch_size=self.epoch_size,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.patience,
            device=device,
            seed=seed,
            verbose=int(self.verbose),
        )

    def _calibrate(self, values: NDArray[np.float32], borders: NDArray[np.intp], device: torch.device) -> None:
        """Learn what is usual from the training rows, then score them as any rows are scored."""
        windows, rule = self._scoring_windows(values, borders), self._score_rule()
        judged: Iterable[JudgedWindows] = self._judge_windows(windows.thinned(CALIBRATION_WINDOWS), rule, device)
        if len(windows) <= CALIBRATION_WINDOWS:  # they are all of them: nothing is judged twice
            judged = list(judged)
        self.position_calibration_ = calibrate_positions(judged)
        if len(windows) > CALIBRATION_WINDOWS:
            judged = self._judge_windows(windows, rule, device)
        evidence = self._evidence(judged, windows, self._learn_memory(windows, borders, device), rule)
        if not np.isfinite(evidence.error).all():  # the last step made these weights, and no loss has judged them
            raise TrainingError(
                f"The trained network rebuilds rows as NaN or infinite. Lower learning_rate (now {self.learning_rate})."
            )
        self.row_scorer_ = RowScorer.learn(
            rule,
            self.smoothing,
            self.level_weight,
            evidence,
            borders,
            n_blocks=1 if self.clean_training else MIXED_BLOCKS,
            memory_weight=0.0 if self.memory_scorer_ is None else self.memory_scorer_.weight,
        )
        self.decision_scores_ = self.row_scorer_(evidence, borders)
        self._classes = 2
        self._process_decision_scores()

    def _learn_memory(
        self, windows: WindowSet, borders: NDArray[np.intp], device: torch.device
    ) -> NDArray[np.float64] | None:
        """Remember the training rows, where the score asks for it; returns what the memory says of them, (n_rows,)."""
        memory = self._build_memory(windows.values, borders)
        self.memory_scorer_ = None
        if memory is None:
            return None
        self.memory_scorer_, remembered = MemoryScorer.learn(memory, windows, self.smoothing, borders, device)
        return remembered

    def _process_decision_scores(self) -> BaseDeepDetector:
        """Threshold, labels and moments of ``decision_scores_``, under the names PyOD's methods read."""
        scores = self.decision_scores_
        self.threshold_, self.labels_, self.thresholder_ = fit_threshold(scores, self.contamination)
        self._mu, self._sigma = float(scores.mean()), float(scores.std())
        return self

    # Scoring

    def _scoring_windows(self, values: NDArray[np.float32], borders: NDArray[np.intp]) -> WindowSet:
        window_size = self.network_.window.window_size
        stride = self.score_stride or max(1, window_size // WINDOWS_OVER_A_ROW)
        return WindowSet(values, window_starts(borders, window_size, min(stride, window_size)), window_size)

    def _judge_windows(self, windows: WindowSet, rule: str, device: torch.device) -> Iterator[JudgedWindows]:
        with_discrepancy = rule in DISCREPANCY_RULES
        return judge_all(self.network_, windows, self.batch_size, device, with_discrepancy=with_discrepancy)

    def _evidence(
        self, judged: Iterable[JudgedWindows], windows: WindowSet, remembered: NDArray[np.float64] | None, rule: str
    ) -> Evidence:
        return gather_evidence(
            judged, windows, self.position_calibration_, memory=remembered, with_product=rule == "product"
        )

    def _judge(self, X: ArrayLike, groups: ArrayLike | None) -> tuple[Evidence, NDArray[np.intp]]:
        """Evidence on the rows of any series, and the series' borders."""
        check_is_fitted(self, "decision_scores_")
        rows, borders = self._check_series(X, groups, reset=False)
        device = self._resolve_device()
        self.network_.to(device)  # where it is not there yet: after loading, or another `device` since fit
        windows = self._scoring_windows(self.scaling_(rows), borders)
        remembered = None if self.memory_scorer_ is None else self.memory_scorer_(windows, borders, device)
        rule = self.row_scorer_.rule
        return self._evidence(self._judge_windows(windows, rule, device), windows, remembered, rule), borders

    def decision_function(self, X: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """Anomaly score of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_channels)
            Rows in time order; at least `window_size` of them. One-dimensional input is accepted where one channel
            was fitted.
        groups : array-like of shape (n_rows,), default=None
            Which series each row belongs to, where X holds several.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
            Larger is more abnormal. Scores of different calls are comparable: they are calibrated on the training
            rows alone.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If X does not suit the fitted detector.
        """
        evidence, borders = self._judge(X, groups)
        return self.row_scorer_(evidence, borders)

    def explain(self, X: ArrayLike, groups: ArrayLike | None = None) -> Bunch:
        """The parts that each row's score is made of.

        Parameters
        ----------
        X, groups
            As in `decision_function`.

        Returns
        -------
        parts : Bunch
            ``score`` (n_rows,); ``reconstruction`` and ``level``, both (n_rows,), and ``channels`` (n_rows,
            n_channels), which splits the sum of these two by channel; ``memory`` (n_rows,); ``discrepancy`` (n_rows,
            n_priors), without columns where the score uses none. For the rules "reconstruction", "discrepancy" and
            "sum", ``score`` is the sum of ``reconstruction``, ``level`` and the columns of ``discrepancy``, where parts
            that the rule does not use are zeros. For the rule "memory" it is ``sqrt((1 + reconstruction + level) * (1
            + memory) ** w) - 1``, with either factor at least 0.05; the weight w is 1, but less where the training rows
            hold fewer than six windows (``row_scorer_.memory_weight``). The published product does not divide into
            parts; its other parts are those of "reconstruction".
        """
        evidence, borders = self._judge(X, groups)
        return self.row_scorer_.explain(evidence, borders)

    def predict(
        self, X: ArrayLike, return_confidence: bool = False, groups: ArrayLike | None = None
    ) -> NDArray[np.int_] | tuple[NDArray[np.int_], NDArray[np.float64]]:
        """Whether each row is an anomaly.

        Parameters
        ----------
        X, groups
            As in `decision_function`.
        return_confidence : bool, default=False
            Whether to return `predict_confidence` as well.

        Returns
        -------
        labels : ndarray of shape (n_rows,), int
            1 for anomalies, 0 for normal rows.
        confidence : ndarray of shape (n_rows,)
            Only with ``return_confidence=True``.
        """
        scores = self.decision_function(X, groups)
        labels = self._label(scores)
        return (labels, self._confidence(scores, labels)) if return_confidence else labels

    def predict_confidence(self, X: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """How surely each row would be labelled the same had the training rows been slightly different.

        Parameters
        ----------
        X, groups
            As in `decision_function`.

        Returns
        -------
        confidence : ndarray of shape (n_rows,)
            In [0, 1].

        References
        ----------
        Perini, Vercruyssen and Davis, "Quantifying the confidence of anomaly detectors in their example-wise
        predictions", ECML PKDD 2020. The numbers are those of PyOD's implementation, in O(n log n) instead of O(n²).
        """
        scores = self.decision_function(X, groups)
        return self._confidence(scores, self._label(scores))

    def predict_proba(
        self,
        X: ArrayLike,
        method: Literal["linear", "unify"] = "linear",
        return_confidence: bool = False,
        groups: ArrayLike | None = None,
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability of each row being normal and being an anomaly.

        Parameters
        ----------
        X, groups
            As in `decision_function`.
        method : {"linear", "unify"}, default="linear"
            Linear between the smallest and largest training score, or by the error function of the standardised score
            (Kriegel et al., 2011).
        return_confidence : bool, default=False
            Whether to return `predict_confidence` as well.

        Returns
        -------
        probabilities : ndarray of shape (n_rows, 2)
        confidence : ndarray of shape (n_rows,)
            Only with ``return_confidence=True``.

        Raises
        ------
        ValueError
            For another `method`.
        """
        if method not in ("linear", "unify"):
            raise ValueError(
                f"method={method!r} is not a way to turn scores into probabilities; use 'linear' or 'unify'."
            )
        scores = self.decision_function(X, groups)
        if method == "linear":
            lowest, highest = self.decision_scores_.min(), self.decision_scores_.max()
            anomalous = (scores - lowest) / ((highest - lowest) or 1.0)
        else:
            anomalous = erf((scores - self._mu) / ((self._sigma or 1.0) * np.sqrt(2)))
        anomalous = anomalous.clip(0, 1)
        probabilities = np.column_stack([1 - anomalous, anomalous])
        return (probabilities, self._confidence(scores, self._label(scores))) if return_confidence else probabilities

    def _label(self, scores: NDArray[np.float64]) -> NDArray[np.int_]:
        if self.thresholder_ is not None:
            return np.asarray(self.thresholder_.predict(scores)).astype(int).ravel()
        return (scores > self.threshold_).astype(int)

    def _confidence(self, scores: NDArray[np.float64], labels: NDArray[np.int_]) -> NDArray[np.float64]:
        n_train = len(self.decision_scores_)
        below = np.searchsorted(np.sort(self.decision_scores_), scores, side="right")
        share = float(self.labels_.mean()) if self.thresholder_ is not None else float(self.contamination)
        probability = (1 + below) / (2 + n_train)
        confidence = 1 - binom.cdf(n_train - int(n_train * share), n_train, probability)
        return np.where(labels == 0, 1 - confidence, confidence)
