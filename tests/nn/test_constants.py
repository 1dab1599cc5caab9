"""Constants of the networks, on numbers that can be computed by hand."""

from __future__ import annotations

from math import log, sqrt

import pytest
import torch

from timesad.nn import WindowSettings, symmetric_kl
from timesad.nn.networks import window_statistics


def test_scale_of_a_window_has_a_floor_of_a_tenth():
    """Variance 4 and variance 0, of the visible rows: sqrt(4 + 0.01) and sqrt(0.01)."""
    x = torch.tensor([[[1.0, 7.0], [5.0, 7.0], [99.0, 99.0]]])
    mean, scale = window_statistics(x, torch.tensor([1.0, 1.0, 0.0])[None, :, None])
    assert mean[0, 0].tolist() == [3.0, 7.0]
    torch.testing.assert_close(scale[0, 0], torch.tensor([sqrt(4.01), 0.1]))


def test_divergence_has_a_ten_thousandth_in_each_logarithm():
    """S = (1, 0) and P = (0, 1): twice log(1.0001 / 0.0001)."""
    series = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
    assert symmetric_kl(series, series.flip(-1)).item() == pytest.approx(2 * log(1.0001 / 0.0001))


def test_gradient_of_the_divergence_has_the_same_floor():
    series = torch.tensor([[[[0.7, 0.3, 0.0]]]], dtype=torch.float64, requires_grad=True)
    prior = torch.tensor([[[[0.0, 0.2, 0.8]]]], dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(symmetric_kl(series, prior).sum(), [series, prior])
    plain = ((series - prior) * torch.log((series + 1e-4) / (prior + 1e-4))).sum()
    torch.testing.assert_close(found, torch.autograd.grad(plain, [series, prior]))


@pytest.mark.parametrize(("window_size", "patch_rows"), [(4, 1), (7, 1), (20, 5), (32, 8), (96, 8)])
def test_a_patch_is_a_quarter_of_the_window_and_at_most_eight_rows(window_size, patch_rows):
    settings = WindowSettings(n_channels=1, window_size=window_size, model_size=2)
    assert (settings.n_masks, settings.patch_rows) == (4, patch_rows)
