"""Fast and repeatable use of an accelerator; on a processor nothing of this has an effect.

For networks this small, the host needs longer to launch the kernels of a step than the accelerator to run them. Copies
are therefore asynchronous, and the kernels of a batch are recorded once as a CUDA graph and replayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Recorded", "repeatable_convolutions", "send"]

Work = Callable[..., dict[str, Tensor]]
Shapes = tuple[torch.Size | None, ...]

CALLS_BEFORE = 3  # of one shape before it is recorded; libraries and optimisers set themselves up in the first


def send(x: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor to a device without waiting for the work in the device's queue.

    A copy from pageable memory blocks the host until it is done; a copy from page-locked memory does not.
    """
    if device.type != "cuda":
        return x.to(device)
    locked = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    np.copyto(locked.numpy(), x.numpy())  # in one thread; torch would start all threads
    return locked.to(device, non_blocking=True)


class _Repeatable:
    """How many contexts of `repeatable_convolutions` are open, and torch's setting before the first one."""

    lock = Lock()
    n_open = 0
    before = False


@contextmanager
def repeatable_convolutions(device: torch.device) -> Iterator[None]:
    """Context in which an accelerator's convolutions round the same every time; they are a little slower.

    By default the library adds the parts of a kernel's gradient in the order in which they are ready. Torch has one
    setting for all threads. The first context that opens sets it, and the last one that closes restores it.
    """
    if device.type != "cuda":
        yield
        return
    with _Repeatable.lock:
        if _Repeatable.n_open == 0:
            _Repeatable.before = torch.backends.cudnn.deterministic
            torch.backends.cudnn.deterministic = True
        _Repeatable.n_open += 1
    try:
        yield
    finally:
        with _Repeatable.lock:
            _Repeatable.n_open -= 1
            if _Repeatable.n_open == 0:
                torch.backends.cudnn.deterministic = _Repeatable.before


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor | None, ...]  # read by the kernels
    output: dict[str, Tensor]  # written by the kernels


class Recorded:
    """A function of tensors, recorded as a CUDA graph after a few calls with the same shapes.

    The first calls run normally. Then the kernels are recorded, and later calls replay them: one launch in place of
    some hundred. On other devices all calls run normally.

    Parameters
    ----------
    work : callable
        Returns tensors by name. It launches the same kernels for all tensors of the same shapes, reads none of their
        results on the host, and draws no random numbers.

    Examples
    --------
    >>> import torch
    >>> from timesad.accelerator import Recorded
    >>> double = Recorded(lambda x: {"twice": 2 * x})
    >>> double(torch.ones(2))["twice"].tolist()
    [2.0, 2.0]
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._calls: Counter[Shapes] = Counter()
        self._recordings: dict[Shapes, _Recording] = {}
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, x: Tensor, *others: Tensor | None) -> dict[str, Tensor]:
        """Run the function; the tensors are on one device, and those returned belong to the caller."""
        if x.device.type != "cuda":
            return self._work(x, *others)
        inputs = (x, *others)
        shapes = tuple(None if one is None else one.shape for one in inputs)
        with torch.cuda.device(x.device):
            if shapes in self._recordings:
                return self._replayed(shapes, inputs)
            self._calls[shapes] += 1
            if self._calls[shapes] <= CALLS_BEFORE:
                return self._aside(inputs)
            self._recordings[shapes] = self._record(inputs)
            return self._replayed(shapes, inputs)

    def _aside(self, inputs: tuple[Tensor | None, ...]) -> dict[str, Tensor]:
        """Run on a separate stream, as a recording requires."""
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            output = self._work(*inputs)
        here.wait_stream(self._stream)
        return output

    def _record(self, inputs: tuple[Tensor | None, ...]) -> _Recording:
        graph, copies = torch.cuda.CUDAGraph(), tuple(None if one is None else one.clone() for one in inputs)
        # Other threads may use the device during the recording.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            output = self._work(*copies)
        return _Recording(graph, copies, output)

    def _replayed(self, shapes: Shapes, inputs: tuple[Tensor | None, ...]) -> dict[str, Tensor]:
        graph, copies, output = self._recordings[shapes]
        for copy, one in zip(copies, inputs, strict=True):
            if copy is not None and one is not None:
                copy.copy_(one)
        graph.replay()
        return {name: value.clone() for name, value in output.items()}
