"""The shipped recording has the properties that its card states."""

from __future__ import annotations

import re
from importlib import resources

import numpy as np
import pytest

from timesad.datasets import load_host_telemetry

FEWEST_FAULTS = 15
LARGEST_FILE = 1_000_000  # bytes
OBVIOUS = {"cpu_hog", "memory_growth", "disk_flood", "switch_storm"}
CONTEXTUAL = {"cycle_skipped", "cycle_doubled", "cycle_shifted", "flat_load", "latency_wrong", "batch_missing"}
OF_THE_LOAD = {"cycle_skipped", "cycle_doubled", "cycle_shifted", "flat_load"}


@pytest.fixture(scope="module")
def telemetry():
    return load_host_telemetry()


def test_shape_and_sampling_rate(telemetry):
    minutes = len(telemetry.data) / telemetry.sampling_rate / 60
    assert minutes >= 40
    assert telemetry.data.shape == (len(telemetry.target), len(telemetry.feature_names))
    assert telemetry.data.shape[1] >= 8
    np.testing.assert_allclose(np.diff(telemetry.timestamps), 1 / telemetry.sampling_rate, atol=1e-9)


def test_values_are_finite_and_no_channel_is_constant(telemetry):
    assert np.isfinite(telemetry.data).all()
    assert (telemetry.data.std(axis=0) > 0).all()


def test_first_half_has_no_faults(telemetry):
    assert telemetry.train_size == len(telemetry.data) // 2
    assert not telemetry.target[: telemetry.train_size].any()


def test_faults_are_the_labelled_rows(telemetry):
    from_faults = np.zeros_like(telemetry.target)
    for fault in telemetry.faults:
        from_faults[fault["start"] : fault["end"]] = 1
    np.testing.assert_array_equal(from_faults, telemetry.target)


def test_every_kind_of_fault_occurs(telemetry):
    assert len(telemetry.faults) >= FEWEST_FAULTS
    assert {fault["kind"] for fault in telemetry.faults} == OBVIOUS | CONTEXTUAL


def test_duration_of_faults_is_that_of_the_card(telemetry):
    for fault in telemetry.faults:
        seconds = (fault["end"] - fault["start"]) / telemetry.sampling_rate
        planned = 8 if fault["kind"] in OF_THE_LOAD else 4
        assert seconds == pytest.approx(planned, abs=0.4), fault


def test_request_rate_has_the_period_of_the_load(telemetry):
    """The spectrum of the fault-free half has its maximum at the period of the card."""
    rate = telemetry.data[: telemetry.train_size, telemetry.feature_names.index("request_rate")]
    spectrum = np.abs(np.fft.rfft(rate - rate.mean()))
    period = len(rate) / spectrum.argmax()
    assert period == pytest.approx(40, rel=0.01)


def test_card_describes_every_channel_and_every_fault(telemetry):
    for channel in telemetry.feature_names:
        assert re.search(rf"^{channel} ", telemetry.DESCR, flags=re.MULTILINE), channel
    stated = re.findall(r"^\s*\d+\s+(\w+)\s+(\d+)\s+(\d+)\s", telemetry.DESCR, flags=re.MULTILINE)
    assert stated == [(fault["kind"], str(fault["start"]), str(fault["end"])) for fault in telemetry.faults]
    assert "BSD-3-Clause" in telemetry.DESCR
    assert "record_host_telemetry.py" in telemetry.DESCR


def test_files_are_small():
    folder = resources.files("timesad.datasets") / "data"
    assert sum(len((folder / entry.name).read_bytes()) for entry in folder.iterdir()) < LARGEST_FILE


def test_every_call_returns_new_arrays(telemetry):
    again = load_host_telemetry()
    again.data[:] = 0
    assert telemetry.data.any()
