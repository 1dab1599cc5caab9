"""Masks hide every row once, and a hidden row does not influence its reconstruction."""

from __future__ import annotations

import pytest
import torch

from timesad.nn import BlockSettings, TimesNetNetwork, WindowSettings, complementary_masks, random_patch_mask


@pytest.mark.parametrize(("window_size", "patch_size", "n_masks"), [(96, 8, 4), (50, 7, 3), (10, 1, 2), (9, 4, 2)])
def test_every_row_is_hidden_by_exactly_one_mask(window_size, patch_size, n_masks):
    masks = complementary_masks(window_size, patch_size, n_masks)
    assert masks.shape == (n_masks, window_size)
    assert (masks.sum(dim=0) == 1).all()


def test_training_masks_hide_their_share_in_whole_patches():
    hidden = random_patch_mask(200, 96, 8, 4, torch.Generator().manual_seed(0))
    assert (hidden.sum(dim=1) == 24).all()
    assert (hidden.reshape(200, 12, 8).float().std(dim=2) == 0).all()
    assert len({tuple(row.tolist()) for row in hidden}) > 50


@pytest.mark.parametrize("normalize", [True, False])
def test_a_hidden_row_has_no_influence_on_its_reconstruction(normalize):
    """Otherwise an anomaly contributes to its own reconstruction, for example through the window's mean."""
    torch.manual_seed(0)
    window = WindowSettings(3, 48, 8, 0.0, normalize, 4, 4)
    network = TimesNetNetwork(window, BlockSettings(2, [12, 5], 3)).eval()
    x = torch.randn(2, 48, 3)
    hidden = network.masks[1].expand(2, -1)
    changed = torch.where(hidden[..., None], x + 100.0, x)
    torch.testing.assert_close(network(x, hidden).reconstruction, network(changed, hidden).reconstruction)
