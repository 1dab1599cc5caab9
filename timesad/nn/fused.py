"""Attention and discrepancy without their maps: a few windows at a time, in a core's cache, and again for the gradient.

S, P and what lies between them and D are maps of (batch, head, time, time). Written out, they leave the cache between
any two operations and are all kept for the backward pass. Here the maps of a few windows are made, reduced to rows and
overwritten by those of the next windows; the backward pass makes them anew and applies the gradient on paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .association import SMALLEST_EXPONENT, AnomalyAttention, Comparison, Divergence, LocalPrior, openness
from .divergence import log_ratio, symmetric_kl
from .minimax import Route

__all__ = ["FusedAttention"]

MAP_SIZE = 150_000  # entries of one map on a processor: four of them fit its second cache


class FusedAttention(AnomalyAttention):
    """An `AnomalyAttention` with the same parameters and the same numbers, that keeps no map unless maps are asked for.

    The local prior with the symmetric Kullback-Leibler divergence is compared as the module says; what else is asked
    is compared by maps.
    """

    def attend(self, x: Tensor) -> Tensor:
        """The output alone, (batch, time, model_size)."""
        return self.join_heads(F.scaled_dot_product_attention(*self.split_heads(x)))

    def compare(self, x: Tensor, route: Route, divergence: Divergence) -> tuple[Tensor, Comparison]:
        """The output, and how far S is from each prior at every row."""
        prior = self.priors[0]
        if len(self.priors) > 1 or not isinstance(prior, LocalPrior) or divergence is not symmetric_kl:
            return super().compare(x, route, divergence)
        raws = self.raw_widths(x)
        heads = (part.contiguous() for part in self.split_heads(x))
        mixed, discrepancy = _AttendAndCompare.apply(*heads, prior.precision(raws[0]), prior.squared_distance, route)
        return self.join_heads(mixed), Comparison(discrepancy[..., None], openness(raws))


class _AttendAndCompare(torch.autograd.Function):
    """(Q, K, V, 1/2σ², squared distances, route) -> S V, (batch, head, time, feature), and D, (batch, time).

    With r = log((S + ε) / (P + ε)), D's gradient is r + 1 - exp(-r) on S and 1 - r - exp(r) on P. From there it passes
    through two softmaxes, whose logits are QKᵀ/√d and the squared distances times -1/2σ².
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, precision: Tensor, squared_distance: Tensor, route: Route
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(query, key, value, precision, squared_distance)
        ctx.route = route
        ctx.set_materialize_grads(False)
        mixed = torch.empty_like(value)
        discrepancy = torch.empty_like(precision)  # (batch, head, time)
        for part, (series, prior, ratio) in _pieces(query, 3):
            _associate(query[part], key[part], precision[part], squared_distance, series, prior)
            torch.matmul(series, value[part], out=mixed[part])
            log_ratio(series, prior, out=ratio)
            torch.sum(series.sub_(prior).mul_(ratio), dim=-1, out=discrepancy[part])
        return mixed, discrepancy.mean(dim=1)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, to_mixed: Tensor | None, to_discrepancy: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None, None]:
        query, key, value, precision, squared_distance = ctx.saved_tensors
        to_query, to_key, to_value = (torch.empty_like(tensor) for tensor in (query, key, value))
        to_mixed = torch.zeros_like(value) if to_mixed is None else to_mixed.contiguous()
        tilt = torch.empty_like(precision)
        on_series = on_prior = None
        if to_discrepancy is not None:
            of_a_head = to_discrepancy[:, None, :, None] / query.shape[1]  # (batch, 1, time, 1)
            on_series = ctx.route.series * of_a_head if ctx.route.series else None
            on_prior = ctx.route.prior * of_a_head if ctx.route.prior else None
        for part, (series, prior, ratio, spare) in _pieces(query, 4):
            _associate(query[part], key[part], precision[part], squared_distance, series, prior)
            torch.matmul(series.transpose(-2, -1), to_mixed[part], out=to_value[part])
            log_ratio(series, prior, out=ratio)
            if on_prior is not None:
                # minus the gradient on P, times P, against the squared distance's deviation from its mean under P
                pull = torch.exp(ratio, out=spare).add_(ratio).sub_(1.0).mul_(prior)
                mean = torch.linalg.vecdot(prior, squared_distance)
                tilt[part] = torch.linalg.vecdot(pull, squared_distance) - pull.sum(dim=-1) * mean
            torch.matmul(to_mixed[part], value[part].transpose(-2, -1), out=spare)
            if on_series is not None:
                torch.exp(torch.neg(ratio, out=prior), out=prior)  # P is not needed any more
                spare.add_(ratio.sub_(prior).add_(1.0).mul_(on_series[part]))
            spare.mul_(series)
            to_logits = spare.addcmul_(series, spare.sum(dim=-1, keepdim=True), value=-1.0)
            torch.matmul(to_logits, key[part], out=to_query[part])
            torch.matmul(to_logits.transpose(-2, -1), query[part], out=to_key[part])
        to_precision = None if on_prior is None else on_prior[..., 0] * tilt
        scale = _scale(query)
        return to_query.mul_(scale), to_key.mul_(scale), to_value, to_precision, None, None


def _pieces(query: Tensor, n_maps: int) -> Iterator[tuple[slice, list[Tensor]]]:
    """A few windows at a time: which, and so many maps to write into, (window, head, time, time) each.

    On an accelerator all windows are one piece: there the maps' size costs less than starting work for each piece.
    """
    batch, heads, time, _ = query.shape
    at_once = max(1, MAP_SIZE // (heads * time * time)) if query.device.type == "cpu" else batch
    maps = [query.new_empty(min(at_once, batch), heads, time, time) for _ in range(n_maps)]
    for begin in range(0, batch, at_once):
        end = min(begin + at_once, batch)
        yield slice(begin, end), [tensor[: end - begin] for tensor in maps]


def _associate(
    query: Tensor, key: Tensor, precision: Tensor, squared_distance: Tensor, series: Tensor, prior: Tensor
) -> None:
    """Write S and P into `series` and `prior`."""
    torch.matmul(query * _scale(query), key.transpose(-2, -1), out=prior)
    torch.softmax(prior, dim=-1, out=series)
    torch.mul(squared_distance, -precision[..., None], out=prior).clamp_(min=SMALLEST_EXPONENT).exp_()
    prior.mul_(1.0 / prior.sum(dim=-1, keepdim=True))


def _scale(query: Tensor) -> float:
    return 1.0 / math.sqrt(query.shape[-1])
