"""Thresholds, probabilities and confidences, on numbers that can be computed by hand."""

from __future__ import annotations

from math import comb, erf, sqrt

import numpy as np
import pytest
from scipy.stats import genpareto

from timesad.exceptions import ExtrapolationWarning
from timesad.thresholds import ScoreTail, anomaly_probability, fit_threshold, label_confidence


class Thresholder:
    """As PyThresh's: labels, and a threshold that some methods do not have."""

    def __init__(self, thresh):
        self.thresh = thresh

    def fit(self, scores):
        self.labels_ = (scores > scores.mean())[:, None]
        self.thresh_ = self.thresh


class TestFitThreshold:
    @pytest.mark.parametrize(("contamination", "threshold"), [(0.2, 8.0), (0.1, 9.0), (0.5, 5.0), (0.05, 9.5)])
    def test_threshold_is_the_quantile(self, contamination, threshold):
        found, labels, thresholder = fit_threshold(np.arange(11.0), contamination)
        assert found == pytest.approx(threshold)
        assert labels.tolist() == [int(score > threshold) for score in range(11)]
        assert labels.dtype == int
        assert thresholder is None

    def test_a_score_at_the_threshold_is_normal(self):
        assert fit_threshold(np.ones(5), 0.1)[1].tolist() == [0] * 5

    def test_a_thresholder_is_copied_and_its_labels_are_kept(self):
        given = Thresholder(2.5)
        threshold, labels, fitted = fit_threshold(np.array([0.0, 1.0, 5.0]), given)
        assert threshold == 2.5
        assert labels.tolist() == [0, 0, 1]
        assert labels.dtype == int
        assert isinstance(fitted, Thresholder)
        assert fitted is not given
        assert not hasattr(given, "labels_")

    def test_a_thresholder_that_writes_into_its_input_changes_no_score(self):
        class Sorting:
            def fit(self, scores):
                scores.sort()
                self.labels_, self.thresh_ = np.zeros(len(scores)), 1.0

        scores = np.array([3.0, 1.0, 2.0])
        fit_threshold(scores, Sorting())
        assert scores.tolist() == [3.0, 1.0, 2.0]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (None, "gave nothing as labels_"),
            ([0.0, np.nan, 1.0], "gave 3 values such as"),
            ([0, 2, 1], "expected 0 or 1 for each of 3 scores"),
            ([0, 1], "gave 2 values"),
            (["a", "b", "c"], "gave 3 values such as"),
        ],
    )
    def test_labels_of_a_thresholder_that_cannot_be_used(self, labels, message):
        class Wrong:
            def fit(self, scores):
                if labels is not None:
                    self.labels_ = labels

        with pytest.raises(ValueError, match=f"the thresholder in contamination.*{message}"):
            fit_threshold(np.arange(3.0), Wrong())

    def test_a_threshold_that_is_no_number(self):
        class Lost:
            def fit(self, scores):
                self.labels_, self.thresh_ = np.zeros(len(scores)), np.nan

        with pytest.raises(ValueError, match="found the threshold nan; expected a number"):
            fit_threshold(np.arange(3.0), Lost())

    def test_threshold_of_a_thresholder_without_one_is_the_share_of_anomalies(self):
        assert fit_threshold(np.array([0.0, 1.0, 1.0, 6.0]), Thresholder(None))[0] == 0.25

    def test_with_a_tail_it_is_the_threshold_of_new_rows(self):
        scores = np.arange(200.0)
        tail = ScoreTail.fit(scores, np.array([0, 200]), window_size=1)
        threshold, labels, _ = fit_threshold(scores, 0.25, tail)
        assert threshold == tail.threshold(0.25) == 150.0
        assert labels.sum() == 49


def tail_of(scores, window_size=1, *inner):
    scores = np.asarray(scores, dtype=np.float64)
    return ScoreTail.fit(scores, np.array([0, *inner, len(scores)]), window_size)


class TestScoreTail:
    """Eighty zeros, and excesses 1, 2, 3, ... above them."""

    @pytest.fixture
    def peaks(self):
        """Excesses 1, 3, 2 | 6 | 4, with 2 and 30 rows between them."""
        scores = np.zeros(100)
        scores[10:13], scores[15], scores[46] = [1, 3, 2], 6, 4
        return scores

    @pytest.mark.parametrize(
        ("window_size", "n_independent", "n_peaks", "peak_excess"),
        [(1, 2, 3, 13 / 3), (2, 2, 2, 5.0), (15, 1, 2, 5.0), (30, 1, 1, 6.0)],
    )
    def test_excesses_within_a_window_are_one_peak_and_within_two_not_independent(
        self, peaks, window_size, n_independent, n_peaks, peak_excess
    ):
        tail = tail_of(peaks, window_size)
        assert (tail.start, tail.excess) == (0.0, 16 / 5)
        assert (tail.n_independent, tail.n_peaks) == (n_independent, n_peaks)
        assert tail.peak_excess == pytest.approx(peak_excess)

    def test_no_peak_crosses_a_border(self, peaks):
        assert tail_of(peaks, 30, 12).n_peaks == 2

    @pytest.mark.parametrize(("share", "rank"), [(0.25, 76), (0.5, 51), (0.3, 71), (0.999, 1)])
    def test_below_the_start_of_the_tail_the_threshold_is_conformal(self, share, rank):
        """ceil((1 - share) · 101) of 100 scores, in order."""
        assert tail_of(np.arange(100.0)).threshold(share) == rank - 1

    def test_above_it_the_threshold_is_the_predictive_one(self):
        """z = 0.2, u = 79.2 and mean excess 10.3; one peak, so m = 2: u + 2 s ((z / share)^(1/2) - 1)."""
        tail = tail_of(np.arange(100.0))
        assert tail.share_above_start == 0.2
        assert tail.threshold(0.05) == pytest.approx(79.2 + 2 * 10.3 * (2 - 1))

    def test_thresholds_per_rows_count_peaks(self):
        """Ten peaks of height 1 in 1,000 rows: one in 90,000 rows is a 900th of them, and m = 9."""
        scores = np.zeros(1000)
        scores[50::100] = 1.0
        tail = tail_of(scores, 20)
        assert tail.n_peaks == 10
        assert tail.threshold_per(90_000) == pytest.approx(9 * (900 ** (1 / 9) - 1))
        assert tail.threshold_per(100) == tail.start

    def test_more_independent_excesses_make_a_lighter_tail(self):
        rng = np.random.default_rng(0)
        scores = rng.exponential(size=2000)
        assert tail_of(scores, 1).exceeded_by(0.001) < tail_of(scores, 100).exceeded_by(0.001)

    def test_exponential_scores_have_the_exact_threshold(self):
        tail = tail_of(np.random.default_rng(0).exponential(size=200_000))
        for share in (0.1, 0.01, 0.001):
            assert tail.threshold(share) == pytest.approx(-np.log(share), rel=0.02)

    def test_p_values_are_conformal_up_to_the_start(self):
        tail = tail_of(np.arange(100.0))
        np.testing.assert_allclose(tail.p_value(np.array([-5.0, 0.0, 50.0, 79.0])), np.array([101, 101, 51, 22]) / 101)

    def test_p_values_beyond_are_the_tail(self):
        tail = tail_of(np.arange(100.0))
        beyond = np.array([90.0, 99.0, 1000.0])
        np.testing.assert_allclose(tail.p_value(beyond), 0.2 * genpareto.sf(beyond - 79.2, 0.5, scale=10.3))
        assert tail.p_value(np.array([tail.threshold(0.05)]))[0] == pytest.approx(0.05)

    def test_no_rows_have_no_p_values(self):
        assert tail_of(np.arange(100.0)).p_value(np.empty(0)).shape == (0,)

    def test_constant_scores_give_a_little_more_than_that_constant(self):
        tail = tail_of(np.full(100, 3.0))
        assert 3.0 < tail.threshold(0.01) < 3.05
        assert 3.0 <= tail.threshold_per(1000) < 3.05
        np.testing.assert_array_equal(tail.p_value(np.array([3.0])), 1.0)

    @pytest.mark.parametrize("share", [0.1, 0.01])
    def test_usual_shares_do_not_warn(self, share):
        tail_of(np.arange(100.0), 96).threshold(share)

    def test_a_share_far_below_what_few_peaks_support_warns(self):
        with pytest.warns(ExtrapolationWarning, match=r"share of 0.001 .* 100 training rows with 1 independent"):
            tail_of(np.arange(100.0)).threshold(0.001)

    def test_an_alarm_in_far_more_rows_than_there_are_warns(self):
        scores = np.random.default_rng(0).random(500)
        with pytest.warns(ExtrapolationWarning, match=r"one false alarm in 1e\+06 rows"):
            tail_of(scores).threshold_per(1_000_000)


class TestAnomalyProbability:
    def test_linear_from_the_smallest_to_the_largest_training_score(self):
        found = anomaly_probability(np.array([1.0, 2.0, 3.0, 6.0, 9.0]), np.array([2.0, 3.0, 6.0]), "linear")
        assert found.tolist() == [0.0, 0.0, 0.25, 1.0, 1.0]

    def test_unify_is_the_error_function_of_the_standardised_score(self):
        """The training scores have mean 4 and standard deviation 2."""
        found = anomaly_probability(np.array([2.0, 4.0, 6.0, 8.0]), np.array([2.0, 6.0]), "unify")
        np.testing.assert_allclose(found, [0, 0, erf(1 / sqrt(2)), erf(2 / sqrt(2))])

    def test_constant_training_scores_keep_the_quotient_finite(self):
        scores, training = np.array([2.0, 3.0, 3.5]), np.full(4, 3.0)
        assert anomaly_probability(scores, training, "linear").tolist() == [0.0, 0.0, 0.5]
        np.testing.assert_allclose(anomaly_probability(scores, training, "unify"), [0, 0, erf(0.5 / sqrt(2))])


def binomial_cdf(successes, trials, probability):
    return sum(comb(trials, n) * probability**n * (1 - probability) ** (trials - n) for n in range(successes + 1))


class TestLabelConfidence:
    @pytest.mark.parametrize(
        ("score", "label", "below"), [(-1.0, 0, 0), (0.0, 0, 1), (1.5, 0, 2), (1.5, 1, 2), (3.0, 1, 4), (9.0, 1, 4)]
    )
    def test_is_the_published_formula(self, score, label, below):
        """p = (1 + training scores at most this) / (2 + 4); anomalous if more than 4 - 1 of 4 draws are below."""
        anomalous = 1 - binomial_cdf(3, 4, (1 + below) / 6)
        found = label_confidence(np.array([score]), np.array([label]), np.array([2.0, 0.0, 3.0, 1.0]), 0.25)
        np.testing.assert_allclose(found, [anomalous if label else 1 - anomalous])

    def test_number_of_anomalies_is_rounded_down(self):
        arguments = np.array([1.5]), np.array([1]), np.arange(4.0)
        np.testing.assert_array_equal(label_confidence(*arguments, 0.49), label_confidence(*arguments, 0.25))
