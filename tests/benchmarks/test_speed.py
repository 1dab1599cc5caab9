"""The composition computes what ours computes; the benchmarks measure what they say they do."""

from __future__ import annotations

import csv
import sys

import pytest
import torch
from torch.nn import functional as F

from benchmarks import speed
from benchmarks.composition import Composition, two_backwards
from benchmarks.costs import Cost, Peaks, StepSize, convolution_cost, taps_that_meet, transformer_floor
from benchmarks.equal_size import (
    Size,
    import_deepod_timesnet,
    our_timesnet,
    our_transformer,
    pyod_transformer,
    with_associations,
)
from benchmarks.floor import measure_phases, measure_step, phases_table
from benchmarks.memory import (
    FIT,
    FLAGSHIP,
    OURS,
    PYOD,
    SCORE,
    Case,
    in_memory_table,
    large_table,
    run_in_process,
    write_series,
)
from benchmarks.phases import Stopwatch, profile_phases
from benchmarks.timing import Contender, Times, interleave, made_up_series, times_faster, times_table
from timesad import TimesNetDiscrepancyDetector
from timesad.nn import (
    AssociationSettings,
    BlockSettings,
    LocalPrior,
    TimesNetDiscrepancyNetwork,
    WindowSettings,
    complementary_masks,
)
from timesad.training import SCHEDULES, MinimaxObjective

WEIGHT = 3.0
WINDOW = WindowSettings(
    n_channels=3, window_size=24, model_size=8, dropout=0.0, normalize=True, n_masks=4, patch_size=3
)
BLOCKS = BlockSettings(n_layers=2, periods=(6, 4), n_kernels=6)
HEADS = 2
TINY = Size(
    n_rows=160, n_channels=2, window_size=40, model_size=8, n_heads=2, n_layers=1, top_k=2, n_kernels=2, batch_size=32
)  # fmt: skip


def ours_and_composition():
    torch.manual_seed(0)
    association = AssociationSettings(BLOCKS.n_layers, HEADS, lambda: [LocalPrior(WINDOW.window_size)])
    ours = TimesNetDiscrepancyNetwork(WINDOW, BLOCKS, association, detached=False)
    composition = Composition(WINDOW, BLOCKS, HEADS)
    composition.load_state_dict(ours.state_dict())
    return ours, composition


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
def test_the_composition_has_the_gradients_of_ours(dtype, tolerance, masked):
    torch.set_default_dtype(dtype)
    try:
        ours, composition = ours_and_composition()
        x = torch.randn(8, WINDOW.window_size, WINDOW.n_channels)
    finally:
        torch.set_default_dtype(torch.float32)
    hidden = complementary_masks(24, 3, 4)[torch.arange(8) % 4] if masked else None
    (phase,) = SCHEDULES["simultaneous"]
    MinimaxObjective(WEIGHT)(ours(x, hidden, phase.route), x, hidden, phase)["loss"].backward()
    two_backwards(composition, x, hidden, WEIGHT)
    theirs = dict(composition.named_parameters())
    for name, parameter in ours.named_parameters():
        largest = parameter.grad.abs().max()
        difference = (parameter.grad - theirs[name].grad).abs().max()
        assert largest > 0, name
        # The largest entry, and not each, is the measure: a key's bias has a gradient of zero but for rounding.
        assert difference <= tolerance * max(1.0, float(largest)), name


def test_the_composition_refuses_periods_that_its_spectrum_has_no_line_for():
    with pytest.raises(ValueError, match=r"periods=\[7\] do not divide window_size=24"):
        Composition(WINDOW, BlockSettings(1, (6, 7), 2), HEADS)


