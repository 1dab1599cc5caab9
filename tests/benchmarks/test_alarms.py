from __future__ import annotations

import csv
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from benchmarks import alarms
from benchmarks.alarm_cells import METHODS_BY_PROTOCOL, measure_series
from benchmarks.alarm_measures import (
    event_f1,
    far_rows,
    measure_alarms,
    oracle_threshold,
    overlaps,
    pool,
    ranges_after,
    runs,
)
from benchmarks.contract import PROTOCOLS, SEMI_SUPERVISED, UNSUPERVISED, Method, Settings, index_methods

SETTINGS = Settings(window=10)


def _ranges(*pairs):
    return np.array(pairs, dtype=np.intp).reshape(-1, 2)


def _mask(n_rows, *pairs):
    mask = np.zeros(n_rows, dtype=bool)
    for start, end in pairs:
        mask[start:end] = True
    return mask


# Ranges of rows


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        (0, [[0, 2], [4, 5], [8, 10]]),
        (2, [[0, 2], [4, 5], [8, 10]]),
        (3, [[0, 5], [8, 10]]),
        (4, [[0, 10]]),
    ],
)
def test_runs_are_merged_when_fewer_rows_lie_between_them(merge, expected):
    flagged = _mask(10, (0, 2), (4, 5), (8, 10))  # two rows, then three between the runs
    assert runs(flagged, merge).tolist() == expected


def test_runs_of_nothing_and_of_everything():
    assert runs(np.zeros(5, dtype=bool), merge=3).shape == (0, 2)
    assert runs(np.ones(5, dtype=bool), merge=3).tolist() == [[0, 5]]


def test_far_rows_keep_their_distance_on_both_sides():
    target = np.zeros(12, dtype=int)
    target[[5, 6]] = 1
    # Row 2 is 3 rows before row 5, and row 9 is 3 rows after row 6.
    assert np.flatnonzero(far_rows(target, distance=3)).tolist() == [0, 1, 2, 9, 10, 11]
    target[0] = 1
    assert np.flatnonzero(far_rows(target, distance=3)).tolist() == [9, 10, 11]
    assert far_rows(np.zeros(4, dtype=int), distance=3).all()


def test_alarms_after_the_border_are_clipped_to_it_and_counted_from_it():
    alarms_ = _ranges((0, 5), (3, 10), (8, 12), (20, 21))
    assert ranges_after(alarms_, 10).tolist() == [[0, 2], [10, 11]]
    assert ranges_after(alarms_, 0).tolist() == alarms_.tolist()


# Measures


def test_overlap_counts_common_rows_of_half_open_ranges():
    common = overlaps(_ranges((0, 4), (4, 9)), _ranges((2, 4), (8, 20)))
    assert common.tolist() == [[2, 0], [0, 1]]


def test_event_f1_is_the_harmonic_mean_of_precision_and_recall():
    assert event_f1(1, 2, 1, 4) == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert event_f1(0, 0, 0, 3) == 0.0


def test_measures_of_a_series_worked_out_by_hand():
    events = _ranges((10, 20), (40, 50), (70, 72))
    far = _mask(100, (0, 5), (80, 100))  # 25 rows
    alarms_ = _ranges((2, 4), (8, 15), (18, 22), (45, 60), (90, 93))
    measured = measure_alarms(alarms_, events, far)
    assert (measured["alarms"], measured["true_alarms"]) == (5, 3)
    assert (measured["events"], measured["hit"]) == (3, 2)
    assert (measured["far_rows"], measured["far_share"]) == (25, (2 + 3) / 25)
    assert measured["flagged_share"] == (2 + 7 + 4 + 15 + 3) / 100
    assert measured["alarms_per_10000"] == 500
    # First event: 5 common rows of 12 with the alarm 8-15, 2 of 12 with 18-22. Second: 5 of 20.
    assert measured["iou"] == pytest.approx([5 / 12, 5 / 20])
    assert measured["delay"] == [0, 5]


