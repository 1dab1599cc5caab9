"""Variants of the flagship for the ablation: training of the association, prior, attention, trunk, score.

A level of a factor is a value of a public parameter, or a subclass of the flagship that overrides one method. A variant
has one level of each factor. It is trained once and scored by every rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import new_class
from typing import Any

import torch
from torch import Tensor

from timesad import TimesNetDetector, TimesNetDiscrepancyDetector
from timesad.nn import AnomalyAttention, AssociationSettings, LocalPrior, TimesNetDiscrepancyNetwork
from timesad.nn.association import Associations, Prior
from timesad.nn.minimax import maximise_phase, minimise_phase
from timesad.scoring import RECONSTRUCTION_PLUS_DISCREPANCY
from timesad.training import Phase, TrainingSettings

from .contract import Method, Setup, index_methods
from .grid_prior import GridPrior, jensen_shannon
from .historic_mistakes import DoubleMaximise, IdenticalLosses, MixesPrior, SwappedPhases
from .methods import METHODS as PEERS
from .score_rules import REFERENCE_RULE, EveryRule, ScoreRule

__all__ = [
    "BASELINE",
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
PLACEBO = "placebo"
FURTHER = "further"
BASELINE = "baseline"
PEER_BASELINES = ("window-pca", "random-score")

EPOCH_SIZE = 512  # windows in an epoch, half the default, so that the study takes less time
NOISE_SEED = 0  # of the placebos, the same in every run; the seed of a run varies the network
NEAR_ROWS = 8  # rows that a mask hides together
DOUBLED = 2.0  # weight of the reconstruction in a step, as in the library's
OFFICIAL_WEIGHT = 3.0  # k of the official code


# Score rules

RULES = (
    ScoreRule(REFERENCE_RULE, reconstruction=True),
    ScoreRule("discrepancy", signs=(1.0,)),
    ScoreRule("product", product=True),
    ScoreRule("sum", reconstruction=True, signs=(1.0,)),
    ScoreRule("sum-wrong-sign", reconstruction=True, signs=(-1.0,)),  # the sign of the seed question's score
)
# D(S, P_grid) - D(S, P_local): close to the local prior and far from the grid is abnormal. The local prior comes first.
CONTRAST_SIGNS = (1.0, -1.0)
CONTRAST_RULES = (
    ScoreRule("contrast", signs=CONTRAST_SIGNS),
    ScoreRule("sum-contrast", reconstruction=True, signs=CONTRAST_SIGNS),
)


class Ablated(TimesNetDiscrepancyDetector):
    """The flagship with shorter epochs."""

    def _training_settings(self) -> TrainingSettings:
        return replace(super()._training_settings(), epoch_size=EPOCH_SIZE)


class PlainTimesNet(TimesNetDetector):
    """TimesNet with epochs as short."""

    def _training_settings(self) -> TrainingSettings:
        return replace(super()._training_settings(), epoch_size=EPOCH_SIZE)


# Training: what the gradient of D moves


class Alternating(TimesNetDiscrepancyDetector):
    """The phases of the paper's text, each with a step of its own."""

    def _phases(self) -> tuple[Phase, ...]:
        return Phase("maximise", maximise_phase, 1.0), Phase("minimise", minimise_phase, 1.0)


class MaximiseOnly(TimesNetDiscrepancyDetector):
    """S moves away from P; the widths of P keep their initial values."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("maximise", maximise_phase, DOUBLED),)


class MinimiseOnly(TimesNetDiscrepancyDetector):
    """P moves towards S; the reconstruction alone trains S."""

    def _phases(self) -> tuple[Phase, ...]:
        return (Phase("minimise", minimise_phase, DOUBLED),)


class Untrained(TimesNetDiscrepancyDetector):
    """A placebo: no step of training, so the network keeps its initial weights."""

    def _phases(self) -> tuple[Phase, ...]:
        return ()


# Priors


class FixedLocalPrior(LocalPrior):
    """The width of a raw value of 0, around which the learnable widths start, for every row and head."""

    def precision(self, raw: Tensor) -> Tensor:
        """1 / 2σ² of a raw value of 0."""
        return super().precision(torch.zeros_like(raw))


class ShuffledGridPrior(GridPrior):
    """A placebo: the grid's weights, permuted among the rows of each cycle. Phases then have no meaning."""

    def _of_period(self, index: int, shares: Tensor) -> Tensor:
        cycle = torch.arange(self.window_size) // self.periods[index]
        noise = torch.rand(self.window_size, generator=torch.Generator().manual_seed(NOISE_SEED))
        return super()._of_period(index, shares)[..., (cycle + noise).argsort().to(shares.device)]


class Grid(TimesNetDiscrepancyDetector):
    """The grid prior over the periods of the series."""

    def _priors(self) -> list[Prior]:
        return [GridPrior(self.window_size, self.periods_.tolist(), self.period_weights_.tolist())]


class Contrast(Grid):
    """The local and the grid prior."""

    def _priors(self) -> list[Prior]:
        return [LocalPrior(self.window_size), *super()._priors()]


class FixedWidth(TimesNetDiscrepancyDetector):
    """A placebo of learning: the local prior with one fixed width."""

    def _priors(self) -> list[Prior]:
        return [FixedLocalPrior(self.window_size)]


class ShuffledPhases(TimesNetDiscrepancyDetector):
    """A placebo of periods: the grid prior with its phases shuffled."""

    def _priors(self) -> list[Prior]:
        return [ShuffledGridPrior(self.window_size, self.periods_.tolist(), self.period_weights_.tolist())]


# Divergence and trunk


class JensenShannon(TimesNetDiscrepancyDetector):
    """A bounded divergence in place of the symmetric Kullback-Leibler divergence."""

    def _association_settings(self) -> AssociationSettings:
        return replace(super()._association_settings(), divergence=jensen_shannon)


