"""What the ablation varies: the training of the association, its prior, what carries the values, the trunk, the score.

Every level of a factor is a value of a public parameter, or a subclass of the flagship that overrides one method; a
variant has one level of each factor. Training dominates the cost and the score rules only read what a trained network
says, so a variant is trained once and scored by all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import product
from types import new_class
from typing import Any

import torch
from torch import Tensor

from timesad import TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.nn import AnomalyAttention, GridPrior, LocalPrior, TimesNetDiscrepancyNetwork
from timesad.nn.association import Associations
from timesad.nn.minimax import maximise_phase, minimise_phase
from timesad.training import Phase

from .contract import Method, Setup, index_methods
from .equal_size import OFFICIAL_WEIGHT
from .historic_mistakes import DoubleMaximise, IdenticalLosses, LooksThroughPrior, SwappedPhases
from .methods import METHODS as PEERS
from .score_rules import REFERENCE_RULE, EveryRule, ScoreRule

__all__ = [
    "BASELINE",
    "CROSS",
    "EPOCH_SIZE",
    "FACTORS",
    "FURTHER",
    "METHODS",
    "PLACEBO",
    "SMALL",
    "VARIANTS",
    "Level",
    "Variant",
]

SMALL = "small"
CROSS = "cross"
PLACEBO = "placebo"
FURTHER = "further"
BASELINE = "baseline"
PEER_BASELINES = ("window-pca", "random-score")

# Windows an epoch, for all networks alike. A quarter of the default: on long series plain TimesNet ends with a held-out
# error up to a sixth higher and ranks rows the same, and a study of this many trainings becomes a matter of minutes.
EPOCH_SIZE = 512

NOISE_SEED = 0  # the noise of the placebos is the same in every run; what the seed of a run varies is the network
NEAR_ROWS = 8  # the default patch: as far as a row's neighbours are hidden with it
DOUBLED = 2.0  # reconstructions a step: as many as the simultaneous schedule counts


# Score rules

RULES = (
    ScoreRule(REFERENCE_RULE, "reconstruction"),
    ScoreRule("discrepancy", "discrepancy"),
    ScoreRule("product", "product"),
    ScoreRule("sum", "sum"),
    # The sign of the seed question's score, as `historic_mistakes.AddsDiscrepancy` has it.
    ScoreRule("sum-wrong-sign", "sum", (-1.0,)),
)
# D(S, P_grid) - D(S, P_local): close to the local prior and far from the grid is abnormal. The local prior comes first.
CONTRAST_SIGNS = (1.0, -1.0)
CONTRAST_RULES = (
    ScoreRule("contrast", "discrepancy", CONTRAST_SIGNS),
    ScoreRule("sum-contrast", "sum", CONTRAST_SIGNS),
)


# Training: what the gradient of D moves


class MaximiseOnly(TimesNetDiscrepancyDetector):
    """S flees P; P's widths stay as they were drawn."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("maximise", maximise_phase, DOUBLED),)


class MinimiseOnly(TimesNetDiscrepancyDetector):
    """P learns S; S serves the reconstruction alone."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("minimise", minimise_phase, DOUBLED),)


class Untrained(TimesNetDiscrepancyDetector):
    """A placebo: no step is ever taken, so the network stays as it was drawn."""

    def _phases(self) -> tuple[Phase, ...]:
        return ()


# Priors


class FixedLocalPrior(LocalPrior):
    """The width of a raw value of 0, which the learnable widths start around, for every row and head."""

    def precision(self, raw: Tensor) -> Tensor:
        """1 / 2σ² of a raw value of 0."""
        return super().precision(torch.zeros_like(raw))


class ShuffledGridPrior(GridPrior):
    """A placebo: the grid's weights, dealt out anew to the rows of each cycle.

    Every cycle keeps its mass and every association its evenness; which phase a row lies at says nothing any more.
    """

    def _of_period(self, index: int, opened: Tensor) -> Tensor:
        cycle = torch.arange(self.window_size) // self.periods[index]
        noise = torch.rand(self.window_size, generator=torch.Generator().manual_seed(NOISE_SEED))
        return super()._of_period(index, opened)[..., (cycle + noise).argsort().to(opened.device)]


class FixedWidth(TimesNetDiscrepancyDetector):
    """A placebo of learning: the local prior with one width that nothing moves."""

    def _priors(self) -> list[LocalPrior | GridPrior]:
        return [FixedLocalPrior(self.window_size)]


class ShuffledPhases(TimesNetDiscrepancyDetector):
    """A placebo of periods: the grid prior with its phases shuffled."""

    def _priors(self) -> list[LocalPrior | GridPrior]:
        return [ShuffledGridPrior(self.window_size, self.periods_.tolist(), self.period_weights_.tolist())]


# Series association


class RandomSeriesAttention(AnomalyAttention):
    """Reports noise in the place of S, from a generator of its own, so that the trunk trains as it does beside S."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.generator = torch.Generator().manual_seed(NOISE_SEED)

    def forward(self, x: Tensor) -> tuple[Tensor, Associations]:
        output, associations = super().forward(x)
        noise = torch.randn(associations.series.shape, generator=self.generator).to(x)
        return output, associations._replace(series=torch.softmax(noise, dim=-1))