def test_series_without_alarms_events_or_far_rows_has_no_shares_of_them():
    silent = measure_alarms(_ranges(), _ranges((3, 5)), _mask(10, (0, 2)))
    assert (silent["alarms"], silent["hit"], silent["far_share"]) == (0, 0, 0.0)
    assert (silent["iou"], silent["delay"]) == ([], [])
    eventless = measure_alarms(_ranges((3, 5)), _ranges(), _mask(10))
    assert (eventless["true_alarms"], eventless["events"], eventless["far_share"]) == (0, 0, None)
    pooled = pool([eventless])
    assert [pooled[name] for name in ("precision", "recall", "f1", "far_mean", "iou", "delay")] == [
        0.0,
        None,
        0.0,
        None,
        None,
        None,
    ]


def test_alarms_that_overlap_flag_a_row_once():
    measured = measure_alarms(_ranges((0, 6), (4, 8)), _ranges((5, 7)), _mask(10))
    assert (measured["flagged_share"], measured["true_alarms"], measured["hit"]) == (0.8, 2, 1)
    assert measured["iou"] == pytest.approx([2 / 4])


def test_pool_sums_counts_and_weighs_hit_events_alike():
    one = measure_alarms(_ranges((0, 2), (10, 20)), _ranges((10, 20)), _mask(100, (0, 4)))
    other = measure_alarms(_ranges((54, 60)), _ranges((50, 60), (80, 84)), _mask(200))
    pooled = pool([one, other])
    assert [pooled[name] for name in ("alarms", "true_alarms", "events", "hit")] == [3, 2, 3, 2]
    assert pooled["precision"] == pooled["recall"] == pooled["f1"] == pytest.approx(2 / 3)
    assert pooled["far_mean"] == pooled["far_median"] == 0.5  # the other series has no far row
    assert pooled["flagged_share"] == pytest.approx((0.12 + 0.03) / 2)
    assert pooled["alarms_per_10000"] == 100
    assert pooled["iou"] == pytest.approx((1.0 + 0.6) / 2)
    assert pooled["delay"] == (0 + 4) / 2


class TestOracle:
    N_ROWS = 1000

    def test_finds_the_threshold_between_event_and_noise(self):
        scores = np.linspace(0.0, 1.0, self.N_ROWS)
        scores[:20] = 5.0  # a false peak above the event would cost precision
        scores[400:440] = 7.0
        events = _ranges((400, 440))
        threshold = oracle_threshold(scores, events)
        assert runs(scores > threshold).tolist() == [[400, 440]]

    def test_takes_the_highest_of_equal_thresholds(self):
        scores = np.zeros(self.N_ROWS)
        scores[400:410] = np.arange(1.0, 11.0)
        threshold = oracle_threshold(scores, _ranges((400, 410)))
        assert runs(scores > threshold).tolist() == [[409, 410]]

    def test_cannot_flag_every_row(self):
        """One alarm over all rows hits the event, and random scores would be perfect."""
        scores = np.tile([1.0, 0.0, 2.0, 0.0, 0.0], self.N_ROWS // 5)
        scores[:10] = 3.0
        events = _ranges((500, 510))
        # Above 0 or 1 the merged runs are one alarm over all rows; above 2 they miss the event.
        assert runs(scores > 1.0, merge=48).tolist() == [[0, 998]]
        assert oracle_threshold(scores, events) == 3.0

    def test_is_silent_where_no_threshold_hits(self):
        scores = np.zeros(self.N_ROWS)
        scores[0] = 1.0
        assert not (scores > oracle_threshold(scores, _ranges((500, 510)))).any()


# The command


class Tail:
    """Thresholds that a test can tell from quantiles."""

    def threshold(self, share):
        return 2.0


class Detecting:
    """Scores a row by its largest absolute value; `detect` returns what it was given."""

    def __init__(self, log, found):
        self.log, self.found = log, found
        self.threshold_, self.score_tail_ = 2.5, Tail()

    def fit(self, X):
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{len(X)} rows\n")
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X):
        return np.abs(X).max(axis=1)

    def detect(self, X):
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"detect {None if X is None else len(X)}\n")
        return pd.DataFrame(self.found, columns=["start", "end"])


def _detecting(setup, *, log):
    # The tiny series have 120 rows to fit and an event in rows 200 to 220.
    return Detecting(log, [(10, 30), (110, 130), (210, 230)])


@pytest.fixture
def log(tmp_path):
    return tmp_path / "fits"


