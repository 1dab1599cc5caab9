"""TimesNet and the association discrepancy composed straight from the papers' formulas, to be measured against.

It computes what `TimesNetDiscrepancyNetwork` computes with a joint trunk, the local prior and the
symmetric Kullback-Leibler divergence, the way that the formulas read: every inception kernel is a
convolution of its own, S and P are written out, both directions of the divergence are computed
separately, the two losses have a backward pass each, the windows are copied out of the series.
Parameters have the names and shapes of ours, so that weights go over by ``load_state_dict`` and
gradients can be compared.

Where the papers leave a choice the composition takes the cheaper one or ours: queries, keys and
values are one projection, the periods are given, σ's input has its gradient stopped.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from timesad.nn import BlockSettings, WindowSettings, random_patch_mask
from timesad.nn.association import official_sigma
from timesad.nn.divergence import LOG_FLOOR
from timesad.nn.embedding import WindowEmbedding
from timesad.nn.networks import window_statistics
from timesad.training.objective import mean_over

__all__ = ["Composition", "materialised_windows", "minimax_losses", "train", "two_backwards"]


class ParallelInception(nn.Module):
    """Convolutions with kernels 1, 3, …, 2n-1, side by side, then their mean (Wu et al., ICLR 2023).

    Shapes: (batch, in_channels, cycle, phase) -> (batch, out_channels, cycle, phase)
    """

    def __init__(self, in_channels: int, out_channels: int, n_kernels: int) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, 2 * index + 1, padding=index) for index in range(n_kernels)
        )

    def forward(self, grid: Tensor) -> Tensor:
        return torch.stack([kernel(grid) for kernel in self.kernels], dim=-1).mean(dim=-1)


class PlainTimesBlock(nn.Module):
    """Fold by each period, convolve, unfold, mix by the amplitudes of the window's spectrum (equations 3-6).

    Shapes: (batch, time, model_size) -> (batch, time, model_size)
    """

    def __init__(self, window_size: int, model_size: int, periods: list[int], n_kernels: int) -> None:
        super().__init__()
        odd = [period for period in periods if window_size % period]
        if odd:
            raise ValueError(
                f"periods={odd} do not divide window_size={window_size}. Their amplitude would be read off between two "
                "frequencies of the spectrum; give periods that divide the window."
            )
        self.periods = periods
        self.conv = nn.Sequential(
            ParallelInception(model_size, model_size, n_kernels),
            nn.GELU(),
            ParallelInception(model_size, model_size, n_kernels),
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, time, features = x.shape
        spectrum = torch.fft.rfft(x, dim=1).abs().mean(dim=-1)  # (batch, frequency)
        shares = torch.softmax(spectrum[:, [time // period for period in self.periods]], dim=1)  # (batch, period)
        results = []
        for period in self.periods:
            grid = x.reshape(batch, time // period, period, features).permute(0, 3, 1, 2).contiguous()
            results.append(self.conv(grid).permute(0, 2, 3, 1).reshape(batch, time, features))
        weights = shares[:, None, None, :].repeat(1, time, features, 1)
        return (torch.stack(results, dim=-1) * weights).sum(dim=-1) + x


class ExplicitAttention(nn.Module):
    """S and P of a layer as matrices, (batch, head, time, time) each (Xu et al., ICLR 2022, equation 2).

    Shapes: (batch, time, model_size) -> output (batch, time, model_size), S and P
    """

    distances: Tensor

    def __init__(self, window_size: int, model_size: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(model_size, 3 * model_size)
        self.output = nn.Linear(model_size, model_size)
        self.widths = nn.ModuleList([nn.Linear(model_size, n_heads)])
        position = torch.arange(window_size, dtype=torch.get_default_dtype())
        self.register_buffer("distances", (position[:, None] - position).abs(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, time, features = x.shape
        split = self.query_key_value(x).reshape(batch, time, 3, self.n_heads, features // self.n_heads)
        query, key, value = split.unbind(dim=2)  # each (batch, time, head, feature)
        scores = torch.einsum("blhe,bshe->bhls", query, key) / math.sqrt(query.shape[-1])
        series = torch.softmax(scores, dim=-1)
        sigma = official_sigma(self.widths[0](x.detach())).transpose(1, 2)[..., None].repeat(1, 1, 1, time)
        distances = self.distances.repeat(batch, self.n_heads, 1, 1)
        gaussian = torch.exp(-(distances**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma)
        prior = gaussian / gaussian.sum(dim=-1, keepdim=True)
        mixed = torch.einsum("bhls,bshd->blhd", series, value).reshape(batch, time, features)
        return self.output(mixed), series, prior


class Composition(nn.Module):
    """TimesNet blocks with an anomaly attention after each, trained together.

    Parameters
    ----------
    window : WindowSettings
        The window's way in and out.
    blocks : BlockSettings
        The TimesNet blocks; their periods divide the window.
    n_heads : int
        Heads of each attention.
    """

    def __init__(self, window: WindowSettings, blocks: BlockSettings, n_heads: int) -> None:
        super().__init__()
        self.window = window
        length, size, layers = window.window_size, window.model_size, range(blocks.n_layers)
        self.embedding = WindowEmbedding(window.n_channels, size, length, window.dropout)
        self.blocks = nn.ModuleList(
            PlainTimesBlock(length, size, list(blocks.periods), blocks.n_kernels) for _ in layers
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in layers)
        self.association = nn.ModuleDict(
            {
                "attentions": nn.ModuleList(ExplicitAttention(length, size, n_heads) for _ in layers),
                "norms": nn.ModuleList(nn.LayerNorm(size) for _ in layers),
            }
        )
        self.projection = nn.Linear(size, window.n_channels)

    def forward(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the reconstruction (batch, time, channel), and S and P of every layer."""
        visible = torch.ones_like(x[..., :1]) if hidden is None else (~hidden)[..., None].to(x.dtype)
        mean, scale = window_statistics(x, visible) if self.window.normalize else (0.0, 1.0)
        features = self.embedding((x - mean) / scale * visible)
        all_series, all_priors = [], []
        for index, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            features = norm(block(features))
            attended, series, prior = self.association["attentions"][index](features)
            features = self.association["norms"][index](features + attended)
            all_series.append(series)
            all_priors.append(prior)
        return self.projection(features) * scale + mean, all_series, all_priors


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p‖q) with the official code's 1e-4 inside the logarithms, mean over heads, (batch, time)."""
    return (p * (torch.log(p + LOG_FLOOR) - torch.log(q + LOG_FLOOR))).sum(dim=-1).mean(dim=1)


