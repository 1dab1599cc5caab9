"""Precision of the constants that networks hold beside their weights."""

from __future__ import annotations

import torch

__all__ = ["constant_dtype"]


def constant_dtype() -> torch.dtype:
    """Torch's default type of numbers, and float32 at least: half precision would round the constants."""
    return torch.promote_types(torch.get_default_dtype(), torch.float32)
