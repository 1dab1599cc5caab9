"""The TimesNet block: fold a window into (cycle, phase) for each period, convolve in two dimensions, unfold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .convolution import CroppedConvolution, convolve_cropped
from .precision import constant_dtype

__all__ = ["InceptionConv2d", "TimesBlock"]

GELU_IS_ZERO = -8.0  # from about -6 down GELU rounds to zero in single precision

Kernel = tuple[Tensor, Tensor]  # as a convolution prepared it, and its bias


class InceptionConv2d(nn.Module):
    """Mean of square convolutions with kernels 1, 3, …, 2n-1, evaluated as one.

    Convolution is linear in its kernel, so the mean of the outputs equals the output of the mean of the
    zero-padded kernels: one launch and (2n-1)² taps instead of n launches. The n kernels stay the
    parameters, so weights are interchangeable with TimesNet's inception block (Wu et al., ICLR 2023).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the grid before and after.
    n_kernels : int
        Kernels averaged; the largest is ``2 * n_kernels - 1`` wide.

    Shapes: (batch, in_channels, cycle, phase) -> (batch, out_channels, cycle, phase)
    """

    def __init__(self, in_channels: int, out_channels: int, n_kernels: int) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(
            _initialised(nn.Conv2d(in_channels, out_channels, 2 * index + 1, padding=index))
            for index in range(n_kernels)
        )

    def merged(self) -> tuple[Tensor, Tensor]:
        """The averaged kernel, (out, in, 2n-1, 2n-1), and the averaged bias, (out,)."""
        weight: Tensor = _MeanKernel.apply(*[kernel.weight for kernel in self.kernels])
        biases = [cast(Tensor, kernel.bias) for kernel in self.kernels]
        return weight, torch.stack(biases).mean(dim=0)

    def forward(self, grid: Tensor) -> Tensor:
        return convolve_cropped(grid, *self.merged())


class _MeanKernel(torch.autograd.Function):
    """Mean of square kernels of growing size around one centre, without padding them with zeros."""

    @staticmethod
    def forward(ctx: Any, *kernels: Tensor) -> Tensor:
        ctx.sizes = [kernel.shape[-1] for kernel in kernels]
        mean = kernels[-1] / len(kernels)
        for kernel in kernels[:-1]:
            _centre(mean, kernel.shape[-1]).add_(kernel, alpha=1 / len(kernels))
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(_centre(gradient, size) / len(ctx.sizes) for size in ctx.sizes)


def _centre(kernel: Tensor, size: int) -> Tensor:
    """The innermost taps of a larger kernel, (out, in, size, size)."""
    reach = (kernel.shape[-1] - size) // 2
    return kernel[..., reach : reach + size, reach : reach + size]


def _initialised(kernel: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(kernel.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(cast(Tensor, kernel.bias))
    return kernel


class TimesBlock(nn.Module):
    """Convolve a window over cycles and phases of each period, and mix the results by the window's amplitudes.

    Wu et al., ICLR 2023, equations 3-6, with two differences. The periods are given and not searched in every batch, so
    a window's output does not depend on the other windows of its batch. The amplitude of a period is computed by two
    inner products at its frequency, without the whole spectrum.

    Parameters
    ----------
    window_size : int
        Rows in a window.
    model_size, hidden_size : int
        Features outside and inside the block.
    periods : sequence of int
        Periods in rows.
    n_kernels : int
        Kernels in each inception convolution.
    frequencies : sequence of float, default=None
        Cycles per window at which each period's amplitude is computed; ``window_size / period`` if None.

    Shapes: (batch, time, model_size) -> (batch, time, model_size)
    """

    waves: Tensor

    def __init__(
        self,
        window_size: int,
        model_size: int,
        hidden_size: int,
        periods: Sequence[int],
        n_kernels: int,
        frequencies: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.periods = tuple(int(period) for period in periods)
        widen = InceptionConv2d(model_size, hidden_size, n_kernels)
        narrow = InceptionConv2d(hidden_size, model_size, n_kernels)
        self.conv = nn.Sequential(widen, nn.GELU(), narrow)
        self.convolutions = nn.ModuleList(
            CroppedConvolution(-(-window_size // period), period, n_kernels - 1) for period in self.periods
        )
        if frequencies is None:
            frequencies = [window_size / period for period in self.periods]
        turns = torch.arange(window_size)[:, None] * torch.tensor(frequencies, dtype=torch.float64) / window_size
        waves = torch.stack([torch.cos(2 * math.pi * turns), torch.sin(2 * math.pi * turns)], dim=-1)
        self._kernels: list[tuple[Kernel, Kernel]] | None = None  # while frozen
        self.register_buffer("waves", waves.to(constant_dtype()), persistent=False)  # (time, period, 2)

    def amplitudes(self, x: Tensor) -> Tensor:
        """Mean amplitude over features of each period in each window, shape (batch, period)."""
        parts = torch.einsum("btn,tkc->bnkc", x, self.waves)
        return torch.linalg.vector_norm(parts, dim=-1).mean(dim=1)

    def kernels(self) -> list[tuple[Kernel, Kernel]]:
        """The widening and the narrowing kernel, prepared for each period's convolution, with their biases."""
        merged = [cast(InceptionConv2d, self.conv[index]).merged() for index in (0, 2)]
        of_period = []
        for convolve in cast(Iterable[CroppedConvolution], self.convolutions):
            widen, narrow = ((convolve.prepare(weight), bias) for weight, bias in merged)
            of_period.append((widen, narrow))
        return of_period

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Context in which the weights do not change: kernels are prepared once and not in every batch."""
        with torch.inference_mode():
            self._kernels = self.kernels()
        try:
            yield
        finally:
            self._kernels = None

    def forward(self, x: Tensor) -> Tensor:
        shares = torch.softmax(self.amplitudes(x), dim=-1)  # (batch, period)
        result = x
        kernels = self._kernels or self.kernels()
        for index, (period, convolve) in enumerate(zip(self.periods, self.convolutions, strict=True)):
            widen, narrow = kernels[index]
            grid = convolve(gelu(convolve(fold(x, period), *widen)), *narrow)
            result = result + shares[:, index, None, None] * unfold(grid, self.window_size)
        return result


def gelu(x: Tensor) -> Tensor:
    """GELU, with gradient 0 where x is below -8.

    There the gradient is at most 4e-14. Below -12 it becomes a subnormal number. A processor takes many times as long
    for a product with one: a few slow down the backward pass of a wide convolution.
    """
    return F.gelu(x.clamp(min=GELU_IS_ZERO))


def fold(x: Tensor, period: int) -> Tensor:
    """(batch, time, feature) -> (batch, feature, cycle, phase), the last cycle padded with zeros.

    The result is a view with the feature axis innermost, the fastest memory format for convolutions.
    """
    cycles = -(-x.shape[1] // period)
    padded = F.pad(x, (0, 0, 0, cycles * period - x.shape[1]))
    return padded.reshape(x.shape[0], cycles, period, x.shape[2]).permute(0, 3, 1, 2)


def unfold(grid: Tensor, window_size: int) -> Tensor:
    """(batch, feature, cycle, phase) -> (batch, time, feature), without the padding."""
    return grid.permute(0, 2, 3, 1).flatten(1, 2)[:, :window_size]
