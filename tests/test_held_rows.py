"""Rows that are held: the last ones of a growing array."""

from __future__ import annotations

import numpy as np
import pytest

from timesad.held_rows import HeldRows


@pytest.mark.parametrize("order", ["C", "F"])
def test_are_the_last_rows_of_a_growing_array(order):
    generator = np.random.default_rng(0)
    held, expected = HeldRows.of(np.empty((0, 3), dtype=np.float32), order), np.empty((0, 3), dtype=np.float32)
    for _ in range(300):
        new = generator.random((int(generator.integers(0, 9)), 3), dtype=np.float32)
        held, expected = held.followed_by(new), np.concatenate([expected, new])
        if len(expected) > 50:
            number = int(generator.integers(0, 20))
            held, expected = held.without_first(number), expected[number:]
        np.testing.assert_array_equal(held.rows, expected)
        assert (len(held), held.rows.dtype, held.order) == (len(expected), np.float32, order)
        assert len(held.memory) <= 4 * max(len(held), 9)


def test_a_step_that_is_taken_back_changes_nothing():
    held = HeldRows.of(np.arange(3)).followed_by(np.array([3]))
    before = held.rows.copy()
    held.followed_by(np.array([7, 8]))
    np.testing.assert_array_equal(held.rows, before)
    np.testing.assert_array_equal(held.followed_by(np.array([4])).rows, np.arange(5))


def test_columns_are_contiguous_where_asked():
    held = HeldRows.of(np.ones((4, 2)), "F").followed_by(np.ones((3, 2)))
    assert held.rows[:, 1].flags.c_contiguous


def test_the_memory_is_copied_seldom():
    """Twice as many rows, twice as many copies of all rows at most: one after each doubling."""
    held, memories = HeldRows.of(np.empty(0)), set()
    for number in range(5000):
        held = held.followed_by(np.array([number])).without_first(int(len(held) > 100))
        memories.add(id(held.memory))
    assert len(memories) < 5000 / 50


def test_a_memory_that_is_much_too_long_is_given_back():
    held = HeldRows.of(np.zeros(10)).followed_by(np.zeros(10_000)).without_first(10_000)
    assert len(held.memory) == len(held) == 10
