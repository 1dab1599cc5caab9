"""From scores to thresholds, labels, probabilities and confidences."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf
from scipy.stats import binom, genpareto

from .exceptions import ExtrapolationWarning, warn
from .windows import runs

__all__ = ["ScoreTail", "anomaly_probability", "fit_threshold", "label_confidence", "thresholder_labels"]

INDEPENDENT_WINDOWS = 2  # windows between excesses that count as independent: their windows share no row
TAIL_SHARE = 0.2  # of the scores; above their quantile the tail is extrapolated
FEW_INDEPENDENT = 3  # with fewer, a threshold beyond `FAR_BEYOND_START` raises a warning
FAR_BEYOND_START = 25.0  # times rarer than an excess over the tail's start
FAR_BEYOND_ROWS = 100.0  # times rarer than one in as many rows as there are
SMALLEST_EXCESS = 1e-3  # of calibrated scores, where 1 is the top 1 %: rounding does not exceed a constant


@dataclass(frozen=True)
class ScoreTail:
    """Distribution of the scores of normal rows, beyond the largest one that was seen.

    Below its start u, the 80 % quantile, the distribution is the empirical one. Above u it is a generalised Pareto
    distribution (peaks over threshold): P(score > u + x) = z · (1 + x / (m s))^(-m), with z the share of scores above
    u and s their mean excess. This is the predictive distribution of an exponential tail whose mean is estimated from m
    independent excesses. Scores are smoothed, so neighbouring excesses are not independent: excesses up to two windows
    apart count as one, and m is their number minus one, at least 2. A false alarm is a peak, that is, excesses up to
    one window apart; its height has the same distribution, with the mean excess and the number of peaks.

    With exchangeable blocks of rows, a share of at most `share` of new normal rows is above `threshold(share)`, in the
    mean over training series. Drift breaks this: rows that differ from all training rows score higher.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Scores of normal rows, sorted.
    start : float
        u.
    n_independent : int
        Independent excesses over u.
    n_peaks : int
        Peaks above u.
    excess, peak_excess : float
        Mean excess over u of the rows above it, and of their peaks.

    References
    ----------
    Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017; the declustering by runs is that
    of Coles, "An introduction to statistical modeling of extreme values", 2001, section 5.3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import ScoreTail
    >>> scores = np.random.default_rng(0).exponential(size=10_000)
    >>> tail = ScoreTail.fit(scores, np.array([0, 10_000]), window_size=1)
    >>> round(tail.threshold(0.001), 2), round(float(-np.log(0.001)), 2)
    (6.96, 6.91)
    """

    scores: NDArray[np.float64]
    start: float
    n_independent: int
    n_peaks: int
    excess: float
    peak_excess: float

    @classmethod
    def fit(cls, scores: NDArray[np.float64], borders: NDArray[np.intp], window_size: int) -> ScoreTail:
        """Fit on scores of normal rows, best of rows that the model was not trained on.

        Parameters
        ----------
        scores : ndarray of shape (n_rows,)
            In time order.
        borders : ndarray of shape (n_series + 1,)
            Rows where the series begin and end.
        window_size : int
            Rows in a window.
        """
        ordered = np.sort(scores)
        start = float(np.quantile(ordered, 1 - TAIL_SHARE))
        n_independent, peaks = 0, []
        for begin, end in pairwise(borders):
            series = scores[begin:end]
            n_independent += len(runs(series > start, merge=INDEPENDENT_WINDOWS * window_size))
            peaks += [series[first:last].max() - start for first, last in runs(series > start, merge=window_size)]
        excess = ordered[ordered > start] - start
        return cls(
            scores=ordered,
            start=start,
            n_independent=n_independent,
            n_peaks=len(peaks),
            excess=max(float(excess.mean()) if len(excess) else 0.0, SMALLEST_EXCESS),
            peak_excess=max(float(np.mean(peaks)) if peaks else 0.0, SMALLEST_EXCESS),
        )

    @property
    def share_above_start(self) -> float:
        """z, the share of the scores above u."""
        n_above = len(self.scores) - int(np.searchsorted(self.scores, self.start, side="right"))
        return max(n_above, 1) / len(self.scores)

    @property
    def shape(self) -> float:
        """1 / m, the shape of the generalised Pareto distribution."""
        return shape_of(self.n_independent)

    def threshold(self, share: float) -> float:
        """Score that a share of at most `share` of new normal rows exceeds.

        Parameters
        ----------
        share : float
            In (0, 1).

        Warns
        -----
        ExtrapolationWarning
            If the share is far below what the training rows can show.
        """
        above = self.share_above_start
        if share < above:
            self._warn_if_far(f"a share of {share:g} of the rows", above / share, 1 / (share * len(self.scores)))
        return self.exceeded_by(share)

    def exceeded_by(self, share: float) -> float:
        """`threshold` without its warning."""
        above = self.share_above_start
        if share < above:
            return float(genpareto.isf(share / above, self.shape, loc=self.start, scale=self.excess))
        rank = int(np.ceil((1 - share) * (len(self.scores) + 1)))  # split-conformal, with its finite-sample correction
        score = float(self.scores[min(max(rank, 1), len(self.scores)) - 1])
        return score + SMALLEST_EXCESS if score >= self.scores[-1] else score

    def threshold_per(self, rows: float) -> float:
        """Score that new normal rows exceed once in so many rows; neighbouring excesses count once.

        Parameters
        ----------
        rows : float
            At least 1.

        Warns
        -----
        ExtrapolationWarning
            If there are far fewer training rows.
        """
        expected = max(self.n_peaks, 1) / len(self.scores) * rows  # peaks above u
        if expected <= 1:
            return self.start
        self._warn_if_far(f"one false alarm in {rows:g} rows", expected, rows / len(self.scores))
        return float(genpareto.isf(1 / expected, shape_of(self.n_peaks), loc=self.start, scale=self.peak_excess))

    def _warn_if_far(self, asked: str, beyond_start: float, beyond_rows: float) -> None:
        few = self.n_independent < FEW_INDEPENDENT and beyond_start > FAR_BEYOND_START
        if few or beyond_rows > FAR_BEYOND_ROWS:
            warn(
                f"{asked} is extrapolated from {len(self.scores)} training rows with {self.n_independent} independent "
                "peaks. The threshold is a rough guess, and rather too high. Fit on a longer series, or ask for less.",
                ExtrapolationWarning,
            )

    def p_value(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that a new normal row scores at least as high, in (0, 1].

        Conformal up to u, ``(1 + n_training_rows_at_least_as_high) / (1 + n_training_rows)``, and the extrapolated tail
        above.
        """
        higher = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        conformal = (1 + higher) / (1 + len(self.scores))
        beyond = self.share_above_start * genpareto.sf(scores, self.shape, loc=self.start, scale=self.excess)
        return np.where(scores > self.start, beyond, conformal)


