"""Detectors that do one thing each, in a module of their own because they travel to other processes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.contract import Setup


@dataclass
class Toy:
    """Scores a row by its largest absolute value."""

    def fit(self, X):
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X):
        return np.abs(X).max(axis=1)


@dataclass
class Logged(Toy):
    """Leaves one line in a file for each fit."""

    log: str
    seed: int

    def fit(self, X):
        with Path(self.log).open("a", encoding="utf-8") as file:
            file.write(f"seed {self.seed}, {len(X)} rows\n")
        return super().fit(X)


@dataclass
class Slow(Toy):
    seconds: float

    def fit(self, X):
        time.sleep(self.seconds)
        return super().fit(X)


class Crashing(Toy):
    def fit(self, X):
        raise RuntimeError("toy crash")


class Dying(Toy):
    def fit(self, X):
        os._exit(3)


class NotFinite(Toy):
    def decision_function(self, X):
        scores = super().decision_function(X)
        scores[:7] = np.nan
        return scores


class TooShort(Toy):
    def decision_function(self, X):
        return super().decision_function(X)[:-1]


class Pair(Toy):
    """Gives two scores a row: the toy's and its opposite."""

    def decision_function(self, X):
        score = super().decision_function(X)
        return np.column_stack([score, -score])


class Apart(Toy):
    """Training rows have the score 2, new rows 1 if they are large and 0 if not."""

    def fit(self, X):
        self.decision_scores_ = np.full(len(X), 2.0)
        return self

    def decision_function(self, X):
        return (np.abs(X).max(axis=1) > 2.0).astype(float)


class Hungry(Toy):
    """Touches a known amount of memory."""

    megabytes = 200

    def fit(self, X):
        held = np.ones(self.megabytes * 1_000_000 // 8)
        self.held_ = float(held.sum())
        return super().fit(X)


def toy(setup: Setup):
    return Toy()


def logged(setup: Setup, *, log: str):
    return Logged(log=log, seed=setup.seed)


def slow(setup: Setup, *, seconds: float):
    return Slow(seconds=seconds)


def crashing(setup: Setup):
    return Crashing()


def dying(setup: Setup):
    return Dying()


def not_finite(setup: Setup):
    return NotFinite()


def too_short(setup: Setup):
    return TooShort()


def pair(setup: Setup):
    return Pair()


def apart(setup: Setup):
    return Apart()


def hungry(setup: Setup):
    return Hungry()


def not_installed(setup: Setup):
    raise ImportError("toy peer is not installed")
