"""What keeps an accelerator busy and its results the same every time; on a processor nothing of it is needed.

Networks as small as these give an accelerator less work than a host can ask for: of a training step's time most would
be the host's. Copies therefore take their turn among the device's work, and what is done to every batch is recorded
once and then asked for as a whole.
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

CALLS_BEFORE = 3  # of one shape, before a recording pays; libraries and optimizers also set themselves up in the first


def send(x: Tensor, device: torch.device) -> Tensor:
    """A host's tensor on a device, without the host waiting for what the device was given before.

    A copy from memory that may be paged out needs the host's attention until it is done; one from page-locked memory
    does not.
    """
    if device.type != "cuda":
        return x.to(device)
    locked = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    np.copyto(locked.numpy(), x.numpy())  # by one thread; torch would wake up all and let them spin
    return locked.to(device, non_blocking=True)


@contextmanager
def repeatable_convolutions() -> Iterator[None]:
    """Within it an accelerator convolves in ways that round the same every time, at the price of some speed.

    The library's own choice adds the gradient of a kernel up in whatever order its parts are ready.
    """
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    given: Tensor  # what the kernels read
    answer: dict[str, Tensor]  # what they write


class Recorded:
    """Work on a tensor that an accelerator repeats by itself, once it was done a few times for a tensor of that shape.

    The first calls run as they are. Then the kernels are recorded as a CUDA graph, and further calls replay it: the
    host says once what is to be done where it otherwise would ask for each of some hundred kernels. Everywhere but on
    a CUDA device all calls run as they are.

    Parameters
    ----------
    work : callable
        Does the same with every tensor of a shape: it asks the device for kernels and reads none of their results.
        Returns tensors by name. Random numbers that it draws on the device are new ones in every call.

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
        """Do the work on x; the tensors returned are the caller's."""
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
        """The work on a stream of its own, where alone it can be recorded later."""
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            answer = self._work(x)
        here.wait_stream(self._stream)
        return answer

    def _record(self, x: Tensor) -> _Recording:
        graph, given = torch.cuda.CUDAGraph(), x.clone()
        # Other threads may go on using the device while this one records.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            answer = self._work(given)
        return _Recording(graph, given, answer)

    def _replayed(self, x: Tensor) -> dict[str, Tensor]:
        graph, given, answer = self._recordings[x.shape]
        given.copy_(x)
        graph.replay()
        return {name: value.clone() for name, value in answer.items()}