class TestInterleave:
    def test_rounds_run_in_turn_and_the_warm_up_does_not_count(self):
        order = []
        clock = iter(range(100))

        def work(name):
            order.append(name)
            return {"fit": float(next(clock))}

        contenders = [Contender(name, lambda name=name: work(name)) for name in "ab"]
        a, b = interleave(contenders, repeats=2, warm_ups=1)
        assert order == list("ababab")
        assert a.seconds == {"fit": [2.0, 4.0]}
        assert b.seconds == {"fit": [3.0, 5.0]}

    def test_a_contender_that_fails_is_reported_and_stops_no_other(self):
        def fail():
            raise MemoryError("no more of it")

        broken, whole = interleave([Contender("broken", fail), Contender("whole", lambda: {"fit": 1.0})], repeats=2)
        assert "MemoryError: no more of it" in times_table([broken, whole], ["fit"], whole)
        assert whole.seconds == {"fit": [1.0, 1.0]}

    def test_medians_are_compared(self):
        ours = Times("ours", {"fit": [1.0, 2.0, 90.0]})
        assert times_faster(ours, Times("theirs", {"fit": [6.0]}), "fit") == "3.0×"
        assert ours.text("fit") == "2 (1–90)"


class TestEqualSize:
    def test_ours_and_pyods_have_parameters_of_the_same_shapes(self):
        """But for σ, which is ours per row and PyOD's per head, and the positions, which PyOD learns."""
        series = made_up_series(TINY.n_rows, TINY.n_channels)
        ours, theirs = our_transformer(TINY).fit(series), pyod_transformer(TINY).fit(series)

        def matrices(module):
            own = ("widths", "pos_encoding")
            return sum(
                parameter.numel()
                for name, parameter in module.named_parameters()
                if parameter.ndim >= 2 and not any(word in name for word in own)
            )

        assert matrices(ours.network_) == matrices(theirs.model_)

    def test_ours_sees_as_many_windows_as_the_peer(self):
        size = Size(n_rows=200, window_size=20, step=5)
        assert our_timesnet(size).epoch_size == size.n_windows == 37


