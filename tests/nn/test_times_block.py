"""The TimesNet block equals the official one, with one convolution instead of six, and is independent of its batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from timesad.nn import InceptionConv2d, TimesBlock
from timesad.nn.convolution import convolve_cropped
from timesad.nn.times_block import fold, gelu, unfold

N_KERNELS = 6


@pytest.fixture
def official(golden_folder):
    with np.load(golden_folder / "times_block_official.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture
def weights(official):
    return {
        name.removeprefix("w_").replace("__", "."): value for name, value in official.items() if name.startswith("w_")
    }


def test_inception_equals_the_official_six_convolutions(official, weights):
    inception = InceptionConv2d(6, 8, N_KERNELS).double()
    inception.load_state_dict({k.removeprefix("conv.0."): v for k, v in weights.items() if k.startswith("conv.0.")})
    output = inception(official["inception_input"])
    torch.testing.assert_close(output, official["inception_output"], rtol=0, atol=1e-10)


def test_block_equals_the_official_one_given_its_periods(official, weights, float64):
    window_size = official["x"].shape[1]
    frequencies = official_frequencies(official["x"], official["amplitudes"])
    periods = official["periods"].tolist()
    assert [window_size // f for f in frequencies] == periods
    block = TimesBlock(window_size, 6, 8, periods, N_KERNELS, frequencies)
    block.load_state_dict(weights)
    torch.testing.assert_close(block.amplitudes(official["x"]), official["amplitudes"], rtol=0, atol=1e-10)
    torch.testing.assert_close(block(official["x"]), official["output"], rtol=0, atol=1e-10)


def official_frequencies(x, amplitudes):
    """Bins of the spectrum at which the reference computed its amplitudes."""
    spectrum = torch.fft.rfft(x, dim=1).abs().mean(dim=-1)  # (batch, frequency)
    return [int((spectrum - column[:, None]).abs().sum(dim=0).argmin()) for column in amplitudes.T]


def six_convolutions(inception, grid):
    return torch.stack([kernel(grid) for kernel in inception.kernels]).mean(dim=0)


@pytest.mark.parametrize("shape", [(5, 10), (2, 50), (34, 3), (1, 1), (1, 30)])
def test_cropping_to_the_grid_changes_nothing(shape):
    """Values and gradients equal those of six separate convolutions, also for a grid smaller than the kernel."""
    torch.manual_seed(0)
    inception = InceptionConv2d(3, 4, N_KERNELS).double()
    grid = torch.randn(2, 3, *shape, dtype=torch.float64)
    one, six = inception(grid), six_convolutions(inception, grid)
    torch.testing.assert_close(one, six, rtol=0, atol=1e-10)
    parameters = list(inception.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(one.square().sum(), parameters),
        torch.autograd.grad(six.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


def test_cropped_kernel_has_only_taps_that_can_meet_the_grid(monkeypatch):
    sizes = []
    real = nn.functional.conv2d
    monkeypatch.setattr(
        "timesad.nn.times_block.F.conv2d",
        lambda grid, weight, *args, **kwargs: sizes.append(weight.shape[-2:]) or real(grid, weight, *args, **kwargs),
    )
    weight, bias = InceptionConv2d(1, 1, N_KERNELS).merged()
    convolve_cropped(torch.zeros(1, 1, 3, 40), weight, bias)
    assert sizes == [(5, 11)]


@pytest.mark.parametrize("period", [1, 2, 7, 50, 64])
def test_unfold_undoes_fold(period):
    x = torch.randn(3, 50, 4)
    assert torch.equal(unfold(fold(x, period), 50), x)


def test_fold_writes_one_period_per_row():
    grid = fold(torch.arange(10.0)[None, :, None], 4)
    assert grid[0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]


def test_output_does_not_depend_on_the_other_windows():
    torch.manual_seed(0)
    block = TimesBlock(48, 8, 8, [12, 5], 3).double()
    x = torch.randn(5, 48, 8, dtype=torch.float64)
    x[1:] *= 100  # other windows with another spectrum
    torch.testing.assert_close(block(x)[:1], block(x[:1]), rtol=1e-12, atol=1e-12)


def test_gradient_of_a_zero_window_is_finite():
    """The amplitude of a zero window is a norm at 0, where the square root has an infinite slope."""
    block = TimesBlock(48, 8, 8, [12, 5], 3)
    x = torch.zeros(2, 48, 8, requires_grad=True)
    block(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("low", [-8.0, -12.5, -14.0, -50.0])
def test_gelu_is_torchs_and_its_gradient_is_never_subnormal(low):
    """Torch's gradient is subnormal at -13, and products with subnormal numbers take many times as long."""
    x = torch.linspace(low, 5.0, 1000, requires_grad=True)
    gelu(x).backward(torch.full_like(x, 1e-3))
    gradient = x.grad.abs()
    assert torch.equal(gelu(x), nn.functional.gelu(x))
    assert not ((gradient > 0) & (gradient < torch.finfo(torch.float32).tiny)).any()
    expected = torch.autograd.grad(nn.functional.gelu(x).sum(), x)[0] * 1e-3
    torch.testing.assert_close(x.grad, expected, rtol=0, atol=1e-16)


class TestFrozen:
    """Inside `frozen`, kernels are computed once."""

    @pytest.mark.parametrize("features", [8, 64])
    def test_output_is_equal_with_kernels_computed_once(self, features, monkeypatch):
        torch.manual_seed(0)
        block = TimesBlock(100, features, features, [10, 20], N_KERNELS)
        x = torch.randn(3, 100, features)
        expected = block(x)
        with block.frozen():
            monkeypatch.setattr(InceptionConv2d, "merged", None)  # a further call raises
            assert torch.equal(block(x), expected)
            assert torch.equal(block(x), expected)

    def test_uses_new_weights_afterwards_and_trains(self):
        torch.manual_seed(0)
        block = TimesBlock(48, 8, 8, [12, 5], 3)
        x = torch.randn(2, 48, 8)
        with block.frozen():
            before = block(x)
        with torch.no_grad():
            block.conv[0].kernels[0].weight.add_(1.0)
        after = block(x)
        assert not torch.allclose(before, after)
        after.sum().backward()
        assert all(parameter.grad is not None for parameter in block.parameters())
