"""Where the peers with a network compute, and with which random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

AUTO = "auto"


def torch_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is "cuda" where available, else "cpu"."""
    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def own_generator(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's generators inside the block, and restore their states after it. For one thread at a time."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield
