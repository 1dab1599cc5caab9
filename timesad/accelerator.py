"""Fast and repeatable use of an accelerator; on a processor nothing of this has an effect.

For networks this small, the host needs longer to launch the kernels of a step than the accelerator to run them. Copies
are therefore asynchronous, and the kernels of a batch are recorded once as a CUDA graph and replayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Recorded", "repeatable_convolutions", "send"]

Work = Callable[[Tensor], dict[str, Tensor]]

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


@contextmanager
def repeatable_convolutions() -> Iterator[None]:
    """Context in which an accelerator's convolutions round the same every time; they are a little slower.

    By default the library adds the parts of a kernel's gradient in the order in which they are ready.
    """
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    input: Tensor  # read by the kernels
    output: dict[str, Tensor]  # written by the kernels


class Recorded:
    """A function of a tensor, recorded as a CUDA graph after a few calls with the same shape.

    The first calls run normally. Then the kernels are recorded, and later calls replay them: one launch in place of
    some hundred. On other devices all calls run normally.

    Parameters
    ----------
    work : callable
        Returns tensors by name. It launches the same kernels for every tensor of a shape and reads none of their
        results on the host. Random numbers that it draws on the device are new in every call.

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
        self._calls: Counter[torch.Size] = Counter()
        self._recordings: dict[torch.Size, _Recording] = {}
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Run the function on x; the returned tensors belong to the caller."""
        if x.device.type != "cuda":
            return self._work(x)
        with torch.cuda.device(x.device):
            if x.shape in self._recordings:
                return self._replayed(x)
            self._calls[x.shape] += 1
            if self._calls[x.shape] <= CALLS_BEFORE:
                return self._aside(x)
            self._recordings[x.shape] = self._record(x)
            return self._replayed(x)

    def _aside(self, x: Tensor) -> dict[str, Tensor]:
        """Run on a separate stream, as a recording requires."""
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            output = self._work(x)
        here.wait_stream(self._stream)
        return output

    def _record(self, x: Tensor) -> _Recording:
        graph, copy = torch.cuda.CUDAGraph(), x.clone()
        # Other threads may use the device during the recording.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            output = self._work(copy)
        return _Recording(graph, copy, output)

    def _replayed(self, x: Tensor) -> dict[str, Tensor]:
        graph, copy, output = self._recordings[x.shape]
        copy.copy_(x)
        graph.replay()
        return {name: value.clone() for name, value in output.items()}