def shape_of(n_excesses: int) -> float:
    """Shape of the predictive distribution that is estimated from so many excesses."""
    return 1.0 / max(n_excesses - 1, 2)


def fit_threshold(
    scores: NDArray[np.float64], contamination: Any, tail: ScoreTail | None = None
) -> tuple[float, NDArray[np.int_], Any]:
    """Threshold and labels of training scores.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Training scores; larger is more abnormal.
    contamination : float or thresholder
        Share of rows above the threshold, in (0, 0.5]. Or an object with ``fit(scores)`` that sets ``labels_`` and
        ``thresh_``, as PyThresh's; it is copied first.
    tail : ScoreTail, default=None
        Distribution of the scores of normal rows. The threshold is then ``tail.threshold(contamination)``, which refers
        to new rows; without it, the ``1 - contamination`` quantile of `scores`.

    Returns
    -------
    threshold : float
        Rows with a larger score are anomalies.
    labels : ndarray of shape (n_rows,), int
        1 for anomalies.
    thresholder : object or None
        The fitted copy, if `contamination` is an object.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import fit_threshold
    >>> threshold, labels, _ = fit_threshold(np.arange(10.0), 0.2)
    >>> labels.tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    """
    if isinstance(contamination, Real):
        share = float(contamination)
        threshold = float(np.percentile(scores, 100 * (1 - share))) if tail is None else tail.threshold(share)
        return threshold, (scores > threshold).astype(int), None
    thresholder = deepcopy(contamination)
    thresholder.fit(scores.copy())  # it may write into them
    labels = thresholder_labels(getattr(thresholder, "labels_", None), len(scores), "labels_")
    # Some thresholders give labels and no number. PyOD then stores the share of anomalies; so do we.
    found = getattr(thresholder, "thresh_", None)
    threshold = float(found) if found else float(labels.mean())
    if not np.isfinite(threshold):
        raise ValueError(
            f"contamination={contamination!r} found the threshold {threshold}; expected a number. Use another "
            "thresholder or a share."
        )
    return threshold, labels, thresholder


