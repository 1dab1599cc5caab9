"""Rows of a window that are hidden from the network: it predicts a row from its context and cannot copy it."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["complementary_masks", "random_patch_mask"]


def random_patch_mask(
    batch: int, window_size: int, patch_size: int, n_masks: int, generator: torch.Generator
) -> Tensor:
    """Hide a random share ``1 / n_masks`` of the patches of each window; drawn on the CPU, the same for all devices.

    Returns
    -------
    hidden : Tensor of bool, shape (batch, window_size)
        True for hidden rows. At least one patch is hidden and, from two patches on, at least one is visible.
    """
    n_patches = -(-window_size // patch_size)
    n_hidden = max(1, round(n_patches / n_masks))
    order = torch.rand(batch, n_patches, generator=generator, dtype=torch.float32).argsort(dim=1)  # (batch, patch)
    hidden = order < n_hidden
    return hidden.repeat_interleave(patch_size, dim=1)[:, :window_size]


def complementary_masks(window_size: int, patch_size: int, n_masks: int) -> Tensor:
    """`n_masks` masks; mask k hides the patches k, k + n_masks, …, so each row is hidden by exactly one of them.

    ``n_masks=0`` gives no mask.

    Returns
    -------
    hidden : Tensor of bool, shape (n_masks, window_size)

    Examples
    --------
    >>> from timesad.nn import complementary_masks
    >>> complementary_masks(window_size=4, patch_size=1, n_masks=2).int().tolist()
    [[1, 0, 1, 0], [0, 1, 0, 1]]
    """
    patch = torch.arange(window_size) // patch_size
    return patch % max(n_masks, 1) == torch.arange(n_masks)[:, None]
