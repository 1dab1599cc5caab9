from __future__ import annotations

import csv
from statistics import stdev

import numpy as np
import pytest

from benchmarks import peers, published
from benchmarks.comparison import compare, holm
from benchmarks.contract import UNSUPERVISED, Settings, index_methods
from benchmarks.measure import METRICS
from benchmarks.methods import METHODS, select_methods
from benchmarks.report import (
    Study,
    comparisons,
    environment_sentences,
    failures_table,
    isolation_sentence,
    markdown_table,
    seeds_sentence,
    write_report,
)
from benchmarks.summary import summarise


def _record(method, group, series, value, seed=0, status="ok", n_channels=3, **fields):
    record = {
        "method": method,
        "family": "toy",
        "note": "",
        "group": group,
        "series": series,
        "protocol": UNSUPERVISED,
        "seed": seed,
        "n_rows": 100,
        "n_channels": n_channels,
        "train_size": 50,
        "status": status,
        "error": "" if status == "ok" else "RuntimeError: a | b",
    }
    if status == "ok":
        record |= {
            "raw": dict.fromkeys(METRICS, value),
            "smoothed": dict.fromkeys(METRICS, value + 0.1),
            "fit_seconds": 2.0,
            "score_seconds": 1.0,
            "cpu_seconds": 3.0,
            "memory_before_mb": 100.0,
            "memory_peak_mb": 150.0,
            "window": 10,
            "buffer": 7,
        }
    return record | fields


@pytest.fixture
def records():
    """Method a: two seeds, groups g (series x, y) and h (series z, univariate); method b misses series y."""
    return [
        _record("a", "g", "x", 0.2, seed=0),
        _record("a", "g", "x", 0.4, seed=1),
        _record("a", "g", "y", 0.6, seed=0),
        _record("a", "g", "y", 0.8, seed=1),
        _record("a", "h", "z", 0.1, seed=0, n_channels=1),
        _record("a", "h", "z", 0.3, seed=1, n_channels=1),
        _record("b", "g", "x", 0.5),
        _record("b", "g", "y", 0.0, status="failed"),
        _record("b", "h", "z", 0.1, n_channels=1),
        _record("c", "g", "x", 0.0, status="timeout"),
        _record("c", "g", "y", 0.0, status="timeout"),
        _record("c", "h", "z", 0.0, status="timeout", n_channels=1),
    ]


def test_means_go_from_seeds_to_series_to_groups(records):
    a = {summary.method: summary for summary in summarise(records, "vus_pr", "raw")}["a"]
    assert a.group_means == pytest.approx({"g": 0.5, "h": 0.2})
    assert a.kind_means == pytest.approx({"multichannel": 0.5, "univariate": 0.2})
    assert a.mean == pytest.approx(0.35)
    assert a.seed_spread == pytest.approx(stdev([(0.4 + 0.1) / 2, (0.6 + 0.3) / 2]))
    assert a.complete
    assert a.memory_mb == 50.0


def test_smoothed_table_takes_the_smoothed_values(records):
    assert summarise(records, "vus_pr", "smoothed")[0].mean == pytest.approx(0.45)


def test_failed_cells_are_counted_and_never_filled_in(records):
    summaries = {summary.method: summary for summary in summarise(records, "vus_pr", "raw")}
    b, c = summaries["b"], summaries["c"]
    assert (b.finished, b.total) == ({"g": 1, "h": 1}, {"g": 2, "h": 1})
    assert b.group_means["g"] == 0.5
    assert not b.complete
    assert c.mean is None
    assert c.fit_seconds is None


def test_best_mean_comes_first_and_methods_without_one_last(records):
    assert [summary.method for summary in summarise(records, "vus_pr", "raw")] == ["a", "b", "c"]


def test_spread_over_seeds_needs_all_series_of_a_seed(records):
    without = [r for r in records if (r["method"], r["series"], r["seed"]) != ("a", "y", 1)]
    a = {summary.method: summary for summary in summarise(without, "vus_pr", "raw")}["a"]
    assert a.seed_spread is None


