"""The simple baselines, put together from scikit-learn's and PyOD's parts.

They are here because in fair comparisons they beat most deep detectors (TSB-AD, NeurIPS 2024).
All follow the three names of PyOD that the harness uses: ``fit``, ``decision_function``, ``decision_scores_``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import KMeans

from .contract import Detector, FloatArray

MEAN_MAPPING = "mean"
CENTRE_MAPPING = "centre"


def flat_windows(X: FloatArray, window: int) -> FloatArray:
    """Return every window as one row of numbers, (n_timestamps - window + 1, n_channels * window)."""
    if len(X) < window:
        raise ValueError(f"X has {len(X)} rows but window is {window}. Pass a longer series or a smaller window.")
    windows = sliding_window_view(X, window, axis=0)  # (window start, channel, time)
    return windows.reshape(len(windows), -1)


def overlap_mean(window_scores: FloatArray, window: int) -> FloatArray:
    """Return for each row the mean score of the windows that hold it, (n_windows + window - 1,)."""
    ones = np.ones(window)
    return np.convolve(window_scores, ones) / np.convolve(np.ones(len(window_scores)), ones)


def centre_padded(window_scores: FloatArray, window: int) -> FloatArray:
    """Give each window's score to its centre row; the ends repeat, (n_windows + window - 1,)."""
    return np.pad(window_scores, (window // 2, (window - 1) // 2), mode="edge")


_MAPPINGS = {MEAN_MAPPING: overlap_mean, CENTRE_MAPPING: centre_padded}


@dataclass
class WindowedDetector:
    """Any detector of flat rows, run over flattened windows.

    Parameters
    ----------
    detector : Detector
        Sees (n_windows, n_channels * window).
    window : int
        Window length in rows; the stride is 1.
    mapping : {"mean", "centre"}, default="mean"
        From window scores to row scores: mean of the windows that hold the row, or the window centred on it.
    normalise : bool, default=False
        Standardise each flattened window, which hides level and scale from the detector.
    """

    detector: Detector
    window: int
    mapping: str = MEAN_MAPPING
    normalise: bool = False
    decision_scores_: FloatArray = field(init=False, repr=False)

    def _windows(self, X: FloatArray) -> FloatArray:
        windows = flat_windows(X, self.window)
        if not self.normalise:
            return windows
        deviation = windows.std(axis=1, ddof=1, keepdims=True)
        centred = windows - windows.mean(axis=1, keepdims=True)
        return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)

    def fit(self, X: FloatArray) -> WindowedDetector:
        """Fit on all windows of X (n_timestamps, n_channels)."""
        self.detector.fit(self._windows(X))
        self.decision_scores_ = _MAPPINGS[self.mapping](self.detector.decision_scores_, self.window)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return one score a row of X (n_timestamps, n_channels)."""
        return _MAPPINGS[self.mapping](self.detector.decision_function(self._windows(X)), self.window)


@dataclass
class NearestCentre:
    """Distance to the nearest of k-means' centres (KMeansAD of Yairi et al., 2001, on flat rows).

    Parameters
    ----------
    n_clusters : int
        Number of centres.
    random_state : int
        Seed of the initial centres.
    """

    n_clusters: int
    random_state: int
    decision_scores_: FloatArray = field(init=False, repr=False)
    model_: Any = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> NearestCentre:
        """Find the centres of X (n_samples, n_features)."""
        self.model_ = KMeans(n_clusters=self.n_clusters, random_state=self.random_state).fit(X)
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return the Euclidean distance of each row of X to its nearest centre, (n_samples,)."""
        distances: FloatArray = self.model_.transform(X)  # (sample, centre)
        return distances.min(axis=1)


@dataclass
class LargestDeviation:
    """Largest absolute z-score over the channels of a row."""

    decision_scores_: FloatArray = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> LargestDeviation:
        """Take mean and deviation of each channel of X (n_timestamps, n_channels)."""
        self.mean_ = X.mean(axis=0)
        deviation = X.std(axis=0)
        # A channel that never moved in the rows to fit keeps its own unit, as in scikit-learn's StandardScaler.
        self.deviation_ = np.where(deviation > 0, deviation, 1.0)
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return one score a row of X (n_timestamps, n_channels)."""
        scores: FloatArray = (np.abs(X - self.mean_) / self.deviation_).max(axis=1)
        return scores


@dataclass
class RandomScore:
    """Uniform noise: the floor that every table shows.

    Parameters
    ----------
    random_state : int
        Seed of the noise.
    """

    random_state: int
    decision_scores_: FloatArray = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> RandomScore:
        """Draw one score a row of X (n_timestamps, n_channels)."""
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return noise, (n_timestamps,)."""
        return np.random.default_rng(self.random_state).random(len(X))
