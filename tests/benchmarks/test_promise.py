"""The command that counts what thresholds promise."""

from __future__ import annotations

import csv

import pytest

from benchmarks import promise


def row_of(seed, seen, alarms):
    return dict(zip(promise.COLUMNS, ("nearest-windows", 500, seed, seen, seen, seen, *([alarms] * 4), 2), strict=True))


def test_cells_are_seen_divided_by_asked_mean_and_median():
    """Shares 0.001, 0.01 and 0.05, and 33.3, 10, 3.3 and 1 alarms were asked."""
    text = promise.page_text([row_of(0, 0.01, 10), row_of(1, 0.0, 0), row_of(2, 0.02, 5)], "command")
    cells = [cell.strip() for cell in text.splitlines()[-1].strip("| ").split("|")]
    assert cells[:3] == ["nearest-windows", "500", "3"]
    assert cells[3:6] == ["10.00 (10.00)", "1.00 (1.00)", "0.20 (0.20)"]
    assert cells[6:10] == ["0.15 (0.15)", "0.50 (0.50)", "1.50 (1.50)", "5.00 (5.00)"]
    assert cells[10] == "2.0"


def test_rows_are_written_and_read_alike(tmp_path):
    rows = [row_of(1, 0.25, 3), row_of(0, 0.5, 4)]
    promise.write_rows(rows, tmp_path / "rows.csv")
    assert promise.read_rows(tmp_path / "rows.csv") == sorted(rows, key=lambda row: row["seed"])
    assert promise.read_rows(tmp_path / "none.csv") == []


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    run = ["--methods", "nearest-windows", "--train-rows", "600", "--out", str(tmp_path)]
    promise.main([*run, "--seeds", "1"])
    assert capsys.readouterr().out.split() == [str(tmp_path / "promise.md"), str(tmp_path / "promise.csv")]
    measured = []
    monkeypatch.setattr(
        promise, "measure", lambda *one: measured.append(one) or row_of(one[2], 0.0, 0) | {"train_rows": 600}
    )
    promise.main([*run, "--seeds", "3"])
    assert [seed for *_, seed in measured] == [1, 2]
    with (tmp_path / "promise.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    assert "| nearest-windows | 600 | 3 |" in (tmp_path / "promise.md").read_text()


def test_one_series_is_measured():
    row = promise.measure("nearest-windows", 600, 0)
    assert list(row) == list(promise.COLUMNS)
    assert 0 <= row["share 0.001"] <= row["share 0.01"] <= row["share 0.05"] < 1
    assert row["one in 300"] >= row["one in 10,000"]


def test_an_unknown_method_is_refused():
    with pytest.raises(SystemExit):
        promise.main(["--methods", "random"])
