"""Attention and discrepancy without stored maps.

S, P and the terms of D are maps of shape (batch, head, time, time), too large for the processor's cache. Here the maps
of a few windows are computed, reduced to rows, and overwritten by those of the next windows (`timesad.nn.maps`). The
backward pass computes them again and applies a closed form of the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .association import AnomalyAttention, Comparison, Divergence, LocalPrior, width_share
from .divergence import symmetric_kl
from .maps import backend_for, operations
from .minimax import Route

__all__ = ["FusedAttention"]


class FusedAttention(AnomalyAttention):
    """An `AnomalyAttention` with the same parameters and the same results that stores no map.

    This holds for the local prior with the symmetric Kullback-Leibler divergence. Other priors and divergences use
    maps.
    """

    def attend(self, x: Tensor) -> Tensor:
        """The output alone, (batch, time, model_size)."""
        heads = self.heads(x)
        backend = operations if heads.requires_grad else backend_for(heads)
        return self.join_heads(backend.attend(heads))

    def compare(self, x: Tensor, route: Route, divergence: Divergence) -> tuple[Tensor, Comparison]:
        """The output, and the divergence of S and each prior at every row."""
        prior = self.priors[0]
        if len(self.priors) > 1 or not isinstance(prior, LocalPrior) or divergence is not symmetric_kl:
            return super().compare(x, route, divergence)
        raws = self.raw_widths(x)
        mixed, discrepancy = _AttendAndCompare.apply(self.heads(x), prior.precision(raws[0]), route)
        return self.join_heads(mixed), Comparison(discrepancy[..., None], width_share(raws))


class _AttendAndCompare(torch.autograd.Function):
    """From Q, K, V, (batch, time, 3, head, feature), and 1/2σ² to S V, (batch, time, head, feature), and D.

    D is (batch, time), the mean over heads. The route multiplies the gradients of D with respect to S and P.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, precision: Tensor, route: Route) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(qkv, precision)
        ctx.route = route
        mixed, discrepancy = backend_for(qkv).forward(qkv, precision)
        return mixed, discrepancy.mean(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, from_mixed: Tensor, from_discrepancy: Tensor) -> tuple[Tensor, Tensor | None, None]:
        qkv, precision = ctx.saved_tensors
        of_a_head = (from_discrepancy[:, None] / precision.shape[1]).expand_as(precision)
        on_qkv, on_precision = backend_for(qkv).backward(qkv, precision, from_mixed, of_a_head, ctx.route)
        return on_qkv, on_precision if ctx.route.prior else None, None
