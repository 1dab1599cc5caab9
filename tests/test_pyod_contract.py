"""PyOD's contract: what works with PyOD's own detectors works with these."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyod.models.base import BaseDetector
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

DEPRECATED_IN_PYOD = pytest.mark.filterwarnings("ignore:Function fit_predict:FutureWarning")


class QuartileThresholder:
    """With PyThresh's interface: flags scores above the third quartile plus 1.5 interquartile ranges."""

    def fit(self, scores):
        lower, upper = np.percentile(scores, [25, 75])
        self.thresh_ = upper + 1.5 * (upper - lower)
        self.labels_ = self.predict(scores)
        return self

    def predict(self, scores):
        return (scores > self.thresh_).astype(int)


class LabelsOnlyThresholder:
    """A thresholder that flags the largest score and has no threshold, as some of PyThresh's."""

    def fit(self, scores):
        self.largest_ = scores.max()
        self.thresh_ = None
        self.labels_ = self.predict(scores)
        return self

    def predict(self, scores):
        return (scores >= self.largest_).astype(int)


@pytest.fixture(scope="session")
def unseen(waves):
    """New rows, a third of them abnormal, so that both labels occur."""
    series = waves[::-1][:150].copy()
    series[50:100] += 4.0
    return series


class TestFittedAttributes:
    def test_is_a_pyod_detector(self, fitted):
        assert isinstance(fitted, BaseDetector)

    def test_one_training_score_and_label_a_row(self, fitted, waves):
        assert fitted.decision_scores_.shape == fitted.labels_.shape == (len(waves),)
        assert np.isfinite(fitted.decision_scores_).all()
        assert fitted.labels_.dtype.kind == "i"
        assert set(fitted.labels_) == {0, 1}

    def test_threshold_is_that_of_new_rows(self, fitted):
        assert fitted.threshold_ == fitted.score_tail_.threshold(0.1)
        np.testing.assert_array_equal(fitted.labels_, fitted.decision_scores_ > fitted.threshold_)

    def test_threshold_cuts_off_the_contaminated_share_of_training_rows_that_may_hold_anomalies(
        self, make_detector, waves
    ):
        detector = make_detector(clean_training=False).fit(waves)
        assert detector.threshold_ == np.percentile(detector.decision_scores_, 90)
        np.testing.assert_array_equal(detector.labels_, detector.decision_scores_ > detector.threshold_)
        assert detector.labels_.sum() == len(waves) // 10

    def test_the_attributes_that_pyods_methods_read_exist(self, fitted):
        assert fitted._classes == 2
        assert fitted._mu == pytest.approx(fitted.decision_scores_.mean())
        assert fitted._sigma == pytest.approx(fitted.decision_scores_.std())
        assert fitted.n_features_in_ == 2

    def test_training_rows_are_not_their_own_neighbours_in_fit(self, fitted, waves):
        """As new rows they are, and have lower scores. Scores without neighbours are the same."""
        as_new_rows = fitted.decision_function(waves)
        if fitted.scorer_.neighbors is None:
            np.testing.assert_array_equal(as_new_rows, fitted.decision_scores_)
            np.testing.assert_array_equal(fitted.predict(waves), fitted.labels_)
        else:
            assert (fitted.decision_scores_ >= as_new_rows - 1e-6).all()
            assert (fitted.decision_scores_ > as_new_rows + 0.01).mean() > 0.9
            assert fitted.predict(waves).mean() < fitted.labels_.mean()


