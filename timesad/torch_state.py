"""Torch as this library needs it, whatever the caller has set: for one call, and in this thread alone.

Torch keeps much of its state outside of tensors: a mode without gradients, automatic half precision, a default device,
a default type of numbers, one random generator for all threads. None of it may change a score.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["Building", "plain_torch"]

IMPORTED_BY = os.getpid()
DRAWS = frozenset(
    {
        torch.nn.init.kaiming_normal_,
        torch.nn.init.kaiming_uniform_,
        torch.nn.init.normal_,
        torch.nn.init.uniform_,
        torch.nn.init.xavier_uniform_,
        torch.Tensor.normal_,
        torch.Tensor.uniform_,
        torch.rand,
        torch.randn,
    }
)
FACTORIES = frozenset({torch.empty, torch.ones, torch.zeros, torch.rand, torch.randn})


@contextmanager
def plain_torch(device: torch.device | str) -> Iterator[None]:
    """Context with gradients allowed, no inference mode, no autocast, and new tensors on the CPU.

    In a process that was forked after the import, torch is set to one thread for good: the threads of the parent do
    not exist there, and torch would wait for them for ever.

    Parameters
    ----------
    device : torch.device or str
        Where to compute.

    Examples
    --------
    >>> import torch
    >>> from timesad.torch_state import plain_torch
    >>> with torch.no_grad(), plain_torch("cpu"):
    ...     torch.is_grad_enabled()
    True
    """
    if os.getpid() != IMPORTED_BY and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", torch.device(device).type}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # entered only then: it slows every operation
            stack.enter_context(torch.device("cpu"))
        yield


class Building(TorchFunctionMode):
    """Context for building a network: new tensors are float32, and random weights come from one generator.

    Parameters
    ----------
    generator : torch.Generator
        Where initial weights are drawn from. Torch's global generator does not move.

    Examples
    --------
    >>> import torch
    >>> from timesad.torch_state import Building
    >>> before = torch.get_rng_state()
    >>> with Building(torch.Generator().manual_seed(0)):
    ...     layer = torch.nn.Linear(2, 3)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = dict(kwargs or {})
        if func in DRAWS and named.get("generator") is None:
            named["generator"] = self.generator
        if func in FACTORIES and named.get("dtype") is None:
            named["dtype"] = torch.float32
        return func(*args, **named)