def minimax_losses(network: Composition, x: Tensor, hidden: Tensor | None, weight: float) -> tuple[Tensor, Tensor]:
    """Return ``rec - k D(S, P̄)`` and ``rec + k D(S̄, P)``, a bar being a stop-gradient (equations 4-6)."""
    rebuilt, all_series, all_priors = network(x, hidden)
    reconstruction = mean_over(hidden, ((rebuilt - x) ** 2).mean(dim=-1))
    series_term = prior_term = x.new_zeros(())
    for series, prior in zip(all_series, all_priors, strict=True):
        series_term = series_term + kl(series, prior.detach()).mean() + kl(prior.detach(), series).mean()
        prior_term = prior_term + kl(series.detach(), prior).mean() + kl(prior, series.detach()).mean()
    share = weight / len(all_series)
    return reconstruction - share * series_term, reconstruction + share * prior_term


def two_backwards(network: Composition, x: Tensor, hidden: Tensor | None, weight: float) -> None:
    """Add the gradients of both losses, each by a backward pass of its own."""
    maximising, minimising = minimax_losses(network, x, hidden, weight)
    maximising.backward(retain_graph=True)
    minimising.backward()


def materialised_windows(values: NDArray[np.float32], window_size: int) -> Tensor:
    """Every window of the series, copied: (n_rows - window_size + 1, window_size, n_channels)."""
    return torch.from_numpy(np.stack([values[i : i + window_size] for i in range(len(values) - window_size + 1)]))


def train(
    network: Composition,
    values: NDArray[np.float32],
    *,
    n_windows: int,
    batch_size: int,
    learning_rate: float,
    weight: float,
) -> Composition:
    """One epoch over `n_windows` windows in random order.

    Parameters
    ----------
    network : Composition
        Trained in place, on the device where it is.
    values : ndarray of shape (n_rows, n_channels), float32
        The scaled series.
    n_windows, batch_size : int
        Windows in the epoch and in a step.
    learning_rate : float
        Of Adam.
    weight : float
        k of ``rec ± k·D``.
    """
    settings, device = network.window, next(network.parameters()).device
    windows = materialised_windows(values, settings.window_size)
    order = torch.randperm(len(windows))[:n_windows]
    loader = DataLoader(TensorDataset(windows[order]), batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    network.train()
    for (batch,) in loader:
        x = batch.to(device)
        hidden = None
        if settings.n_masks:
            hidden = random_patch_mask(len(x), settings.window_size, settings.patch_size, settings.n_masks, device)
        optimizer.zero_grad()
        two_backwards(network, x, hidden, weight)
        optimizer.step()
    return network
