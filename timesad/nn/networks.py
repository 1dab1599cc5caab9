"""The three networks: all rebuild a window from its visible rows, by what stands between embedding and projection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from .association import SATURATION_SHARE, AnomalyAttention, Associations, Comparison, Divergence, GridPrior, LocalPrior
from .divergence import symmetric_kl
from .embedding import WindowEmbedding
from .fused import FusedAttention
from .masking import complementary_masks, random_patch_mask
from .minimax import Route, straight
from .products import RowLinear
from .times_block import TimesBlock

__all__ = [
    "AnomalyTransformerNetwork",
    "AssociatingNetwork",
    "AssociationSettings",
    "BlockSettings",
    "NetworkOutput",
    "ReconstructionNetwork",
    "TimesNetDiscrepancyNetwork",
    "TimesNetNetwork",
    "WindowSettings",
]

Answer = tuple[Tensor, Any]  # an attention's output, and what else it was asked for
Question = Callable[[AnomalyAttention, Tensor], Answer]

SCALE_FLOOR = 0.1  # standard deviations of the training series: a calm window is not blown up to unit scale


@dataclass(frozen=True)
class WindowSettings:
    """How any of the networks takes a window in and gives it out.

    Parameters
    ----------
    n_channels : int
        Channels of the series.
    window_size : int
        Rows in a window.
    model_size : int
        Features of each row inside the network.
    dropout : float
        Dropout of the embedding, in [0, 1).
    normalize : bool
        Whether each window is brought to mean 0 and scale 1 per channel first, and back at the end. The statistics
        are those of the visible rows.
    n_masks : int
        Number of complementary masks; 0 shows the network everything.
    patch_size : int
        Rows that are hidden together.
    """

    n_channels: int
    window_size: int
    model_size: int
    dropout: float
    normalize: bool
    n_masks: int
    patch_size: int


@dataclass(frozen=True)
class BlockSettings:
    """The TimesNet blocks.

    Parameters
    ----------
    n_layers : int
        Blocks.
    periods : sequence of int
        Periods in rows.
    n_kernels : int
        Kernels of each inception convolution.
    """

    n_layers: int
    periods: Sequence[int]
    n_kernels: int


@dataclass(frozen=True)
class AssociationSettings:
    """The anomaly attentions.

    Parameters
    ----------
    n_layers : int
        Attentions.
    n_heads : int
        Heads of each; they divide the model size.
    priors : callable
        Called once a layer; returns that layer's prior associations.
    divergence : callable
        (S, P) -> (batch, time); see `timesad.nn.divergence`.
    """

    n_layers: int
    n_heads: int
    priors: Callable[[], list[LocalPrior | GridPrior]]
    divergence: Divergence = symmetric_kl


class Encoded(NamedTuple):
    """What stands between embedding and projection hands on."""

    features: Tensor  # (batch, time, model_size)
    side_features: Tensor | None = None  # the same, of an association branch that does not feed the trunk
    discrepancy: Tensor | None = None  # (batch, time, prior), mean over layers
    openness: Tensor | None = None  # (batch, time, width), of the last layer's sigma


class NetworkOutput(NamedTuple):
    """All that a network says of a batch of windows."""

    reconstruction: Tensor  # (batch, time, channel)
    side_reconstruction: Tensor | None  # (batch, time, channel), of a detached association branch
    discrepancy: Tensor | None  # (batch, time, prior)
    openness: Tensor | None  # (batch, time, width), of the last layer: each prior width as a share of its range

    @property
    def sigma_saturation(self) -> Tensor:
        """Share of prior widths at an end of their range, where they no longer learn; a scalar."""
        assert self.openness is not None, "a network without associations has no prior widths"
        return ((self.openness < SATURATION_SHARE) | (self.openness > 1 - SATURATION_SHARE)).float().mean()


class ReconstructionNetwork(nn.Module, ABC):
    """Embed the visible rows of a window, encode them, project them back to channels.

    Parameters
    ----------
    window : WindowSettings
        The window's way in and out.
    """

    masks: Tensor

    def __init__(self, window: WindowSettings) -> None:
        super().__init__()
        self.window = window
        self.embedding = WindowEmbedding(window.n_channels, window.model_size, window.window_size, window.dropout)
        self.projection = RowLinear(window.model_size, window.n_channels)
        self.side_projection: nn.Linear | None = None
        masks = complementary_masks(window.window_size, window.patch_size, window.n_masks)
        self.register_buffer("masks", masks, persistent=False)  # (mask, time); none where nothing is hidden

    def embed(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Visible rows of windows, embedded, (batch, time, model_size), and the mean and scale taken out of them."""
        visible = torch.ones_like(x[..., :1]) if hidden is None else (~hidden)[..., None].to(x.dtype)
        if self.window.normalize:
            mean, scale = window_statistics(x, visible)
        else:
            mean, scale = x.new_zeros(()), x.new_ones(())
        return self.embedding((x - mean) / scale * visible), mean, scale

    @abstractmethod
    def features(self, embedded: Tensor) -> Tensor:
        """From embedded rows to those that are projected back, both (batch, time, model_size)."""

    def encode(self, embedded: Tensor, route: Route) -> Encoded:
        """Features and, in a network that has them, all that its associations say."""
        return Encoded(self.features(embedded))

    def reconstruct(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The reconstruction of `forward`, of x's shape, without the discrepancy that nobody asked for."""
        embedded, mean, scale = self.embed(x, hidden)
        return self.projection(self.features(embedded)) * scale + mean

    def forward(self, x: Tensor, hidden: Tensor | None = None, route: Route = straight) -> NetworkOutput:
        """Rebuild windows.

        Parameters
        ----------
        x : Tensor of shape (batch, time, channel)
            Scaled windows.
        hidden : Tensor of bool, shape (batch, time), default=None
            Rows that the network must not see.
        route : callable
            Decides which gradients S and P feel from the discrepancy; see `timesad.nn.minimax`.
        """
        embedded, mean, scale = self.embed(x, hidden)
        encoded = self.encode(embedded, route)
        side = None
        if self.side_projection is not None:
            side = self.side_projection(encoded.side_features) * scale + mean
        return NetworkOutput(
            self.projection(encoded.features) * scale + mean,
            side,
            encoded.discrepancy,
            encoded.openness,
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within it the weights stay as they are: what follows from them alone is not worked out in every batch."""
        with ExitStack() as stack:
            for block in self.modules():
                if isinstance(block, TimesBlock):
                    stack.enter_context(block.frozen())
            yield

    def random_mask(self, batch: int) -> Tensor | None:
        """Rows to hide in a training batch, drawn anew, (batch, time); None where nothing is ever hidden."""
        settings = self.window
        if not settings.n_masks:
            return None
        return random_patch_mask(batch, settings.window_size, settings.patch_size, settings.n_masks, self.masks.device)

    def fixed_mask(self, batch: int) -> Tensor | None:
        """Rows to hide in a validation batch: the complementary masks in turn, (batch, time)."""
        if not self.window.n_masks:
            return None
        return self.masks[torch.arange(batch, device=self.masks.device) % len(self.masks)]


def window_statistics(x: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale of each window's visible rows, both (batch, 1, channel)."""
    count = visible.sum(dim=1, keepdim=True).clamp_min(1.0)
    mean = (x * visible).sum(dim=1, keepdim=True) / count
    variance = ((x - mean) ** 2 * visible).sum(dim=1, keepdim=True) / count
    return mean, torch.sqrt(variance + SCALE_FLOOR**2)


class TimesNetNetwork(ReconstructionNetwork):
    """TimesNet (Wu et al., ICLR 2023) over frozen periods.

    Parameters
    ----------
    window : WindowSettings
        The window's way in and out.
    blocks : BlockSettings
        The TimesNet blocks in between.
    """

    def __init__(self, window: WindowSettings, blocks: BlockSettings) -> None:
        super().__init__(window)
        size = window.model_size
        self.blocks = nn.ModuleList(
            TimesBlock(window.window_size, size, size, blocks.periods, blocks.n_kernels) for _ in range(blocks.n_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(blocks.n_layers))

    def features(self, embedded: Tensor) -> Tensor:
        """Pass through the blocks, each with a norm."""
        for block, norm in zip(self.blocks, self.norms, strict=True):
            embedded = norm(block(embedded))
        return embedded


class AssociationLayers(nn.Module):
    """Anomaly attentions, each with its residual's norm.

    Parameters
    ----------
    window : WindowSettings
        For the model size.
    association : AssociationSettings
        The attentions.
    attention_class : type
        An `AnomalyAttention`.
    """

    def __init__(
        self, window: WindowSettings, association: AssociationSettings, attention_class: type[AnomalyAttention]
    ) -> None:
        super().__init__()
        self.divergence = association.divergence
        layers = range(association.n_layers)
        self.attentions = nn.ModuleList(
            attention_class(window.model_size, association.n_heads, association.priors()) for _ in layers
        )
        self.norms = nn.ModuleList(nn.LayerNorm(window.model_size) for _ in layers)

    def forward(self, layer: int, x: Tensor, question: Question) -> Answer:
        """Add to x what its rows attend to, normalised, and what else that layer was asked for."""
        attended, told = question(cast(AnomalyAttention, self.attentions[layer]), x)
        return self.norms[layer](x + attended), told


class AssociatingNetwork(ReconstructionNetwork):
    """A network whose layers associate rows: a subclass says in `associate` how, and the rest follows."""

    association: AssociationLayers

    @abstractmethod
    def associate(self, embedded: Tensor, question: Question) -> tuple[Tensor, Tensor, list[Any]]:
        """Features, features of the association branch, and what each attention was asked for besides its output."""

    def features(self, embedded: Tensor) -> Tensor:
        """The features of `associate`."""
        return self.associate(embedded, lambda attention, x: (attention.attend(x), None))[0]

    def encode(self, embedded: Tensor, route: Route) -> Encoded:
        """Features, those of the association branch, and the discrepancies."""
        divergence = self.association.divergence

        def compare(attention: AnomalyAttention, x: Tensor) -> tuple[Tensor, Comparison]:
            return attention.compare(x, route, divergence)

        features, side, compared = self.associate(embedded, compare)
        discrepancy = torch.stack([layer.discrepancy for layer in compared]).mean(dim=0)
        return Encoded(features, side, discrepancy, compared[-1].openness)

    def associations(self, x: Tensor, hidden: Tensor | None = None) -> list[Associations]:
        """Every layer's associations in windows.

        Parameters
        ----------
        x : Tensor of shape (batch, time, channel)
            Scaled windows.
        hidden : Tensor of bool, shape (batch, time), default=None
            Rows that the network must not see.
        """
        return self.associate(self.embed(x, hidden)[0], lambda attention, x: attention(x))[2]


class TimesNetDiscrepancyNetwork(AssociatingNetwork, TimesNetNetwork):
    """TimesNet with an anomaly attention on the features of every block.

    Parameters
    ----------
    window : WindowSettings
        The window's way in and out.
    blocks : BlockSettings
        The TimesNet blocks.
    association : AssociationSettings
        The attentions, as many as there are blocks.
    detached : bool
        If True, the attention reads the features with their gradient stopped and rebuilds the window by a projection
        of its own: the trunk trains exactly as a plain TimesNet. If False, the attention's output is added to the
        features, and trunk and association train together.
    """

    attention_class: type[AnomalyAttention] = FusedAttention

    def __init__(
        self, window: WindowSettings, blocks: BlockSettings, association: AssociationSettings, *, detached: bool
    ) -> None:
        super().__init__(window, blocks)
        self.detached = detached
        # Built after the trunk, so that the trunk draws the same initial weights with and without it.
        self.association = AssociationLayers(window, association, self.attention_class)
        self.side_projection = RowLinear(window.model_size, window.n_channels) if detached else None

    def features(self, embedded: Tensor) -> Tensor:
        """The trunk's features, which a detached association has no part in."""
        return TimesNetNetwork.features(self, embedded) if self.detached else super().features(embedded)

    def associate(self, embedded: Tensor, question: Question) -> tuple[Tensor, Tensor, list[Any]]:
        """Trunk features, association features, and every attention's answer; the features are one where joint."""
        features, side, answers = embedded, torch.zeros_like(embedded), []
        for index, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            features = norm(block(features))
            attended, told = self.association(index, features.detach() if self.detached else features, question)
            answers.append(told)
            if self.detached:
                side = side + attended / len(self.blocks)
            else:
                features = side = attended
        return features, side, answers


class AnomalyTransformerNetwork(AssociatingNetwork):
    """Anomaly Transformer (Xu et al., ICLR 2022): anomaly attention and feed-forward layers, each with a residual.

    Parameters
    ----------
    window : WindowSettings
        The window's way in and out.
    association : AssociationSettings
        The attentions.
    """

    attention_class: type[AnomalyAttention] = FusedAttention

    def __init__(self, window: WindowSettings, association: AssociationSettings) -> None:
        super().__init__(window)
        size = window.model_size
        self.association = AssociationLayers(window, association, self.attention_class)
        self.feed_forwards = nn.ModuleList(
            nn.Sequential(RowLinear(size, size), nn.GELU(), RowLinear(size, size)) for _ in range(association.n_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(association.n_layers))

    def associate(self, embedded: Tensor, question: Question) -> tuple[Tensor, Tensor, list[Any]]:
        """Features (twice: there is no side branch) and every attention's answer."""
        features, answers = embedded, []
        for index, (feed_forward, norm) in enumerate(zip(self.feed_forwards, self.norms, strict=True)):
            features, told = self.association(index, features, question)
            answers.append(told)
            features = norm(features + feed_forward(features))
        return features, features, answers