class RandomSeriesNetwork(TimesNetDiscrepancyNetwork):
    """The flagship's network on `RandomSeriesAttention`."""

    attention_class = RandomSeriesAttention


class RandomSeries(TimesNetDiscrepancyDetector):
    """A placebo: D compares P with noise of S's shape, drawn anew for every window."""

    _network_class = RandomSeriesNetwork


class LookAwayAttention(AnomalyAttention):
    """S forbids a row itself and its neighbours: what is left are rows further away, and other cycles."""

    def forward(self, x: Tensor) -> tuple[Tensor, Associations]:
        associations = super().forward(x)[1]
        position = torch.arange(x.shape[1], device=x.device)
        near = (position[:, None] - position).abs() < NEAR_ROWS
        further = associations.series.masked_fill(near, 0.0).clamp_min(torch.finfo(x.dtype).tiny)
        series = further / further.sum(dim=-1, keepdim=True)
        value = self.split_heads(x)[2]
        return self.join_heads((series @ value).transpose(1, 2)), associations._replace(series=series)


class LookAwayNetwork(TimesNetDiscrepancyNetwork):
    """The flagship's network on `LookAwayAttention`."""

    attention_class = LookAwayAttention


class LookAway(TimesNetDiscrepancyDetector):
    """No row is associated with what lies next to it."""

    _network_class = LookAwayNetwork


# Factors, levels and variants


@dataclass(frozen=True, eq=False)
class Level:
    """One setting of one factor.

    Parameters
    ----------
    name : str
        Unique among the levels of all factors.
    what : str
        For the table of variants.
    parameters : mapping, default={}
        The flagship's parameters that differ.
    override : type or None, default=None
        A subclass of the flagship that overrides one method.
    more_rules : tuple of ScoreRule, default=()
        Rules that only this level can be scored by.
    """

    name: str
    what: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    override: type[TimesNetDiscrepancyDetector] | None = None
    more_rules: tuple[ScoreRule, ...] = ()


# The first level of a factor is its default.
TRAINING = (
    Level("simultaneous", "S flees P and P learns S in one step"),
    Level("alternating", "a step for each phase, so the trunk takes two a batch", {"schedule": "alternating"}),
    Level("off", "no minimax: D is measured and not trained on", {"schedule": "off"}),
    Level("maximise-only", "S flees P", override=MaximiseOnly),
    Level("minimise-only", "P learns S", override=MinimiseOnly),
    Level("identical-losses", "mistake: both losses stop the same gradients", override=IdenticalLosses),
    Level("swapped-phases", "mistake: S learns P and P flees S", override=SwappedPhases),
    Level("double-maximise", "mistake: S flees P and P flees S", override=DoubleMaximise),
)
FIXED_WIDTH = Level(
    "fixed-width", "placebo: the same Gaussian with one width for all rows, never learned", override=FixedWidth
)
GRID = Level("grid", "Gaussian over phase and cycle of the learned periods", {"prior": "grid"})
PRIORS = (
    Level("local", "Gaussian over time, learnable widths"),
    FIXED_WIDTH,
    GRID,
    Level("shuffled-phases", "placebo: the grid with its rows shuffled in each cycle", override=ShuffledPhases),
    Level("contrast", "local and grid", {"prior": "contrast"}, more_rules=CONTRAST_RULES),
)
ATTENTION = (
    Level("series", "S carries the values"),
    Level("mixed", "mistake: (P + S) / 2 carries the values", override=LooksThroughPrior),
)
JOINT = Level("joint", "association and TimesNet train together", {"association_trunk": "joint"})
TRUNK = (
    Level("detached", "the association reads TimesNet's features and trains none of them"),
    JOINT,
)
FACTORS = (TRAINING, PRIORS, ATTENTION, TRUNK)

UNTRAINED = Level("untrained", "placebo: no step of training", override=Untrained)
RANDOM_SERIES = Level(
    "random-series", "placebo: noise in the place of S; what is left in D is P's width", override=RandomSeries
)

