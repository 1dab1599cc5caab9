"""Series association S (attention) and prior association P (a Gaussian over the distance in time)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from .minimax import Route
from .precision import constant_dtype

__all__ = [
    "AnomalyAttention",
    "Associations",
    "Comparison",
    "Divergence",
    "LocalPrior",
    "Prior",
    "official_sigma",
    "squared_distances",
]

Divergence = Callable[[Tensor, Tensor], Tensor]  # (S, P) -> (batch, time)

SIGMA_GAIN = 5.0  # the official code: sigma = 3^(sigmoid(5 raw) + 1e-5) - 1, in (0, 2]
SIGMA_SHIFT = 1e-5
MIN_EXPONENT = -80.0  # exp(-80) rounds to 0 beside 1 in float32; exponentials of smaller numbers are slow
SATURATION_MARGIN = 0.02  # of the range: a sigma so near to either end has almost no gradient


class Associations(NamedTuple):
    """Associations of one layer. S and each P have shape (batch, head, time, time) and rows that sum to 1."""

    series: Tensor
    priors: tuple[Tensor, ...]
    width_share: Tensor  # (batch, time, width): each sigma as a share of its range, in [0, 1]


def official_sigma(raw: Tensor) -> Tensor:
    """σ = 3^(sigmoid(5·raw) + 1e-5) - 1, in (0, 2] rows, as the official Anomaly Transformer computes it."""
    return torch.pow(3.0, torch.sigmoid(SIGMA_GAIN * raw) + SIGMA_SHIFT) - 1.0


def squared_distances(time: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """(i - j)² in rows², (time, time)."""
    position = torch.arange(time, dtype=dtype or constant_dtype(), device=device)
    return (position[:, None] - position) ** 2


class Comparison(NamedTuple):
    """Comparison of one layer's associations."""

    discrepancy: Tensor  # (batch, time, prior)
    width_share: Tensor  # as in `Associations`


class Prior(Protocol):
    """A module that maps raw widths, (batch, time, head · widths_per_head), to P, (batch, head, time, time)."""

    widths_per_head: int

    def __call__(self, raw: Tensor) -> Tensor:
        """P of the raw widths."""


class LocalPrior(nn.Module):
    """A Gaussian over the distance in time: P_ij ∝ exp(-(i-j)² / 2σ_i²) (Xu et al., ICLR 2022, equation 2).

    Shapes: raw (batch, time, head) -> (batch, head, time, time), rows summing to 1
    """

    squared_distance: Tensor
    widths_per_head = 1

    def __init__(self, window_size: int) -> None:
        super().__init__()
        self.register_buffer("squared_distance", squared_distances(window_size), persistent=False)

    def precision(self, raw: Tensor) -> Tensor:
        """1 / 2σ² of each query, (batch, head, time)."""
        return 0.5 / official_sigma(raw).transpose(1, 2) ** 2

    def forward(self, raw: Tensor) -> Tensor:
        exponent = self.squared_distance * -self.precision(raw)[..., None]
        return torch.softmax(exponent.clamp_min(MIN_EXPONENT), dim=-1)


class AnomalyAttention(nn.Module):
    """Self-attention with prior associations to compare it with.

    Parameters
    ----------
    model_size : int
        Features; divisible by `n_heads`.
    n_heads : int
        Heads.
    priors : sequence of Prior
        Prior associations, modules without parameters.

    Notes
    -----
    `forward` returns the associations. `attend` and `compare` need none, and `timesad.nn.fused.FusedAttention` computes
    both without them.

    The widths σ are a projection of the layer's input with its gradient stopped. Otherwise the prior's term would train
    the trunk through σ's input, which the published minimise phase does not intend.

    Shapes: (batch, time, model_size) -> output (batch, time, model_size) and `Associations`
    """

    def __init__(self, model_size: int, n_heads: int, priors: Sequence[Prior]) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(model_size, 3 * model_size)
        self.output = nn.Linear(model_size, model_size)
        self.priors = nn.ModuleList(cast(Sequence[nn.Module], priors))
        self.widths = nn.ModuleList(nn.Linear(model_size, n_heads * prior.widths_per_head) for prior in priors)

    def forward(self, x: Tensor) -> tuple[Tensor, Associations]:
        query, key, value = self.split_heads(x)
        series = series_association(query, key)
        raws = self.raw_widths(x)
        priors = tuple(prior(raw) for prior, raw in zip(self.priors, raws, strict=True))
        output = self.join_heads((self.mix(series, priors) @ value).transpose(1, 2))
        return output, Associations(series, priors, width_share(raws))

    def attend(self, x: Tensor) -> Tensor:
        """The output alone, (batch, time, model_size)."""
        output: Tensor = self(x)[0]
        return output

    def compare(self, x: Tensor, route: Route, divergence: Divergence) -> tuple[Tensor, Comparison]:
        """The output, and the divergence of S and each prior at every row."""
        output, associations = self(x)
        rows = [divergence(*route(associations.series, prior)) for prior in associations.priors]
        return output, Comparison(torch.stack(rows, dim=-1), associations.width_share)

    def split_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each (batch, head, time, feature)."""
        query, key, value = self.heads(x).permute(2, 0, 3, 1, 4)
        return query, key, value

    def heads(self, x: Tensor) -> Tensor:
        """Query, key and value of every head, (batch, time, 3, head, feature)."""
        projected: Tensor = self.query_key_value(x)
        return projected.unflatten(-1, (3, self.n_heads, -1))

    def join_heads(self, mixed: Tensor) -> Tensor:
        """From (batch, time, head, feature) to the output, (batch, time, model_size)."""
        output: Tensor = self.output(mixed.flatten(2))
        return output

    def raw_widths(self, x: Tensor) -> list[Tensor]:
        """Input of each prior, (batch, time, width) each."""
        return [width(x.detach()) for width in self.widths]

    def mix(self, series: Tensor, priors: tuple[Tensor, ...]) -> Tensor:
        """Weights of the values: S alone. P is compared with S and has no part in the output."""
        return series


def width_share(raws: Sequence[Tensor]) -> Tensor:
    """Each width as a share of its range, (batch, time, width), without gradient."""
    return torch.sigmoid(SIGMA_GAIN * torch.cat(list(raws), dim=-1).detach())


def series_association(query: Tensor, key: Tensor) -> Tensor:
    """S = softmax(QKᵀ / √d), of shape (batch, head, time, time) for Q and K of shape (batch, head, time, feature)."""
    return torch.softmax((query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1), dim=-1)
