"""The command that compares selection without labels with the labels."""

from __future__ import annotations

import pytest
from sklearn.utils import Bunch

from benchmarks import selection
from benchmarks.selection import CENTRALITY, DETECTORS, INJECTED, LABELLED, ONLY_PEERS, PARAMETERS
from tests.benchmarks.sines import TRAIN_ROWS, target, with_anomaly


def row_of(candidate, labelled, injected=0.0, *, series="a", pool=DETECTORS):
    row = {"pool": pool, "group": "nab", "series": series, "candidate": candidate}
    row |= {LABELLED: labelled, CENTRALITY: 0.5}
    return row | {f"{name} {seed}": injected for name in selection.SEEDED for seed in selection.SEEDS}


@pytest.fixture
def rows():
    """Two series: the score chooses the best candidate of one, and the worst of the other."""
    return [
        row_of("first", 0.6, 0.3),
        row_of("second", 0.8, 0.9),
        row_of("third", 0.1, 0.2),
        row_of("first", 0.5, 0.3, series="b"),
        row_of("second", 0.3, 0.9, series="b"),
        row_of("third", 0.4, 0.4, series="b"),
    ]


@pytest.fixture
def sine():
    data = with_anomaly(2)
    return Bunch(name="sine", data=data, target=target(), train_size=TRAIN_ROWS)


def cells_of(text, label):
    [line] = [line for line in text.splitlines() if line.startswith(f"| {label} ")]
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_a_choice_is_compared_with_default_chance_and_the_best(rows):
    text = selection.pool_table(selection.pool_rows(rows, DETECTORS))
    spearman, kendall, value, default, chance, best, group = cells_of(text, "injected anomalies")[1:]
    assert (spearman, kendall) == ("0.00", "0.00"), "1 and -1"
    assert value == "0.550 ± 0.000", "0.8 and 0.3"
    assert default.startswith("+0.000 [")
    assert chance.startswith("+0.100 ["), "mean of 0.5 and 0.4"
    assert best == "-0.100"
    assert group == "0.550"
    assert cells_of(text, "default")[3] == "0.550"
    assert cells_of(text, "labels: best of all")[3] == "0.650"


def test_candidates_with_the_same_score_are_chosen_alike(rows):
    text = selection.pool_table(selection.pool_rows(rows, DETECTORS))
    assert cells_of(text, "centrality")[1:4] == ["0.00", "0.00", "0.450"]
    assert "calibration" not in text, "no candidate has it"


def test_peers_are_a_part_of_the_detectors():
    rows = [row_of(selection.OURS[0], 0.9), row_of("window-knn", 0.5), row_of("z-score", 0.2)]
    rows.append(row_of("window 96", 0.5, pool=PARAMETERS))
    [found] = selection.pool_rows(rows, ONLY_PEERS).values()
    assert [row["candidate"] for row in found] == ["window-knn", "z-score"]


@pytest.mark.parametrize(
    ("n_fit", "default", "number"),
    [(2000, "window 96", 4), (300, "window 48", 2), (192, "window 48", 2), (50, None, 0)],
)
def test_the_default_is_the_first_candidate_that_fits(n_fit, default, number):
    assert len(selection.candidates(PARAMETERS, n_fit)) == 3 * number
    assert next(iter(selection.candidates(selection.NETWORKS, n_fit)), None) == default
    assert next(iter(selection.candidates(DETECTORS, n_fit))) == selection.OURS[0]


def test_one_series_is_measured_and_another_has_no_choice(sine):
    rows = selection.measure(PARAMETERS, "toy", sine)
    assert rows[0]["candidate"] == "window 48, smoothing 64"
    assert len(rows) == 6
    for row in rows:
        assert set(row) <= set(selection.COLUMNS)
        assert all(0 < row[name] <= 1 for name in (LABELLED, CENTRALITY, f"{INJECTED} 0", "offsets 2"))
        assert -1 < row["calibration"] <= 0
    sine.train_size = 120
    assert selection.measure(PARAMETERS, "toy", sine) == []


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys, sine, rows):
    measured = []

    def measure(pool, group, series):
        measured.append(series.name)
        return [row | {"group": group, "series": series.name, "pool": pool} for row in rows[:3]]

    members = [Bunch(**sine | {"name": name}) for name in ("a", "skipped", "b")]
    monkeypatch.setattr(selection, "load_groups", lambda names, folder: {"nab": members[:1]})
    monkeypatch.setattr(selection, "measure", measure)
    run = ["--pools", DETECTORS, "--every", "2", "--out", str(tmp_path)]
    selection.main(run)
    monkeypatch.setattr(selection, "load_groups", lambda names, folder: {"nab": members})
    selection.main(run)
    assert measured == ["a", "b"]
    assert capsys.readouterr().out.split()[0] == str(tmp_path / "selection.md")
    assert len(selection.read_rows(tmp_path / "selection.csv")) == 6
    page = (tmp_path / "selection.md").read_text()
    assert "1 of 2 of each group" in page
    assert "2 series. Candidates: first; second; third." in page


def test_rows_are_written_and_read_alike(tmp_path, rows):
    selection.write_rows(rows, tmp_path / "rows.csv")
    assert selection.read_rows(tmp_path / "rows.csv") == rows
    assert selection.read_rows(tmp_path / "none.csv") == []
