"""Divergence of series and prior association, one bounded number per row.

(batch, head, time, time) -> (batch, time): the sum over keys, averaged over heads. It is never averaged over time: one
number per window would give all its rows the same score.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["log_ratio", "symmetric_kl"]

LOG_FLOOR = 1e-4  # the official code's; without it a Gaussian tail that underflows raises D from 8 to hundreds


class _SymmetricKL(torch.autograd.Function):
    """Σ_j (S_ij - P_ij) log((S_ij + ε) / (P_ij + ε)) with its gradient written out.

    With r the logarithm and d = S - P, the gradient is r + d / (S + ε) for S and -r - d / (P + ε) for P. Autograd would
    store seven maps of the associations' size; this stores S and P.
    """

    @staticmethod
    def forward(ctx: Any, series: Tensor, prior: Tensor) -> Tensor:
        ctx.save_for_backward(series, prior)
        return log_ratio(series, prior).mul_(series - prior).sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        series, prior = ctx.saved_tensors
        outer = gradients[0][..., None]
        ratio, difference = log_ratio(series, prior), series - prior
        to_series = to_prior = None
        if ctx.needs_input_grad[0]:
            to_series = torch.add(ratio, difference / (series + LOG_FLOOR)).mul_(outer)
        if ctx.needs_input_grad[1]:
            to_prior = torch.add(ratio, difference.div_(prior + LOG_FLOOR)).mul_(-outer)
        return to_series, to_prior


def log_ratio(series: Tensor, prior: Tensor) -> Tensor:
    """log((S + ε) / (P + ε))."""
    return (series + LOG_FLOOR).div_(prior + LOG_FLOOR).log_()


def symmetric_kl(series: Tensor, prior: Tensor) -> Tensor:
    """KL(P‖S) + KL(S‖P), with 1e-4 inside each logarithm as in the official Anomaly Transformer.

    Both directions share one product, Σ_j (S_ij - P_ij)(log S_ij - log P_ij), whose terms are never negative.
    (Xu et al., ICLR 2022, equation 3.)

    Examples
    --------
    >>> import torch
    >>> from timesad.nn import symmetric_kl
    >>> even = torch.full((1, 1, 2, 2), 0.5)
    >>> symmetric_kl(even, even).tolist()
    [[0.0, 0.0]]
    """
    rows: Tensor = _SymmetricKL.apply(series, prior)
    return rows.mean(dim=1)
