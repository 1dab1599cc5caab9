"""Matrix products on a processor by way of its convolution library.

Torch multiplies matrices by one library and convolves by another. On some processors the first does not use the widest
vector units and the second does, so that a convolution with a kernel of one tap, which is a matrix product, takes half
the time of a matrix product. Where both use them it takes as long, and on an accelerator products stay products.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["RowLinear", "transform"]

WORTH_IT = 4096  # weights of a layer; with no more of them, what a convolution prepares costs what it saves


def transform(matrix: Tensor, x: Tensor) -> Tensor:
    """The product of one matrix with each of a batch: (out, in), (batch, in, feature) -> (batch, out, feature)."""
    if x.device.type != "cpu":
        return matrix @ x
    return F.conv2d(x.unsqueeze(2), matrix[:, :, None, None]).squeeze(2)


class RowLinear(nn.Linear):
    """A linear layer for the rows of windows.

    Shapes: (batch, time, in) -> (batch, time, out)
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or self.weight.numel() <= WORTH_IT:
            return super().forward(x)
        pixels = x.transpose(1, 2).unsqueeze(2)  # (batch, in, 1, time), a view with the features innermost
        return F.conv2d(pixels, self.weight[:, :, None, None], self.bias).squeeze(2).transpose(1, 2)
