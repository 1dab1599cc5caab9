"""The contract of every detector: scikit-learn and PyOD outside, a `SeriesScorer` inside."""

from __future__ import annotations

import os
from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pyod.models.base import BaseDetector
from sklearn.utils import Bunch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ._compatibility import check_layout, explain_removed_parameters, mark_layout
from ._detect import DetectMixin
from ._input import ERROR, MISSING, check_ignored, check_return_confidence, plain_number, read_rows, with_context
from ._one_fit import of_one_fit, twin
from ._output import OUTPUTS, in_output
from .exceptions import SlowDeviceWarning, warn
from .saving import save_detector
from .scaling import ChannelScaling
from .scoring import RowEvidence, SeriesScorer
from .streams import Stream
from .thresholds import anomaly_probability, fit_threshold, label_confidence, thresholder_labels
from .torch_state import plain_torch
from .windows import Series

__all__ = ["BaseSeriesDetector"]

MAX_SMOOTHING = 100_000  # rows; the moving averages need memory for as many, however short the series


class BaseSeriesDetector(DetectMixin, BaseDetector):
    """Rows in, one score per row out.

    A subclass stores its parameters and implements `_fit_scorer`.

    Notes
    -----
    The constructor stores and nothing else: PyOD's own validates `contamination`, which breaks `clone` and
    `set_params`. `fit` validates all parameters. A parameter that changes after `fit` takes effect at the next `fit`;
    `device` alone takes effect at the next call.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "window_size": [Interval(Integral, 4, None, closed="left")],
        "clean_training": ["boolean"],
        "use_past": ["boolean"],
        "smoothing": [Interval(Integral, 1, MAX_SMOOTHING, closed="both")],
        "missing": [StrOptions(set(MISSING))],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), HasMethods(["fit", "predict"])],
        "device": [str, torch.device],
    }

    window_size: int
    missing: str
    _fitted_parameters: dict[str, Any]  # of the last fit; those of the constructor may have changed since
    contamination: float | Any
    device: str | torch.device

    def __new__(cls, *args: Any, **parameters: Any) -> BaseSeriesDetector:
        """Refuse parameters of earlier versions with a message; all others go to the constructor."""
        explain_removed_parameters(cls, parameters)
        return super().__new__(cls)

    @abstractmethod
    def _fit_scorer(
        self, series: Series, device: torch.device
    ) -> tuple[SeriesScorer, NDArray[np.float64], RowEvidence]:
        """Train on the scaled series; return the fitted scorer, the training scores and evidence as of new rows."""

    def __getstate__(self) -> dict[str, Any]:
        """State for pickle and copy, with a mark of its layout."""
        return mark_layout(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled state; raise `IncompatiblePickleError` for another layout."""
        super().__setstate__(check_layout(type(self), state))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the detector to a file that `timesad.load` reads, without executing anything in it.

        An existing file is replaced once the new one is complete.

        Parameters
        ----------
        path : str or path-like
            The file; its usual suffix is ``.safetensors``.

        Raises
        ------
        TypeError
            If a parameter is an object, such as a thresholder, or the class is not one of timesad.

        See Also
        --------
        timesad.load : The reverse.
        """
        save_detector(twin(self), path)

    # Fitting

    def fit(self, X: ArrayLike, y: Any = None, *, groups: ArrayLike | None = None) -> BaseSeriesDetector:
        """Fit the detector on a series and score its rows.

        A fit that fails or is interrupted leaves the detector unchanged. A thread that scores meanwhile gets the scores
        of the fit before.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_channels)
            The series: rows in time order, evenly spaced.
        y : Ignored
            Present for API consistency. No detector reads labels.
        groups : array-like of shape (n_rows,), default=None
            Series of each row, if X holds several series one after the other. No window crosses a border.

        Returns
        -------
        self : detector

        Raises
        ------
        ValueError
            If a parameter or X cannot be used. The message says what to change.
        TrainingError
            If the training loss becomes NaN or infinite.

        Warns
        -----
        TimeGapWarning
            If X is a DataFrame whose times are not evenly spaced.
        TrainingWarning
            If the network hardly describes the series.
        """
        fitted = twin(self)
        fitted._fit(X, y, groups)
        # One assignment, so another thread reads one fit or the other. A parameter may have been set meanwhile.
        self.__dict__ = vars(fitted) | self.get_params(deep=False)
        return self

    def _fit(self, X: ArrayLike, y: Any, groups: ArrayLike | None) -> None:
        for name, value in self.get_params(deep=False).items():
            setattr(self, name, plain_number(value))
        self._validate_params()
        self._fitted_parameters = self.get_params(deep=False)
        self._check_parameters_together()
        check_ignored(y, self.window_size)
        rows = read_rows(self, X, groups, window_size=self.window_size, missing=self.missing, reset=True)
        device = self._resolve_device()
        self.scaling_ = ChannelScaling.fit(rows.values)
        series = Series(self.scaling_(rows.values), rows.borders, rows.missing)
        with plain_torch(device):
            self.scorer_, self.decision_scores_, evidence = self._fit_scorer(series, device)
        self._fit_detection(evidence, rows.borders)
        self._classes = 2
        self._process_decision_scores()

    def _check_parameters_together(self) -> None:
        """Raise ValueError where parameters contradict each other."""

    def _resolve_device(self) -> torch.device:
        if self.device == "auto":
            return _automatic_device()
        try:
            return _usable(self.device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"device={self.device!r} cannot be used here ({error}). Use 'auto', 'cpu' or a device torch can see."
            ) from error

    def _process_decision_scores(self) -> BaseSeriesDetector:
        """Set threshold, labels and moments of the training scores, under the names that PyOD's methods read."""
        scores = self.decision_scores_
        tail = self.score_tail_ if self.clean_training else None
        self.threshold_, self.labels_, self.thresholder_ = fit_threshold(scores, self.contamination, tail)
        self.contamination_ = float(self.labels_.mean() if self.thresholder_ is not None else self.contamination)
        self._mu, self._sigma = float(scores.mean()), float(scores.std())
        return self

    # Scoring

    def _channels(self) -> list[Any]:
        """Name of each channel, or its number."""
        names: list[Any] = getattr(self, "feature_names_in_", np.arange(self.n_features_in_)).tolist()
        return names

    def _scaled_series(self, X: ArrayLike, groups: ArrayLike | None) -> Series:
        """Rows to score, validated and scaled as in `fit`."""
        check_is_fitted(self, "scorer_")
        fitted = self._fitted_parameters
        rows = read_rows(self, X, groups, window_size=fitted["window_size"], missing=fitted["missing"], reset=False)
        return Series(self.scaling_(rows.values), rows.borders, rows.missing, rows.first_row)

    @of_one_fit
    def decision_function(
        self, X: ArrayLike, *, groups: ArrayLike | None = None, context: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Anomaly score of each row of X, which are presumed new.

        Use `decision_function`, `predict` and `predict_proba` on new unseen rows only, and not on the training rows:
        this would give other results than `decision_scores_` and `labels_` for detectors that compare rows with nearest
        windows. `fit` leaves out windows that overlap; here a training row would be its own nearest neighbour.

        A score depends on all earlier rows of its series in X, and on at most ``window_size + 4 * smoothing``
        later ones. What happened before in X is less abnormal when it comes again. So pass a series whole or with the
        rows before it: rows of the training series may stand before new ones and do not count twice. With
        ``use_past=False`` a score depends on as many earlier rows as on later ones.

        Windows start every ``window_size // 8`` rows, counted from the first row of X. A slice of a DataFrame whose
        index counts the rows, such as ``frame.iloc[1000:2000]``, has its windows where the whole DataFrame has them.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_channels)
            Rows in time order, at least `window_size` of them. A detector that was fitted on one channel also accepts
            one-dimensional input.
        groups : array-like of shape (n_rows,), default=None
            Series of each row, if X holds several series.
        context : array-like of shape (n_earlier_rows, n_channels), default=None
            Rows right before X, which are used and not scored. The scores are then those of the joined rows; most of a
            long context is read as neighbours only, which is fast. X may be shorter than a window if both together are
            not. Not with `groups`.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
            Larger is more abnormal; a Series after ``set_output(transform="pandas")``. Scores of different calls are
            comparable: all units come from the training rows.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If X does not fit the detector.
        """
        return in_output(self, X, self._scores(X, groups, context), "score")

    def _scores(self, X: ArrayLike, groups: ArrayLike | None, context: ArrayLike | None) -> NDArray[np.float64]:
        return self._score_rows(*with_context(X, context, groups), groups)

    def _score_rows(self, X: ArrayLike, n_before: int, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """Scores of the rows of X without the first `n_before`, which are used and not scored."""
        series, device = self._scaled_series(X, groups), self._resolve_device()
        n_far = self.scorer_.n_far(n_before, series.first_row)
        with plain_torch(device):
            return self.scorer_.score(series, device, n_far)[n_before - n_far :]

    def set_output(self, *, transform: str | None = None) -> BaseSeriesDetector:
        """Choose what methods return that give one result a row.

        Parameters
        ----------
        transform : {"default", "pandas"}, default=None
            "pandas": a Series or DataFrame with the index of X. "default": an array. None changes nothing. Without a
            call, ``sklearn.set_config(transform_output="pandas")`` counts. The name is that of scikit-learn.

        Returns
        -------
        self : detector

        Raises
        ------
        ValueError
            If `transform` is another value.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> from timesad import NearestWindowsDetector
        >>> times = pd.date_range("2026-01-01", periods=400, freq="min")
        >>> X = pd.DataFrame({"flow": np.sin(np.arange(400) / 4)}, index=times)
        >>> detector = NearestWindowsDetector(window_size=32).set_output(transform="pandas").fit(X[:300])
        >>> detector.predict(X[300:]).head(2)
        2026-01-01 05:00:00    0
        2026-01-01 05:01:00    0
        Freq: min, Name: anomaly, dtype: int64
        """
        if transform is None:
            return self
        if transform not in OUTPUTS:
            raise ValueError(f"transform={transform!r} is not one of {OUTPUTS}: other tables have no index of rows.")
        self._sklearn_output_config = {"transform": transform}  # the attribute that scikit-learn's clone copies
        return self

    def stream(self, history: ArrayLike | None = None) -> Stream:
        """Return a stream, which scores rows as they arrive; see `timesad.streams.Stream`.

        Parameters
        ----------
        history : array-like of shape (n_rows, n_channels), default=None
            Rows before the first update, such as the end of the training rows, or `history` of another stream.

        Returns
        -------
        stream : Stream

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            If the history does not fit the detector.
        """
        return Stream(self, history)

    @of_one_fit
    def explain(self, X: ArrayLike, *, groups: ArrayLike | None = None, context: ArrayLike | None = None) -> Bunch:
        """Score of each row and the parts it is made of.

        Parameters
        ----------
        X, groups, context
            As in `decision_function`.

        Returns
        -------
        parts : Bunch
            ``score`` (n_rows,), equal to `decision_function`, and the parts that the detector has:

            - ``reconstruction``, ``level`` (n_rows,): calibrated reconstruction error above what has become typical in
              the last ten windows, and weighted level.
            - ``reconstruction_by_channel`` (n_rows, n_channels): sums to ``reconstruction + level``.
            - ``neighbors`` (n_rows,): calibrated distance to the nearest windows.
            - ``neighbors_by_channel`` (n_rows, n_channels): sums to ``neighbors``.
            - ``discrepancy`` (n_rows,): calibrated closeness of series and prior association.
            - ``missing`` (n_rows, n_channels): whether a number was missing; only if NaN may be.

            The score "reconstruction" is ``reconstruction + level``, "reconstruction+discrepancy" adds
            ``discrepancy``, and "reconstruction*neighbors" is ``((sqrt(1 + reconstruction + level) + w * sqrt(1 +
            neighbors)) / (1 + w)) ** 2 - 1`` with both roots' arguments at least 0.05 and ``w = clip((n_training_rows
            + n_earlier_rows) / window_size - 5, 0, 1)``, three times that without `clean_training`.
        """
        rows, n_before = with_context(X, context, groups)
        series, device = self._scaled_series(rows, groups), self._resolve_device()
        with plain_torch(device):
            parts = self.scorer_.explain(series, device)
        if self._fitted_parameters["missing"] != ERROR:
            shape = (len(series), self.n_features_in_)
            parts.missing = np.zeros(shape, dtype=bool) if series.missing is None else series.missing
        channels = self._channels()
        return Bunch(
            **{
                name: in_output(self, X, part[n_before:], name if part.ndim == 1 else channels)
                for name, part in parts.items()
            }
        )

    @of_one_fit
    def predict(
        self,
        X: ArrayLike,
        return_confidence: bool = False,
        *,
        groups: ArrayLike | None = None,
        context: ArrayLike | None = None,
    ) -> NDArray[np.int_] | tuple[NDArray[np.int_], NDArray[np.float64]]:
        """Label of each row of X, which are presumed new.

        Parameters
        ----------
        X, groups, context
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
        check_return_confidence(return_confidence)
        scores = self._scores(X, groups, context)
        labels = self._label(scores)
        found = in_output(self, X, labels, "anomaly")
        return (found, self._confidence(X, scores, labels)) if return_confidence else found

    @of_one_fit
    def predict_confidence(
        self, X: ArrayLike, *, groups: ArrayLike | None = None, context: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Probability that a row keeps its label if the training rows are drawn again.

        Parameters
        ----------
        X, groups, context
            As in `decision_function`.

        Returns
        -------
        confidence : ndarray of shape (n_rows,)
            In [0, 1].

        References
        ----------
        Perini, Vercruyssen and Davis, "Quantifying the confidence of anomaly detectors in their example-wise
        predictions", ECML PKDD 2020.
        """
        scores = self._scores(X, groups, context)
        return self._confidence(X, scores, self._label(scores))

    @of_one_fit
    def predict_with_rejection(self, X: ArrayLike, *args: Any, **kwargs: Any) -> Any:
        """Label of each row of X, or -2 where the label is too uncertain; see `pyod.models.base.BaseDetector`."""
        as_arrays = twin(self).set_output(transform="default")  # PyOD changes the labels as an array
        found = BaseDetector.predict_with_rejection(as_arrays, X, *args, **kwargs)
        if isinstance(found, tuple):
            return in_output(self, X, found[0], "anomaly"), *found[1:]
        return in_output(self, X, found, "anomaly")

    @of_one_fit
    def predict_proba(
        self,
        X: ArrayLike,
        method: Literal["linear", "unify"] = "linear",
        return_confidence: bool = False,
        *,
        groups: ArrayLike | None = None,
        context: ArrayLike | None = None,
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probability of each row to be normal and to be an anomaly.

        Parameters
        ----------
        X, groups, context
            As in `decision_function`.
        method : {"linear", "unify"}, default="linear"
            See `timesad.thresholds.anomaly_probability`.
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
            If `method` is neither.
        """
        if not isinstance(method, str) or method not in ("linear", "unify"):
            raise ValueError(f"method={method!r} does not turn scores into probabilities; use 'linear' or 'unify'.")
        check_return_confidence(return_confidence)
        scores = self._scores(X, groups, context)
        anomalous = anomaly_probability(scores, self.decision_scores_, method)
        found = in_output(self, X, np.column_stack([1 - anomalous, anomalous]), ["normal", "anomaly"])
        return (found, self._confidence(X, scores, self._label(scores))) if return_confidence else found

    def _label(self, scores: NDArray[np.float64]) -> NDArray[np.int_]:
        if self.thresholder_ is not None:
            return thresholder_labels(self.thresholder_.predict(scores.copy()), len(scores), "predict")
        return (scores > self.threshold_).astype(int)

    def _confidence(self, X: ArrayLike, scores: NDArray[np.float64], labels: NDArray[np.int_]) -> Any:
        confidence = label_confidence(scores, labels, self.decision_scores_, self.contamination_)
        return in_output(self, X, confidence, "confidence")


def _usable(name: str | torch.device) -> torch.device:
    """The device of this name; an error of torch's if it cannot hold numbers."""
    return torch.empty(0, device=name).cpu().to(name).device  # there and back: "meta" stores no numbers


def _automatic_device() -> torch.device:
    """A CUDA device if there is one that can be used, else the CPU."""
    if torch.cuda.is_available():
        try:
            return _usable("cuda")
        except (RuntimeError, AssertionError) as error:  # in a process that was forked from one with CUDA, for example
            warn(
                f"device='auto' found a CUDA device that cannot be used here ({error}). The CPU computes. In worker "
                "processes, use the start method 'spawn' or 'forkserver' for the device, or device='cpu'.",
                SlowDeviceWarning,
            )
    return torch.device("cpu")
