"""A saved detector is loaded as it was, or refused with an error; nothing in a file is executed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from safetensors import safe_open
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import timesad
from tests.expected.saved.write import detectors as golden_detectors
from tests.expected.saved.write import path_of, series
from timesad import NearestWindowsDetector
from timesad.exceptions import FileFormatError
from timesad.saving import ENTRY, FORMAT, file_of

N_FLIPS = 300
N_FLIPS_OF_ALL = 10_000


@pytest.fixture(scope="module")
def fitted(make_detector, waves):
    """A detector that no other test has: methods of PyOD set further attributes."""
    return make_detector().fit(waves)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("saved") / "detector.safetensors"


@pytest.fixture(scope="module")
def saved(fitted, path):
    """Content of the file of a fitted detector."""
    fitted.save(path)
    return path.read_bytes()


def content_of(data, tmp_path):
    (tmp_path / "read").write_bytes(data)
    with safe_open(tmp_path / "read", framework="np") as file:
        return json.loads(file.metadata()[ENTRY])["content"]


def rewritten(data, tmp_path, change):
    """The file after a change of its content, with a checksum that is right."""
    content, arrays = content_of(data, tmp_path), load_arrays(data)
    change(content)
    (tmp_path / "changed").write_bytes(file_of(content, arrays))
    return tmp_path / "changed"


def assert_same_state(one, other):
    """Equal attributes, whatever their types."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, torch.nn.Module):
        assert one.training is other.training
        assert_same_state(dict(one.state_dict()), dict(other.state_dict()))
        assert_same_state(dict(one.named_buffers()), dict(other.named_buffers()))
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert_same_state(one[name], other[name])
    elif isinstance(one, (list, tuple)):
        for mine, theirs in zip(one, other, strict=True):
            assert_same_state(mine, theirs)
    elif hasattr(one, "__dict__"):
        assert_same_state(vars(one), vars(other))
    else:
        assert one == other


class TestRoundTrip:
    def test_every_attribute_is_the_same(self, fitted, saved, path):
        loaded = timesad.load(path)
        assert list(vars(loaded.scorer_.settings)) == list(vars(fitted.scorer_.settings))
        assert_same_state(dict(sorted(vars(loaded).items())), dict(sorted(vars(fitted).items())))

    def test_every_method_gives_the_same(self, fitted, saved, path, waves):
        loaded = timesad.load(str(path))
        for method in ("decision_function", "predict", "predict_proba", "predict_confidence", "p_values"):
            np.testing.assert_array_equal(getattr(loaded, method)(waves), getattr(fitted, method)(waves))
        pd.testing.assert_frame_equal(loaded.detect(waves), fitted.detect(waves))
        pd.testing.assert_frame_equal(loaded.detect(None), fitted.detect(None))
        for name, part in fitted.explain(waves).items():
            np.testing.assert_array_equal(loaded.explain(waves)[name], part)

    def test_a_loaded_detector_is_saved_to_the_same_file(self, saved, path, tmp_path):
        timesad.load(path).save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == saved

    def test_an_unfitted_detector(self, make_detector, tmp_path, waves):
        detector = make_detector(contamination=0.3, device=torch.device("cpu"))
        detector.save(tmp_path / "unfitted")
        loaded = timesad.load(tmp_path / "unfitted")
        assert vars(loaded) == vars(detector)
        with pytest.raises(NotFittedError):
            loaded.predict(waves)

    def test_parameters_that_changed_after_fit_take_effect_at_the_next_fit(self, make_detector, tmp_path, waves):
        detector = make_detector().fit(waves).set_params(window_size=24, smoothing=7)
        detector.save(tmp_path / "changed")
        loaded = timesad.load(tmp_path / "changed")
        assert (loaded.window_size, loaded.smoothing) == (24, 7)
        np.testing.assert_array_equal(loaded.decision_function(waves), detector.decision_function(waves))
        np.testing.assert_array_equal(loaded.fit(waves).decision_scores_, detector.fit(waves).decision_scores_)

    def test_names_of_channels_and_a_random_state_object(self, make_network_detector, tmp_path, waves):
        table = pd.DataFrame(waves, columns=["flow", "Drück"])
        detector = make_network_detector(random_state=np.random.RandomState(3)).fit(table)
        detector.save(tmp_path / "named")
        loaded = timesad.load(tmp_path / "named")
        assert loaded.feature_names_in_.tolist() == ["flow", "Drück"]
        np.testing.assert_array_equal(loaded.decision_function(table), detector.decision_function(table))
        np.testing.assert_array_equal(loaded.fit(table).decision_scores_, detector.fit(table).decision_scores_)

    def test_another_process_with_other_threads_gives_the_same_scores(self, fitted, saved, path, waves, tmp_path):
        np.save(tmp_path / "waves.npy", waves)
        script = (
            "import sys, numpy as np, torch, timesad\n"
            "torch.set_num_threads(2)\n"
            "scores = timesad.load(sys.argv[1]).decision_function(np.load(sys.argv[2]))\n"
            "np.save(sys.argv[3], scores)\n"
        )
        command = [sys.executable, "-c", script, str(path), str(tmp_path / "waves.npy"), str(tmp_path / "scores.npy")]
        subprocess.run(command, check=True, timeout=120, cwd=Path(__file__).parents[1])
        np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), fitted.decision_function(waves), atol=1e-4)


