"""Which methods no other beats in seconds and VUS-PR, and the page and pictures that show it."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from benchmarks import frontier as command
from benchmarks import frontier_rounds
from benchmarks.cell_table import write_csv
from benchmarks.contract import PROTOCOLS, SIMPLE, UNSUPERVISED, Method, Setup
from benchmarks.frontier import BETTER, Page, budget_sentence, page_text, qualities, size_table, table_records
from benchmarks.frontier_picture import picture, spread, step_corners
from benchmarks.frontier_points import Point, best_within, frontier
from benchmarks.frontier_rounds import Round, contenders, label_of, read_rounds, run_rounds, times_text, write_rounds
from benchmarks.isolation import OK, TIMEOUT
from benchmarks.measure import METRICS, RAW, SMOOTHED
from timesad import TimesNetDiscrepancyDetector

SIZE = (300, 2)


def _point(label, seconds, quality, **kwargs):
    return Point(label, seconds, quality, **kwargs)


def _labels(points):
    return [point.label for point in points]


class TestFrontier:
    def test_a_method_that_is_slower_and_worse_is_left_out(self):
        points = [_point("slow and bad", 2.0, 0.3), _point("quick", 1.0, 0.4), _point("good", 3.0, 0.6)]
        assert _labels(frontier(points)) == ["quick", "good"]

    @pytest.mark.parametrize(("seconds", "quality"), [(1.0, 0.3), (2.0, 0.4)])
    def test_a_tie_in_one_is_beaten_by_the_better_in_the_other(self, seconds, quality):
        assert _labels(frontier([_point("worse", seconds, quality), _point("best", 1.0, 0.4)])) == ["best"]

    def test_equal_methods_are_all_kept(self):
        assert _labels(frontier([_point("b", 1.0, 0.4), _point("a", 1.0, 0.4)])) == ["a", "b"]

    def test_is_sorted_by_seconds_and_rises(self):
        points = [_point(str(i), (7 * i) % 11 + 1.0, (5 * i) % 13 / 13) for i in range(40)]
        found = frontier(points)
        assert [p.seconds for p in found] == sorted(p.seconds for p in found)
        assert [p.quality for p in found] == sorted(p.quality for p in found)
        assert max(points, key=lambda p: p.quality).quality == found[-1].quality

    def test_of_nothing_is_empty(self):
        assert frontier([]) == []
        assert step_corners([], 10.0) == []

    def test_the_line_keeps_a_quality_until_a_slower_method_is_better(self):
        corners = step_corners([_point("a", 1.0, 0.2), _point("b", 3.0, 0.5)], right=10.0)
        assert corners == [(1.0, 0.2), (3.0, 0.2), (3.0, 0.5), (10.0, 0.5)]


class TestBudget:
    points = (_point("quick", 0.05, 0.2), _point("ours", 5.0, 0.7, ours=True), _point("slow", 50.0, 0.6))

    @pytest.mark.parametrize(("budget", "best"), [(0.05, "quick"), (4.9, "quick"), (5.0, "ours"), (100.0, "ours")])
    def test_names_the_best_that_is_quick_enough(self, budget, best):
        assert best_within(self.points, budget).label == best

    def test_has_none_where_all_are_slower(self):
        assert best_within(self.points, 0.01) is None

    def test_takes_the_quicker_of_two_equally_good(self):
        assert best_within([_point("slow", 2.0, 0.5), _point("quick", 1.0, 0.5)], 10.0).label == "quick"

    def test_sentence_says_whose_the_best_is(self):
        sentence = budget_sentence(self.points, "semi-supervised")
        assert "within 0.1 s `quick` (0.200, 0.05 s), a peer; within 1 s `quick`" in sentence
        assert "within 10 s **`ours`** (0.700, 5 s), ours" in sentence
        assert budget_sentence([], "unsupervised").count("none") == 4


class TestLabels:
    def test_far_apart_stay_where_they_are(self):
        assert spread([0.1, 0.5, 0.9], gap=0.2, top=1.0) == [0.1, 0.5, 0.9]

    def test_of_crowded_points_are_moved_apart_below_the_top(self):
        assert spread([0.0, 0.0, 0.125], gap=0.25, top=1.0) == [0.0, 0.25, 0.5]
        assert spread([0.75, 1.0, 1.0], gap=0.25, top=1.0) == [0.5, 0.75, 1.0]


class TestTimes:
    def test_text_has_median_and_range(self):
        assert times_text([1.0, 3.0, 2.0]) == "2 (1–3)"

    def test_text_of_one_round_says_so(self):
        assert times_text([150.0]) == "150 (once)"

    def test_text_of_none_is_a_dash_and_of_the_shortest_a_bound(self):
        assert times_text([None]) == "–"
        assert times_text([1e-5, 2e-5]) == "< 0.001"


def test_contenders_are_built_as_the_peers_with_one_score_each():
    flagship, timesnet = contenders(["timesnet-discrepancy", "timesnet"])
    detector = flagship.build(Setup(window=32, n_channels=1, seed=5))
    assert type(detector) is TimesNetDiscrepancyDetector
    defaults = TimesNetDiscrepancyDetector(window_size=32, random_state=5)
    assert detector.get_params() == defaults.get_params()
    assert (label_of(flagship), label_of(timesnet)) == ("TimesNetDiscrepancyDetector", "TimesNetDetector")
    assert "timesnet" in [method.name for method in contenders(["ours"])]


# Page and picture


def _record(method, group, series, protocol, value, *, smoothed=None, seed=0, status=OK):
    record = {
        "protocol": protocol,
        "group": group,
        "series": series,
        "method": method,
        "family": SIMPLE,
        "seed": seed,
        "n_rows": 100,
        "n_channels": 2,
        "train_size": 50,
        "status": status,
        "digest": f"{protocol}-{group}-{series}-{method}-{seed}",
        "error": "",
    }
    if status == OK:
        record |= {
            RAW: dict.fromkeys(METRICS, value),
            SMOOTHED: dict.fromkeys(METRICS, value if smoothed is None else smoothed),
        }
    return record


@pytest.fixture(scope="module")
def peers_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Groups g (series s) and h (s and t); the z-score misses series t, k-Shape the whole group h."""
    records = []
    for protocol in PROTOCOLS:
        for group, series in (("g", "s"), ("h", "s"), ("h", "t")):
            place = (group, series, protocol)
            records += [
                _record("timesnet-discrepancy / default", *place, 0.6 + seed / 10, seed=seed) for seed in (0, 1)
            ]
            records += [
                _record("random-score", *place, 0.1),
                _record("z-score", *place, 0.3, smoothed=0.5, status=OK if series == "s" else "failed"),
                _record("pyod-ecod", *place, 0.2),
                _record("window-pca", *place, 0.4),
                _record("pyod-kshape", *place, 0.9, status=OK if group == "g" else TIMEOUT),
            ]
    path = tmp_path_factory.mktemp("peers") / "peers.csv"
    write_csv(records, path)
    return path


