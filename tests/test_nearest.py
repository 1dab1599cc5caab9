"""The search in C and that by torch's operations find the neighbours that the definition names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.c_function import RefusesLanesAndThreads
from timesad import NearestWindowsDetector, c_code
from timesad.nearest import CompiledSearch, TorchSearch, Zone, search_for
from timesad.windows import WindowColumn

needs_c = pytest.mark.skipif(not c_code.LANES, reason="the package was built without a C compiler")
CPU = torch.device("cpu")
KINDS = ["torch", *c_code.LANES]
# (window size, candidates, neighbours, new windows): whole vectors, panels and blocks, parts of them, one of each.
SIZES = [(96, 640, 5, 64), (7, 33, 4, 9), (1, 1, 1, 1), (20, 5, 5, 3), (33, 100, 1, 130), (16, 700, 70, 11)]


def some_windows(size, n_windows, seed):
    generator = np.random.default_rng(seed)
    n_rows = n_windows + size + 10
    values = generator.normal(size=n_rows).astype(np.float32)
    return WindowColumn(values, np.sort(generator.integers(0, n_rows - size + 1, n_windows)), size)


def make(kind, candidates, n_neighbors, n_windows=1000):
    if kind == "torch":
        return TorchSearch(candidates, n_neighbors, CPU, n_windows)
    return CompiledSearch(candidates, n_neighbors, lanes=kind)


def by_definition(candidates, n_neighbors, windows, batch, zone):
    found = []
    for x, begin, end in zip(windows[batch].double(), *zone, strict=True):
        differences = x - candidates[:].double()
        distances = differences.square().sum(dim=1)
        distances[begin:end] = torch.inf
        nearest = differences[distances.argsort()[:n_neighbors]]
        found.append(torch.stack([nearest.square().mean(dim=0), nearest.mean(dim=0)]))
    return torch.stack(found, dim=1).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
class TestIsTheDefinition:
    def test_among_all_candidates(self, kind, size):
        window_size, n_candidates, n_neighbors, n_windows = size
        candidates, new = some_windows(window_size, n_candidates, 0), some_windows(window_size, n_windows, 1)
        zone = Zone.none(n_windows)
        [found] = make(kind, candidates, n_neighbors).differences(new, slice(0, n_windows), [zone])
        expected = by_definition(candidates, n_neighbors, new, slice(0, n_windows), zone)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_outside_of_zones(self, kind, size):
        window_size, n_candidates, n_neighbors, n_windows = size
        candidates, new = some_windows(window_size, n_candidates, 0), some_windows(window_size, n_windows, 1)
        generator = np.random.default_rng(2)
        begin = np.sort(generator.integers(0, n_candidates, n_windows))
        end = np.minimum(begin + (n_candidates - n_neighbors) // 2, n_candidates)
        until_the_end = Zone(np.maximum(begin, n_neighbors), np.full(n_windows, n_candidates))
        for zone in (Zone(begin, end), until_the_end):
            batch = slice(n_windows // 3, n_windows)
            part = Zone(zone.begin[batch], zone.end[batch])
            search = make(kind, candidates, n_neighbors)
            everywhere, outside = search.differences(new, batch, [Zone.none(n_windows - n_windows // 3), part])
            expected = by_definition(candidates, n_neighbors, new, batch, part)
            np.testing.assert_allclose(outside, expected, rtol=1e-4, atol=1e-5)
            assert everywhere.squares.sum() <= outside.squares.sum() * (1 + 1e-6)


@needs_c
class TestCompiledSearch:
    def test_rounding_depends_on_neither_batch_nor_threads_nor_lanes(self, monkeypatch):
        candidates, new = some_windows(96, 500, 0), some_windows(96, 100, 1)
        [expected] = CompiledSearch(candidates, 5).differences(new, slice(0, 100), [Zone.none(100)])
        for lanes in c_code.LANES:
            for n_threads in (1, 2, 3, 40):
                monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
                for step in (1, 7, 100):
                    parts = [
                        CompiledSearch(candidates, 5, lanes).differences(new, slice(i, i + step), [Zone.none(step)])[0]
                        for i in range(0, 98, step)
                        if i + step <= 100
                    ]
                    found = np.concatenate(parts, axis=1)
                    np.testing.assert_array_equal(found, np.stack(expected)[:, : found.shape[1]])

    def test_values_beyond_single_precision_find_candidates_outside_of_the_zone(self):
        values = np.arange(60, dtype=np.float32)
        values[40:] = 1e30
        candidates = WindowColumn(values, np.arange(51), 10)
        new = WindowColumn(np.full(10, -1e30, dtype=np.float32), np.array([0]), 10)
        [found] = CompiledSearch(candidates, 2).differences(new, slice(0, 1), [Zone(np.array([0]), np.array([45]))])
        assert found.squares.isinf().all()

    def test_no_window_has_no_result(self):
        candidates = some_windows(8, 20, 0)
        [found] = CompiledSearch(candidates, 2).differences(candidates, slice(0, 0), [Zone.none(0)])
        assert found.squares.shape == found.signed.shape == (0, 8)

    def test_as_many_zones_as_windows(self):
        candidates = some_windows(8, 20, 0)
        with pytest.raises(ValueError, match="zones have 2 and 2 numbers for 3 windows"):
            CompiledSearch(candidates, 2).differences(candidates, slice(0, 3), [Zone.none(2)])

    def test_a_vector_width_that_the_processor_has_not(self):
        with pytest.raises(ValueError, match="lanes is 3"):
            CompiledSearch(some_windows(8, 20, 0), 2, lanes=3)


NAMES = [
    "lanes",
    "n_threads",
    "time",
    "n_neighbors",
    "n_values",
    "n_candidates",
    "n_new_values",
    "n_windows",
    "n_zones",
]
ADDRESSES = ["values", "starts", "new_values", "new_starts", "zone_begin", "zone_end", "squares", "differences"]


@needs_c
class TestTheCFunctionRaises(RefusesLanesAndThreads):
    """For what would read or write memory of others, or end the process."""

    @pytest.fixture
    def call(self):
        floats, numbers = torch.ones(1000), torch.zeros(1000, dtype=torch.int64)
        numbers[:4] = torch.arange(4)
        is_float = {"values", "new_values", "squares", "differences"}
        memory = {name: (floats if name in is_float else numbers).clone() for name in ADDRESSES}
        arguments = dict(zip(NAMES, [c_code.LANES[0], 1, 5, 2, 20, 4, 20, 3, 2], strict=True))
        arguments |= {name: tensor.data_ptr() for name, tensor in memory.items()}

        def changed(start=None, **changes):
            if start is not None:
                memory[start[0]][2] = start[1]
            c_code.code.nearest(*(arguments | changes).values())

        changed()
        return changed

    @pytest.mark.parametrize("name", ["time", "n_windows", "n_zones"])
    @pytest.mark.parametrize("size", [0, -1, -(2**63), 2**63 - 1, 2**62, 2**61])
    def test_sizes(self, call, name, size):
        with pytest.raises(ValueError, match=r"time is .* n_windows is .* n_zones is"):
            call(**{name: size})

    @pytest.mark.parametrize("name", ["n_values", "n_new_values"])
    @pytest.mark.parametrize("size", [4, 0, -1, -(2**63)])
    def test_a_series_shorter_than_a_window(self, call, name, size):
        with pytest.raises(ValueError, match="no series may be shorter"):
            call(**{name: size})

    @pytest.mark.parametrize("number", [0, -1, 5, 2**62, -(2**63)])
    def test_neighbors(self, call, number):
        with pytest.raises(ValueError, match=rf"n_neighbors is {number}, but must be in \[1, n_candidates\]"):
            call(n_neighbors=number)

    @pytest.mark.parametrize("name", ["starts", "new_starts"])
    @pytest.mark.parametrize("start", [-1, 16, 2**62, -(2**63)])
    def test_windows_outside_of_their_series(self, call, name, start):
        with pytest.raises(ValueError, match="begins before its series or ends after it"):
            call(start=(name, start))

    @pytest.mark.parametrize("name", ADDRESSES)
    def test_addresses_of_0(self, call, name):
        with pytest.raises(ValueError, match="address"):
            call(**{name: 0})

    @pytest.mark.parametrize("name", [*NAMES, *ADDRESSES])
    def test_arguments_of_another_type(self, call, name):
        with pytest.raises(TypeError):
            call(**{name: None})


def test_torch_is_the_fallback(monkeypatch):
    candidates = some_windows(8, 20, 0)
    missing = np.zeros(len(candidates.values), dtype=bool)
    with_missing = WindowColumn(candidates.values, candidates.starts, 8, missing)
    assert isinstance(search_for(candidates, 2, with_missing, "cpu", 1), TorchSearch)
    monkeypatch.setattr(c_code, "LANES", [])
    assert isinstance(search_for(candidates, 2, candidates, "cpu", 1), TorchSearch)


@needs_c
def test_detector_scores_are_equal_with_and_without_c_code(waves, monkeypatch):
    def scores():
        detector = NearestWindowsDetector(window_size=32).fit(waves[:300])
        return np.concatenate([detector.decision_scores_, detector.decision_function(waves)])

    with_c = scores()
    monkeypatch.setattr(c_code, "LANES", [])
    np.testing.assert_allclose(scores(), with_c, rtol=1e-3, atol=1e-4)
