"""The mistakes that ports of association discrepancy have made, each as one overridden method.

They are kept to be measured against, and so that the tests that show our mechanism alive can be shown to fail on each
of them. None is in the public API.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from timesad import TimesNetDiscrepancyDetector
from timesad.evidence import Evidence
from timesad.nn import AnomalyAttention, TimesNetDiscrepancyNetwork
from timesad.nn.minimax import Route
from timesad.training import Phase

__all__ = [
    "MISTAKES",
    "AddsDiscrepancy",
    "DoubleMaximise",
    "IdenticalLosses",
    "LooksThroughPrior",
    "SwappedPhases",
    "double_maximise",
    "identical_losses",
    "swapped_phases",
]


# Both losses stop the gradient of S; added with opposite signs they cancel, and so does the gradient of P.
identical_losses = Route(0, 0)
# S is moved towards P, and P away from S: the "correction" that the seed question was given.
swapped_phases = Route(1, -1)
# D is maximised in both phases, as in PyOD's port: P runs away from S too.
double_maximise = Route(-1, -1)


class IdenticalLosses(TimesNetDiscrepancyDetector):
    """``rec - k·D`` and ``k·D`` with the same stop-gradients: the minimax is void."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("identical", identical_losses, 2.0),)


class SwappedPhases(TimesNetDiscrepancyDetector):
    """S learns P, P flees S."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("swapped", swapped_phases, 2.0),)


class DoubleMaximise(TimesNetDiscrepancyDetector):
    """Both flee each other."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("double", double_maximise, 2.0),)


class MixedAttention(AnomalyAttention):
    """Values are carried by (P + S) / 2."""

    def mix(self, series: Tensor, priors: tuple[Tensor, ...]) -> Tensor:
        """The mean of S and the first prior."""
        return 0.5 * (series + priors[0])


class MixedNetwork(TimesNetDiscrepancyNetwork):
    """The flagship's network on `MixedAttention`."""

    attention_class = MixedAttention


class LooksThroughPrior(TimesNetDiscrepancyDetector):
    """Reconstruction through (P + S) / 2: a narrow prior becomes a copy of the input."""

    _network_class = MixedNetwork


class AddsDiscrepancy(TimesNetDiscrepancyDetector):
    """A large discrepancy counts as abnormal: the sign of the seed question's score."""

    def _evidence(self, *args: Any) -> Evidence:
        evidence = super()._evidence(*args)
        return evidence if evidence.closeness is None else replace(evidence, closeness=-evidence.closeness)


MISTAKES = {
    "identical losses": IdenticalLosses,
    "swapped phases": SwappedPhases,
    "double maximise": DoubleMaximise,
    "(P+S)/2 attention": LooksThroughPrior,
    "score adds +D": AddsDiscrepancy,
}
