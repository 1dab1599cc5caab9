"""Save a detector in a file that loading never executes: safetensors for arrays, JSON for all else, and a checksum.

Format 1 is a safetensors file. Its metadata have one entry, ``timesad``, which is JSON: ``content`` and ``sha256``, the
checksum of the content and of all arrays. The content is the format, the version that wrote it, the class, the
parameters and the fitted state. A value in it is a number, a string, a list, or an object with its kind.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .alarm_events import AlarmTracker
from .alarms import Alarm, AlarmFinder
from .calibration import TailCalibration
from .exceptions import FileFormatError
from .neighbors import ChannelCalibration, NeighborScorer, TrainingWindows
from .nn.networks import ReconstructionNetwork
from .reconstruction import ChannelScorer, HorizonScorer, ReconstructionScorer
from .row_errors import PositionCalibration
from .scaling import ChannelScaling
from .scoring import RowEvidence, ScoreSettings, SeriesScorer
from .thresholds import ScoreTail
from .torch_state import Building, plain_torch
from .windows import WindowSet

if TYPE_CHECKING:
    from ._base import BaseSeriesDetector

__all__ = ["FORMAT", "file_of", "load", "save_detector"]

FORMAT = 1  # raise it when an older version cannot load the file; every format that was released stays loadable
ENTRY = "timesad"  # of the metadata
KIND = "kind"  # key of a node of the tree

# Kinds of nodes that are objects. No other class is ever created.
STORED: tuple[type, ...] = (
    Alarm,
    AlarmFinder,
    AlarmTracker,
    ChannelCalibration,
    ChannelScaling,
    ChannelScorer,
    HorizonScorer,
    NeighborScorer,
    PositionCalibration,
    ReconstructionScorer,
    RowEvidence,
    ScoreSettings,
    ScoreTail,
    SeriesScorer,
    TailCalibration,
    TrainingWindows,
    WindowSet,
)
CLASSES = {stored.__name__: (stored, tuple(signature(stored).parameters)) for stored in STORED}

Arrays = dict[str, NDArray[Any]]


def save_detector(
    detector: BaseSeriesDetector, path: str | os.PathLike[str], stream: dict[str, Any] | None = None
) -> None:
    """Write a detector to a file, and the state of a stream with it; see `BaseSeriesDetector.save`."""
    if _detector_class(type(detector).__name__) is not type(detector):
        raise TypeError(
            f"{type(detector).__name__} is no detector of timesad, so timesad.load could not create it. Use "
            "joblib.dump."
        )
    encoder = _Encoder()
    parameters = detector.get_params(deep=False)
    unsaved = {*parameters, "_metadata_request"}  # requests are objects of scikit-learn
    state = {name: value for name, value in sorted(vars(detector).items()) if name not in unsaved}
    content = {
        "format": FORMAT,
        "version": _version(),
        "class": type(detector).__name__,
        "parameters": {name: encoder.encode(value, f"parameters.{name}") for name, value in parameters.items()},
        "state": {name: encoder.encode(value, f"state.{name}") for name, value in state.items()},
    }
    if stream is not None:
        content["stream"] = {
            name: encoder.encode(value, f"stream.{name}") for name, value in stream.items() if value is not detector
        }
    _write_atomically(Path(path), file_of(content, encoder.arrays))


def file_of(content: dict[str, Any], arrays: Arrays) -> bytes:
    """A file with its checksum."""
    entry = {"sha256": _checksum(content, arrays), "content": content}
    return save(arrays, {ENTRY: json.dumps(entry)})


def load(path: str | os.PathLike[str]) -> Any:
    """Load a detector that `BaseSeriesDetector.save` wrote, or a stream. Nothing in the file is executed.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    detector : BaseSeriesDetector or Stream
        With its parameters and its fitted state, on the CPU. Its scores are those of the saved detector; `device` takes
        effect at the next call.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, is no detector, or was written by a newer version.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import timesad
    >>> X = np.sin(np.arange(400) / 4)[:, None] + np.random.default_rng(0).normal(scale=0.1, size=(400, 1))
    >>> detector = timesad.NearestWindowsDetector(window_size=32).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "pump.safetensors")
    ...     detector.save(path)
    ...     loaded = timesad.load(path)
    >>> bool((loaded.decision_function(X) == detector.decision_function(X)).all())
    True
    """
    content, arrays = _read(Path(path))
    try:
        class_name, version = content["class"], content["version"]
        detector_class = _detector_class(class_name)
        if detector_class is None:
            _refuse(path, f"it has an unknown detector, {class_name!r} of timesad {version}")
        decoder = _Decoder(detector_class, arrays)
        detector = decoder.detector(content)
        if "stream" not in content:
            return detector
        from .streams import Stream  # imported here: it imports this module

        return Stream.resumed(detector, {name: decoder.decode(node) for name, node in content["stream"].items()})
    except FileFormatError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{path} is no detector that can be loaded: its state is not one that timesad writes "
            f"({type(error).__name__}: {error})."
        ) from error


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The content and the arrays, after the checks that need no detector."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file.")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:
        raise FileFormatError(
            f"{path} is no detector that can be loaded: it is damaged or no safetensors file ({error})."
        ) from error
    if ENTRY not in metadata:
        _refuse(path, "it is a safetensors file that timesad did not write")
    try:
        entry = json.loads(metadata[ENTRY])
        content, checksum, found = entry["content"], entry["sha256"], entry["content"]["format"]
    except (KeyError, RecursionError, TypeError, ValueError):
        _refuse(path, "it is damaged")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        _refuse(path, f"its format is {found!r}")
    if found > FORMAT:
        _refuse(path, f"it has format {found}, and this version reads up to {FORMAT}. Use a newer version of timesad")
    if checksum != _checksum(content, arrays):
        _refuse(path, "its checksum is wrong, so it was damaged or changed")
    return content, arrays


def _refuse(path: str | os.PathLike[str], why: str) -> NoReturn:
    raise FileFormatError(f"{path} is no detector that can be loaded: {why}.")


def _version() -> str:
    from . import __version__  # imported here: the package imports this module

    return __version__


def _detector_class(name: Any) -> type[BaseSeriesDetector] | None:
    """The detector that timesad exports under this name, or None."""
    import timesad

    from ._base import BaseSeriesDetector

    found = getattr(timesad, name, None) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, BaseSeriesDetector) else None


def _checksum(content: dict[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(content).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a file that another process reads as a whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


class _Encoder:
    """Turns a state into a tree; `arrays` collects its arrays by name."""

    def __init__(self) -> None:
        self.arrays: Arrays = {}

    def encode(self, value: Any, where: str) -> Any:
        """A node of the tree; `where` names an array, and the value in an error."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, ReconstructionNetwork):
            weights = {name: weight.detach().cpu().numpy() for name, weight in value.state_dict().items()}
            return {KIND: "network", "weights": self.encode(weights, where)}
        if type(value).__name__ in CLASSES and CLASSES[type(value).__name__][0] is type(value):
            names = CLASSES[type(value).__name__][1]
            fields = {name: self.encode(getattr(value, name), f"{where}.{name}") for name in names}
            return {KIND: type(value).__name__, "fields": fields}
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, dict) and all(isinstance(name, str) for name in value):
            pairs = [[name, self.encode(one, f"{where}.{name}")] for name, one in value.items()]
            return {KIND: "dict", "items": pairs}
        if isinstance(value, (list, tuple)):
            items = [self.encode(one, f"{where}.{number}") for number, one in enumerate(value)]
            return items if isinstance(value, list) else {KIND: "tuple", "items": items}
        if isinstance(value, torch.device):
            return {KIND: "device", "name": str(value)}
        if isinstance(value, np.random.RandomState):
            return {KIND: "RandomState", "state": self.encode(value.get_state(), where)}
        raise TypeError(
            f"{where} is a {type(value).__name__}, which save cannot store: {value!r}. Use joblib.dump, or a number in "
            "its place."
        )

    def _array(self, array: NDArray[Any], where: str) -> dict[str, Any]:
        if array.dtype.kind in "OUT":
            return {KIND: "names", "items": [self.encode(one, where) for one in array.tolist()]}
        self.arrays[where] = np.ascontiguousarray(array).reshape(array.shape)
        return {KIND: "array", "name": where}


