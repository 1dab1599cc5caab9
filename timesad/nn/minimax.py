"""The minimax of the association discrepancy, as routing of gradients.

The paper (Xu et al., ICLR 2022, equations 4-6) trains S and P against each other: the *minimise* phase moves P
towards S with S held fixed, the *maximise* phase moves S away from P with P held fixed, while reconstructing. The
official code runs two backward passes and one step, of ``rec - k D(S, P̄)`` and ``rec + k D(S̄, P)``, where a bar is
a stop-gradient. Their sum has the gradient of ``2 rec + k D(S*, P)``, where S* is S with its gradient reversed: one
backward pass, one divergence.

A *route* is a function (S, P) -> (S, P) that leaves the values alone and decides what gradient each may feel.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Route", "maximise_phase", "minimise_phase", "reverse_gradient", "simultaneous", "straight"]

Route = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        return -gradient


def reverse_gradient(x: Tensor) -> Tensor:
    """The identity, whose gradient has its sign turned.

    Examples
    --------
    >>> import torch
    >>> from timesad.nn import reverse_gradient
    >>> x = torch.ones(1, requires_grad=True)
    >>> reverse_gradient(3 * x).sum().backward()
    >>> x.grad.item()
    -3.0
    """
    reversed_: Tensor = _ReverseGradient.apply(x)
    return reversed_


def simultaneous(series: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Both phases in one step: minimising D then moves P towards S, and S away from P."""
    return reverse_gradient(series), prior


def maximise_phase(series: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Only S feels D, and is moved away from P."""
    return reverse_gradient(series), prior.detach()


def minimise_phase(series: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Only P feels D, and is moved towards S."""
    return series.detach(), prior


def straight(series: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """No routing, for scoring, where nothing is differentiated."""
    return series, prior
