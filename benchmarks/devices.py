"""Where the peers with a network compute."""

from __future__ import annotations

import torch

AUTO = "auto"


def torch_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is "cuda" where available, else "cpu"."""
    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
