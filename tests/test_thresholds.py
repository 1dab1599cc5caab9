"""Thresholds, probabilities and confidences, on numbers that can be computed by hand."""

from __future__ import annotations

from math import comb, erf, sqrt

import numpy as np
import pytest

from timesad.thresholds import anomaly_probability, fit_threshold, label_confidence


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

    def test_threshold_of_a_thresholder_without_one_is_the_share_of_anomalies(self):
        assert fit_threshold(np.array([0.0, 1.0, 1.0, 6.0]), Thresholder(None))[0] == 0.25


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
