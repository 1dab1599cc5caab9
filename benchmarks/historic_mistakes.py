"""Mistakes of earlier ports of the association discrepancy, each as one overridden method.

The ablation measures them, and the tests of the minimax must fail on each. The score that adds D with the wrong sign is
a rule in `ablation_methods`. None is in the public API.
"""

from __future__ import annotations

from torch import Tensor

from timesad import TimesNetDiscrepancyDetector
from timesad.nn import AnomalyAttention, TimesNetDiscrepancyNetwork
from timesad.nn.minimax import Route
from timesad.training import Phase

__all__ = [
    "MISTAKES",
    "DoubleMaximise",
    "IdenticalLosses",
    "MixesPrior",
    "SwappedPhases",
    "double_maximise",
    "identical_losses",
    "swapped_phases",
]


# Both losses stop the gradient of S. With opposite signs they cancel, and so does the gradient of P.
identical_losses = Route(0, 0)
# S moves towards P, and P away from S: the "correction" that the seed question was given.
swapped_phases = Route(1, -1)
# Both phases maximise D, as in PyOD's port: P moves away from S too.
double_maximise = Route(-1, -1)


class IdenticalLosses(TimesNetDiscrepancyDetector):
    """``rec - k·D`` and ``k·D`` with the same stop-gradients: the minimax has no effect."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("identical", identical_losses, 2.0),)


class SwappedPhases(TimesNetDiscrepancyDetector):
    """S moves towards P, and P away from S."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("swapped", swapped_phases, 2.0),)


class DoubleMaximise(TimesNetDiscrepancyDetector):
    """S and P move away from each other."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("double", double_maximise, 2.0),)


class MixedAttention(AnomalyAttention):
    """The output is (P + S) / 2 · V."""

    def mix(self, series: Tensor, priors: tuple[Tensor, ...]) -> Tensor:
        """The mean of S and the first prior."""
        return 0.5 * (series + priors[0])


class MixedNetwork(TimesNetDiscrepancyNetwork):
    """The flagship's network on `MixedAttention`."""

    attention_class = MixedAttention


class MixesPrior(TimesNetDiscrepancyDetector):
    """Reconstruction through (P + S) / 2: a narrow prior becomes a copy of the input."""

    _network_class = MixedNetwork


MISTAKES = {
    "identical losses": IdenticalLosses,
    "swapped phases": SwappedPhases,
    "double maximise": DoubleMaximise,
    "(P+S)/2 attention": MixesPrior,
}
