"""What the ablation compares with the paper's prior and divergence: a prior over periods, and Jensen-Shannon."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from timesad.nn.association import SIGMA_GAIN, SIGMA_SHIFT
from timesad.nn.precision import constant_dtype

__all__ = ["GridPrior", "jensen_shannon"]

MAX_PHASE_FRACTION = 0.25  # of the period: the largest phase width; the Gaussian is then nearly flat around the circle
MIN_PROBABILITY = 1e-30


class GridPrior(nn.Module):
    """A Gaussian over phase and cycle of each period, mixed by spectral weight.

    A window folded by a period p has a row for each cycle and a column for each phase. Rows one period apart are
    neighbours on that grid. P = Σ_p w_p N_p with N_p,ij ∝ exp(-Δphase² / 2σ_phase² - Δcycle² / 2σ_cycle²); Δphase is
    taken around the circle, and positions beyond the window have no weight. The Gaussian separates, so the exponentials
    cost (cycles + p) per row, not one per pair of rows.

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
        dtype = constant_dtype()
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
        shares = torch.sigmoid(SIGMA_GAIN * raw) + SIGMA_SHIFT
        shares = shares.reshape(batch, time, -1, len(self.periods), 2).permute(0, 2, 3, 1, 4)
        mixed = self._of_period(0, shares[:, :, 0])
        for index in range(1, len(self.periods)):
            mixed = mixed + self._of_period(index, shares[:, :, index])
        return mixed

    def _of_period(self, index: int, shares: Tensor) -> Tensor:
        """w_p N_p of one period; `shares` (batch, head, time, 2) are both widths as shares of their largest values."""
        period = self.periods[index]
        cycles = -(-self.window_size // period)
        sigma_phase = shares[..., :1] * max(1.0, MAX_PHASE_FRACTION * period)
        sigma_cycle = shares[..., 1:] * cycles
        phase = torch.exp(getattr(self, f"phase_{index}") * (-0.5 / sigma_phase**2))  # (batch, head, time, phase)
        cycle = torch.exp(getattr(self, f"cycle_{index}") * (-0.5 / sigma_cycle**2))  # (batch, head, time, cycle)
        # The sum over the grid separates, too: whole cycles, then the part of the last one inside the window.
        last = self.window_size - (cycles - 1) * period
        total = cycle[..., :-1].sum(dim=-1) * phase.sum(dim=-1) + cycle[..., -1] * phase[..., :last].sum(dim=-1)
        share = cycle * (self.weights[index] / total)[..., None]
        return (share[..., :, None] * phase[..., None, :]).flatten(-2)[..., : self.window_size]


def jensen_shannon(series: Tensor, prior: Tensor) -> Tensor:
    """Jensen-Shannon divergence of S and P, (batch, head, time, time) -> (batch, time), in [0, log 2]."""
    middle = 0.5 * (series + prior)

    def to_middle(association: Tensor) -> Tensor:
        ratio = association.clamp_min(MIN_PROBABILITY) / middle.clamp_min(MIN_PROBABILITY)
        return torch.xlogy(association, ratio).sum(dim=-1)

    return 0.5 * (to_middle(series) + to_middle(prior)).mean(dim=1)
