"""Series association (attention) and prior association (where a row would look if it only knew distances)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .minimax import Route
from .products import RowLinear

__all__ = [
    "AnomalyAttention",
    "Associations",
    "Comparison",
    "Divergence",
    "GridPrior",
    "LocalPrior",
    "official_sigma",
    "squared_distances",
]

Divergence = Callable[[Tensor, Tensor], Tensor]  # (S, P) -> (batch, time)

SIGMA_GAIN = 5.0  # the official code: sigma = 3^(sigmoid(5 raw) + 1e-5) - 1, in (0, 2]
SIGMA_SHIFT = 1e-5
SMALLEST_EXPONENT = -80.0  # e^-80 is nothing to float32; below it the processor's exponential becomes slow
SATURATION_SHARE = 0.02  # a sigma within so much of either end of its range no longer learns
PERIOD_SHARE = 0.25  # a phase width of a quarter of the period is already nearly flat around the circle


class Associations(NamedTuple):
    """One layer's associations; S and every P have shape (batch, head, time, time) and rows that sum to 1."""

    series: Tensor
    priors: tuple[Tensor, ...]
    openness: Tensor  # (batch, time, width): each sigma in [0, 1] of its range, to watch for saturation


def official_sigma(raw: Tensor) -> Tensor:
    """σ = 3^(sigmoid(5·raw) + 1e-5) - 1, in (0, 2] rows, as the official Anomaly Transformer computes it."""
    return torch.pow(3.0, torch.sigmoid(SIGMA_GAIN * raw) + SIGMA_SHIFT) - 1.0