def test_paired_comparison_uses_common_series_and_weighs_groups_alike():
    ours = {("g", "x"): 0.5, ("g", "y"): 0.7, ("h", "z"): 0.2, ("h", "only ours"): 0.9}
    theirs = {("g", "x"): 0.4, ("g", "y"): 0.4, ("h", "z"): 0.3}
    comparison = compare(ours, theirs)
    assert comparison.n_series == 3
    assert (comparison.wins, comparison.losses) == (2, 1)
    assert comparison.mean_difference == pytest.approx((0.2 - 0.1) / 2)
    # The group of one series does not vary: the interval is that of group g, halved.
    assert comparison.low == pytest.approx((0.1 - 0.1) / 2)
    assert comparison.high == pytest.approx((0.3 - 0.1) / 2)


def test_paired_comparison_of_a_method_with_itself_says_nothing():
    values = {("g", str(i)): 0.1 * i for i in range(5)}
    comparison = compare(values, values)
    assert (comparison.mean_difference, comparison.low, comparison.high, comparison.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert compare(values, {}) is None


def test_clear_difference_over_many_series_is_told_from_noise():
    generator = np.random.default_rng(0)
    values = {("g", str(i)): v for i, v in enumerate(generator.random(40))}
    better = {key: value + 0.1 + 0.05 * generator.standard_normal() for key, value in values.items()}
    noisy = {key: value + 0.05 * generator.standard_normal() for key, value in values.items()}
    assert compare(better, values).low > 0
    assert compare(better, values).p_value < 1e-4
    assert compare(noisy, values).low < 0 < compare(noisy, values).high


def test_holm_is_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_comparisons_leave_out_methods_without_a_common_series(records):
    assert set(comparisons(records, "a", "raw")) == {"b"}


def test_markdown_cells_cannot_break_the_table(records):
    assert markdown_table(["m"], [["a|b"]]).splitlines()[-1] == "| a\\|b |"
    table = failures_table(records)
    assert "| b | failed | 1 | g | RuntimeError: a \\| b |" in table
    assert "| c | timeout | 3 | g, h |" in table


def test_failures_that_differ_by_counts_only_are_one_row(records):
    failed = next(record for record in records if record["status"] == "failed")
    counted = [failed | {"error": f"{n} of {2 * n} scores are not finite"} for n in (3, 5)]
    assert "| b | failed | 2 | g | n of m scores are not finite |" in failures_table(counted)


def test_report_writes_every_cell_and_names_command_and_protocol(tmp_path, records):
    study = Study(
        "toys", "Toys", "python -m toys --all", Settings(), reference="a", n_missing=4, remarks=("A remark.",)
    )
    paths = write_report(records, tmp_path, study)
    assert [path.name for path in paths] == ["toys.csv", "toys-unsupervised.md"]
    assert all(path.stat().st_size > 0 for path in paths)
    rows = list(csv.DictReader(paths[0].read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(records)
    assert {row["status"] for row in rows} == {"ok", "failed", "timeout"}
    assert rows[0]["raw_vus_pr"] == "0.2"
    text = paths[1].read_text(encoding="utf-8")
    for promise in (
        "`python -m toys --all`",
        "Protocol **unsupervised**",
        "4 planned cells have not run",
        "A remark.",
        "0.500 (1/2)",
        "Wilcoxon",
        "RuntimeError",
    ):
        assert promise in text


def test_report_without_a_cell_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no finished cell"):
        write_report([], tmp_path, Study("toys", "Toys", "command", Settings(), reference="a"))


def test_methods_are_chosen_by_name_or_family_and_unknown_names_are_refused():
    chosen = [method.name for method in select_methods(["pyod-rows", "random-score"], METHODS)]
    assert chosen == ["pyod-iforest", "pyod-pca", "pyod-ecod", "random-score"]
    with pytest.raises(ValueError, match="no-such-method"):
        select_methods(["no-such-method"], METHODS)
    with pytest.raises(ValueError, match="unique"):
        index_methods((METHODS["z-score"], METHODS["z-score"]))


def test_peers_command_runs_reports_and_goes_on(tmp_path, tiny_groups, monkeypatch, capsys):
    monkeypatch.setattr(peers, "load_groups", lambda names, folder: tiny_groups)
    folders = ["--cells", str(tmp_path / "cells"), "--out", str(tmp_path / "out")]
    common = [*folders, "--isolation", "worker", "--window", "10", "--seeds", "0", "1", "--reference", "z-score"]
    peers.main(["--methods", "z-score", "random-score", *common])
    printed = capsys.readouterr().out
    assert "[18/18]" in printed
    page = (tmp_path / "out" / "peers-semi-supervised.md").read_text(encoding="utf-8")
    assert "python -m benchmarks.peers --methods z-score random-score" in page
    table = str(tmp_path / "out" / "peers.csv")
    peers.main(["--methods", "z-score", "random-score", "pyod-ecod", "--resume-from", table, *common, "--report-only"])
    assert "[" not in capsys.readouterr().out
    page = (tmp_path / "out" / "peers-semi-supervised.md").read_text(encoding="utf-8")
    assert "6 planned cells have not run" in page
    assert "--isolation worker" in page
    assert "--resume-from" not in page
    assert "--report-only" not in page
    peers.main(["--methods", "z-score", "random-score", *common, "--redo", "z-score"])
    assert "[6/6]" in capsys.readouterr().out


def test_peers_command_ends_with_a_message_on_a_wrong_name(capsys):
    with pytest.raises(SystemExit) as ending:
        peers.main(["--methods", "no-such-method"])
    assert ending.value.code == 2
    assert "no-such-method" in capsys.readouterr().err


def test_published_table_sets_ours_beside_theirs():
    there = {"s": {"PCA": 0.2, "KMeansAD": 0.5}, "t": {"PCA": 0.4, "KMeansAD": 0.1}}
    records = [
        _record("row-pca-tsb-ad", "tsb-ad-m", "s", 0.25),
        _record("window-kmeans-tsb-ad", "tsb-ad-m", "s", 0.4, seed=0),
        _record("window-kmeans-tsb-ad", "tsb-ad-m", "s", 0.6, seed=1),
    ]
    lines = published.published_table(records, there).splitlines()
    assert lines[2] == "| s | 0.200 | 0.250 | +0.050 | 0.500 | 0.500 ± 0.141 | +0.000 |"
    assert lines[3] == "| t | 0.400 | – | – | 0.100 | – | – |"
    assert lines[4] == "| **mean of the finished** | 0.200 | 0.250 | +0.050 | 0.500 | 0.500 | +0.000 |"


def test_published_values_need_their_file_and_column(tmp_path):
    with pytest.raises(FileNotFoundError, match="column 'file'"):
        published.read_published(tmp_path / "none.csv")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("series,PCA\na,0.1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="column 'file'"):
        published.read_published(wrong)


class TestHead:
    @staticmethod
    def cell(family, source, isolation="process"):
        return {"family": family, "isolation": isolation, "environment": {"python": "3", "timesad_source": source}}

    def test_cells_of_ours_from_two_states_are_told(self):
        told = environment_sentences([self.cell("ours", "a"), self.cell("ours", "b")])
        assert "several states of timesad's source" in told[-1]

    def test_a_peer_is_the_same_in_any_state_of_ours(self):
        assert len(environment_sentences([self.cell("ours", "a"), self.cell("simple", "b")])) == 1

    def test_seeds_are_counted_by_method(self, records):
        assert seeds_sentence(records) == "Seeds: 2 of `a`; 1 of `b`."

    def test_cells_without_memory_figures_are_counted(self):
        cells = [self.cell("ours", "a"), self.cell("ours", "a", isolation="worker")]
        assert "1 cells shared a process" in isolation_sentence(cells)
        assert "shared" not in isolation_sentence(cells[:1])
