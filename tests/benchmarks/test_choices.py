"""Choices of the score: each changes what it says and nothing else, and what is left out has no voice."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from benchmarks import left_out, score_choices, training_choices
from benchmarks.choices import BOTH, CHOICES, MEMORY_UNIT, METHODS, MeanOfAll, MeanOfThree, every_choice
from benchmarks.contract import Setup
from benchmarks.harness import NO_ISOLATION
from benchmarks.left_out import DEFAULT, chosen_without, left_out_table, means_by_choice
from timesad import TimesNetDetector, TimesNetDiscrepancyDetector

WINDOW = 16
TINY = {
    "top_k": 2,
    "n_layers": 1,
    "model_size": 8,
    "n_kernels": 2,
    "patch_size": 2,
    "max_epochs": 1,
    "epoch_size": 64,
    "window_size": WINDOW,
    "random_state": 0,
}
NAMES = [choice.name for choice in CHOICES]
TRAIN_ROWS = 11 * WINDOW // 2  # half of a memory counts


@pytest.fixture(scope="module")
def clean(waves):
    """Four channels."""
    return np.hstack([waves, waves[::-1]])


@pytest.fixture(scope="module")
def spoiled(clean):
    rows = clean.copy()
    rows[150:160, 0] += 400.0
    return rows


@pytest.fixture(scope="module")
def scores(clean, spoiled):
    """All columns, (n_rows, n_choices)."""
    every = every_choice(Setup(window=WINDOW, n_channels=4, n_fit_rows=TRAIN_ROWS, seed=0))
    every.detector.set_params(**TINY)
    return every.fit(clean[:TRAIN_ROWS]).decision_function(spoiled)


def fitted(detector_class, clean, **parameters):
    return detector_class(**TINY | parameters).fit(clean[:TRAIN_ROWS])


@pytest.mark.parametrize(
    ("name", "detector_class", "parameters"),
    [
        (DEFAULT, TimesNetDiscrepancyDetector, {}),
        ("smoothing, rows (64): 32", TimesNetDiscrepancyDetector, {"smoothing": 32}),
        ("weight of the level (0.3): 0", TimesNetDiscrepancyDetector, {"level_weight": 0.0}),
        (f"{BOTH}: reconstruction", TimesNetDetector, {}),
    ],
)
def test_a_choice_that_is_a_parameter_is_the_detector_with_it(name, detector_class, parameters, clean, spoiled, scores):
    expected = fitted(detector_class, clean, **parameters).decision_function(spoiled)
    np.testing.assert_array_equal(scores[:, NAMES.index(name)], expected)


def test_no_choice_is_another_by_a_different_name(scores):
    """But for two: a tail of so few rows is the smallest there is, and a memory of so few knows no window again."""
    alike = ("share of rows in the tail", f"{MEMORY_UNIT}: distances as scored")
    told_apart = [name for name in NAMES if not name.startswith(alike)]
    columns = scores[:, [NAMES.index(name) for name in told_apart]]
    assert len(np.unique(columns, axis=1).T) == len(told_apart)


def test_a_choice_leaves_the_library_as_it_was():
    names = {name for choice in CHOICES for name in choice.constants}
    assert names
    for name in names:
        module, constant = name.split(".")
        library = importlib.import_module(f"timesad.{module}")
        before = getattr(library, constant)
        choice = next(choice for choice in CHOICES if name in choice.constants)
        with choice.made():
            assert getattr(library, constant) == choice.constants[name] != before
        assert getattr(library, constant) == before


@pytest.mark.parametrize(("loudest_class", "n_heard"), [(MeanOfThree, 3), (MeanOfAll, 7)])
def test_means_over_channels(loudest_class, n_heard):
    error, level, point = np.random.default_rng(0).normal(size=(3, 7, 50))
    loudest = loudest_class(50)
    for channel in range(7):
        loudest.hear(channel, error[channel], point[channel], level[channel])
    for found, heard in ((loudest.error, error + level), (loudest.point, point)):
        np.testing.assert_allclose(found, np.sort(heard, axis=0)[-n_heard:].mean(axis=0))


def test_the_group_left_out_has_no_voice():
    means = {DEFAULT: {"a": 0.5, "b": 0.5, "c": 0.5}, "x": {"a": 0.9, "b": 0.4, "c": 0.4}}
    best, gain, left_out = chosen_without(means, list(means), "b")
    assert (best, left_out) == ("x", pytest.approx(-0.1))
    assert gain == pytest.approx(0.15)
    assert chosen_without(means, list(means), "a") == (DEFAULT, 0.0, 0.0)


def test_the_page_has_every_number_and_group(tiny_groups, tmp_path, monkeypatch):
    monkeypatch.setattr(left_out, "load_groups", lambda names, data: tiny_groups)
    arguments = ["--cells", str(tmp_path / "cells"), "--out", str(tmp_path), "--isolation", NO_ISOLATION]
    score_choices.main([*arguments, "--window", "32", "--first-series", "1", "--protocols", "unsupervised"])
    text = (tmp_path / "score-choices.md").read_text(encoding="utf-8")
    assert "| number (default) | without many | without one |" in text
    for choice in CHOICES:
        assert f"| {choice.name} |" in text
    assert len((tmp_path / "score-choices.csv").read_text().splitlines()) == 1 + 2 * len(METHODS["score"].scores)
    table = left_out_table({name: {"many": 0.5, "one": 0.5} for name in NAMES}, CHOICES[1:])
    assert table.count(f"| {DEFAULT} | {DEFAULT} |") == len({choice.number for choice in CHOICES}) - 1


def test_a_group_alone_chooses_nothing():
    assert "nobody to choose" in left_out_table({name: {"one": 0.5} for name in NAMES}, CHOICES[1:])


def test_a_choice_that_lacks_a_series_has_no_mean_of_its_group():
    def record(group, series, value):
        return {
            "protocol": "semi-supervised",
            "group": group,
            "series": series,
            "status": "ok",
            "raw": {"vus_pr": value},
        }

    default = [record("a", "1", 0.2), record("a", "2", 0.4), record("b", "1", 0.5)]
    means = means_by_choice({DEFAULT: default, "x": [record("a", "1", 0.9), record("b", "1", 0.6)]})
    assert means == {DEFAULT: {"a": pytest.approx(0.3), "b": 0.5}, "x": {"b": 0.6}}


def test_a_training_differs_from_the_default_in_its_parameter_alone():
    setup = Setup(window=96, n_channels=2, n_fit_rows=480, seed=0)
    default = training_choices.build(setup, training=None).detector.get_params()
    for training in training_choices.TRAININGS:
        found = training_choices.build(setup, training=training).detector.get_params()
        expected = min(training.setting, 120) if training.parameter == "window_size" else training.setting
        assert expected != default[training.parameter]
        assert found == default | {training.parameter: expected}


def test_the_page_of_trainings_has_both_scores(tiny_groups, tmp_path, monkeypatch):
    monkeypatch.setattr(left_out, "load_groups", lambda names, data: {"many": tiny_groups["many"]})
    arguments = ["--cells", str(tmp_path / "cells"), "--out", str(tmp_path), "--isolation", NO_ISOLATION]
    arguments += ["--window", "32", "--first-series", "1", "--protocols", "unsupervised"]
    training_choices.main([*arguments, "--methods", "default", "n_layers"])
    text = (tmp_path / "training-choices.md").read_text(encoding="utf-8")
    for score in training_choices.SCORES:
        table = text.split(f"## {score}, by group")[1].split("##")[0]
        assert all(f"| {name} |" in table for name in (DEFAULT, "n_layers-1", "n_layers-3"))
        assert "top_k" not in table
