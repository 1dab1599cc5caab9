"""Same-size convolution of small grids with large square kernels: direct or by frequency, whichever is less work."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .precision import constant_dtype
from .products import transform

__all__ = ["Convolution", "CroppedConvolution", "SpectralConvolution", "choose_convolution", "convolve_cropped"]

MIN_SAVING = 2.5  # ratio of multiplications, direct to spectral; smaller products are less efficient


def meeting_reach(size: int, reach: int) -> int:
    """Largest distance of a tap that can meet a cell and not only padding, along an axis of `size` cells."""
    return min(reach, size - 1)


def crop(weight: Tensor, high: int, wide: int) -> Tensor:
    """The taps at most `high` rows and `wide` columns from the kernel's centre."""
    reach = weight.shape[-1] // 2
    return weight[:, :, reach - high : reach + high + 1, reach - wide : reach + wide + 1]


def convolve_cropped(grid: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Same-size convolution without the taps that can only meet padding.

    On a grid of 3 cycles, a row of the kernel more than 2 away from its centre meets only zeros.
    """
    height, width = grid.shape[-2:]
    convolve = CroppedConvolution(height, width, weight.shape[-1] // 2)
    result: Tensor = convolve(grid, convolve.prepare(weight), bias)
    return result


class CroppedConvolution(nn.Module):
    """`convolve_cropped` for grids of one size, with kernels that are cropped once.

    Parameters
    ----------
    height, width : int
        Size of the grids.
    reach : int
        Largest distance of a tap from the kernel's centre; the kernels are ``2 * reach + 1`` wide.

    Shapes: (batch, in, height, width), the output of `prepare`, (out,) -> (batch, out, height, width)
    """

    def __init__(self, height: int, width: int, reach: int) -> None:
        super().__init__()
        self.high, self.wide = meeting_reach(height, reach), meeting_reach(width, reach)
        self.tall = height > width

    def prepare(self, weight: Tensor) -> Tensor:
        """Kernels for `forward`, from (out, in, kernel, kernel)."""
        return crop(weight, self.high, self.wide)

    def forward(self, grid: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        if grid.device.type != "cpu" or not self.tall:
            return F.conv2d(grid, kernel, bias, padding=(self.high, self.wide))
        # A processor convolves along the last axis: a tall grid that is not transposed takes up to three times as long.
        wide = grid.transpose(2, 3).contiguous(memory_format=torch.channels_last)
        return F.conv2d(wide, kernel.transpose(2, 3), bias, padding=(self.wide, self.high)).transpose(2, 3)


class SpectralConvolution(nn.Module):
    """Convolution in the frequency domain, with the Fourier transform as a matrix product.

    A kernel nearly as large as its grid needs many multiplications per cell, and one per frequency. The transform is a
    product with a matrix of cosines and sines; at the size of a window this is cheaper than a fast transform and needs
    no complex numbers. The method is faster for networks with many features; with few, the transforms cost more than
    they save.

    Grids are padded with as many zeros as the kernel reaches, so the periodic transform meets zeros only. One of each
    pair of conjugate frequencies is kept.

    Parameters
    ----------
    height, width : int
        Size of the grids.
    reach : int
        Largest distance of a tap from the kernel's centre; the kernels are ``2 * reach + 1`` wide.

    Shapes: (batch, in, height, width), the output of `prepare`, (out,) -> (batch, out, height, width)
    """

    analysis: Tensor
    taps: Tensor
    synthesis: Tensor

    def __init__(self, height: int, width: int, reach: int) -> None:
        super().__init__()
        self.high, self.wide = meeting_reach(height, reach), meeting_reach(width, reach)
        rows, columns = height + self.high, width + self.wide
        frequencies, multiplicity = _frequencies(rows, columns)
        positions = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()  # (cell, 2)
        offsets = torch.cartesian_prod(
            torch.arange(-self.high, self.high + 1), torch.arange(-self.wide, self.wide + 1)
        ).double()  # (tap, 2)
        angle = frequencies @ positions.T  # (frequency, cell)
        shift = frequencies @ offsets.T
        waves = torch.cat([angle.cos(), -angle.sin()])  # (2 frequency, cell)
        parts = {
            "analysis": waves,
            "taps": torch.cat([shift.cos(), shift.sin()]),  # a network's convolution is a correlation: conjugate
            "synthesis": (waves * multiplicity.repeat(2)[:, None]).T / (rows * columns),
        }
        for name, matrix in parts.items():
            self.register_buffer(name, matrix.to(constant_dtype()).contiguous(), persistent=False)

    def prepare(self, weight: Tensor) -> Tensor:
        """Kernels by frequency: (out, in, kernel, kernel) -> (in, 2, frequency, out); real and imaginary part."""
        n_out, n_in = weight.shape[:2]
        seen = crop(weight, self.high, self.wide).permute(1, 2, 3, 0).reshape(n_in, -1, n_out)
        return transform(self.taps, seen).view(n_in, 2, -1, n_out)

    def forward(self, grid: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        batch, n_in, height, width = grid.shape
        cells = grid.permute(0, 2, 3, 1).reshape(batch, height * width, n_in)
        wave = transform(self.analysis, cells).view(batch, 2, -1, n_in)  # real and imaginary, (frequency, in) each
        product: Tensor = _ProductByFrequency.apply(wave, kernel)
        cells = transform(self.synthesis, product.flatten(1, 2)) + bias
        return cells.view(batch, height, width, -1).permute(0, 3, 1, 2)


class _ProductByFrequency(torch.autograd.Function):
    """One complex matrix product per frequency, written where the next transform reads it.

    Shapes: (batch, 2, frequency, in), (in, 2, frequency, out) -> (batch, 2, frequency, out); the 2 are real and
    imaginary parts
    """

    @staticmethod
    def forward(ctx: Any, wave: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(wave, kernel)
        product = wave.new_empty(*wave.shape[:-1], kernel.shape[-1])
        (w_real, w_imaginary), (k_real, k_imaginary) = _parts(wave), _parts(kernel)
        to_real, to_imaginary = _parts(product)
        _write(to_real, w_real, k_real, w_imaginary, k_imaginary, sign=-1)
        _write(to_imaginary, w_real, k_imaginary, w_imaginary, k_real)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, from_product: Tensor) -> tuple[Tensor, Tensor]:
        wave, kernel = ctx.saved_tensors
        on_wave, on_kernel = torch.empty_like(wave), torch.empty_like(kernel)
        (w_real, w_imaginary), (k_real, k_imaginary) = _parts(wave), _parts(kernel)
        real, imaginary = _parts(from_product)
        to_real, to_imaginary = _parts(on_wave)
        _write(to_real, real, k_real.mT, imaginary, k_imaginary.mT)
        _write(to_imaginary, imaginary, k_real.mT, real, k_imaginary.mT, sign=-1)
        to_real, to_imaginary = _parts(on_kernel)
        _write(to_real, w_real.mT, real, w_imaginary.mT, imaginary)
        _write(to_imaginary, w_real.mT, imaginary, w_imaginary.mT, real, sign=-1)
        return on_wave, on_kernel


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Views of the real and the imaginary part, (frequency, row, feature) each, of (row, 2, frequency, feature)."""
    real, imaginary = x.permute(1, 2, 0, 3)
    return real, imaginary


def _write(out: Tensor, first: Tensor, second: Tensor, third: Tensor, fourth: Tensor, *, sign: int = 1) -> None:
    """``out = first @ second + sign * third @ fourth`` for each frequency.

    A batched product into a tensor with gaps runs one by one, so it goes to a dense tensor first.
    """
    out.copy_(torch.bmm(first, second).baddbmm_(third, fourth, alpha=sign))


def _frequencies(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """One of each conjugate pair of frequencies, (frequency, 2) in radians per cell, and the size of its pair."""
    pairs = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    mirrored = (-pairs) % torch.tensor([rows, columns])
    number, mirror = pairs[:, 0] * columns + pairs[:, 1], mirrored[:, 0] * columns + mirrored[:, 1]
    kept = number <= mirror
    radians = 2 * math.pi * pairs / torch.tensor([rows, columns], dtype=torch.float64)
    return radians[kept], torch.where(number == mirror, 1.0, 2.0)[kept].double()


Convolution = CroppedConvolution | SpectralConvolution


def choose_convolution(height: int, width: int, reach: int, features: int) -> Convolution:
    """The convolution with fewer multiplications for grids of one size.

    Examples
    --------
    >>> from timesad.nn.convolution import choose_convolution
    >>> [type(choose_convolution(5, 20, 5, features)).__name__ for features in (16, 64)]
    ['CroppedConvolution', 'SpectralConvolution']
    """
    high, wide = meeting_reach(height, reach), meeting_reach(width, reach)
    direct = _meetings(height, high) * _meetings(width, wide) * features**2
    n_frequencies = (height + high) * (width + wide) / 2
    spectral = 4 * n_frequencies * (height * width * features + features**2)
    return (SpectralConvolution if direct > MIN_SAVING * spectral else CroppedConvolution)(height, width, reach)


def _meetings(size: int, reach: int) -> int:
    """Number of pairs of a cell and a tap that meets it, along an axis of `size` cells; reach < size."""
    return size * (2 * reach + 1) - reach * (reach + 1)
