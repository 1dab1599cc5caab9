"""The ablation: each variant changes what its name says and nothing else; one training serves every rule."""

from __future__ import annotations

import csv
import json
import pickle
from itertools import combinations

import numpy as np
import pytest
import torch

from benchmarks import ablation
from benchmarks.ablation_methods import (
    FACTORS,
    FURTHER,
    METHODS,
    PLACEBO,
    SMALL,
    VARIANTS,
    FixedLocalPrior,
    ShuffledGridPrior,
    Variant,
)
from benchmarks.ablation_tables import PLACEBOS, added_pairs, placebo_pairs, variants_table
from benchmarks.contract import SEMI_SUPERVISED, UNSUPERVISED, Method, Settings, Setup
from benchmarks.grid_prior import GridPrior
from benchmarks.harness import NO_ISOLATION, plan, run_cells
from benchmarks.measure import measure
from benchmarks.score_rules import EveryRule, one_series
from benchmarks.summary import all_table_rows, row_name
from timesad import TimesNetDiscrepancyDetector
from timesad.nn import LocalPrior

TINY = {
    "n_periods": 2,
    "n_layers": 1,
    "model_size": 8,
    "n_heads": 2,
    "smoothing": 2,
    "max_epochs": 2,
}
SETUP = Setup(window=16, n_channels=2, seed=0)
SETTINGS = Settings(window=16, smoothing=8)
TRAINED = (SMALL, PLACEBO, FURTHER)  # families of which every variant is trained here
HOOKS = ("_phases", "_priors", "_network_class", "_build_network", "_association_settings")
RULE_NAMES = [rule.name for rule in VARIANTS["default"].rules]


def tiny(name):
    """The variant, small and quick to train."""
    every = VARIANTS[name].build(SETUP)
    every.detector.set_params(**TINY)
    return every


def column(every, scores, rule):
    return scores[:, [r.name for r in every.rules].index(rule)]


def weights(network, part=""):
    return {name: value for name, value in network.state_dict().items() if part in name}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def trained(waves):
    """Every variant of the small study and the placebos, trained on `waves`. Do not train them again."""
    return {name: tiny(name).fit(waves) for name, m in METHODS.items() if m.family in TRAINED}


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.family in TRAINED])
def test_every_variant_gives_one_finite_score_for_each_row_and_rule(name, trained, waves):
    every = trained[name]
    assert every.decision_scores_.shape == (len(waves), len(METHODS[name].scores))
    assert np.isfinite(every.decision_scores_).all()


@pytest.mark.parametrize(
    ("rule", "score"), [("reconstruction", "reconstruction"), ("sum", "reconstruction+discrepancy")]
)
@pytest.mark.parametrize("name", ["default", "swapped-phases"])
def test_a_column_is_the_score_of_a_detector_with_that_score(name, rule, score, trained, waves):
    alone = tiny(name).detector.set_params(anomaly_score=score).fit(waves)
    np.testing.assert_allclose(column(trained[name], trained[name].decision_scores_, rule), alone.decision_scores_)
    new = column(trained[name], trained[name].decision_function(waves[50:]), rule)
    np.testing.assert_allclose(new, alone.decision_function(waves[50:]))


def test_sum_is_reconstruction_plus_discrepancy(trained):
    every = trained["joint"]
    scores = {rule: column(every, every.decision_scores_, rule) for rule in RULE_NAMES}
    np.testing.assert_allclose(scores["sum"], scores["reconstruction"] + scores["discrepancy"])


def test_product_weighs_errors_within_the_window(trained, waves):
    """A window's weights sum to 1, so the mean product times the window's rows is about its largest errors."""
    every = trained["default"]
    product = column(every, every.decision_scores_, "product")
    assert (product >= 0).all()
    assert np.corrcoef(product, column(every, every.decision_scores_, "sum"))[0, 1] < 0.99


def test_wrong_sign_subtracts_what_the_sum_adds(trained):
    every = trained["default"]
    scores = {rule: column(every, every.decision_scores_, rule) for rule in RULE_NAMES}
    added, subtracted = (scores[name] - scores["reconstruction"] for name in ("sum", "sum-wrong-sign"))
    assert np.corrcoef(added, subtracted)[0, 1] < -1 + 1e-9
    assert np.abs(scores["sum"] - scores["reconstruction"]).max() > 0.1


