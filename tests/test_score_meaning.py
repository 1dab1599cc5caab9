"""A score belongs to its row: it says how abnormal the row is, whoever stands beside it, and the same every time."""

from __future__ import annotations

import random
from unittest import mock

import numpy as np
import pytest
import torch

import timesad._base
from timesad import TimesNetDetector
from timesad.evidence import judge_all
from timesad.exceptions import TrainingError

N_ROWS, WINDOW = 240, 16  # of the fixtures `waves` and `make_detector`
IMPULSE = 8.0


def assert_same_scores(scores, expected):
    """Equal but for float32's rounding, which grows with the range of the scores."""
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4 * np.ptp(expected))


class TestImpulse:
    @pytest.mark.parametrize("row", [0, 1, WINDOW // 2, WINDOW - 1, 117, N_ROWS - WINDOW, N_ROWS - 2, N_ROWS - 1])
    @pytest.mark.parametrize("size", [IMPULSE, -IMPULSE])
    def test_scores_highest_wherever_it_is(self, sharp, waves, row, size):
        spoiled = waves.copy()
        spoiled[row, 1] += size
        assert sharp.decision_function(spoiled).argmax() == row

    def test_score_highest_in_the_series_they_were_fitted_with(self, make_detector, waves):
        rows = [0, 117, N_ROWS - 1]
        spoiled = waves.copy()
        spoiled[rows, 1] += IMPULSE
        detector = make_detector(smoothing=1, max_epochs=10, epoch_size=224).fit(spoiled)
        assert set(np.argsort(detector.decision_scores_)[-3:]) == set(rows)
        assert detector.labels_[rows].tolist() == [1, 1, 1]

    def test_keeps_its_row_under_smoothing(self, make_detector, waves):
        detector = make_detector(smoothing=6, max_epochs=10, epoch_size=224).fit(waves)
        for row in (40, 117, 200):
            spoiled = waves.copy()
            spoiled[row, 1] += IMPULSE
            assert abs(detector.decision_function(spoiled).argmax() - row) <= 3

    def test_a_larger_impulse_scores_higher(self, sharp, waves):
        scores = []
        for size in (2.0, 4.0, 8.0, 1e3, 1e6, 1e12):
            spoiled = waves.copy()
            spoiled[117, 0] += size
            scores.append(sharp.decision_function(spoiled)[117])
        assert (np.diff(scores) > 0).all()


class TestLength:
    @pytest.mark.parametrize("n_rows", [WINDOW, WINDOW + 1, 2 * WINDOW - 1, 100, N_ROWS])
    @pytest.mark.parametrize("score_stride", [None, 1, 7, 1000])
    def test_there_is_one_finite_score_a_row(self, fitted, waves, n_rows, score_stride):
        before = fitted.score_stride
        try:
            scores = fitted.set_params(score_stride=score_stride).decision_function(waves[:n_rows])
        finally:
            fitted.set_params(score_stride=before)
        assert scores.shape == (n_rows,)
        assert np.isfinite(scores).all()


class TestCompany:
    def test_a_window_scores_the_same_alone_and_among_other_series(self, fitted, waves):
        pieces = [waves[begin : begin + WINDOW] for begin in range(0, N_ROWS, WINDOW)]
        alone = np.concatenate([fitted.decision_function(piece) for piece in pieces])
        groups = np.repeat(np.arange(len(pieces)), WINDOW)
        assert_same_scores(fitted.decision_function(waves, groups=groups), alone)

    @pytest.mark.parametrize("batch_size", [1, 7, 1000])
    def test_scores_do_not_depend_on_the_batch_size(self, fitted, waves, batch_size):
        before = fitted.batch_size
        expected = fitted.decision_function(waves)
        try:
            scores = fitted.set_params(batch_size=batch_size).decision_function(waves)
        finally:
            fitted.set_params(batch_size=before)
        assert_same_scores(scores, expected)

    def test_rows_far_away_have_no_influence(self, fitted, waves):
        """Anything beyond a window and the smoothing, that is."""
        spoiled = waves.copy()
        spoiled[200:] *= -50.0
        assert_same_scores(fitted.decision_function(spoiled)[:160], fitted.decision_function(waves)[:160])

    def test_the_order_of_the_series_has_no_influence(self, fitted, waves):
        groups = np.repeat([0, 1], [100, 140])
        forward = fitted.decision_function(waves, groups=groups)
        turned = np.r_[100:240, 0:100]
        backward = fitted.decision_function(waves[turned], groups=groups[turned])
        assert_same_scores(backward, forward[turned])


class TestBorders:
    def test_a_score_knows_nothing_of_the_series_next_door(self, fitted, waves):
        groups = np.repeat(["left", "right"], [101, 139])
        spoiled = waves.copy()
        spoiled[101:] += 100.0
        scores = fitted.decision_function(spoiled, groups=groups)
        assert_same_scores(scores[:101], fitted.decision_function(waves[:101]))
        assert_same_scores(scores[101:], fitted.decision_function(spoiled[101:]))

    def test_without_groups_it_does(self, fitted, waves):
        """The test above can fail."""
        spoiled = waves.copy()
        spoiled[101:] += 100.0
        assert not np.allclose(fitted.decision_function(spoiled)[:101], fitted.decision_function(waves[:101]))

    def test_no_window_that_is_trained_or_stopped_on_crosses_one(self, make_detector, waves, monkeypatch):
        seen = []
        train_network = timesad._base.train_network

        def spy(build, train, valid, **settings):
            seen.extend([train, valid])
            return train_network(build, train, valid, **settings)

        monkeypatch.setattr(timesad._base, "train_network", spy)
        borders = np.array([0, 101, 170, 240])
        make_detector().fit(waves, groups=np.repeat(["a", "b", "c"], np.diff(borders)))
        assert [len(windows) > 0 for windows in seen] == [True, True]
        for windows in seen:
            first = np.searchsorted(borders, windows.starts, side="right")
            last = np.searchsorted(borders, windows.starts + WINDOW - 1, side="right")
            np.testing.assert_array_equal(first, last)

    def test_training_scores_are_those_of_the_series_by_themselves(self, make_detector, waves):
        groups = np.repeat([3, 1], [100, 140])
        detector = make_detector().fit(waves, groups=groups)
        apart = [detector.decision_function(waves[:100]), detector.decision_function(waves[100:])]
        assert_same_scores(detector.decision_scores_, np.concatenate(apart))


class TestReproducibility:
    @pytest.mark.parametrize("random_state", [7, "a generator"])
    def test_one_random_state_gives_the_same_scores_bit_for_bit(self, make_detector, waves, random_state):
        def fit():
            seed = np.random.RandomState(3) if random_state == "a generator" else random_state
            return make_detector(random_state=seed, dropout=0.1).fit(waves)

        first, second = fit(), fit()
        np.testing.assert_array_equal(first.decision_scores_, second.decision_scores_)
        np.testing.assert_array_equal(first.decision_function(waves[::-1]), second.decision_function(waves[::-1]))
        for before, after in zip(first.network_.parameters(), second.network_.parameters(), strict=True):
            assert torch.equal(before, after)

    def test_the_global_generators_have_no_influence(self, make_detector, fitted, waves):
        before = np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
        try:
            np.random.seed(99)  # noqa: NPY002
            torch.manual_seed(99)
            np.testing.assert_array_equal(make_detector().fit(waves).decision_scores_, fitted.decision_scores_)
        finally:
            np.random.set_state(before[0])  # noqa: NPY002
            torch.random.set_rng_state(before[1])

    @pytest.mark.parametrize("seed", [1, None])
    def test_another_random_state_gives_other_scores(self, make_detector, fitted, waves, seed):
        """None is fresh entropy, not a hidden constant."""
        assert not np.array_equal(make_detector(random_state=seed).fit(waves).decision_scores_, fitted.decision_scores_)

    @pytest.mark.parametrize("random_state", [0, None])
    def test_neither_fit_nor_scoring_moves_a_global_generator(self, make_detector, waves, random_state):
        def states():
            name, keys, *rest = np.random.get_state()  # noqa: NPY002
            return random.getstate(), name, keys.tolist(), rest, torch.random.get_rng_state().tolist()

        before = states()
        detector = make_detector(random_state=random_state, dropout=0.1).fit(waves)
        assert states() == before
        detector.decision_function(waves)
        detector.predict_proba(waves)
        assert states() == before

    def test_a_generator_that_is_handed_over_moves_on(self, make_detector, waves):
        """Two detectors that share a RandomState are not twins, as everywhere in scikit-learn."""
        generator = np.random.RandomState(0)
        first = make_detector(random_state=generator).fit(waves)
        second = make_detector(random_state=generator).fit(waves)
        assert not np.array_equal(first.decision_scores_, second.decision_scores_)

    def test_fitting_leaves_the_mode_of_torch_as_it_is(self, make_detector, waves):
        make_detector().fit(waves).decision_function(waves)
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() is torch.float32


class TestTrainingThatFails:
    def test_an_interrupt_is_not_swallowed(self, make_detector, waves, monkeypatch):
        def interrupt(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr("timesad.training.net.MinimaxObjective.forward", interrupt)
        detector = make_detector()
        with pytest.raises(KeyboardInterrupt):
            detector.fit(waves)
        assert not hasattr(detector, "decision_scores_")

    @pytest.mark.parametrize("changes", [{}, {"validation_fraction": 0.0, "max_epochs": 1}], ids=["any", "one step"])
    def test_a_loss_that_explodes_is_an_error_that_says_what_to_do(self, make_detector, waves, changes):
        """With one step the loss is still finite and only the weights are not."""
        detector = make_detector(learning_rate=1e30, **changes)
        with pytest.raises(TrainingError, match="Lower learning_rate"):
            detector.fit(waves)
        assert not hasattr(detector, "threshold_")

    @pytest.mark.parametrize(
        ("failing", "error"),
        [
            pytest.param("timesad._base.ChannelScaling.learn", KeyboardInterrupt, id="interrupted before training"),
            pytest.param("timesad._base.calibrate_positions", KeyboardInterrupt, id="interrupted after it"),
            pytest.param("timesad._base.fit_threshold", ValueError, id="refused at the end"),
        ],
    )
    def test_leaves_the_detector_as_it_was(self, make_detector, waves, monkeypatch, failing, error):
        """Half a fit would scale by the one series and rebuild by the other's network."""
        fitted, bare = make_detector().fit(waves), make_detector()
        expected = fitted.decision_function(waves)
        monkeypatch.setattr(failing, mock.Mock(side_effect=error))
        for detector in (fitted, bare):
            with pytest.raises(error):
                detector.fit(waves[:100, :1])
        np.testing.assert_array_equal(fitted.decision_function(waves), expected)
        assert vars(bare) == bare.get_params()

    def test_a_series_that_is_refused_leaves_it_as_it_was(self, make_detector, waves):
        detector = make_detector().fit(waves)
        expected = detector.decision_function(waves)
        with pytest.raises(ValueError, match="X has 5 rows"):
            detector.fit(waves[:5, :1])
        np.testing.assert_array_equal(detector.decision_function(waves), expected)


@pytest.mark.parametrize(("at_most", "judged"), [(1000, [113]), (113, [113]), (20, [20, 113])])
def test_windows_that_calibrate_are_not_judged_again_where_they_are_all(waves, monkeypatch, at_most, judged):
    seen = []

    def counted(network, windows, *args, **kwargs):
        seen.append(len(windows))
        return judge_all(network, windows, *args, **kwargs)

    monkeypatch.setattr(timesad._base, "judge_all", counted)
    monkeypatch.setattr(timesad._base, "CALIBRATION_WINDOWS", at_most)
    detector = TimesNetDetector(window_size=WINDOW, top_k=2, patch_size=2, max_epochs=1, random_state=0).fit(waves)
    assert seen == judged
    np.testing.assert_array_equal(detector.decision_function(waves), detector.decision_scores_)
