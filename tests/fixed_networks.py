"""Networks without training, whose errors are exact."""

from __future__ import annotations

import torch

from timesad.nn.networks import AssociatingNetwork, NetworkOutput, ReconstructionNetwork, WindowSettings


class FixedNetwork(ReconstructionNetwork):
    """Reconstructs the value v at a position as (1 - miss[position]) · v: the squared error is (miss · v)²."""

    def __init__(self, miss, n_channels=1):
        super().__init__(WindowSettings(n_channels, len(miss), model_size=2, n_masks=0))
        self.miss = torch.tensor(miss)[:, None]

    def features(self, embedded):
        raise NotImplementedError

    def reconstruct(self, x, hidden=None):
        return (1 - self.miss) * x


class FixedAssociations(FixedNetwork, AssociatingNetwork):
    """As `FixedNetwork`, with the discrepancies v and 2 - v of the first channel."""

    def associate(self, embedded, call):
        raise NotImplementedError

    def forward(self, x, hidden=None):
        return NetworkOutput(self.reconstruct(x), None, torch.cat([x[..., :1], 2 - x[..., :1]], dim=-1), None)