class TestPrediction:
    def test_one_finite_score_a_row(self, fitted, unseen):
        scores = fitted.decision_function(unseen)
        assert scores.shape == (len(unseen),)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()

    def test_labels_are_scores_above_the_threshold(self, fitted, unseen):
        labels = fitted.predict(unseen)
        np.testing.assert_array_equal(labels, fitted.decision_function(unseen) > fitted.threshold_)
        assert labels.dtype.kind == "i"
        assert set(labels) == {0, 1}

    @pytest.mark.parametrize("method", ["linear", "unify"])
    def test_probabilities_are_pyods(self, fitted, unseen, method):
        probabilities = fitted.predict_proba(unseen, method=method)
        assert probabilities.shape == (len(unseen), 2)
        assert (probabilities >= 0).all()
        assert (probabilities <= 1).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        np.testing.assert_allclose(probabilities, BaseDetector.predict_proba(fitted, unseen, method=method), atol=1e-12)

    def test_linear_is_the_default_probability(self, fitted, unseen):
        np.testing.assert_array_equal(fitted.predict_proba(unseen), fitted.predict_proba(unseen, method="linear"))

    def test_another_probability_method_is_refused_by_name(self, fitted, unseen):
        with pytest.raises(ValueError, match=r"method='something'.*'linear' or 'unify'"):
            fitted.predict_proba(unseen, method="something")

    def test_confidence_is_pyods(self, fitted, waves, unseen):
        """Training rows are included: their scores tie with training scores."""
        for X in (waves, unseen, unseen[:30]):
            confidence = fitted.predict_confidence(X)
            assert confidence.shape == (len(X),)
            assert (confidence >= 0).all()
            assert (confidence <= 1).all()
            np.testing.assert_allclose(confidence, BaseDetector.predict_confidence(fitted, X), atol=1e-12)

    def test_confidence_is_returned_on_request(self, fitted, unseen):
        confidence = fitted.predict_confidence(unseen)
        labels, beside_labels = fitted.predict(unseen, return_confidence=True)
        np.testing.assert_array_equal(labels, fitted.predict(unseen))
        np.testing.assert_array_equal(beside_labels, confidence)
        for method in ("linear", "unify"):
            probabilities, beside = fitted.predict_proba(unseen, method=method, return_confidence=True)
            np.testing.assert_array_equal(probabilities, fitted.predict_proba(unseen, method=method))
            np.testing.assert_array_equal(beside, confidence)

    def test_ranks_are_those_among_training_scores(self, fitted, waves, unseen):
        ranks = fitted._predict_rank(waves)
        below = fitted.decision_scores_[:, None] < fitted.decision_function(waves)
        np.testing.assert_array_equal(ranks, below.sum(axis=0))
        assert fitted._predict_rank(unseen).max() <= len(waves)
        normalized = fitted._predict_rank(unseen, normalized=True)
        assert normalized.shape == (len(unseen),)
        assert normalized.min() >= 0
        assert normalized.max() == 1


class TestRejection:
    def test_rows_with_low_confidence_are_rejected(self, fitted, unseen):
        rejected = fitted.predict_with_rejection(unseen, c_r=0.1)
        kept = rejected != -2
        assert kept.any()
        np.testing.assert_array_equal(rejected[kept], fitted.predict(unseen)[kept])

    def test_a_lower_threshold_rejects_fewer(self, fitted, unseen):
        strict = fitted.predict_with_rejection(unseen, T=32, c_r=0.1)
        lenient = fitted.predict_with_rejection(unseen, T=1, c_r=0.1)
        assert (lenient == -2).sum() <= (strict == -2).sum()

    def test_statistics_are_rates(self, fitted, unseen):
        rejected, (expected_rate, largest_rate, largest_cost) = fitted.predict_with_rejection(
            unseen, c_r=0.1, return_stats=True
        )
        assert rejected.shape == (len(unseen),)
        assert 0 <= expected_rate <= 1
        assert largest_rate >= 0
        assert largest_cost >= 0

    def test_the_cost_of_a_rejection_defaults_to_the_contamination(self, fitted, unseen):
        with pytest.warns(UserWarning, match="cost of rejection"):
            fitted.predict_with_rejection(unseen)


class TestFitPredict:
    @DEPRECATED_IN_PYOD
    def test_fit_predict_gives_the_labels_of_the_training_rows(self, make_detector, waves):
        detector = make_detector()
        np.testing.assert_array_equal(detector.fit_predict(waves), detector.labels_)

    @pytest.mark.filterwarnings("ignore:Function fit_predict_score:FutureWarning")
    @pytest.mark.parametrize("scoring", ["roc_auc_score", "prc_n_score"])
    def test_fit_predict_score_evaluates_the_training_scores(self, make_detector, waves, scoring):
        y = np.zeros(len(waves), dtype=int)
        y[100:110] = 1
        spoiled = waves.copy()
        spoiled[100:110] += 6.0
        detector = make_detector(thorough=True, smoothing=1)
        value = detector.fit_predict_score(spoiled, y, scoring=scoring)
        assert 0.5 < value <= 1
        if scoring == "roc_auc_score":
            assert value == roc_auc_score(y, detector.decision_scores_)

    @pytest.mark.filterwarnings("ignore:Function fit_predict_score:FutureWarning")
    def test_fit_predict_score_refuses_another_scoring(self, make_detector, waves):
        with pytest.raises(NotImplementedError):
            make_detector().fit_predict_score(waves, np.arange(len(waves)) % 2, scoring="something")


class TestLabelsAreIgnored:
    @pytest.mark.parametrize("y", [np.zeros(240), np.ones(240), "no labels at all"], ids=["zeros", "ones", "text"])
    def test_whatever_y_is(self, make_detector, fitted, waves, y):
        """An all-zero y makes PyOD's base fail in predict_proba."""
        detector = make_detector().fit(waves, y)
        np.testing.assert_array_equal(detector.decision_scores_, fitted.decision_scores_)
        assert detector.predict_proba(waves).shape == (len(waves), 2)


