"""Same-size convolution of small grids with large square kernels, without the taps that can only meet padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CroppedConvolution", "convolve_cropped"]


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