@pytest.fixture
def toy_registry(monkeypatch, toys, log):
    """A detector with `detect`, a toy peer, and one that fails, in both protocols."""
    methods = index_methods(
        (
            Method("finder", "ours", partial(_detecting, log=log)),
            Method("peer", "simple", toys.toy, stochastic=False),
            Method("crashing", "simple", toys.crashing, stochastic=False),
        )
    )
    for protocol in PROTOCOLS:
        monkeypatch.setitem(METHODS_BY_PROTOCOL, protocol, methods)
    return methods


@pytest.fixture
def command(tmp_path, tiny_groups, toy_registry, monkeypatch, capsys):
    """Run the command on the tiny series; returns what it printed and the page."""
    monkeypatch.setattr(alarms, "load_groups", lambda names, folder: tiny_groups)

    def run(*arguments):
        folders = ["--cells", str(tmp_path / "cells"), "--out", str(tmp_path / "out")]
        alarms.main([*folders, "--isolation", "worker", "--window", "10", *arguments])
        return capsys.readouterr().out, (tmp_path / "out" / "alarms.md").read_text(encoding="utf-8")

    return run


def test_semi_supervised_measures_the_rows_after_those_fitted(toy_registry, tiny_groups, log):
    series = tiny_groups["one"][0]
    measured = measure_series(toy_registry["finder"], series, SEMI_SUPERVISED, 0, SETTINGS)
    detect = measured["kinds"]["detect"]
    assert log.read_text(encoding="utf-8").splitlines() == ["120 rows", "detect 300"]
    assert detect["n_rows"] == 180
    assert (detect["alarms"], detect["true_alarms"]) == (2, 1)  # the alarm in the rows fitted is not counted
    assert detect["flagged_share"] == (10 + 20) / 180
    assert detect["iou"] == pytest.approx([10 / 30])
    assert detect["delay"] == [10]
    assert detect["far_share"] is None  # no row is 200 rows from the event


def test_unsupervised_measures_all_rows(toy_registry, tiny_groups, log):
    series = tiny_groups["one"][0]
    detect = measure_series(toy_registry["finder"], series, UNSUPERVISED, 0, SETTINGS)["kinds"]["detect"]
    assert log.read_text(encoding="utf-8").splitlines() == ["300 rows", "detect None"]
    assert (detect["n_rows"], detect["alarms"]) == (300, 3)
    assert detect["far_share"] == 0.0  # row 0 alone is 200 rows away


def test_thresholds_are_the_detectors_own_or_a_quantile_of_the_peers_training_scores(toy_registry, tiny_groups):
    series = tiny_groups["one"][0]
    series.data = np.zeros_like(series.data)
    series.data[:3, 0] = (1.0, -1.0, 3.0)  # far rows: row 0 alone
    series.target[:] = 0
    series.target[200:220] = 1
    settings = Settings(window=10, scaling="none")
    finder, peer = (
        measure_series(toy_registry[name], series, UNSUPERVISED, 0, settings) for name in ("finder", "peer")
    )
    assert finder["kinds"]["predict"]["flagged_share"] == 1 / 300  # above threshold_, 2.5
    assert finder["curve"] == {"0.001": 0.0, "0.01": 0.0, "0.05": 0.0}  # the tail's threshold is 2
    # Quantiles of 300 scores, three of them not 0: 0.999 is between 1 and 3, 0.99 is between 0 and 1.
    assert peer["curve"] == {"0.001": 0.0, "0.01": 1.0, "0.05": 1.0}
    assert peer["kinds"]["predict"]["flagged_share"] == 3 / 300
    assert "detect" not in peer["kinds"]


def test_series_without_a_row_to_evaluate_is_refused(toy_registry, tiny_groups):
    series = tiny_groups["one"][0]
    series.train_size = len(series.data)
    with pytest.raises(ValueError, match="no row after the 300 rows to fit"):
        measure_series(toy_registry["peer"], series, SEMI_SUPERVISED, 0, SETTINGS)


