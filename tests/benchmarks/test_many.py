"""The command that measures many series writes what it measured, and labels what it did not."""

from __future__ import annotations

import os

import pytest

from benchmarks import many
from benchmarks.many import Outcome, amdahl, in_each_process, main, serial_share, simulated_table


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    monkeypatch.setattr(many, "N_ROWS", 1300)
    monkeypatch.setattr(many.torch, "set_num_threads", lambda number: None)


def outcome(n_jobs, seconds, detector="One"):
    return Outcome(detector, "joblib", n_jobs, 10, seconds, 0.0, None, 0.0, {"torch": 1})


def cells(page, begin):
    return [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith(f"| `{begin}")]


def test_the_page_has_times_memory_threads_and_the_simulation(tmp_path):
    main(["--series", "3", "--network-series", "0", "--out", str(tmp_path / "many.md")])
    page = (tmp_path / "many.md").read_text(encoding="utf-8")
    one, two, simulated = cells(page, "NearestWindowsDetector")
    assert one[1:4] == ["3", "joblib", "1"]
    assert two[1:4] == ["3", "joblib", "2"]
    assert one[8] == "–"  # one job is this process
    assert float(two[8].replace(",", "")) >= 0
    assert "torch 1" in two[-1]
    assert len(simulated) == 6
    assert "Simulated, not measured" in page
    assert "4 cores, simulated | 16 cores, simulated" in page
    assert "With joblib's defaults each of 2 workers" in page


@pytest.mark.filterwarnings("default")  # those of Dask and of its event loop are not ours
def test_a_dask_cluster_is_one_more_place(tmp_path):
    pytest.importorskip("distributed", reason="pip install distributed")
    main(["--series", "3", "--network-series", "0", "--jobs", "1", "--dask", "--out", str(tmp_path / "many.md")])
    _, dask, *_ = cells((tmp_path / "many.md").read_text(encoding="utf-8"), "NearestWindowsDetector")
    assert dask[1:4] == ["3", "Dask", "2"]
    assert float(dask[8].replace(",", "")) >= 0
    assert "torch 1" in dask[-1]


def test_serial_share_is_that_of_amdahls_law():
    assert serial_share(2.0, 2) == 0.0
    assert serial_share(1.0, 2) == 1.0
    assert serial_share(2.5, 2) == 0.0  # more than twice as fast is noise
    for share in (0.1, 0.5):
        assert serial_share(amdahl(share, 2), 2) == pytest.approx(share)
    assert amdahl(0.0, 16) == 16


def test_simulated_rates_follow_from_the_measured_speed_up():
    table = simulated_table([outcome(1, 10.0), outcome(2, 6.25), outcome(1, 1.0, "Alone")])
    [line] = [line for line in table.splitlines() if "`One`" in line]
    assert line.strip("| ").split(" | ") == ["`One`", "25 %", "1", "1.6 by 2", "2.3", "3.4"]
    assert "Alone" not in table  # one number of jobs has no speed-up


def test_each_process_is_seen():
    with many.joblib_processes(2, inner_max_num_threads=1):
        found = in_each_process(2, many.threads_here)
    assert len(found) == 2
    assert os.getpid() not in found
    assert all(threads["torch"] == 1 for threads in found.values())