class TestContamination:
    @pytest.mark.parametrize("contamination", [0.9, 0.0, -0.1, float("nan"), "a tenth", None])
    def test_is_stored_as_it_is_and_validated_in_fit(self, make_detector, waves, contamination):
        detector = clone(make_detector()).set_params(contamination=contamination)
        assert detector.contamination is contamination
        with pytest.raises(ValueError, match="contamination"):
            detector.fit(waves)

    @pytest.mark.parametrize("number", [np.float32(0.2), np.float64(0.2), 0.2])
    def test_may_be_any_real_number(self, make_detector, waves, number):
        detector = make_detector(contamination=number, clean_training=False).fit(waves)
        assert detector.labels_.mean() == pytest.approx(0.2, abs=1 / len(waves))
        assert detector.predict_confidence(waves).shape == (len(waves),)
        assert set(detector.predict_with_rejection(waves, c_r=0.1)) <= {0, 1, -2}

    def test_half_of_the_rows_is_the_largest_share(self, make_detector, waves):
        assert make_detector(contamination=0.5, clean_training=False).fit(waves).labels_.mean() == 0.5
        assert make_detector(contamination=0.5).fit(waves).labels_.mean() == pytest.approx(0.5, abs=0.03)

    def test_a_thresholder_sets_the_labels_and_is_not_fitted_in_place(self, make_detector, waves, unseen):
        thresholder = QuartileThresholder()
        detector = make_detector(contamination=thresholder).fit(waves)
        assert vars(thresholder) == {}
        expected = QuartileThresholder().fit(detector.decision_scores_)
        assert detector.threshold_ == expected.thresh_
        np.testing.assert_array_equal(detector.labels_, expected.labels_)
        np.testing.assert_array_equal(detector.predict(unseen), expected.predict(detector.decision_function(unseen)))
        confidence = detector.predict_confidence(unseen)
        assert ((confidence >= 0) & (confidence <= 1)).all()

    def test_without_a_threshold_the_share_of_anomalies_is_stored(self, make_detector, waves):
        detector = make_detector(contamination=LabelsOnlyThresholder()).fit(waves)
        assert detector.labels_.sum() == 1
        assert detector.threshold_ == 1 / len(waves)
        expected = LabelsOnlyThresholder().fit(detector.decision_scores_).predict(detector.decision_function(waves))
        np.testing.assert_array_equal(detector.predict(waves), expected)

    def test_a_thresholder_survives_clone(self, make_detector, waves):
        first = make_detector(contamination=QuartileThresholder()).fit(waves)
        np.testing.assert_array_equal(clone(first).fit(waves).labels_, first.labels_)


def test_data_frames_give_no_warning(make_detector, fitted, waves, unseen):
    """pytest turns every warning into an error."""
    columns = ["pressure", "flow"]
    detector = make_detector().fit(pd.DataFrame(waves, columns=columns))
    frame = pd.DataFrame(unseen, columns=columns)
    np.testing.assert_array_equal(detector.decision_function(frame), fitted.decision_function(unseen))
    np.testing.assert_array_equal(detector.predict(frame), fitted.predict(unseen))
    np.testing.assert_array_equal(detector.predict_proba(frame), fitted.predict_proba(unseen))
    np.testing.assert_array_equal(detector.predict_confidence(frame), fitted.predict_confidence(unseen))


class TestExplain:
    def test_score_is_that_of_decision_function(self, fitted, unseen):
        np.testing.assert_array_equal(fitted.explain(unseen).score, fitted.decision_function(unseen))

    def test_channels_sum_to_the_parts(self, fitted, unseen):
        parts = fitted.explain(unseen)
        if "reconstruction" in parts:
            total = parts.reconstruction + parts.level
            assert parts.reconstruction_by_channel.shape == unseen.shape
            np.testing.assert_allclose(parts.reconstruction_by_channel.sum(axis=1), total, atol=1e-9)
        if "neighbors" in parts:
            assert parts.neighbors_by_channel.shape == unseen.shape
            np.testing.assert_allclose(parts.neighbors_by_channel.sum(axis=1), parts.neighbors)

    def test_the_channel_of_an_anomaly_has_the_largest_part(self, sharp, waves):
        X = waves.copy()
        X[100, 1] += 8.0
        parts = sharp.explain(X)
        for name in {"reconstruction_by_channel", "neighbors_by_channel"} & set(parts):
            assert parts[name][100].argmax() == 1


def test_clone_is_unfitted_and_equal(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "decision_scores_")


def test_the_printed_form_names_the_class_and_its_parameters(fitted):
    assert repr(fitted).startswith(f"{type(fitted).__name__}(")
    assert "window_size=16" in repr(fitted)
