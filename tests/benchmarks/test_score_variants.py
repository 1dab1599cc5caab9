"""What could stand in the place of parts of the default score, held to its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils import Bunch

from benchmarks.channel_association import ChannelAssociation, channel_association
from benchmarks.score_variants import (
    STRANGEST_WIDTHS,
    AsScored,
    FarHorizon,
    Joined,
    NoUnits,
    StrangestAndFar,
    added,
    any_distances,
    arithmetic_mean,
    evidence_of_mean_window,
    evidence_of_strangest,
    harmonic_mean,
    memory_twice,
    minimum,
    multiplied,
)
from timesad.calibration import smooth
from timesad.evidence import ChannelEvidence
from timesad.memory import MemoryEvidence, MemoryTails, WindowMemory, memory_evidence
from timesad.scoring import ChannelScorer
from timesad.windows import WindowSet

WINDOW = 12
N_ROWS = 150


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(N_ROWS, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def memory(rows):
    return WindowMemory.learn(WindowSet(rows, np.arange(N_ROWS - WINDOW + 1), WINDOW), size=60)


@pytest.fixture(scope="module")
def windows():
    strange = np.random.default_rng(1).normal(size=(60, 2)).astype(np.float32)
    return WindowSet(strange, np.arange(0, 60 - WINDOW + 1, 3), WINDOW)


@pytest.fixture(scope="module")
def distances(memory, windows):
    return list(any_distances(memory, windows, "cpu", own_counts=False))


class TestAnyDistances:
    def test_are_the_library_s_to_the_bit(self, memory, windows, rows, distances):
        for own_counts in (False, True):
            for known in (windows, WindowSet(rows, np.arange(0, N_ROWS - WINDOW + 1, 3), WINDOW)):
                expected = list(memory.distances(known, "cpu", own_counts=own_counts))
                found = list(any_distances(memory, known, "cpu", own_counts=own_counts))
                for ours, theirs in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(ours.of_window, theirs.of_window)
                    np.testing.assert_allclose(ours.of_row, theirs.of_row, rtol=1e-5)

    def test_in_strangest_and_mean_by_their_definition(self, memory, windows, distances):
        for channel, distance in enumerate(distances):
            squares = np.concatenate([found for _, found in memory._differences(windows, channel, "cpu", None)])
            for row in range(len(windows.values)):
                holding = np.flatnonzero((windows.starts <= row) & (row < windows.starts + WINDOW))
                means = squares[holding].mean(axis=1)
                assert distance.of_mean_window[row] == pytest.approx(means.mean(), rel=1e-5)
                strangest = holding[means.argmax()]
                for width in STRANGEST_WIDTHS:
                    smoothed = smooth(squares[strangest].astype(float), width, np.array([0, WINDOW]))
                    expected = smoothed[row - windows.starts[strangest]]
                    assert distance.in_strangest[width][row] == pytest.approx(expected, rel=1e-5)

    def test_evidence_differs_in_the_window_alone(self, distances):
        borders = np.array([0, 60])
        default = memory_evidence(distances[0], 8, borders)
        for evidence, window in (
            (evidence_of_mean_window, distances[0].of_mean_window),
            (evidence_of_strangest(16), distances[0].in_strangest[16]),
        ):
            found = evidence(distances[0], 8, borders)
            np.testing.assert_allclose(found.window, np.sqrt(window))
            np.testing.assert_array_equal(found.near, default.near)
            np.testing.assert_array_equal(found.far, default.far)


class TestTails:
    @pytest.fixture
    def evidences(self):
        draw = np.random.default_rng(0)
        return tuple(MemoryEvidence(*draw.gamma(shape, size=(3, 400))) for shape in (1.0, 4.0))

    def test_units(self, evidences):
        with_own, scored = evidences
        default, as_scored, none = (kind.learn(with_own, scored) for kind in (MemoryTails, AsScored, NoUnits))
        for name in MemoryEvidence._fields:
            centers = {getattr(tails, name).center for tails in (default, as_scored, none)}
            assert centers == {float(np.median(getattr(scored, name)))}
        assert as_scored == MemoryTails.learn(scored, scored) != default
        assert {tail.height for tail in none} == {1.0}

    def test_the_far_horizon_counts_where_it_says_more(self, evidences):
        tails = StrangestAndFar.learn(*evidences)
        window, far = tails.window(evidences[1].window), tails.far(evidences[1].far)
        expected = np.where(far > window, 0.7 * window + 0.3 * far, window)
        np.testing.assert_allclose(tails(evidences[1]), expected)


def test_a_third_horizon_has_a_quarter_of_the_weight():
    draw = np.random.default_rng(0)
    channel = ChannelEvidence(draw.normal(size=400), *draw.gamma(1.0, size=(2, 400)))
    borders = np.array([0, 400])
    two, three = (kind.learn(channel, 8, borders, 1) for kind in (ChannelScorer, FarHorizon))
    far = three.far(channel.error, channel.values, borders)
    assert three.far.width == 24
    for found, of_two, of_far in zip(three(channel, borders), two(channel, borders), far, strict=False):
        np.testing.assert_allclose(found, 0.75 * of_two + 0.25 * of_far)


class TestJoins:
    def known(self, memory_weight=1.0):
        parts = Bunch(
            score=np.array([0.0, 1.0]),
            reconstruction=np.array([1.0, 3.0]),
            level=np.array([0.0, 0.0]),
            memory=np.array([7.0, 0.0]),
        )
        return Joined(parts, memory_weight, association=np.array([0.0, 3.0]), placebo=np.zeros(2))

    @pytest.mark.parametrize(
        ("join", "expected"),
        [
            (memory_twice, [128 ** (1 / 3), 4 ** (1 / 3)]),
            (arithmetic_mean, [5.0, 2.5]),
            (harmonic_mean, [3.2, 1.6]),
            (minimum, [2.0, 1.0]),
            (added("association"), [0.0, 2.5]),
            (multiplied("association"), [1.0, 4.0]),
        ],
    )
    def test_by_hand(self, join, expected):
        np.testing.assert_allclose(join(self.known()), expected)

    @pytest.mark.parametrize("join", [memory_twice, arithmetic_mean, harmonic_mean, minimum])
    def test_a_memory_without_weight_says_nothing(self, join):
        np.testing.assert_allclose(join(self.known(memory_weight=0.0)), [2.0, 4.0])


class TestChannelAssociation:
    @pytest.fixture
    def series(self):
        """Two pairs of channels; from row 300 on, the first goes with the other pair."""
        pair = np.random.default_rng(0).normal(size=(600, 2))
        rows = pair[:, [0, 0, 1, 1]].copy()
        rows[300:, 0] = pair[300:, 1]
        rows += 0.1 * np.random.default_rng(1).normal(size=rows.shape)
        return rows.astype(np.float32)

    def test_rows_are_distributions_over_the_other_channels(self, series):
        association = channel_association(torch.from_numpy(series).unflatten(0, (-1, 50)))
        torch.testing.assert_close(association.sum(dim=-1), torch.ones(12, 4))
        assert (association.diagonal(dim1=1, dim2=2) == 0).all()
        assert association[0, 0].argmax() == 1
        assert association[-1, 0].argmax() > 1

    def test_a_channel_that_stands_still_goes_with_none(self):
        windows = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(0))
        windows[..., 2] = 5.0
        assert channel_association(windows)[0, 2].tolist() == [0.5, 0.5, 0.0]

    def test_going_with_others_is_abnormal(self, series):
        train = WindowSet(series[:250], np.arange(0, 201, 5), 50)
        whole = WindowSet(series, np.arange(0, 551, 5), 50)
        learn = ChannelAssociation.learn
        score = learn(train, np.array([0, 250]), 8)(whole, np.array([0, 600]))
        assert score[:250].max() < score[300:].min()
        shuffled = learn(train, np.array([0, 250]), 8, seed=0)(whole, np.array([0, 600]))
        assert shuffled[:250].max() > shuffled[300:].min()

    def test_one_channel_has_no_others(self, series):
        windows = WindowSet(series[:, :1], np.arange(0, 551, 5), 50)
        borders = np.array([0, 600])
        assert not ChannelAssociation.learn(windows, borders, 8)(windows, borders).any()