def test_requests_of_metadata_are_left_out(make_nearest, waves, tmp_path):
    with sklearn.config_context(enable_metadata_routing=True):
        detector = make_nearest().set_fit_request(groups=True).fit(waves)
        detector.save(tmp_path / "detector")
    loaded = timesad.load(tmp_path / "detector")
    np.testing.assert_array_equal(loaded.decision_function(waves), detector.decision_function(waves))


class TestGoldenFiles:
    """Files of every format that was released; see `tests/expected/saved/write.py`."""

    @pytest.mark.parametrize("file_format", range(1, FORMAT + 1))
    @pytest.mark.parametrize("name", golden_detectors())
    def test_loads_and_scores_as_then(self, name, file_format):
        path = path_of(name, file_format)
        loaded = timesad.load(path)
        with np.load(path.with_name(f"scores-{file_format}.npz")) as scores:
            np.testing.assert_allclose(loaded.decision_function(series()), scores[name], rtol=1e-3, atol=1e-3)
        expected = golden_detectors()[name].get_params()
        assert loaded.get_params() == expected


class TestWhatCannotBeSaved:
    def test_a_thresholder_is_refused_by_name(self, make_nearest, tmp_path):
        class Thresholder:
            fit = predict = None

        with pytest.raises(TypeError, match=r"parameters\.contamination is a Thresholder.*joblib\.dump"):
            make_nearest(contamination=Thresholder()).save(tmp_path / "file")
        assert not list(tmp_path.iterdir())

    def test_a_subclass_is_refused(self, tmp_path):
        class Own(NearestWindowsDetector):
            pass

        with pytest.raises(TypeError, match=r"Own is no detector of timesad.*joblib\.dump"):
            Own().save(tmp_path / "file")
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_does_not_exist(self, make_nearest, tmp_path):
        with pytest.raises(FileNotFoundError):
            make_nearest().save(tmp_path / "nowhere" / "file")

    @pytest.mark.parametrize("failing", ["replace", "fsync"])
    def test_a_failure_leaves_the_old_file_and_no_other(self, make_nearest, tmp_path, monkeypatch, failing):
        path = tmp_path / "file"
        make_nearest().save(path)
        before = path.read_bytes()

        def fail(*args):
            raise OSError("no space left on device")

        monkeypatch.setattr(os, failing, fail)
        with pytest.raises(OSError, match="no space left"):
            make_nearest(window_size=99).save(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class TestFilesThatCannotBeLoaded:
    def test_a_file_that_does_not_exist(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nothing is no file"):
            timesad.load(tmp_path / "nothing")

    def test_a_pickle_is_refused_and_not_executed(self, tmp_path):
        path, trace = tmp_path / "evil", tmp_path / "trace"
        path.write_bytes(pickle.dumps(Evil(trace)))
        with pytest.raises(FileFormatError, match=r"evil is no detector that can be loaded: it is damaged or no safet"):
            timesad.load(path)
        assert not trace.exists()

    def test_a_safetensors_file_of_others(self, tmp_path):
        (tmp_path / "other").write_bytes(save_arrays({"weight": np.zeros(3)}))
        with pytest.raises(FileFormatError, match="timesad did not write"):
            timesad.load(tmp_path / "other")

    def test_a_newer_format_says_what_to_do(self, saved, tmp_path):
        path = rewritten(saved, tmp_path, lambda content: content.update(format=FORMAT + 1))
        with pytest.raises(
            FileFormatError, match=rf"format {FORMAT + 1}, and this version reads up to {FORMAT}.*newer"
        ):
            timesad.load(path)

    @pytest.mark.parametrize("file_format", [0, -1, None, "1", 1.0, True, []])
    def test_a_format_that_is_none(self, saved, tmp_path, file_format):
        path = rewritten(saved, tmp_path, lambda content: content.update(format=file_format))
        with pytest.raises(FileFormatError, match="its format is"):
            timesad.load(path)

    @pytest.mark.parametrize("name", ["os.system", "BaseSeriesDetector", "load", "Own", 3, None, ["x"]])
    def test_an_unknown_class_is_never_created(self, saved, tmp_path, name):
        path = rewritten(saved, tmp_path, lambda content: content.update({"class": name}))
        with pytest.raises(FileFormatError, match="unknown detector"):
            timesad.load(path)

    @pytest.mark.parametrize(
        "node",
        [
            {"kind": "os.system", "fields": {"command": "true"}},
            {"kind": "SeriesScorer", "fields": {}},
            {"kind": "array", "name": "nowhere"},
            {"kind": "network", "weights": {"kind": "dict", "items": []}},
            {"no kind": 1},
            "text",
            None,
            [],
        ],
    )
    def test_a_state_that_is_not_of_a_detector(self, saved, tmp_path, node):
        path = rewritten(saved, tmp_path, lambda content: content["state"].update(scorer_=node))
        with pytest.raises(FileFormatError, match="its state is not one that timesad writes"):
            timesad.load(path)

    def test_parameters_are_validated_before_a_network_is_built(self, make_network_detector, waves, tmp_path):
        make_network_detector().fit(waves).save(tmp_path / "fitted")

        def enlarge(content):
            pairs = content["state"]["_fitted_parameters"]["items"]
            next(pair for pair in pairs if pair[0] == "model_size")[1] = 10**9

        path = rewritten((tmp_path / "fitted").read_bytes(), tmp_path, enlarge)
        with pytest.raises(FileFormatError, match="model_size"):
            timesad.load(path)

    def test_a_truncated_file(self, saved, tmp_path):
        for length in np.linspace(0, len(saved) - 1, 60).astype(int):
            (tmp_path / "short").write_bytes(saved[:length])
            with pytest.raises(FileFormatError):
                timesad.load(tmp_path / "short")

    def test_a_file_with_more_at_its_end(self, saved, tmp_path):
        (tmp_path / "long").write_bytes(saved + b"\0")
        with pytest.raises(FileFormatError):
            timesad.load(tmp_path / "long")


def damaged(data, rng):
    """The file after one random change: of a bit, of a byte, of a piece's place, or of its length."""
    kind, at = rng.integers(5), int(rng.integers(len(data)))
    in_header = rng.random() < 0.5
    at = at % min(len(data), 4000) if in_header else at
    changed = bytearray(data)
    if kind <= 1:
        changed[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        changed[at] = int(rng.integers(256))
    elif kind == 3:
        del changed[at : at + int(rng.integers(1, 9))]
    else:
        changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


def count_equal_loads(saved, path, n_changes):
    """Load the file after each of so many changes: it is refused, or nothing in it has changed."""
    rng = np.random.default_rng(0)
    path.write_bytes(saved)
    expected, equal = dict(sorted(vars(timesad.load(path)).items())), 0
    for _ in range(n_changes):
        path.write_bytes(damaged(saved, rng))
        try:
            loaded = timesad.load(path)
        except FileFormatError:
            continue
        equal += 1
        assert_same_state(dict(sorted(vars(loaded).items())), expected)
    return equal


def test_a_damaged_file_is_refused_or_equal(saved, tmp_path):
    """Equal, for example, if a byte was replaced by itself or a blank by another blank."""
    assert count_equal_loads(saved, tmp_path / "damaged", N_FLIPS) < N_FLIPS / 20


@pytest.mark.slow
def test_damaged_files_by_the_thousand(saved, tmp_path):
    assert count_equal_loads(saved, tmp_path / "damaged", N_FLIPS_OF_ALL) < N_FLIPS_OF_ALL / 20


def test_a_clone_of_a_loaded_detector_is_unfitted(saved, path):
    assert not hasattr(clone(timesad.load(path)), "scorer_")
