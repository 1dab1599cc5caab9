"""The command that measures streams writes a page with every contender, whether or not river is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import latency
from benchmarks.latency import Contender, Latency, contenders, main, measure

FEW = ["--channels", "2", "--rows", "1", "3", "--rounds", "1", "--calls", "2", "--training-rows", "400"]


@pytest.fixture
def no_river(monkeypatch):
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.setitem(sys.modules, "river.anomaly", None)


def test_the_page_has_all_contenders_and_says_that_river_is_missing(no_river, monkeypatch, tmp_path):
    threads = []
    monkeypatch.setattr(latency.torch, "set_num_threads", threads.append)
    main([*FEW, "--history", "500", "--out", str(tmp_path)])
    page = (tmp_path / "latency.md").read_text(encoding="utf-8")
    for name in contenders("cpu"):
        line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        cells = line.strip("|").split(" | ")[1:]
        assert len(cells) == 2
        if name.startswith("river"):
            assert all("ModuleNotFoundError" in cell for cell in cells)
        else:
            assert all(cell.strip()[0].isdigit() and "(" in cell for cell in cells)
    assert "`python -m benchmarks.latency --channels 2" in page
    assert threads == [1]


def test_contenders_run_in_turn_and_get_the_next_rows():
    got = []

    def begin(name):
        def update(rows):
            got.append((name, rows.copy()))

        return lambda train, history: update

    found = {name: Contender(begin(name)) for name in "ab"}
    results = measure(found, n_rows=3, n_channels=2, n_history=10, n_rounds=2, n_calls=2, n_train=20)
    assert [name for name, _ in got] == list("aabbaabbaabb")  # warm-ups, then two rounds
    assert {name: len(seconds) for name, seconds in results.items()} == {"a": 4, "b": 4}
    series = latency.made_up_series(20 + 10 + 3 * 6, 2)
    for name in "ab":
        rows = np.concatenate([rows for one, rows in got if one == name])
        np.testing.assert_array_equal(rows, series[30:])


def test_an_error_ends_only_its_contender():
    def broken(train, history):
        raise RuntimeError("first line\nsecond line")

    found = {"broken": Contender(broken), "good": Contender(lambda train, history: len)}
    results = measure(found, n_rows=1, n_channels=1, n_history=1, n_rounds=1, n_calls=3, n_train=1)
    assert results["broken"] == "RuntimeError: first line"
    assert len(results["good"]) == 3


def test_text_is_of_a_row():
    calls = [0.001] * 99 + [0.1]
    assert Latency("one", {10: calls}).text(10) == "100 (199)"
    assert Latency("one", error="no module").text(10) == "no module"


def test_history_fills_the_memory_of_a_stream():
    assert latency.history_rows(None) == 49_868  # docs/streams.md
    assert latency.history_rows(7) == 7
