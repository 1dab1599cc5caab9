"""The table of all cells: what is written is read again, and nothing is taken for another cell."""

from __future__ import annotations

import pytest

from benchmarks.cell_table import DIGITS, read_rows, restore, write_csv
from benchmarks.command import run_study
from benchmarks.contract import UNSUPERVISED, Method, Settings
from benchmarks.harness import NO_ISOLATION, collect, plan, run_cells
from benchmarks.peers import make_parser
from benchmarks.summary import all_table_rows

SETTINGS = Settings(window=10, smoothing=8)


@pytest.fixture
def cells(tiny_groups, toys):
    methods = [
        Method("toy", "toy", toys.toy),
        Method("two", "toy", toys.pair, scores=("plain", "opposite")),
        Method("crashing", "toy", toys.crashing, note="always"),
    ]
    return plan(methods, tiny_groups, protocols=[UNSUPERVISED], seeds=[0, 1], settings=SETTINGS)


@pytest.fixture
def records(cells, tmp_path):
    return run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION)


@pytest.fixture
def table(records, tmp_path):
    path = tmp_path / "table.csv"
    write_csv(all_table_rows(records), path)
    return path


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value


def _by_identity(records):
    not_in_tables = ("trace", "warnings", "timeout_seconds")
    return {
        (record["series"], record["method"], record["seed"]): {
            name: _rounded(value) for name, value in record.items() if name not in not_in_tables and value is not None
        }
        for record in records
    }


def test_restored_cells_are_the_cells_that_ran(cells, records, table, tmp_path):
    restore(cells, read_rows(table), tmp_path / "restored")
    restored, missing = collect(cells, tmp_path / "restored")
    assert not missing
    assert _by_identity(restored) == _by_identity(records)


def test_a_table_of_restored_cells_is_the_table(cells, table, tmp_path):
    restore(cells, read_rows(table), tmp_path / "restored")
    write_csv(all_table_rows(collect(cells, tmp_path / "restored")[0]), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == table.read_text()


def test_other_settings_find_nothing(cells, table, tmp_path, tiny_groups):
    others = plan(
        [cells[0].method], tiny_groups, protocols=[UNSUPERVISED], seeds=[0], settings=Settings(window=11, smoothing=8)
    )
    restore(others, read_rows(table), tmp_path / "restored")
    assert collect(others, tmp_path / "restored") == ([], others)


def test_a_cell_that_has_a_file_keeps_it(cells, table, tmp_path):
    kept = cells[0].path(tmp_path / "restored")
    kept.parent.mkdir(parents=True)
    kept.write_text("{}", encoding="utf-8")
    restore(cells, read_rows(table), tmp_path / "restored")
    assert kept.read_text(encoding="utf-8") == "{}"


def test_a_study_goes_on_from_its_table_and_redoes_what_it_is_told_to(table, tmp_path, tiny_groups, toys, capsys):
    methods = [Method("toy", "again", toys.toy), Method("two", "toy", toys.pair, scores=("plain", "opposite"))]
    arguments = ["--cells", str(tmp_path / "new"), "--isolation", NO_ISOLATION, "--seeds", "0", "1"]
    options = make_parser().parse_args([*arguments, "--resume-from", str(table), "--redo", "again"])
    rows, _ = run_study(options, methods, tiny_groups, protocols=[UNSUPERVISED], settings=SETTINGS)
    assert {row["method"] for row in rows} == {"toy", "two / plain", "two / opposite"}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 3
    assert all(" toy seed " in line for line in lines)


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("method,seed\na,0\n", "has no column")])
def test_what_is_no_table_is_named(content, message, tmp_path, capsys):
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--resume-from", str(path)])
    text = capsys.readouterr().err
    assert str(path) in text
    assert message in text