# Beside the factors: what D and its weight are, and where S may look.
JENSEN_SHANNON = Level("jensen-shannon", "a bounded divergence in the place of the symmetric KL", {"divergence": "js"})
WEIGHTS = tuple(
    Level(f"k-{k:g}", f"k = {k:g} in the place of the one that gives both terms one size", {"discrepancy_weight": k})
    for k in (0.1, OFFICIAL_WEIGHT)
)
LOOK_AWAY = Level("look-away", f"S forbids all rows nearer than {NEAR_ROWS}", override=LookAway)


@dataclass(frozen=True)
class Variant:
    """The flagship at one level of each factor.

    Parameters
    ----------
    changes : tuple of Level
        Levels other than the factors' defaults.
    """

    changes: tuple[Level, ...] = ()

    @property
    def name(self) -> str:
        """The changes' names, or "default": the same in a small and in a full study, which then share their cells."""
        return ".".join(level.name for level in self.changes) or "default"

    def has(self, level: Level, factor: Sequence[Level]) -> bool:
        """Return whether it is at this level of the factor."""
        changed = [change for change in self.changes if change in factor]
        return level in changed if changed else level is factor[0]

    @property
    def rules(self) -> tuple[ScoreRule, ...]:
        """All rules that it can be scored by."""
        return RULES + tuple(rule for level in self.changes for rule in level.more_rules)

    def build(self, setup: Setup) -> EveryRule:
        """Return the unfitted detector at the run's window."""
        overrides = tuple(level.override for level in self.changes if level.override is not None)
        parameters = {name: value for level in self.changes for name, value in level.parameters.items()}
        detector = combine(overrides)(
            window_size=setup.window,
            epoch_size=EPOCH_SIZE,
            random_state=setup.seed,
            score_rule="product",
            **parameters,
        )
        return EveryRule(detector, self.rules)


@cache
def combine(overrides: tuple[type[TimesNetDiscrepancyDetector], ...]) -> type[TimesNetDiscrepancyDetector]:
    """Return the flagship with all of these overrides; they touch different methods, so their order does not matter."""
    if not overrides:
        return TimesNetDiscrepancyDetector
    combined: type[TimesNetDiscrepancyDetector] = new_class("And".join(o.__name__ for o in overrides), overrides)
    return combined


def build(setup: Setup, *, variant: Variant) -> EveryRule:
    """Build a variant; a function at module level, because methods travel to other processes."""
    return variant.build(setup)


def plain_timesnet(setup: Setup) -> TimesNetDetector:
    """Build the network without associations, trained as the variants are."""
    return TimesNetDetector(window_size=setup.window, epoch_size=EPOCH_SIZE, random_state=setup.seed)


def crossed() -> list[Variant]:
    """Return a variant for every combination of levels: the default, single changes factor by factor, the others."""
    combinations = [levels[::-1] for levels in product(*reversed(FACTORS))]
    variants = [
        Variant(tuple(level for level, factor in zip(levels, FACTORS, strict=True) if level is not factor[0]))
        for levels in combinations
    ]
    return sorted(variants, key=lambda variant: len(variant.changes))


# Beside a detached trunk no level can touch the reconstruction. These show what a joint one does: without a minimax,
# with the two historic losses, and with the values carried by (P + S) / 2, alone and with the phases swapped, which is
# the correction that is often offered.
JOINT_IN_SMALL = ("off.joint", "mixed.joint", "identical-losses.joint", "swapped-phases.mixed.joint")


# With noise for S and one width for P, D is noise alone.
PLACEBO_VARIANTS = (
    Variant((UNTRAINED,)),
    Variant((RANDOM_SERIES,)),
    Variant((FIXED_WIDTH, RANDOM_SERIES)),
)
FURTHER_VARIANTS = (
    *(Variant((level,)) for level in (JENSEN_SHANNON, *WEIGHTS)),
    Variant((GRID, LOOK_AWAY)),
    Variant((GRID, LOOK_AWAY, JOINT)),
)


def family(variant: Variant) -> str:
    """Return "small" for the default, single changes of a factor and a few joint trunks, else what it belongs to."""
    if variant in PLACEBO_VARIANTS:
        return PLACEBO
    if variant in FURTHER_VARIANTS:
        return FURTHER
    return SMALL if len(variant.changes) <= 1 or variant.name in JOINT_IN_SMALL else CROSS


VARIANTS = {variant.name: variant for variant in (*crossed(), *PLACEBO_VARIANTS, *FURTHER_VARIANTS)}
METHODS = index_methods(
    (
        *(
            Method(name, family(variant), partial(build, variant=variant), scores=tuple(r.name for r in variant.rules))
            for name, variant in VARIANTS.items()
        ),
        Method("timesnet", BASELINE, plain_timesnet),
        *(replace(PEERS[name], family=BASELINE) for name in PEER_BASELINES),
    )
)
