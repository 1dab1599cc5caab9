"""Which rows of a window are hidden from the network, so that a row is rebuilt from its context and not copied."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["complementary_masks", "random_patch_mask"]


def random_patch_mask(batch: int, window_size: int, patch_size: int, n_masks: int, device: torch.device) -> Tensor:
    """For each window, one random share of ``1 / n_masks`` of its patches.

    Returns
    -------
    hidden : Tensor of bool, shape (batch, window_size)
        True where a row is hidden. At least one patch is hidden and, from two patches on, at least one is not.
    """
    n_patches = -(-window_size // patch_size)
    n_hidden = max(1, round(n_patches / n_masks))
    order = torch.rand(batch, n_patches, device=device).argsort(dim=1)  # (batch, patch)
    hidden = order < n_hidden
    return hidden.repeat_interleave(patch_size, dim=1)[:, :window_size]


def complementary_masks(window_size: int, patch_size: int, n_masks: int) -> Tensor:
    """`n_masks` masks that hide every ``n_masks``-th patch in turn: each row is hidden by exactly one of them.

    None at all for ``n_masks=0``.

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
