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
from .divergence import LOG_FLOOR, symmetric_kl
from .minimax import Route

__all__ = ["FusedAttention"]

LOG2_E = math.log2(math.e)
MAP_SIZE = 150_000  # entries of the maps made at once on a processor; half or twice as many take the same time


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
        by_head = (part.contiguous() for part in (*self.split_heads(x), prior.precision(raws[0])))
        mixed, discrepancy = _AttendAndCompare.apply(*by_head, prior.squared_distance, route)
        return self.join_heads(mixed), Comparison(discrepancy[..., None], openness(raws))


class _AttendAndCompare(torch.autograd.Function):
    """(Q, K, V, 1/2σ², squared distances, route) -> S V, (batch, head, time, feature), and D, (batch, time).

    With r = log((S + ε) / (P + ε)), D's gradient is r + 1 - exp(-r) on S and 1 - r - exp(r) on P. From there it passes
    through two softmaxes, whose logits are QKᵀ/√d and the squared distances times -1/2σ². What is the same for a whole
    row does not pass a softmax, so the ones are left out.
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
        q, k, v, widths, to_mixed, to_discrepancy = _by_map(query, key, value, precision, mixed, discrepancy)
        for part, (series, prior, quotient) in _pieces(q, 3):
            _associate(q[part], k[part], widths[part], squared_distance, series, prior)
            torch.bmm(series, v[part], out=to_mixed[part])
            torch.div(series.add_(LOG_FLOOR), prior.add_(LOG_FLOOR), out=quotient)
            torch.sum(series.sub_(prior).mul_(quotient.log_()), dim=-1, out=to_discrepancy[part])
        return mixed, discrepancy.mean(dim=1)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, from_mixed: Tensor | None, from_discrepancy: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None, None]:
        query, key, value, precision, squared_distance = ctx.saved_tensors
        on_query, on_key, on_value, tilt = (torch.empty_like(x) for x in (query, key, value, precision))
        from_mixed = torch.zeros_like(value) if from_mixed is None else from_mixed.contiguous()
        q, k, v, widths, g = _by_map(query, key, value, precision, from_mixed)
        to_query, to_key, to_value, to_tilt = _by_map(on_query, on_key, on_value, tilt)
        on_series = on_prior = None
        if from_discrepancy is not None:
            of_a_head = (from_discrepancy[:, None] / query.shape[1]).expand_as(precision)  # (batch, head, time)
            on_series = (ctx.route.series * of_a_head).flatten(0, 1)[..., None] if ctx.route.series else None
            on_prior = ctx.route.prior * of_a_head if ctx.route.prior else None
        for part, (series, prior, quotient, ratio, spare) in _pieces(q, 5):
            _associate(q[part], k[part], widths[part], squared_distance, series, prior)
            torch.bmm(series.mT, g[part], out=to_value[part])
            if on_series is not None or on_prior is not None:
                torch.add(series, LOG_FLOOR, out=quotient).div_(torch.add(prior, LOG_FLOOR, out=spare))
                torch.log(quotient, out=ratio)
            if on_prior is not None:
                # minus the gradient on P, times P, against the squared distance's deviation from its mean under P
                pull = torch.add(quotient, ratio, out=spare).mul_(prior)
                mean = torch.linalg.vecdot(prior, squared_distance)
                to_tilt[part] = torch.linalg.vecdot(pull, squared_distance) - pull.sum(dim=-1) * mean
            torch.bmm(g[part], v[part].mT, out=spare)
            if on_series is not None:
                spare.addcmul_(ratio.sub_(quotient.reciprocal_()), on_series[part])
            spare.mul_(series)
            to_logits = spare.addcmul_(series, spare.sum(dim=-1, keepdim=True), value=-1.0)
            torch.bmm(to_logits, k[part], out=to_query[part])
            torch.bmm(to_logits.mT, q[part], out=to_key[part])
        on_precision = None if on_prior is None else on_prior * tilt
        scale = _scale(query)
        return on_query.mul_(scale), on_key.mul_(scale), on_value, on_precision, None, None


def _by_map(*tensors: Tensor) -> list[Tensor]:
    """Views whose first axis counts maps: (batch, head, ...) -> (batch · head, ...)."""
    return [tensor.view(-1, *tensor.shape[2:]) for tensor in tensors]


def _pieces(query: Tensor, n_buffers: int) -> Iterator[tuple[slice, list[Tensor]]]:
    """A few maps at a time: which, and so many buffers to write them into, (map, time, time) each.

    On an accelerator all maps are one piece: there their size costs less than starting work for each piece.
    """
    n_maps, time, _ = query.shape
    at_once = max(1, MAP_SIZE // time**2) if query.device.type == "cpu" else n_maps
    buffers = [query.new_empty(min(at_once, n_maps), time, time) for _ in range(n_buffers)]
    for begin in range(0, n_maps, at_once):
        end = min(begin + at_once, n_maps)
        yield slice(begin, end), [buffer[: end - begin] for buffer in buffers]


def _associate(
    query: Tensor, key: Tensor, precision: Tensor, squared_distance: Tensor, series: Tensor, prior: Tensor
) -> None:
    """Write S and P into `series` and `prior`, (map, time, time).

    Both are softmaxes to the base 2, their logits being given to it: a power of 2 is worked out several times as fast
    as one of e.
    """
    torch.baddbmm(series, query, key.mT, beta=0.0, alpha=LOG2_E * _scale(query), out=series)
    series.sub_(series.amax(dim=-1, keepdim=True))
    torch.mul(squared_distance, (-LOG2_E * precision)[..., None], out=prior)  # the largest is that of distance 0
    for logits in (series, prior):
        logits.clamp_(min=LOG2_E * SMALLEST_EXPONENT).exp2_()
        logits.mul_(1.0 / logits.sum(dim=-1, keepdim=True))


def _scale(query: Tensor) -> float:
    return 1.0 / math.sqrt(query.shape[-1])
