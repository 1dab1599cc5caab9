"""The training loss and its phases."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..nn.minimax import Route, simultaneous, straight
from ..nn.networks import NetworkOutput

__all__ = ["MINIMAX", "RECONSTRUCT", "MinimaxObjective", "Phase"]


class Phase(NamedTuple):
    """One optimizer step on a batch."""

    name: str
    route: Route
    reconstructions: float  # weight of the reconstruction error in this step's loss
    uses_discrepancy: bool = True


# The official code adds the gradients of rec - k·D(S, P̄) and rec + k·D(S̄, P), and takes one step.
MINIMAX = (Phase("minimax", simultaneous, 2.0),)
# The reconstruction counts twice here as well, so a trunk without a gradient of D takes the same steps to the bit.
RECONSTRUCT = (Phase("reconstruct", straight, 2.0, uses_discrepancy=False),)


class MinimaxObjective(nn.Module):
    """Reconstruction error of the hidden rows, plus k times the routed discrepancy.

    Parameters
    ----------
    discrepancy_weight : float or "balanced"
        k in the loss ``rec + k·D``. "balanced" takes ``rec / D`` of the batch, without a gradient, so both terms have
        the same size in every step. The official code has k = 3; k·D then starts about twenty times as large as the
        reconstruction error.
    """

    def __init__(self, discrepancy_weight: float | str) -> None:
        super().__init__()
        self.discrepancy_weight = discrepancy_weight

    def reconstruction(self, reconstruction: Tensor, x: Tensor, hidden: Tensor | None) -> Tensor:
        """Mean squared error over the hidden rows, or over all if nothing is hidden; a scalar."""
        return mean_over(hidden, ((reconstruction - x) ** 2).mean(dim=-1))

    def forward(self, output: NetworkOutput, x: Tensor, hidden: Tensor | None, phase: Phase) -> dict[str, Tensor]:
        """The step's loss and its parts, all scalars.

        Returns
        -------
        parts : dict
            `loss` (to be differentiated), `reconstruction`, and with associations `discrepancy` and
            `sigma_saturated`.
        """
        reconstruction = self.reconstruction(output.reconstruction, x, hidden)
        loss = phase.reconstructions * reconstruction
        parts = {"reconstruction": reconstruction.detach()}
        if output.side_reconstruction is not None:
            side = self.reconstruction(output.side_reconstruction, x, hidden)
            loss = loss + phase.reconstructions * side
            parts["side_reconstruction"] = side.detach()
        if output.discrepancy is not None:
            discrepancy = output.discrepancy.mean()
            parts["discrepancy"] = discrepancy.detach()
            parts["sigma_saturated"] = output.sigma_saturation
            if phase.uses_discrepancy:
                loss = loss + self.scale(reconstruction, discrepancy) * discrepancy
        return {"loss": loss, **parts}

    def scale(self, reconstruction: Tensor, discrepancy: Tensor) -> float | Tensor:
        """k, without a gradient."""
        if self.discrepancy_weight == "balanced":
            return (reconstruction / discrepancy.clamp_min(torch.finfo(discrepancy.dtype).tiny)).detach()
        return float(self.discrepancy_weight)


def mean_over(hidden: Tensor | None, rows: Tensor) -> Tensor:
    """Mean of `rows` (batch, time) over the hidden ones, or over all."""
    if hidden is None:
        return rows.mean()
    weights = hidden.to(rows.dtype)
    return (rows * weights).sum() / weights.sum()