class _Decoder:
    """Turns a tree back into a detector."""

    def __init__(self, detector_class: type[BaseSeriesDetector], arrays: Arrays) -> None:
        self._detector = detector_class()
        self._arrays = arrays
        self._kinds: dict[str, Callable[[dict[str, Any]], Any]] = {
            "RandomState": self._random_state,
            "array": lambda node: self._arrays[node["name"]].copy(),
            "device": lambda node: torch.device(node["name"]),
            "dict": lambda node: {name: self.decode(one) for name, one in node["items"]},
            "names": lambda node: np.array([self.decode(one) for one in node["items"]], dtype=object),
            "network": self._network,
            "tuple": lambda node: tuple(self.decode(one) for one in node["items"]),
        }

    def detector(self, content: dict[str, Any]) -> BaseSeriesDetector:
        """The detector with its parameters and its state."""
        parameters = {name: self.decode(node) for name, node in content["parameters"].items()}
        state = content["state"]
        fitted = self.decode(state["_fitted_parameters"]) if "_fitted_parameters" in state else {}
        for of_a_fit in (parameters, fitted):
            self._detector.set_params(**of_a_fit)
        if fitted:  # the network is built from them, and must not be of any size
            self._detector._validate_params()
        # The scorer needs the attributes that the network is built from.
        for name in sorted(state, key=lambda name: name == "scorer_"):
            setattr(self._detector, name, self.decode(state[name]))
        if "scorer_" in state and not isinstance(self._detector.scorer_, SeriesScorer):
            raise TypeError("scorer_ is no SeriesScorer")
        return self._detector.set_params(**parameters)

    def decode(self, node: Any) -> Any:
        """The value of a node."""
        if isinstance(node, list):
            return [self.decode(one) for one in node]
        if not isinstance(node, dict):
            return node
        kind = node[KIND]
        if kind in CLASSES:
            cls, names = CLASSES[kind]
            fields = node["fields"]  # a field that came later has its default
            return cls(**{name: self.decode(fields[name]) for name in names if name in fields})
        return self._kinds[kind](node)

    def _random_state(self, node: dict[str, Any]) -> np.random.RandomState:
        state = np.random.RandomState()
        state.set_state(self.decode(node["state"]))
        return state

    def _network(self, node: dict[str, Any]) -> ReconstructionNetwork:
        weights = {name: torch.from_numpy(array) for name, array in self.decode(node["weights"]).items()}
        with plain_torch("cpu"), Building(torch.Generator()):
            network: ReconstructionNetwork = self._detector._build_network().float()
            network.load_state_dict(weights)
        return network.eval()
