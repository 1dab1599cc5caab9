"""Same-size convolution of small grids with large square kernels, in two ways, and which of them is less work."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CroppedConvolution", "SpectralConvolution", "choose_convolution", "convolve_cropped"]

WORTH_IT = 1.5  # times fewer multiplications than convolving directly, to make up for the transforms of the kernel


def meeting_reach(size: int, reach: int) -> int:
    """Distance up to which a tap can meet a cell that is not padding, along an axis of `size` cells."""
    return min(reach, size - 1)


def crop(weight: Tensor, high: int, wide: int) -> Tensor:
    """The taps at most `high` rows and `wide` columns from the kernel's centre."""
    reach = weight.shape[-1] // 2
    return weight[:, :, reach - high : reach + high + 1, reach - wide : reach + wide + 1]


def convolve_cropped(grid: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Same-size convolution without the taps that could only ever meet padding.

    On a grid of 3 cycles, a row of the kernel more than 2 away from its centre sees nothing but zeros.
    """
    high, wide = (meeting_reach(size, weight.shape[-1] // 2) for size in grid.shape[-2:])
    return F.conv2d(grid, crop(weight, high, wide), bias, padding=(high, wide))


class CroppedConvolution(nn.Module):
    """`convolve_cropped`, in the place of a `SpectralConvolution`."""

    def forward(self, grid: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return convolve_cropped(grid, weight, bias)


class SpectralConvolution(nn.Module):
    """Convolution in the frequency domain, by matrix products with the transform's own matrices.

    A kernel nearly as large as its grid meets every cell with many taps. In the frequency domain it meets each
    frequency once. The way there and back is a product with a matrix of cosines and sines: at the size of a window it
    is cheaper than a fast transform, and needs no complex numbers. It pays for networks with many features; with few,
    the transforms cost more than they save.

    Grids are padded with as many zeros as the kernel reaches, so that the transform's wrapping around meets zeros only.
    Of each pair of conjugate frequencies one is kept.

    Parameters
    ----------
    height, width : int
        Size of the grids.
    reach : int
        Largest distance of a tap from the kernel's centre; the kernels are ``2 * reach + 1`` wide.

    Shapes: (batch, in, height, width), kernels (out, in, kernel, kernel) -> (batch, out, height, width)
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
            self.register_buffer(name, matrix.to(torch.get_default_dtype()).contiguous(), persistent=False)

    def forward(self, grid: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        batch, n_in, height, width = grid.shape
        n_out = len(weight)
        cells = grid.permute(2, 3, 0, 1).reshape(height * width, batch * n_in)
        wave = (self.analysis @ cells).view(2, -1, batch, n_in)  # real and imaginary, (frequency, batch, in) each
        seen = crop(weight, self.high, self.wide).permute(2, 3, 1, 0)
        kernel = (self.taps @ seen.reshape(-1, n_in * n_out)).view(2, -1, n_in, n_out)
        real = torch.baddbmm(wave[0] @ kernel[0], wave[1], kernel[1], alpha=-1)
        imaginary = torch.baddbmm(wave[0] @ kernel[1], wave[1], kernel[0])
        product = torch.cat([real, imaginary]).view(-1, batch * n_out)  # (2 frequency, batch out)
        cells = (self.synthesis @ product).view(height, width, batch, n_out) + bias
        return cells.permute(2, 3, 0, 1)


def _frequencies(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """One of each pair of conjugate frequencies, in radians a cell, (frequency, 2), and of how many it stands."""
    pairs = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    mirrored = (-pairs) % torch.tensor([rows, columns])
    number, mirror = pairs[:, 0] * columns + pairs[:, 1], mirrored[:, 0] * columns + mirrored[:, 1]
    kept = number <= mirror
    radians = 2 * math.pi * pairs / torch.tensor([rows, columns], dtype=torch.float64)
    return radians[kept], torch.where(number == mirror, 1.0, 2.0)[kept].double()


def choose_convolution(height: int, width: int, reach: int, features: int) -> nn.Module:
    """The way that takes fewer multiplications for grids of one size with so many features in and out.

    Examples
    --------
    >>> from timesad.nn.convolution import choose_convolution
    >>> [type(choose_convolution(2, 50, 5, features)).__name__ for features in (16, 64)]
    ['CroppedConvolution', 'SpectralConvolution']
    """
    high, wide = meeting_reach(height, reach), meeting_reach(width, reach)
    direct = _meetings(height, high) * _meetings(width, wide) * features**2
    n_frequencies = (height + high) * (width + wide) / 2
    spectral = 4 * n_frequencies * (height * width * features + features**2)
    return SpectralConvolution(height, width, reach) if direct > WORTH_IT * spectral else CroppedConvolution()


def _meetings(size: int, reach: int) -> int:
    """Pairs of a cell and a tap on it, along an axis of `size` cells, for a reach below `size`."""
    return size * (2 * reach + 1) - reach * (reach + 1)
