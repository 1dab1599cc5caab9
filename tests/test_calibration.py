"""Smoothing, and the units that evidence is counted in."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.calibration import MIXED_BLOCKS, TailCalibration, smooth


class TestSmoothing:
    @pytest.mark.parametrize("width", [1, 2, 3, 8, 31])
    def test_an_impulse_stays_where_it_is_and_keeps_its_mass(self, width):
        impulse = np.zeros(201)
        impulse[100] = 1.0
        smoothed = smooth(impulse, width, np.array([0, 201]))
        assert smoothed.argmax() == 100
        assert smoothed.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(smoothed, smoothed[::-1], atol=1e-15)

    def test_stops_at_borders(self):
        values = np.concatenate([np.zeros(20), np.ones(20)])
        np.testing.assert_array_equal(smooth(values, 5, np.array([0, 20, 40])), values)


class TestTails:
    @staticmethod
    def evidence(spoiled):
        rows = np.abs(np.random.default_rng(0).normal(size=4000))
        rows[1200:1400] += 50.0 * spoiled
        return rows

    def test_an_anomaly_in_one_quarter_does_not_set_the_unit(self):
        clean, spoiled = (TailCalibration.learn(self.evidence(spoiled), MIXED_BLOCKS) for spoiled in (False, True))
        assert spoiled.height == pytest.approx(clean.height, rel=0.2)

    def test_it_does_where_all_rows_are_taken_for_normal(self):
        clean, spoiled = (TailCalibration.learn(self.evidence(spoiled), 1) for spoiled in (False, True))
        assert spoiled.height > 10 * clean.height