@pytest.fixture
def page(peers_table) -> Page:
    rounds = [Round(*SIZE, "timesnet-discrepancy", repeat, OK, 4.0 + repeat, 0.5) for repeat in range(3)]
    rounds += [
        Round(*SIZE, "random-score", 0, OK, 1e-4, 1e-4),
        Round(*SIZE, "z-score", 0, OK, 0.01, 0.01),
        Round(*SIZE, "pyod-ecod", 0, OK, 0.2, 0.1),
        Round(*SIZE, "window-pca", 0, OK, 130.0, 20.0),
        Round(*SIZE, "pyod-matrix-profile", 0, OK, 0.001, None),
        Round(*SIZE, "pyod-kshape", 0, TIMEOUT, error="no result within 600 s"),
    ]
    facts = {"command": "python", "machine": "toy machine", "limit": 120.0, "repeats": 3, "threads": 1}
    methods = contenders(["timesnet-discrepancy", "simple", "pyod-series", "pyod-ecod"])
    return Page(methods, rounds, table_records(peers_table), facts)


def test_quality_is_the_mean_of_the_peers_table(peers_table):
    by_variant = qualities(table_records(peers_table)[UNSUPERVISED])
    assert by_variant[RAW]["timesnet-discrepancy / default"].mean == pytest.approx(0.65)
    assert by_variant[RAW]["z-score"].mean == pytest.approx(0.3)
    assert by_variant[BETTER]["z-score"].mean == pytest.approx(0.5)
    assert not by_variant[RAW]["z-score"].complete
    assert "pyod-kshape" not in by_variant[RAW], "a group without a value has no mean"


def test_table_is_sorted_by_seconds_and_marks_the_frontier(page):
    lines = size_table(page, SIZE).splitlines()[2:]
    names = [re.search("`(.*?)`", line)[1] for line in lines]
    assert names == [
        "random-score",
        "pyod-matrix-profile",
        "z-score",
        "pyod-ecod",
        "TimesNetDiscrepancyDetector",
        "window-pca",
        "pyod-kshape",
    ]
    marked = [name for name, line in zip(names, lines, strict=True) if "semi-supervised, unsupervised" in line]
    assert marked == ["random-score", "z-score", "TimesNetDiscrepancyDetector"]
    assert "| 5 (4–6) | 0.5 (0.5–0.5) | 5.5 (4.5–6.5) | 0.650 | 0.650 |" in lines[4]
    assert "130 (once)" in lines[5]
    assert "no result within 600 s | – | – | – | – |" in lines[6]
    assert "0.300 *" in lines[2]