def test_contrast_is_close_to_the_local_and_far_from_the_grid_prior(trained, waves):
    every = trained["contrast"]
    errors, _ = every.scorer_.row_errors(one_series(every.detector, waves))
    local, grid = errors.closeness.T
    contrast = column(every, every.decision_scores_, "contrast")
    assert np.corrcoef(contrast, local - grid)[0, 1] > 0.7
    assert [type(prior) for prior in every.detector._priors()] == [LocalPrior, GridPrior]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, variant in VARIANTS.items()
        if METHODS[name].family in TRAINED and not {"joint", "alternating", "untrained"} & set(name.split("."))
    ],
)
def test_reconstruction_beside_a_detached_trunk_is_plain_timesnets(name, trained, waves):
    """A comparison with the same network's reconstruction is then one with TimesNet."""
    plain = METHODS["timesnet"].build(SETUP).set_params(**{k: v for k, v in TINY.items() if k != "n_heads"}).fit(waves)
    every = trained[name]
    assert np.array_equal(column(every, every.decision_scores_, "reconstruction"), plain.decision_scores_)


def test_plain_timesnet_has_the_variants_settings():
    plain, default = METHODS["timesnet"].build(SETUP), VARIANTS["default"].build(SETUP).detector
    shared = plain.get_params().keys() & default.get_params().keys()
    assert plain.get_params() == {name: default.get_params()[name] for name in shared}
    assert plain._training_settings() == default._training_settings()


def test_noise_for_s_and_one_width_for_p_hold_no_information(trained, waves):
    """Two calls of the placebo give unrelated scores; two calls of the mechanism give the same."""
    agreement = {}
    for name in ("default", "fixed-width.random-series"):
        twice = [column(trained[name], trained[name].decision_function(waves), "discrepancy") for _ in range(2)]
        agreement[name] = np.corrcoef(*twice)[0, 1]
    assert agreement["default"] > 0.999
    assert abs(agreement["fixed-width.random-series"]) < 0.4


def test_untrained_network_keeps_its_initial_weights(trained):
    untrained = trained["untrained"].detector
    with torch.random.fork_rng():
        torch.manual_seed(untrained._draw_seed())
        drawn = untrained._build_network()
    assert same(weights(untrained.network_), weights(drawn))
    assert not same(weights(trained["default"].detector.network_), weights(drawn))


@pytest.mark.parametrize(
    ("name", "moves_like_off", "moves"),
    [
        ("minimise-only", "query_key", "widths"),
        ("maximise-only", "widths", "query_key"),
        ("identical-losses", "widths", None),
        ("identical-losses", "query_key", None),
    ],
)
def test_training_moves_only_the_part_in_its_name(name, moves_like_off, moves, trained):
    """A part without a gradient of D has the same weights as without a minimax."""
    off, this = (trained[one].detector.network_ for one in ("off", name))
    assert same(weights(this, moves_like_off), weights(off, moves_like_off))
    assert moves is None or not same(weights(this, moves), weights(off, moves))


def test_every_training_differs_from_the_default(trained):
    default = weights(trained["default"].detector.network_, "association")
    for level in FACTORS[0][1:]:
        assert not same(weights(trained[level.name].detector.network_, "association"), default), level.name


# The same by design: losses that cancel have no gradient.
ALIKE_BY_DESIGN = {("off", "identical-losses"), ("off.joint", "identical-losses.joint")}


def test_every_variant_differs_from_the_others(trained):
    """A change without an effect is no ablation."""
    for one, other in combinations(trained, 2):
        alike = [
            np.array_equal(*(column(e, e.decision_scores_, rule) for e in (trained[one], trained[other])))
            for rule in RULE_NAMES
        ]
        assert all(alike) == ((one, other) in ALIKE_BY_DESIGN), (one, other)


def test_fixed_width_is_the_same_for_every_row_and_not_learned(trained, waves):
    prior = FixedLocalPrior(8)
    raw = torch.randn(2, 8, 3, requires_grad=True)
    assert torch.equal(prior(raw), LocalPrior(8)(torch.zeros_like(raw)))
    assert not prior(raw).requires_grad


