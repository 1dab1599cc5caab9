"""make_anomalous_series: anomalies of known kinds change their own rows and channels only."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.datasets import make_anomalous_series

KINDS = (
    "spike",
    "level",
    "trend",
    "variance",
    "frequency",
    "phase_skip",
    "pattern_swap",
    "correlation_break",
)
IN_RANGE = ("frequency", "phase_skip", "pattern_swap", "correlation_break")
PERIOD = 50


def make_pair(kind, n_channels=3, n_cycles=4, **parameters):
    """A series with one anomaly, the same series without it, and the anomaly."""
    parameters = {"random_state": 7, "n_cycles": n_cycles, "period": PERIOD, **parameters}
    series = make_anomalous_series(2000, n_channels, kinds=[kind], **parameters)
    clean = make_anomalous_series(2000, n_channels, n_anomalies=0, **parameters)
    (anomaly,) = series.anomalies
    return series, clean, anomaly


def parts_of(series, anomaly):
    return series.data[anomaly["start"] : anomaly["stop"], anomaly["channels"]]


class TestEveryKind:
    @pytest.mark.parametrize("kind", KINDS)
    def test_anomaly_changes_its_rows_and_channels_only(self, kind):
        series, clean, anomaly = make_pair(kind)
        changed = series.data != clean.data
        stated = np.zeros_like(changed)
        stated[anomaly["start"] : anomaly["stop"], anomaly["channels"]] = True
        assert not changed[~stated].any()
        # Single rows of a wave may keep their value by chance.
        assert changed[stated].mean() > 0.9

    @pytest.mark.parametrize("kind", KINDS)
    def test_target_is_one_in_the_rows_of_the_anomaly_only(self, kind):
        series, _, anomaly = make_pair(kind)
        assert np.flatnonzero(series.target).tolist() == list(range(anomaly["start"], anomaly["stop"]))

    @pytest.mark.parametrize("kind", IN_RANGE)
    def test_contextual_kinds_stay_in_the_usual_range(self, kind):
        series, clean, anomaly = make_pair(kind)
        values = parts_of(series, anomaly)
        usual = clean.data[:, anomaly["channels"]]
        margin = 0.25 * usual.std(axis=0)
        assert (values < usual.max(axis=0) + margin).all()
        assert (values > usual.min(axis=0) - margin).all()


class TestEffectOfEachKind:
    def test_spike_is_one_row_of_the_stated_size(self):
        series, clean, anomaly = make_pair("spike", strength=5.0)
        assert anomaly["stop"] - anomaly["start"] == 1
        shift = np.abs(parts_of(series, anomaly) - parts_of(clean, anomaly))
        np.testing.assert_allclose(shift, 5 * clean.data.std(axis=0)[anomaly["channels"]][None])

    def test_level_is_a_constant_shift(self):
        series, clean, anomaly = make_pair("level")
        shift = parts_of(series, anomaly) - parts_of(clean, anomaly)
        np.testing.assert_allclose(shift - shift[0], 0, atol=1e-12)
        np.testing.assert_allclose(np.abs(shift[0]), 3 * clean.data.std(axis=0)[anomaly["channels"]])

    def test_trend_grows_linearly_to_the_stated_size(self):
        series, clean, anomaly = make_pair("trend")
        shift = np.abs(parts_of(series, anomaly) - parts_of(clean, anomaly))
        np.testing.assert_allclose(np.diff(shift, n=2, axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(shift[-1], 3 * clean.data.std(axis=0)[anomaly["channels"]])

    def test_variance_multiplies_the_noise(self):
        loud, clean, anomaly = make_pair("variance", strength=2.0)
        louder, _, _ = make_pair("variance", strength=4.0)
        added = parts_of(loud, anomaly) - parts_of(clean, anomaly)  # the noise of the clean series times 2
        np.testing.assert_allclose(parts_of(louder, anomaly) - parts_of(clean, anomaly), 2 * added, atol=1e-12)
        np.testing.assert_allclose(added.std(axis=0), 2 * 0.1, rtol=0.25)

    def test_frequency_doubles_the_cycles(self):
        series, _, anomaly = make_pair("frequency", noise=0.01)
        for wave in (parts_of(series, anomaly) - parts_of(series, anomaly).mean(axis=0)).T:
            spectrum = np.abs(np.fft.rfft(wave))
            assert spectrum[4] < spectrum[8]

    def test_phase_skip_shifts_the_wave_by_half_a_cycle(self):
        """Even harmonics stay, odd ones change sign: the difference is a sine of twice the amplitude."""
        series, clean, anomaly = make_pair("phase_skip")
        difference = parts_of(series, anomaly) - parts_of(clean, anomaly)
        half = PERIOD // 2
        np.testing.assert_allclose(difference[half:], -difference[:-half], atol=1e-9)
        sizes = np.sqrt(2) * difference.std(axis=0)
        assert (sizes >= 2 * 0.7).all()
        assert (sizes <= 2 * 1.3).all()

    def test_pattern_swap_reverses_the_wave_in_time(self):
        """The difference is 0 at the start of each cycle and antisymmetric about it."""
        series, clean, anomaly = make_pair("pattern_swap")
        difference = parts_of(series, anomaly) - parts_of(clean, anomaly)
        np.testing.assert_allclose(difference[::PERIOD], 0, atol=1e-9)
        np.testing.assert_allclose(difference[1:], -difference[:0:-1], atol=1e-9)
        assert (difference.std(axis=0) > 0.1).all()

    def test_correlation_break_keeps_the_variance_and_removes_the_correlation(self):
        n_cycles = 60
        series = make_anomalous_series(
            10_000, 2, kinds=["correlation_break"], n_cycles=n_cycles, noise=0.01, random_state=3
        )
        clean = make_anomalous_series(10_000, 2, n_anomalies=0, n_cycles=n_cycles, noise=0.01, random_state=3)
        (anomaly,) = series.anomalies
        assert len(anomaly["channels"]) == 1
        rows = slice(anomaly["start"], anomaly["stop"])
        residuals = {}
        for name, bunch in {"broken": series, "clean": clean}.items():
            residuals[name] = np.stack([bunch.data[rows, c] - self.wave_of(clean, c)[rows] for c in range(2)])
        assert abs(np.corrcoef(residuals["clean"])[0, 1]) > 0.95
        assert abs(np.corrcoef(residuals["broken"])[0, 1]) < 0.6
        np.testing.assert_allclose(residuals["broken"].std(axis=1), residuals["clean"].std(axis=1), rtol=0.5)

    @staticmethod
    def wave_of(clean, channel):
        """The periodic part of a clean channel: its first two harmonics, by least squares."""
        angle = 2 * np.pi * np.arange(len(clean.data)) / PERIOD
        design = np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)], axis=1)
        coefficients, *_ = np.linalg.lstsq(design, clean.data[:, channel], rcond=None)
        return design @ coefficients


class TestWholeSeries:
    def test_train_rows_are_clean_and_half_by_default(self):
        series = make_anomalous_series(random_state=0)
        assert series.train_size == 2000
        assert not series.target[:2000].any()
        assert series.target[2000:].any()

    def test_default_has_every_kind_once(self):
        series = make_anomalous_series(random_state=0)
        assert sorted(anomaly["kind"] for anomaly in series.anomalies) == sorted(KINDS)

    def test_single_channel_has_no_correlation_break(self):
        series = make_anomalous_series(n_channels=1, random_state=0)
        assert "correlation_break" not in {anomaly["kind"] for anomaly in series.anomalies}

    def test_anomalies_are_in_time_order_and_a_period_apart(self):
        series = make_anomalous_series(8000, n_anomalies=16, period=40, random_state=1)
        starts = [anomaly["start"] for anomaly in series.anomalies]
        stops = [anomaly["stop"] for anomaly in series.anomalies]
        assert len(starts) == 16
        assert all(later - earlier >= 40 for earlier, later in zip(stops[:-1], starts[1:], strict=True))

    def test_target_is_the_union_of_anomalies(self):
        series = make_anomalous_series(random_state=2)
        union = np.zeros_like(series.target)
        for anomaly in series.anomalies:
            union[anomaly["start"] : anomaly["stop"]] = 1
        np.testing.assert_array_equal(union, series.target)

    def test_correlation_break_leaves_one_channel_unchanged(self):
        for seed in range(20):
            series = make_anomalous_series(1000, 2, kinds=["correlation_break"], random_state=seed)
            assert len(series.anomalies[0]["channels"]) == 1

    def test_period_is_the_given_one(self):
        series = make_anomalous_series(4000, 1, n_anomalies=0, period=40, random_state=0)
        spectrum = np.abs(np.fft.rfft(series.data[:, 0] - series.data[:, 0].mean()))
        assert spectrum.argmax() == 4000 // 40

    def test_keys_are_those_of_all_series(self):
        series = make_anomalous_series(random_state=0)
        assert series.data.shape == (4000, len(series.feature_names)) == (4000, 4)
        assert series.groups is None
        assert series.name
        assert "50" in series.DESCR


class TestRandomness:
    def test_same_seed_gives_the_same_series(self):
        first, second = make_anomalous_series(random_state=5), make_anomalous_series(random_state=5)
        np.testing.assert_array_equal(first.data, second.data)
        assert first.anomalies == second.anomalies

    def test_other_seed_gives_another_series(self):
        assert (make_anomalous_series(random_state=5).data != make_anomalous_series(random_state=6).data).any()

    def test_generator_is_accepted_and_advanced(self):
        rng = np.random.default_rng(5)
        first, second = make_anomalous_series(random_state=rng), make_anomalous_series(random_state=rng)
        np.testing.assert_array_equal(first.data, make_anomalous_series(random_state=5).data)
        assert (first.data != second.data).any()

    def test_global_generator_is_not_used(self):
        before = repr(np.random.get_state())  # noqa: NPY002
        make_anomalous_series()
        assert repr(np.random.get_state()) == before  # noqa: NPY002


class TestBadParameters:
    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"kinds": ["spkie"]}, ValueError, "'spkie', which is no kind of anomaly. Choose from spike"),
            ({"kinds": "spike"}, TypeError, r"Pass kinds=\['spike'\]"),
            ({"kinds": []}, ValueError, "kinds is empty"),
            ({"kinds": ["correlation_break"], "n_channels": 1}, ValueError, "needs at least two channels"),
            ({"n_rows": 500}, ValueError, "each of the 8 anomalies .* Pass a larger n_rows"),
            ({"n_rows": 100.0}, TypeError, "n_rows"),
            ({"n_channels": 0}, ValueError, "n_channels"),
            ({"period": 3}, ValueError, "period"),
            ({"n_cycles": 0}, ValueError, "n_cycles"),
            ({"strength": 0}, ValueError, "strength"),
            ({"noise": -1}, ValueError, "noise"),
            ({"train_size": 4001}, ValueError, "train_size"),
            ({"n_anomalies": -1}, ValueError, "n_anomalies"),
        ],
    )
    def test_error_message_has_the_parameter(self, parameters, error, message):
        with pytest.raises(error, match=message):
            make_anomalous_series(**parameters)
