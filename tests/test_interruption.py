"""A fit that is interrupted and a save that is killed, at any moment, lose nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

import timesad

REPOSITORY = Path(__file__).resolve().parents[1]
N_INTERRUPTS, N_INTERRUPTS_OF_ALL = 8, 200
N_KILLS, N_KILLS_OF_ALL = 2, 40

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals"),
    # One that strikes within a callback of Python's own, such as a destructor, is lost there and interrupts nothing.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Stop(BaseException):
    """As KeyboardInterrupt, and no one else's."""


def interrupt_fits(detector, X, n_interrupts):
    """Interrupt fits of other rows after random times; the fitted detector must stay as it is. Count those that hit."""
    rng = np.random.default_rng(0)
    expected, before, begun = detector.decision_function(X), dict(vars(detector)), time.perf_counter()
    generator, gradients = torch.get_rng_state(), torch.is_grad_enabled()
    following = clone(detector).fit(X * 2).decision_function(X)
    duration = time.perf_counter() - begun

    def stop(*arguments):
        raise Stop

    n_hits = 0
    previous = signal.signal(signal.SIGALRM, stop)
    try:
        for _ in range(n_interrupts):
            try:
                signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-4, duration)))
                detector.fit(X * 2)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                n_hits += 1
                now = vars(detector)
                if now["scorer_"] is not before["scorer_"]:  # it struck when the new fit was in place: all of it
                    np.testing.assert_array_equal(detector.decision_function(X), following)
                else:
                    assert all(now[name] is value for name, value in before.items())
            detector.__dict__ = dict(before)
            assert torch.equal(torch.get_rng_state(), generator)
            assert torch.is_grad_enabled() is gradients
            assert not torch.is_inference_mode_enabled()
            np.testing.assert_array_equal(detector.decision_function(X), expected)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return n_hits


def test_an_interrupt_at_any_moment_leaves_the_fit_before(make_detector, waves):
    assert interrupt_fits(make_detector().fit(waves), waves, N_INTERRUPTS) > 0


@pytest.mark.slow
def test_interrupts_by_the_hundred(make_detector, waves):
    assert interrupt_fits(make_detector().fit(waves), waves, N_INTERRUPTS_OF_ALL) > N_INTERRUPTS_OF_ALL / 4


SAVING = """
import sys, timesad
detectors = [timesad.load(path) for path in sys.argv[1:3]]
print("ready", flush=True)
while True:
    for detector in detectors:
        detector.save(sys.argv[3])
"""


def kill_saves(detectors, tmp_path, n_kills):
    """Kill a process that saves two detectors in turn to one path; the file must always be one of them, whole."""
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / name) for name in ("first", "second", "both")]
    for detector, path in zip(detectors, paths[:2], strict=True):
        detector.save(path)
    whole = {Path(path).read_bytes() for path in paths[:2]}
    for _ in range(n_kills):
        command = [sys.executable, "-c", SAVING, *paths]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.02 + float(rng.uniform(0, 0.05)))
            os.kill(process.pid, signal.SIGKILL)
        assert Path(paths[2]).read_bytes() in whole
        timesad.load(paths[2])


def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_file(make_nearest, waves, tmp_path):
    kill_saves([make_nearest(smoothing=n).fit(waves) for n in (2, 3)], tmp_path, N_KILLS)


@pytest.mark.slow
def test_kills_by_the_dozen(make_nearest, waves, tmp_path):
    kill_saves([make_nearest(smoothing=n).fit(waves) for n in (2, 3)], tmp_path, N_KILLS_OF_ALL)
