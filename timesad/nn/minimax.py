"""The minimax of the association discrepancy, as multiplication of gradients.

The paper (Xu et al., ICLR 2022, equations 4-6) trains S and P against each other: the *minimise* phase moves P
towards S with S held fixed, the *maximise* phase moves S away from P with P held fixed, while reconstructing. The
official code runs two backward passes and one step, of ``rec - k D(S, P̄)`` and ``rec + k D(S̄, P)``, where a bar is
a stop-gradient. Their sum has the gradient of ``2 rec + k D(S*, P)``, where S* is S with its gradient reversed: one
backward pass, one divergence.

A *route* keeps the values of S and P and multiplies their gradients by -1, 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Route", "maximise_phase", "minimise_phase", "reverse_gradient", "simultaneous", "straight"]

Factor = Literal[-1, 0, 1]


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        return -gradient


def reverse_gradient(x: Tensor) -> Tensor:
    """The identity, with a gradient of opposite sign.

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


@dataclass(frozen=True)
class Route:
    """Factors of the gradients of D with respect to S and P: 1 passes it, 0 stops it, -1 reverses it.

    Parameters
    ----------
    series, prior : {-1, 0, 1}
        The two factors.

    Examples
    --------
    >>> import torch
    >>> from timesad.nn.minimax import minimise_phase
    >>> series, prior = minimise_phase(torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True))
    >>> series.requires_grad, prior.requires_grad
    (False, True)
    """

    series: Factor
    prior: Factor

    def __call__(self, series: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """S and P as they are, with the gradient of each multiplied."""
        return _multiply_gradient(series, self.series), _multiply_gradient(prior, self.prior)


def _multiply_gradient(x: Tensor, factor: Factor) -> Tensor:
    if factor == 0:
        return x.detach()
    return x if factor == 1 else reverse_gradient(x)


simultaneous = Route(-1, 1)  # both phases in one step: a descent on D moves P towards S, and S away from P
maximise_phase = Route(-1, 0)  # S moves away from P, which does not move
minimise_phase = Route(0, 1)  # P moves towards S, which does not move
straight = Route(1, 1)  # unchanged gradients, for scoring