def test_command_writes_page_and_every_cell(command, tmp_path):
    printed, page = command("--methods", "ours", "simple")
    assert "[18/18]" in printed  # three series, three methods, two protocols
    for promise in (
        "`python -m benchmarks.alarms --cells",
        "## All series, semi-supervised",
        "## All series, unsupervised",
        "## `detect` on many",
        "## `detect` on one",
        "## Asked and seen shares",
        "| crashing | failed | 6 | many, one | RuntimeError: toy crash |",
    ):
        assert promise in page
    # Semi-supervised, three series: two alarms each of which one is true, and one event each, hit by 10 of 30 rows.
    assert (
        "| finder | detect | 3 | 6 | 3 | 3 | 3 | 0.500 | 1.000 | 0.667 | – | – | 16.67 % | 111.1 | 0.333 | 10 |" in page
    )
    rows = list(csv.DictReader((tmp_path / "out" / "alarms.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 6 * (4 + 3 + 1)  # kinds of the finder, of the peer, and a row without values
    detect = next(row for row in rows if (row["kind"], row["series"]) == ("detect", "c"))
    assert (detect["alarms"], detect["mean_iou"], detect["median_delay"]) == ("2", "0.33333", "10")
    failed = next(row for row in rows if row["status"] == "failed")
    assert (failed["alarms"], failed["error"]) == ("", "RuntimeError: toy crash")


def test_finished_cells_are_not_run_again_unless_asked(command, log):
    command("--methods", "finder")
    first = log.read_text(encoding="utf-8")
    printed, page = command("--methods", "finder", "peer", "--report-only")
    assert "[" not in printed
    assert "6 planned cells have not run" in page
    assert "--report-only" not in page
    printed, page = command("--methods", "finder", "peer")
    assert "[6/6]" in printed
    assert "planned cells" not in page
    assert log.read_text(encoding="utf-8") == first
    assert "[6/6]" in command("--methods", "finder", "peer", "--redo", "ours")[0]
    assert log.read_text(encoding="utf-8") == 2 * first


def test_failed_cells_run_again_only_when_asked(command):
    assert "[6/6]" in command("--methods", "crashing", "finder", "--protocols", UNSUPERVISED)[0]
    assert "[" not in command("--methods", "crashing", "finder", "--protocols", UNSUPERVISED)[0]
    again = command("--methods", "crashing", "finder", "--protocols", UNSUPERVISED, "--retry", "failed")[0]
    assert "[3/3]" in again


def test_a_cell_is_one_whole_file_beside_no_cell_of_the_peers_command(command, tmp_path):
    command("--methods", "finder", "--seeds", "0", "1", "--first-series", "1", "--protocols", UNSUPERVISED)
    files = sorted((tmp_path / "cells").rglob("*.json"))
    assert [file.relative_to(tmp_path / "cells").parts[:4] for file in files] == [
        ("alarms", "unsupervised", group, series) for group, series in (("many", "a"), ("one", "c")) for _ in range(2)
    ]
    assert {json.loads(file.read_text(encoding="utf-8"))["seed"] for file in files} == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "no-such-method"], "no-such-method"),
        (["--window", "1"], "window"),
        (["--isolation", "worker", "--n-jobs", "2"], "n-jobs"),
        (["--report-only"], "no finished cell"),
    ],
)
def test_command_ends_with_a_message_on_wrong_arguments(
    arguments, message, tmp_path, tiny_groups, toy_registry, monkeypatch, capsys
):
    monkeypatch.setattr(alarms, "load_groups", lambda names, folder: tiny_groups)
    given = arguments if "--methods" in arguments else ["--methods", "finder", *arguments]
    with pytest.raises(SystemExit) as ending:
        alarms.main([*given, "--cells", str(tmp_path / "cells"), "--out", str(tmp_path / "out")])
    assert ending.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_refuses_an_unknown_group(capsys):
    with pytest.raises(SystemExit):
        alarms.main(["--groups", "no-such-group"])
    assert "no-such-group" in capsys.readouterr().err


def test_ours_presume_clean_training_rows_in_the_semi_supervised_protocol_alone(tiny_groups):
    from benchmarks.measure import make_setup

    for protocol in PROTOCOLS:
        setup = make_setup(tiny_groups["one"][0], protocol, 0, SETTINGS)
        ours = [method.build(setup) for method in METHODS_BY_PROTOCOL[protocol].values() if method.family == "ours"]
        assert [detector.clean_training for detector in ours] == [protocol == SEMI_SUPERVISED] * 2
