"""The table of the search's seconds."""

from __future__ import annotations

import pytest

from benchmarks.report import ABSENT
from benchmarks.search import BOTH, NETWORK, SEARCH, main, table_row


def test_a_row_of_the_table():
    seconds = {SEARCH: [2.0, 9.0, 1.0], NETWORK: [4.0, 4.0, 4.0], BOTH: [6.0, 6.0, 6.0]}
    assert table_row(1000, 10, seconds) == ["1,000", "10", "2", "4", "6", "0.50", "200.00"]
    assert table_row(1000, 10, None) == ["1,000", "10", *[ABSENT] * 5]


@pytest.mark.filterwarnings("ignore")
def test_the_command_writes_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.search.FIT_ROWS", 300)
    main(["--rows", "300", "600", "--channels", "2", "--max-values", "700", "--repeats", "1", "--out", str(tmp_path)])
    page = (tmp_path / "search.md").read_text(encoding="utf-8")
    assert "Made by `python -m benchmarks.search --rows 300 600" in page
    assert "| 300 | 2 |" in page
    assert f"| 600 | 2 | {ABSENT} |" in page
    assert str(tmp_path / "search.md") in capsys.readouterr().out
