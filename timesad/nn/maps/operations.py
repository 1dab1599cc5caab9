"""Attention, discrepancy and their gradients with torch's operations, a few windows at a time, on any device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ..association import MIN_EXPONENT, squared_distances
from ..divergence import LOG_FLOOR
from ..minimax import Route

__all__ = ["attend", "backward", "forward"]

LOG2_E = math.log2(math.e)
MAP_SIZE = 150_000  # entries of the maps computed at once on a processor; half or twice as many take the same time


def attend(qkv: Tensor) -> Tensor:
    """S V alone, (batch, time, head, feature); see `forward`."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def forward(qkv: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """S V, and the divergence of S and the local prior P.

    Parameters
    ----------
    qkv : Tensor of shape (batch, time, 3, head, feature)
        Query, key and value.
    precision : Tensor of shape (batch, head, time)
        1 / 2σ² of each query, in 1 / rows².

    Returns
    -------
    mixed : Tensor of shape (batch, time, head, feature)
    discrepancy : Tensor of shape (batch, head, time)
    """
    q, k, v = _by_map(qkv)
    widths, squared_distance = precision.flatten(0, 1), squared_distances(qkv.shape[1], qkv.dtype, qkv.device)
    mixed, discrepancy = torch.empty_like(v), torch.empty_like(widths)
    for part, (series, prior, quotient) in _pieces(q, 3):
        _associate(q[part], k[part], widths[part], squared_distance, series, prior)
        torch.bmm(series, v[part], out=mixed[part])
        torch.div(series.add_(LOG_FLOOR), prior.add_(LOG_FLOOR), out=quotient)
        torch.sum(series.sub_(prior).mul_(quotient.log_()), dim=-1, out=discrepancy[part])
    return mixed.unflatten(0, (len(qkv), -1)).transpose(1, 2), discrepancy.view_as(precision)


def backward(
    qkv: Tensor, precision: Tensor, from_mixed: Tensor, from_discrepancy: Tensor, route: Route
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to `qkv` and `precision`.

    With r = log((S + ε) / (P + ε)), the gradient of D is r + 1 - exp(-r) for S and 1 - r - exp(r) for P. It then passes
    two softmaxes, with the logits QKᵀ/√d and -(i-j)²/2σ². A softmax removes any constant of a row from its gradient, so
    the ones are left out.

    Parameters
    ----------
    qkv, precision : Tensor
        Input of `forward`; its maps are computed again.
    from_mixed : Tensor of shape (batch, time, head, feature)
        Gradient with respect to S V.
    from_discrepancy : Tensor of shape (batch, head, time)
        Gradient with respect to D.
    route : Route
        Factors of the gradient of D with respect to S and P.
    """
    q, k, v = _by_map(qkv)
    (g,) = _by_map(from_mixed[:, :, None])
    widths, squared_distance = precision.flatten(0, 1), squared_distances(qkv.shape[1], qkv.dtype, qkv.device)
    from_rows = from_discrepancy.flatten(0, 1)
    on_query, on_key, on_value = (torch.empty_like(x) for x in (q, k, v))
    tilt = torch.zeros_like(widths)
    for part, (series, prior, quotient, ratio, spare) in _pieces(q, 5):
        _associate(q[part], k[part], widths[part], squared_distance, series, prior)
        torch.bmm(series.mT, g[part], out=on_value[part])
        torch.add(series, LOG_FLOOR, out=quotient).div_(torch.add(prior, LOG_FLOOR, out=spare))
        torch.log(quotient, out=ratio)
        if route.prior:
            # minus the gradient for P, times P, against the deviation of the squared distance from its mean under P
            pull = torch.add(quotient, ratio, out=spare).mul_(prior)
            mean = torch.linalg.vecdot(prior, squared_distance)
            tilt[part] = torch.linalg.vecdot(pull, squared_distance) - pull.sum(dim=-1) * mean
        torch.bmm(g[part], v[part].mT, out=spare)
        spare.addcmul_(ratio.sub_(quotient.reciprocal_()), route.series * from_rows[part, :, None])
        spare.mul_(series)
        to_logits = spare.addcmul_(series, spare.sum(dim=-1, keepdim=True), value=-1.0)
        torch.bmm(to_logits, k[part], out=on_query[part])
        torch.bmm(to_logits.mT, q[part], out=on_key[part])
    scale = _scale(q)
    by_map = torch.stack([on_query.mul_(scale), on_key.mul_(scale), on_value], dim=1)
    on_qkv = by_map.unflatten(0, (len(qkv), -1)).permute(0, 3, 2, 1, 4)
    return on_qkv, tilt.mul_(route.prior * from_rows).view_as(precision)


def _by_map(parts: Tensor) -> tuple[Tensor, ...]:
    """Split the parts: (batch, time, part, head, feature) -> (batch · head, time, feature) each."""
    return tuple(part.transpose(1, 2).flatten(0, 1).contiguous() for part in parts.unbind(2))


def _pieces(query: Tensor, n_buffers: int) -> Iterator[tuple[slice, list[Tensor]]]:
    """Yield a few maps at a time: their slice, and buffers for them, (map, time, time) each.

    On an accelerator all maps are one piece: launching kernels for each piece would cost more than the memory.
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

    Both are softmaxes with powers of 2, which are several times as fast as powers of e.
    """
    torch.baddbmm(series, query, key.mT, beta=0.0, alpha=LOG2_E * _scale(query), out=series)
    series.sub_(series.amax(dim=-1, keepdim=True))
    torch.mul(squared_distance, (-LOG2_E * precision)[..., None], out=prior)  # the largest logit is that of distance 0
    for logits in (series, prior):
        logits.clamp_(min=LOG2_E * MIN_EXPONENT).exp2_()
        logits.mul_(1.0 / logits.sum(dim=-1, keepdim=True))


def _scale(query: Tensor) -> float:
    return 1.0 / math.sqrt(query.shape[-1])
