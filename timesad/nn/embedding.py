"""From the rows of a window to features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import constant_dtype

__all__ = ["WindowEmbedding", "sinusoids"]


def sinusoids(length: int, model_size: int) -> Tensor:
    """Sine and cosine codes of the position (Vaswani et al., 2017, section 3.5), of shape (length, model_size)."""
    position = torch.arange(length)[:, None]  # (time, 1)
    rate = torch.exp(torch.arange(0, model_size, 2).float() * (-math.log(10_000.0) / model_size))  # (model_size / 2,)
    codes = torch.zeros(length, model_size, dtype=torch.float32)
    codes[:, 0::2] = torch.sin(position * rate)
    codes[:, 1::2] = torch.cos(position * rate)[:, : model_size // 2]
    return codes.to(constant_dtype())


class WindowEmbedding(nn.Module):
    """A width-3 circular convolution over time plus the position's sinusoids, as in TimesNet and Anomaly Transformer.

    The convolution is computed as a product of each row and its two neighbours with the weights, which leaves the
    features innermost for all later layers.

    Shapes: (batch, time, channel) -> (batch, time, model_size)
    """

    positions: Tensor

    def __init__(self, n_channels: int, model_size: int, window_size: int, dropout: float) -> None:
        super().__init__()
        self.values = nn.Conv1d(n_channels, model_size, 3, bias=False)  # holds the weights
        nn.init.kaiming_normal_(self.values.weight, mode="fan_in", nonlinearity="leaky_relu")
        self.register_buffer("positions", sinusoids(window_size, model_size), persistent=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        around = torch.cat([x.roll(1, dims=1), x, x.roll(-1, dims=1)], dim=-1)  # (batch, time, 3 · channel)
        weight = self.values.weight.transpose(1, 2).flatten(1)  # (model_size, 3 · channel), the row before first
        return self.dropout(F.linear(around, weight) + self.positions)
