"""Attention and discrepancy without their maps: a few windows at a time, in a core's cache, and again for the gradient.

S, P and what lies between them and D are maps of (batch, head, time, time). Written out, they leave the cache between
any two operations and are all kept for the backward pass. Here the maps of a few windows are made, reduced to rows and
overwritten by those of the next windows (`timesad.nn.maps`); the backward pass makes them anew and applies the gradient
on paper.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .association import AnomalyAttention, Comparison, Divergence, LocalPrior, openness
from .divergence import symmetric_kl
from .maps import operations, way_for
from .minimax import Route

__all__ = ["FusedAttention"]


class FusedAttention(AnomalyAttention):
    """An `AnomalyAttention` with the same parameters and the same numbers, that keeps no map unless maps are asked for.

    The local prior with the symmetric Kullback-Leibler divergence is compared as the module says; what else is asked
    is compared by maps.
    """

    def attend(self, x: Tensor) -> Tensor:
        """The output alone, (batch, time, model_size)."""
        heads = self.heads(x)
        way = operations if heads.requires_grad else way_for(heads)
        return self.join_heads(way.attend(heads))

    def compare(self, x: Tensor, route: Route, divergence: Divergence) -> tuple[Tensor, Comparison]:
        """The output, and how far S is from each prior at every row."""
        prior = self.priors[0]
        if len(self.priors) > 1 or not isinstance(prior, LocalPrior) or divergence is not symmetric_kl:
            return super().compare(x, route, divergence)
        raws = self.raw_widths(x)
        mixed, discrepancy = _AttendAndCompare.apply(self.heads(x), prior.precision(raws[0]), route)
        return self.join_heads(mixed), Comparison(discrepancy[..., None], openness(raws))


class _AttendAndCompare(torch.autograd.Function):
    """From Q, K, V, (batch, time, 3, head, feature), and 1/2σ² to S V, (batch, time, head, feature), and D.

    D is (batch, time), the mean over heads. The route weighs the gradient that S and P get of D's.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, precision: Tensor, route: Route) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(qkv, precision)
        ctx.route = route
        mixed, discrepancy = way_for(qkv).forward(qkv, precision)
        return mixed, discrepancy.mean(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, from_mixed: Tensor, from_discrepancy: Tensor) -> tuple[Tensor, Tensor | None, None]:
        qkv, precision = ctx.saved_tensors
        of_a_head = (from_discrepancy[:, None] / precision.shape[1]).expand_as(precision)
        on_qkv, on_precision = way_for(qkv).backward(qkv, precision, from_mixed, of_a_head, ctx.route)
        return on_qkv, on_precision if ctx.route.prior else None, None
