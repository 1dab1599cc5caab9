"""Matrix products on a processor, computed by its convolution library.

Torch multiplies matrices with one library and convolves with another. On some processors only the second uses the
widest vector units. A convolution with a kernel of one tap is a matrix product and takes half the time there. Where
both use them it takes the same time. On an accelerator, products stay products.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["RowLinear", "linear", "row_linear", "transform"]

MIN_MULTIPLICATIONS = 8_000_000  # below it, preparing a convolution costs what it saves
IMAGE_ROWS = 16  # rows in one image, if they are not windows; the fastest number from 1 to 64


def transform(matrix: Tensor, x: Tensor) -> Tensor:
    """The product of one matrix with each of a batch: (out, in), (batch, in, feature) -> (batch, out, feature)."""
    if x.device.type != "cpu":
        return matrix @ x
    return F.conv2d(x.unsqueeze(2), matrix[:, :, None, None]).squeeze(2)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`torch.nn.functional.linear` of many rows: (row, in), (out, in), (out,) -> (row, out)."""
    if x.device.type != "cpu":
        return F.linear(x, weight, bias)
    images = F.pad(x, (0, 0, 0, -len(x) % IMAGE_ROWS)).unflatten(0, (-1, IMAGE_ROWS))
    return _linear_by_image(images, weight, bias).flatten(0, 1)[: len(x)]


def row_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear` of windows' rows: (batch, time, in), (out, in), (out,) -> (batch, time, out)."""
    if x.device.type != "cpu" or x.numel() * len(weight) <= MIN_MULTIPLICATIONS:
        return F.linear(x, weight, bias)
    return _linear_by_image(x, weight, bias)


class RowLinear(nn.Linear):
    """A linear layer for the rows of windows.

    Shapes: (batch, time, in) -> (batch, time, out)
    """

    def forward(self, x: Tensor) -> Tensor:
        return row_linear(x, self.weight, self.bias)


def _linear_by_image(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(image, row, in) -> (image, row, out)."""
    pixels = x.transpose(1, 2).unsqueeze(2)  # (image, in, 1, row), a view with the features innermost
    return F.conv2d(pixels, weight[:, :, None, None], bias).squeeze(2).transpose(1, 2)
