"""How far a series association is from a prior association, a bounded number per row.

Both functions take S and P of shape (batch, head, time, time), rows summing to 1, and return (batch, time): the sum
over keys, averaged over heads. They never average over time, since one number per window would score all its rows
alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["jensen_shannon", "symmetric_kl"]

LOG_FLOOR = 1e-4  # of the official code; without it a Gaussian tail that underflows takes D from 8 to hundreds


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
    ratio = torch.log((series + LOG_FLOOR) / (prior + LOG_FLOOR))
    return ((series - prior) * ratio).sum(dim=-1).mean(dim=1)


def jensen_shannon(series: Tensor, prior: Tensor) -> Tensor:
    """Jensen-Shannon divergence, in [0, log 2], so that no prior however narrow can drown the reconstruction."""
    middle = 0.5 * (series + prior)

    def to_middle(association: Tensor) -> Tensor:
        return torch.xlogy(association, association.clamp_min(1e-30) / middle.clamp_min(1e-30)).sum(dim=-1)

    return 0.5 * (to_middle(series) + to_middle(prior)).mean(dim=1)
