"""Nearest windows as a detector, without a network."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from ._base import BaseSeriesDetector
from .exceptions import ShortSeriesWarning, warn
from .scoring import NEIGHBORS, RowEvidence, ScoreSettings, SeriesScorer
from .windows import Series

__all__ = ["NearestWindowsDetector"]

LARGEST_INTEGER = np.iinfo(np.int32).max


class NearestWindowsDetector(BaseSeriesDetector):
    """Distance of each row's windows to their nearest neighbours: training windows, and earlier windows of the series.

    Each channel is compared by itself: d² = mean over the nearest windows of the mean squared difference. The
    score is the mean of two calibrated distances, that of the farthest window that contains the row and that of the row
    itself, in the channel where it is largest. Nothing is trained and nothing is random.

    `fit` scores the training rows by a self-join with an exclusion zone: a window is not compared with training windows
    that overlap it. `decision_function` and `predict` are for new unseen rows only. They compare a window with all
    training windows and with the windows of its own series that end before it starts: no window is compared with a
    later one. A fault that comes again is therefore less abnormal than the first time.

    Parameters
    ----------
    window_size : int, default=96
        Rows in a window, at least 4. A window should cover a full cycle of the series, and the training rows at least
        six windows.
    n_neighbors : int, default=5
        Nearest windows that a distance is the mean of.
    max_windows : int, default=4096
        Training windows to search, at most, and earlier windows, at most; evenly spaced if the series has more. Time
        and memory grow with it.
    smoothing : int, default=64
        Rows of the moving average of a row's own distance; a second one is three times as long. A smaller number ranks
        anomalies better that are much shorter, a larger number longer ones. 1 is off.
    clean_training : bool, default=True
        Whether the training rows are presumed normal; see `contamination`. With False, the exclusion zone is five
        windows to each side, so that a long anomaly is not its own neighbour.
    use_past : bool, default=True
        Whether a score depends on all earlier rows of its series in X: windows are compared with earlier ones, too, at
        most `max_windows` of them. False scores a row by the rows near it, so that a long series can be scored in
        chunks.
    missing : {"error", "interpolate", "mask"}, default="error"
        What NaN in X means. "error" raises ValueError. "mask" draws a line between the numbers before and after, and a
        missing number counts as expected: it adds nothing to a score. "interpolate" does the same and raises ValueError
        for a gap of more than `window_size` rows.
    contamination : float or object, default=0.1
        Share of rows above the threshold, in (0, 0.5]: with `clean_training`, at most this share of new normal rows;
        without, of the training rows, as in PyOD. Or a thresholder object such as PyThresh's.
    device : str, default="auto"
        Where to compute: "auto" (a CUDA device if there is one, else the CPU) or a name that torch accepts. Takes
        effect at the next call, also for a detector that was loaded from a file.

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
    n_features_in_ : int
        Channels seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X was a DataFrame.

    Warns
    -----
    ShortSeriesWarning
        If the exclusion zone leaves fewer than `n_neighbors` training windows for some window. `fit` then compares
        training windows with themselves, too, and `decision_scores_` are too low.

    See Also
    --------
    TimesNetDiscrepancyDetector : The same distance joined with the reconstruction error of a network.

    Notes
    -----
    A parameter that changes after `fit` takes effect at the next `fit`; `device` takes effect at the next call.

    The self-join with an exclusion zone and the distance to the nearest neighbour are those of the matrix profile (Yeh
    et al., ICDM 2016), the comparison with earlier windows alone those of the left matrix profile. Here windows are not
    normalised one by one, and a distance is the mean of several neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad import NearestWindowsDetector
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = NearestWindowsDetector(window_size=32).fit(X)
    >>> detector.decision_function(X[:100]).shape
    (100,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseSeriesDetector._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, LARGEST_INTEGER, closed="both")],
        "max_windows": [Interval(Integral, 1, LARGEST_INTEGER, closed="both")],
    }

    def __init__(
        self,
        *,
        window_size: int = 96,
        n_neighbors: int = 5,
        max_windows: int = 4096,
        smoothing: int = 64,
        clean_training: bool = True,
        use_past: bool = True,
        missing: str = "error",
        contamination: float | Any = 0.1,
        device: str = "auto",
    ) -> None:
        self.window_size = window_size
        self.n_neighbors = n_neighbors
        self.max_windows = max_windows
        self.smoothing = smoothing
        self.clean_training = clean_training
        self.use_past = use_past
        self.missing = missing
        self.contamination = contamination
        self.device = device

    def _score_settings(self) -> ScoreSettings:
        return ScoreSettings(
            NEIGHBORS,
            self.window_size,
            self.smoothing,
            self.clean_training,
            n_neighbors=self.n_neighbors,
            max_windows=self.max_windows,
            uses_past=self.use_past,
        )

    def _fit_scorer(
        self, series: Series, device: torch.device
    ) -> tuple[SeriesScorer, NDArray[np.float64], RowEvidence]:
        scorer, training_scores, evidence = SeriesScorer.fit(None, series, self._score_settings(), device)
        assert scorer.neighbors is not None
        if not scorer.neighbors.training.leaves_neighbors:
            warn(
                f"The training series is too short: with window_size={self.window_size}, some windows have fewer than "
                f"n_neighbors={self.n_neighbors} training windows that do not overlap them. Training windows are "
                "compared with themselves, so decision_scores_ and threshold_ are too low. Use a longer series, a "
                "smaller window_size or fewer n_neighbors.",
                ShortSeriesWarning,
            )
        return scorer, training_scores, evidence
