"""The networks, as plain torch modules without scikit-learn, numpy or pandas."""

from .association import AnomalyAttention, LocalPrior
from .divergence import symmetric_kl
from .masking import complementary_masks, random_patch_mask
from .minimax import reverse_gradient
from .networks import (
    AnomalyTransformerNetwork,
    AssociatingNetwork,
    AssociationSettings,
    BlockSettings,
    NetworkOutput,
    ReconstructionNetwork,
    TimesNetDiscrepancyNetwork,
    TimesNetNetwork,
    WindowSettings,
)
from .times_block import InceptionConv2d, TimesBlock

__all__ = [
    "AnomalyAttention",
    "AnomalyTransformerNetwork",
    "AssociatingNetwork",
    "AssociationSettings",
    "BlockSettings",
    "InceptionConv2d",
    "LocalPrior",
    "NetworkOutput",
    "ReconstructionNetwork",
    "TimesBlock",
    "TimesNetDiscrepancyNetwork",
    "TimesNetNetwork",
    "WindowSettings",
    "complementary_masks",
    "random_patch_mask",
    "reverse_gradient",
    "symmetric_kl",
]