def thresholder_labels(labels: Any, n_rows: int, source: str) -> NDArray[np.int_]:
    """Labels that a thresholder gave, (n_rows,), int.

    Raises
    ------
    ValueError
        If they are not 0 or 1, one for each row.
    """
    given = None if labels is None else np.asarray(labels).ravel()
    if given is None or len(given) != n_rows or not np.isin(given, (0, 1)).all():
        what = "nothing" if given is None else f"{len(given)} values such as {given[:3].tolist()}"
        raise ValueError(
            f"the thresholder in contamination gave {what} as {source}; expected 0 or 1 for each of {n_rows} scores. "
            "Use another thresholder, such as PyThresh's, or a share."
        )
    return given.astype(int)


def anomaly_probability(
    scores: NDArray[np.float64], training_scores: NDArray[np.float64], method: str
) -> NDArray[np.float64]:
    """Probability of each score to be an anomaly, in [0, 1].

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Scores of any rows.
    training_scores : ndarray of shape (n_training_rows,)
        Scores of the training rows.
    method : {"linear", "unify"}
        "linear": 0 at the smallest training score and 1 at the largest. "unify": erf(z / √2) of the standardised score
        z, and 0 below the mean (Kriegel et al., "Interpreting and unifying outlier scores", SDM 2011).

    Returns
    -------
    probability : ndarray of shape (n_rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import anomaly_probability
    >>> anomaly_probability(np.array([-1.0, 1.0, 9.0]), np.array([0.0, 4.0]), "linear").tolist()
    [0.0, 0.25, 1.0]
    """
    # A constant score has no width; 1.0 keeps the quotient finite.
    if method == "linear":
        lowest, highest = training_scores.min(), training_scores.max()
        probability = (scores - lowest) / ((highest - lowest) or 1.0)
    else:
        probability = erf((scores - training_scores.mean()) / ((training_scores.std() or 1.0) * np.sqrt(2)))
    return probability.clip(0, 1)


def label_confidence(
    scores: NDArray[np.float64],
    labels: NDArray[np.int_],
    training_scores: NDArray[np.float64],
    contamination: float,
) -> NDArray[np.float64]:
    """Probability that each row keeps its label if the training rows are drawn again.

    Perini, Vercruyssen and Davis, ECML PKDD 2020. The numbers equal PyOD's, in O(n log n) in place of O(n²).

    Parameters
    ----------
    scores, labels : ndarray of shape (n_rows,)
        Scores of any rows, and their labels.
    training_scores : ndarray of shape (n_training_rows,)
        Scores of the training rows.
    contamination : float
        Share of training rows labelled as anomalies.

    Returns
    -------
    confidence : ndarray of shape (n_rows,)
        In [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.thresholds import label_confidence
    >>> label_confidence(np.array([0.0, 5.0]), np.array([0, 1]), np.arange(4.0), 0.5)
    array([0.88888889, 0.86805556])
    """
    n_training = len(training_scores)
    below = np.searchsorted(np.sort(training_scores), scores, side="right")
    probability = (1 + below) / (2 + n_training)
    anomalous = 1 - binom.cdf(n_training - int(n_training * contamination), n_training, probability)
    confidence: NDArray[np.float64] = np.where(labels == 0, 1 - anomalous, anomalous)
    return confidence