class JointTrunk(TimesNetDiscrepancyDetector):
    """The attention's output is added to TimesNet's features, and both train together."""

    def _build_network(self) -> TimesNetDiscrepancyNetwork:
        settings = self._window_settings(), self._block_settings(), self._association_settings()
        return self._network_class(*settings, detached=False)


# Series association


class RandomSeriesAttention(AnomalyAttention):
    """Noise in the place of S for the discrepancy; the output is that of S, so the trunk trains as usual."""

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
    """A placebo: D compares P with noise of S's shape, new for every window."""

    _network_class = RandomSeriesNetwork


class LookAwayAttention(AnomalyAttention):
    """S without the row itself and its neighbours: rows further away, and other cycles, remain."""

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
    """No row attends to rows next to it."""

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
        Description for the table of variants.
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
    Level("simultaneous", "S moves away from P and P towards S in one step"),
    Level("alternating", "a step for each phase, so the trunk takes two per batch", override=Alternating),
    Level("off", "no minimax: D is measured and not trained on", {"discrepancy_weight": 0}),
    Level("maximise-only", "S moves away from P", override=MaximiseOnly),
    Level("minimise-only", "P moves towards S", override=MinimiseOnly),
    Level("identical-losses", "mistake: both losses stop the same gradients", override=IdenticalLosses),
    Level("swapped-phases", "mistake: S moves towards P and P away from S", override=SwappedPhases),
    Level("double-maximise", "mistake: S and P move away from each other", override=DoubleMaximise),
)
FIXED_WIDTH = Level(
    "fixed-width", "placebo: the same Gaussian with one width for all rows, never learned", override=FixedWidth
)
GRID = Level("grid", "Gaussian over phase and cycle of the periods", override=Grid)
PRIORS = (
    Level("local", "Gaussian over time, learnable widths"),
    FIXED_WIDTH,
    GRID,
    Level("shuffled-phases", "placebo: the grid with its rows shuffled in each cycle", override=ShuffledPhases),
    Level("contrast", "local and grid", override=Contrast, more_rules=CONTRAST_RULES),
)
ATTENTION = (
    Level("series", "the output is S · V"),
    Level("mixed", "mistake: the output is (P + S) / 2 · V", override=MixesPrior),
)
JOINT = Level("joint", "association and TimesNet train together", override=JointTrunk)
TRUNK = (
    Level("detached", "the association reads TimesNet's features and does not train them"),
    JOINT,
)
FACTORS = (TRAINING, PRIORS, ATTENTION, TRUNK)

UNTRAINED = Level("untrained", "placebo: no step of training", override=Untrained)
RANDOM_SERIES = Level(
    "random-series", "placebo: noise in the place of S; only P's width is left in D", override=RandomSeries
)

# Beside the factors: the divergence, the weight of D, and the reach of S.
JENSEN_SHANNON = Level(
    "jensen-shannon", "a bounded divergence in the place of the symmetric KL", override=JensenShannon
)
WEIGHTS = tuple(
    Level(f"k-{k:g}", f"k = {k:g} in the place of the balanced one", {"discrepancy_weight": k})
    for k in (0.1, OFFICIAL_WEIGHT)
)
LOOK_AWAY = Level("look-away", f"S without rows nearer than {NEAR_ROWS}", override=LookAway)


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
        """Names of the changes, or "default"."""
        return ".".join(level.name for level in self.changes) or "default"

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
            anomaly_score=RECONSTRUCTION_PLUS_DISCREPANCY,
            random_state=setup.seed,
            **parameters,
        )
        return EveryRule(detector, self.rules)


@cache
def combine(overrides: tuple[type[TimesNetDiscrepancyDetector], ...]) -> type[TimesNetDiscrepancyDetector]:
    """Return the flagship with all of these overrides, which touch different methods."""
    if not overrides:
        return Ablated
    name = "And".join(override.__name__ for override in overrides)
    combined: type[TimesNetDiscrepancyDetector] = new_class(name, (*overrides, Ablated))
    return combined


def build(setup: Setup, *, variant: Variant) -> EveryRule:
    """Build a variant; a function at module level, because methods are pickled."""
    return variant.build(setup)


def plain_timesnet(setup: Setup) -> PlainTimesNet:
    """Build the network without associations, trained as the variants."""
    return PlainTimesNet(window_size=setup.window, random_state=setup.seed)


# Beside a detached trunk no level changes the reconstruction. These show a joint one: without a minimax, with
# (P + S) / 2 as the attention, with the identical losses, and with the correction that is often offered.
JOINT_VARIANTS = ("off.joint", "mixed.joint", "identical-losses.joint", "swapped-phases.mixed.joint")
LEVELS = {level.name: level for factor in FACTORS for level in factor}
SMALL_VARIANTS = (
    Variant(),
    *(Variant((level,)) for factor in FACTORS for level in factor[1:]),
    *(Variant(tuple(LEVELS[name] for name in names.split("."))) for names in JOINT_VARIANTS),
)


# With noise for S and one width for P, D is only noise.
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


FAMILIES = {SMALL: SMALL_VARIANTS, PLACEBO: PLACEBO_VARIANTS, FURTHER: FURTHER_VARIANTS}
VARIANTS = {variant.name: variant for variants in FAMILIES.values() for variant in variants}
METHODS = index_methods(
    (
        *(
            Method(v.name, family, partial(build, variant=v), scores=tuple(rule.name for rule in v.rules))
            for family, variants in FAMILIES.items()
            for v in variants
        ),
        Method("timesnet", BASELINE, plain_timesnet),
        *(replace(PEERS[name], family=BASELINE) for name in PEER_BASELINES),
    )
)