def test_a_peer_that_is_not_installed_is_said_to_be(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepod", None)
    with pytest.raises(ImportError, match="DeepOD is not installed here"):
        import_deepod_timesnet()
    assert "ray" not in sys.modules


class TestPhases:
    def test_time_is_charged_to_the_innermost_phase(self):
        ticks = iter([0.0, 1.0, 5.0, 7.0])
        watch = Stopwatch(lambda: next(ticks))
        with watch.phase("outer"), watch.phase("inner"):
            pass
        assert watch.seconds == {("outer", "outer"): 3.0, ("outer", "inner"): 4.0}

    def test_every_phase_of_the_flagship_is_seen_and_nothing_stays_watched(self):
        before = TimesNetDiscrepancyDetector.decision_function
        phases = profile_phases(with_associations, TINY)
        trained = {"windows", "convolution", "association", "loss", "backward", "optimizer", "the rest"}
        assert trained <= set(phases["training"])
        assert {"windows", "memory", "overlap average", "smoothing"} <= set(phases["calibration"])
        assert {"convolution", "memory", "overlap average", "scaling"} <= set(phases["scoring"])
        assert "association" not in phases["scoring"], "the rule reads the reconstruction alone"
        assert TimesNetDiscrepancyDetector.decision_function is before


class TestFloor:
    @pytest.mark.parametrize(("size", "reach"), [(1, 3), (3, 1), (4, 3), (12, 5)])
    def test_taps_are_those_that_a_convolution_of_ones_counts(self, size, reach):
        ones = torch.ones(1, 1, size)
        counted = F.conv1d(ones, torch.ones(1, 1, 2 * reach + 1), padding=reach).sum()
        assert taps_that_meet(size, reach) == int(counted)

    def test_the_convolutions_operations_are_six_a_weight_that_meets_a_value(self):
        """Forward, gradient of the input, gradient of the weight: a multiplication and an addition each."""
        size = StepSize(batch_size=1, window_size=4, model_size=1, n_layers=1, n_kernels=2, periods=(2,))
        meetings = taps_that_meet(2, 1) ** 2
        assert convolution_cost(size).operations == 6 * 2 * meetings

    def test_the_table_has_every_phase_and_its_share_of_the_peak(self):
        size = StepSize(
            batch_size=2, window_size=12, n_channels=2, model_size=4, n_heads=2, n_layers=1, n_kernels=2, periods=(6, 4)
        )
        peaks = Peaks(matrix=1e9, convolution=1e9, transcendentals=1e8, bytes=1e9)
        phases = measure_phases(size, peaks, repeats=1, device=torch.device("cpu"))
        table = phases_table(phases, peaks, measure_step(size, repeats=1, device=torch.device("cpu")))
        for phase in (
            "embedding",
            "convolution",
            "association and divergence",
            "projection",
            "optimizer",
            "whole step",
        ):
            assert f"| {phase}" in table

    def test_the_floor_is_the_longer_of_arithmetic_and_traffic(self):
        peaks = Peaks(matrix=10.0, convolution=10.0, transcendentals=1.0, bytes=5.0)
        assert peaks.seconds(Cost(operations=20, transcendentals=1, bytes=5), arithmetic=10.0) == 3.0
        assert peaks.seconds(Cost(operations=20, transcendentals=1, bytes=50), arithmetic=10.0) == 10.0

    def test_the_transformers_floor_counts_every_product_of_its_layers(self):
        """One row, one head, no channel: 4 d² for the attention, d for σ, 8 d² between, 2 d for S and S·V."""
        size = StepSize(batch_size=1, window_size=1, n_channels=0, model_size=10, n_heads=1, n_layers=1)
        peaks = Peaks(matrix=1.0, convolution=0.5, transcendentals=float("inf"), bytes=float("inf"))
        products = 2 * (4 * 100 + 10 + 8 * 100 + 2 * 10)
        assert transformer_floor(size, 4, peaks, backward=False) == products + 5
        assert transformer_floor(size, 4, peaks, backward=True) == 3 * products + 5 + 8


class TestCommand:
    def test_the_page_says_how_it_was_made_and_the_csv_holds_every_round(self, tmp_path):
        speed.main(
            "--sections peers --rows 120 --channels 2 --window 40 --model-size 8 --heads 2 --layers 1 --kernels 2 "
            f"--repeats 2 --warm-ups 0 --threads 1 --name small --out {tmp_path}".split()
        )
        page = (tmp_path / "small.md").read_text()
        assert "python -m benchmarks.speed --sections peers --rows 120" in page
        assert "PyOD AnomalyTransformer" in page
        assert "take at least" in page
        with (tmp_path / "small.csv").open() as file:
            rounds = [row for row in csv.DictReader(file) if row["contender"] == "PyOD AnomalyTransformer"]
        assert [(row["measure"], row["repeat"]) for row in rounds] == [
            (measure, repeat) for measure in ("fit", "fit CPU", "score", "score CPU") for repeat in "01"
        ]
        assert all(float(row["seconds"]) > 0 for row in rounds)


class TestMemory:
    def test_a_case_maps_its_file_and_reports_peak_and_seconds(self, tmp_path):
        """In a process of its own: elsewhere memory that others give back meanwhile counts for it."""
        file = tmp_path / "series.f64"
        write_series(file, 300, 2)
        case = Case(FLAGSHIP, SCORE, n_rows=300, n_channels=2, step=50, file=str(file))
        record = run_in_process(case, timeout=300)
        assert not record["error"]
        assert record["memory_mb"] >= 0
        assert record["score_seconds"] > 0

    def test_a_case_that_wants_more_than_its_limit_fails_alone(self):
        """PyOD's windows alone are 8 GB here, and are asked for before anything is trained."""
        case = Case(PYOD, FIT, n_rows=200_000, n_channels=50, step=1, limit_gb=6.0)
        assert "Unable to allocate" in run_in_process(case, timeout=120)["error"]

    def test_failures_are_shown_and_no_ratio_is_made_of_them(self):
        ours = {"detector": OURS, "action": FIT, "error": "", "memory_mb": 100.0, "fit_seconds": 2.0}
        theirs = {"detector": PYOD, "action": FIT, "error": "MemoryError: 2 GB"}
        table = in_memory_table([ours, theirs])
        assert "MemoryError: 2 GB" in table
        assert "×" not in table

    def test_a_bound_that_is_broken_is_not_said_to_hold(self):
        record = {"action": "score", "n_rows": 10**6, "error": "", "memory_mb": 1001.0, "score_seconds": 30.0}
        assert "**no**" in large_table([record])
        assert "| 30.0 | 30.0 |" in large_table([record])