def test_shuffled_phases_keep_the_weights_of_each_cycle_but_not_the_period():
    size, period = 24, 6
    raw = torch.zeros(1, size, 2)
    grid, shuffled = (prior(size, [period], [1.0])(raw)[0, 0] for prior in (GridPrior, ShuffledGridPrior))

    def by_cycle(association):
        return association.reshape(size, size // period, period).sort(dim=-1).values

    torch.testing.assert_close(by_cycle(shuffled), by_cycle(grid))
    lag = torch.arange(size - period)
    assert grid[lag, lag + period].mean() > 1.2 * shuffled[lag, lag + period].mean()


def test_looking_away_leaves_no_association_with_neighbours(trained, waves):
    network = trained["grid.look-away"].detector.network_
    x = torch.from_numpy(waves[: SETUP.window].astype(np.float32))[None]
    (associations,) = network.associations(x)
    rows = torch.arange(SETUP.window)
    near = (rows[:, None] - rows).abs() < 8
    torch.testing.assert_close(associations.series.sum(dim=-1), torch.ones_like(associations.series[..., 0]))
    assert associations.series[..., near].max() < 1e-30 < associations.series[..., ~near].min()


def test_every_level_is_a_variant_of_the_small_study():
    small = {name for name, method in METHODS.items() if method.family == SMALL}
    for factor in FACTORS:
        assert {level.name for level in factor[1:]} <= small


def test_a_variant_overrides_no_method_twice():
    """Of two overrides of one method, only one would have an effect."""
    for variant in VARIANTS.values():
        overrides = [level.override for level in variant.changes if level.override]
        names = [name for override in overrides for name in HOOKS if name in vars(override)]
        assert len(set(names)) == len(names) >= len(overrides), variant.name


def test_every_variant_builds_pickles_and_has_its_own_digest(tiny_groups):
    cells = plan(
        [method for method in METHODS.values() if method.scores],
        {"many": tiny_groups["many"][:1]},
        protocols=[SEMI_SUPERVISED],
        seeds=[0],
        settings=SETTINGS,
    )
    digests = set()
    for cell in cells:
        built = pickle.loads(pickle.dumps(cell.method)).build(SETUP)
        assert isinstance(built, EveryRule)
        assert isinstance(built.detector, TimesNetDiscrepancyDetector)
        digests.add(cell.digest())
    assert len(digests) == len(cells) == len(VARIANTS)


def test_the_full_study_contains_the_small_one():
    options = [ablation.parse(ablation.make_parser(), arguments) for arguments in ([], ["--full"])]
    chosen = [ablation.select_methods(o.methods, METHODS) for o in options]
    assert {method.name for method in chosen[0]} < {method.name for method in chosen[1]}
    assert set(options[0].seeds) < set(options[1].seeds)
    assert set(options[0].protocols) < set(options[1].protocols)
    assert (options[0].first_series, options[1].first_series) == (1, None)


def test_options_that_are_given_win_over_full():
    options = ablation.parse(ablation.make_parser(), ["--full", "--seeds", "7", "--methods", "small"])
    assert (options.seeds, options.methods, options.first_series) == ([7], ["small"], None)
    assert ablation.parse(ablation.make_parser(), ["--all-series"]).first_series is None


def test_one_cell_with_several_scores_is_a_row_for_each(tmp_path, tiny_groups, toys):
    series = {"one": tiny_groups["one"]}
    methods = [
        Method("pair", "toy", toys.pair, scores=("up", "down")),
        Method("plain", "toy", toys.toy),
        Method("crashing", "toy", toys.crashing, scores=("up", "down")),
    ]
    cells = plan(methods, series, protocols=[SEMI_SUPERVISED, UNSUPERVISED], seeds=[0], settings=SETTINGS)
    records = run_cells(cells, tmp_path, isolation=NO_ISOLATION)
    assert len(records) == len(cells) == len(list(tmp_path.rglob("*.json")))
    rows = {(row["protocol"], row["method"]): row for row in all_table_rows(records)}
    for protocol in (SEMI_SUPERVISED, UNSUPERVISED):
        up, plain = rows[protocol, "pair / up"], rows[protocol, "plain"]
        assert (up["raw"], up["smoothed"]) == (plain["raw"], plain["smoothed"])
        assert rows[protocol, "pair / down"]["raw"]["auc_roc"] == pytest.approx(1 - plain["raw"]["auc_roc"])
        failed = [rows[protocol, row_name("crashing", score)] for score in ("up", "down")]
        assert [row["status"] for row in failed] == ["failed", "failed"]


def test_scores_that_do_not_fit_their_names_are_an_error(tiny_groups, toys):
    method = Method("pair", "toy", toys.pair, scores=("up", "down", "sideways"))
    with pytest.raises(ValueError, match=r"shape \(300, 2\) for 300 rows and the scores \['up', 'down', 'sideways'\]"):
        measure(method, tiny_groups["one"][0], UNSUPERVISED, 0, SETTINGS)


def test_variants_table_has_a_row_per_variant_and_a_column_per_rule():
    names = {"default": 0.2, "off": 0.4, "joint": 0.6, "off.joint": 0.8, "untrained": 0.0}
    rules = ["reconstruction", "sum"]
    means = {row_name(name, rule): value + 0.1 * (rule == "sum") for name, value in names.items() for rule in rules}
    lines = variants_table(means).splitlines()
    assert [line.split(" | ")[0][2:] for line in lines[2:]] == list(names)
    assert lines[3].startswith("| off | 0.400 | – | – | 0.500 |")


def test_each_rule_is_compared_with_the_reconstruction_of_its_own_network():
    pairs = added_pairs([row_name("joint", "sum"), row_name("grid", "product")])
    assert pairs["joint / sum"] == ("joint / sum", "joint / reconstruction")
    assert pairs["grid / product"] == ("grid / product", "grid / reconstruction")
    assert not any(first == second for first, second in pairs.values())


def test_placebo_comparisons_name_rows_that_exist():
    rows = {row_name(name, rule.name) for name, variant in VARIANTS.items() for rule in variant.rules}
    pairs = placebo_pairs()
    assert {row for pair in pairs.values() for row in pair} <= rows
    assert len(pairs) == sum(map(len, PLACEBOS.values())) * (len(RULE_NAMES) - 1)


def test_command_trains_once_for_all_rules_and_reports_them(tmp_path, tiny_groups, monkeypatch, capsys):
    monkeypatch.setattr(ablation, "load_groups", lambda names, folder: tiny_groups)
    every_size = Variant.build

    def build_tiny(variant, setup):
        every = every_size(variant, setup)
        every.detector.set_params(**TINY)
        return every

    monkeypatch.setattr(Variant, "build", build_tiny)
    folders = ["--cells", str(tmp_path / "cells"), "--out", str(tmp_path / "out")]
    arguments = ["--methods", "default", "random-series", "random-score", "--isolation", "worker", "--window", "16"]
    ablation.main([*arguments, *folders])
    printed = capsys.readouterr().out
    assert "[6/6]" in printed
    assert "sum-wrong-sign VUS-PR" in printed
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "cells").rglob("default--*.json")]
    assert [set(cell["by_score"]) for cell in cells] == [set(RULE_NAMES)] * 2
    rows = list(csv.DictReader((tmp_path / "out" / "ablation.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["method"] for row in rows if row["series"] == "a"} == {
        *(row_name(name, rule) for name in ("default", "random-series") for rule in RULE_NAMES),
        "random-score",
    }
    page = (tmp_path / "out" / "ablation-semi-supervised.md").read_text(encoding="utf-8")
    for promise in (
        "Only the first 1 series of each group",
        "| variant | reconstruction | discrepancy | product | sum | sum-wrong-sign |",
        "| default / sum | 2 |",
        "| default - random-series, sum-wrong-sign | 2 |",
        "python -m benchmarks.ablation --methods default random-series",
    ):
        assert promise in page
    ablation.main([*arguments, *folders, "--report-only"])
    assert "[" not in capsys.readouterr().out


def test_command_lists_its_variants_and_refuses_unknown_ones(capsys):
    ablation.main(["--list"])
    assert "swapped-phases.mixed.joint" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ending:
        ablation.main(["--methods", "no-such-variant"])
    assert ending.value.code == 2