def test_page_has_a_section_for_each_size_and_says_what_it_rests_on(page):
    text = page_text(page, "frontier", "../images")
    assert "(../images/frontier-2.svg)" in text
    assert "## 300 rows × 2 channels" in text
    assert "3 series in 2 groups" in text
    assert "2 of `TimesNetDiscrepancyDetector`; 1 of the others" in text
    assert "within 10 s **`TimesNetDiscrepancyDetector`** (0.650, 5.5 s), ours" in text
    assert "`z-score` (0.500 *, 0.02 s), **`Times" in text, "the better of raw and smoothed"


def test_picture_has_a_panel_for_each_protocol_and_a_label_for_each_point(page):
    figure = picture({protocol: page.points(SIZE, protocol) for protocol in PROTOCOLS}, SIZE)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert [axes.get_ylabel() for axes in figure.axes] == [f"mean VUS-PR, {protocol}" for protocol in PROTOCOLS]
    for axes, protocol in zip(figure.axes, PROTOCOLS, strict=True):
        labels = [text for text in axes.texts if text.get_text()]
        assert {text.get_text().removesuffix(" *") for text in labels} == set(_labels(page.points(SIZE, protocol)))
        boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in labels]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_rounds_are_read_as_they_were_written(page, tmp_path):
    write_rounds(page.rounds, tmp_path / "rounds.csv")
    assert read_rounds(tmp_path / "rounds.csv") == list(page.rounds)


# Rounds


@pytest.fixture
def options(tmp_path):
    arguments = ["--rows", "300", "--channels", "2", "--repeats", "3", "--isolation", "worker"]
    return command.make_parser().parse_args([*arguments, "--out", str(tmp_path)])


def _toy(name, build):
    return Method(name, SIMPLE, build)


def test_methods_run_in_turn_and_a_failure_is_a_row_with_its_reason(toys, options, tmp_path):
    methods = [_toy("a", toys.toy), _toy("broken", toys.crashing), _toy("b", toys.toy), _toy("bad", toys.not_finite)]
    rounds = run_rounds(methods, [], options, tmp_path / "rounds.csv")
    assert [one.method for one in rounds] == ["a", "broken", "b", "bad", "a", "b", "a", "b"]
    errors = {one.method: one.error for one in rounds if one.status != OK}
    assert errors["broken"] == "RuntimeError: toy crash"
    assert "not finite" in errors["bad"]


def test_a_slow_method_runs_once(toys, options, tmp_path):
    options.limit = 0.0
    rounds = run_rounds([_toy("a", toys.toy)], [], options, tmp_path / "rounds.csv")
    assert len(rounds) == 1


def test_a_method_that_cannot_score_other_rows_has_one_number(toys, options, tmp_path):
    method = replace(_toy("a", toys.toy), transductive=True)
    [one, *_] = run_rounds([method], [], options, tmp_path / "rounds.csv")
    assert one.score_seconds is None
    assert one.seconds == one.fit_seconds


def test_a_run_that_was_stopped_loses_no_finished_round(toys, options, tmp_path, monkeypatch):
    table, methods = tmp_path / "rounds.csv", [_toy("a", toys.toy), _toy("b", toys.toy)]
    shown = []

    def interrupt(one):
        shown.append(one)
        if len(shown) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(frontier_rounds, "show", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_rounds(methods, [], options, table)
    kept = read_rounds(table)
    assert len(kept) == 3
    rounds = run_rounds(methods, kept, options, table)
    assert rounds[:3] == kept
    assert sorted((one.method, one.repeat) for one in rounds) == [(m, r) for m in "ab" for r in range(3)]


def test_the_command_writes_page_table_and_picture_and_reports_again(peers_table, tmp_path, capsys):
    arguments = ["--methods", "z-score", "random-score", "nearest-windows", "pyod-ecod", "--rows", "300", "--repeats"]
    arguments += ["1", "--channels", "1", "--isolation", "worker", "--peers", str(peers_table), "--out", str(tmp_path)]
    command.main(arguments)
    text = (tmp_path / "frontier.md").read_text(encoding="utf-8")
    assert text.count("`z-score`") >= 3
    assert "**`NearestWindowsDetector`**" in text
    with (tmp_path / "frontier.csv").open(encoding="utf-8") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == [OK] * 4
    drawing = (tmp_path / "frontier-1.svg").read_bytes()
    command.main([*arguments, "--report-only"])
    assert (tmp_path / "frontier.md").read_text(encoding="utf-8") == text
    assert (tmp_path / "frontier-1.svg").read_bytes() == drawing
    assert "frontier-1.svg" in capsys.readouterr().out


def test_the_command_ends_with_a_message_where_a_table_or_a_method_is_missing(peers_table, tmp_path, capsys):
    for arguments in (["--methods", "no such"], ["--report-only"], ["--peers", str(tmp_path / "none.csv")]):
        with pytest.raises(SystemExit) as ended:
            command.main(["--peers", str(peers_table), "--out", str(tmp_path), *arguments])
        assert ended.value.code == 2
        assert "benchmarks.frontier: " in capsys.readouterr().err