def squared_distances(time: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """(i - j)² in rows², (time, time)."""
    position = torch.arange(time, dtype=dtype or torch.get_default_dtype(), device=device)
    return (position[:, None] - position) ** 2


class Comparison(NamedTuple):
    """What is left of one layer's associations once they are compared."""

    discrepancy: Tensor  # (batch, time, prior)
    openness: Tensor  # as of `Associations`


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
        return torch.softmax(exponent.clamp_min(SMALLEST_EXPONENT), dim=-1)


class GridPrior(nn.Module):
    """A Gaussian over phase and cycle of each period, mixed by spectral weight.

    A window folded by a period p has a row for each cycle and a column for each phase. A row of the series is close,
    on that grid, to rows one period away. P = Σ_p w_p N_p, where N_p,ij ∝ exp(-Δphase² / 2σ_phase² - Δcycle² /
    2σ_cycle²), Δphase is taken around the circle, and positions that only fill up the last cycle have no weight. The
    Gaussian separates, so the exponentials cost (cycles + p) per row, not one per pair of rows.

    Parameters
    ----------
    window_size : int
        Rows in a window.
    periods : sequence of int
        Periods in rows.
    weights : sequence of float
        Share of each period, summing to 1.

    Shapes: raw (batch, time, head · 2 · period) -> (batch, head, time, time), rows summing to 1
    """

    weights: Tensor

    def __init__(self, window_size: int, periods: Sequence[int], weights: Sequence[float]) -> None:
        super().__init__()
        self.window_size = window_size
        self.periods = tuple(int(period) for period in periods)
        self.widths_per_head = 2 * len(self.periods)
        dtype = torch.get_default_dtype()
        self.register_buffer("weights", torch.as_tensor(weights, dtype=dtype), persistent=False)
        position = torch.arange(window_size)
        for index, period in enumerate(self.periods):
            cycles = -(-window_size // period)
            lag = (position[:, None] % period - torch.arange(period)).abs()
            phase = torch.minimum(lag, period - lag)  # (time, phase): around the circle
            cycle = position[:, None] // period - torch.arange(cycles)  # (time, cycle)
            self.register_buffer(f"phase_{index}", phase.to(dtype) ** 2, persistent=False)
            self.register_buffer(f"cycle_{index}", cycle.to(dtype) ** 2, persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        batch, time, _ = raw.shape
        opened = torch.sigmoid(SIGMA_GAIN * raw) + SIGMA_SHIFT
        opened = opened.reshape(batch, time, -1, len(self.periods), 2).permute(0, 2, 3, 1, 4)
        mixed = self._of_period(0, opened[:, :, 0])
        for index in range(1, len(self.periods)):
            mixed = mixed + self._of_period(index, opened[:, :, index])
        return mixed

    def _of_period(self, index: int, opened: Tensor) -> Tensor:
        """w_p N_p of one period; `opened` (batch, head, time, 2) has both widths as shares of their largest values."""
        period = self.periods[index]
        cycles = -(-self.window_size // period)
        sigma_phase = opened[..., :1] * max(1.0, PERIOD_SHARE * period)
        sigma_cycle = opened[..., 1:] * cycles
        phase = torch.exp(getattr(self, f"phase_{index}") * (-0.5 / sigma_phase**2))  # (batch, head, time, phase)
        cycle = torch.exp(getattr(self, f"cycle_{index}") * (-0.5 / sigma_cycle**2))  # (batch, head, time, cycle)
        # The sum over the grid separates as well: whole cycles first, then the last one as far as the window reaches.
        last = self.window_size - (cycles - 1) * period
        total = cycle[..., :-1].sum(dim=-1) * phase.sum(dim=-1) + cycle[..., -1] * phase[..., :last].sum(dim=-1)
        share = cycle * (self.weights[index] / total)[..., None]
        return (share[..., :, None] * phase[..., None, :]).flatten(-2)[..., : self.window_size]


class AnomalyAttention(nn.Module):
    """Self-attention that also says where each row would look by distance alone.

    Parameters
    ----------
    model_size : int
        Features; divisible by `n_heads`.
    n_heads : int
        Heads.
    priors : sequence of LocalPrior or GridPrior
        The prior associations to compare with; they have no parameters of their own.

    Notes
    -----
    `forward` writes the associations out. Whoever needs no maps asks `attend` or `compare`, which
    `timesad.nn.fused.FusedAttention` answers without them.

    The widths σ are projected from the layer's input with its gradient stopped: the prior term would otherwise train
    the trunk through σ's input, which the published minimise phase is not meant to do.

    Shapes: (batch, time, model_size) -> output (batch, time, model_size) and `Associations`
    """

    def __init__(self, model_size: int, n_heads: int, priors: Sequence[LocalPrior | GridPrior]) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = RowLinear(model_size, 3 * model_size)
        self.output = RowLinear(model_size, model_size)
        self.priors = nn.ModuleList(priors)
        self.widths = nn.ModuleList(nn.Linear(model_size, n_heads * prior.widths_per_head) for prior in priors)

    def forward(self, x: Tensor) -> tuple[Tensor, Associations]:
        query, key, value = self.split_heads(x)
        series = series_association(query, key)
        raws = self.raw_widths(x)
        priors = tuple(prior(raw) for prior, raw in zip(self.priors, raws, strict=True))
        output = self.join_heads((self.mix(series, priors) @ value).transpose(1, 2))
        return output, Associations(series, priors, openness(raws))

    def attend(self, x: Tensor) -> Tensor:
        """The output alone, (batch, time, model_size)."""
        output: Tensor = self(x)[0]
        return output

    def compare(self, x: Tensor, route: Route, divergence: Divergence) -> tuple[Tensor, Comparison]:
        """The output, and how far S is from each prior at every row."""
        output, associations = self(x)
        rows = [divergence(*route(associations.series, prior)) for prior in associations.priors]
        return output, Comparison(torch.stack(rows, dim=-1), associations.openness)

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
        """What each prior makes its widths of, (batch, time, width) each."""
        return [width(x.detach()) for width in self.widths]

    def mix(self, series: Tensor, priors: tuple[Tensor, ...]) -> Tensor:
        """The attention that carries the values: S alone. P is there to be compared with, not to be looked through."""
        return series


def openness(raws: Sequence[Tensor]) -> Tensor:
    """Every width as a share of its range, (batch, time, width), without gradient."""
    return torch.sigmoid(SIGMA_GAIN * torch.cat(list(raws), dim=-1).detach())


def series_association(query: Tensor, key: Tensor) -> Tensor:
    """S = softmax(QKᵀ / √d), of shape (batch, head, time, time) for Q and K of shape (batch, head, time, feature)."""
    return torch.softmax((query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1), dim=-1)
