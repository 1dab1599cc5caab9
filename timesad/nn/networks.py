"""The three networks. Each reconstructs a window from its visible rows: embed, encode, project."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from .association import SATURATION_MARGIN, AnomalyAttention, Associations, Comparison, Divergence, Prior
from .divergence import symmetric_kl
from .embedding import WindowEmbedding
from .fused import FusedAttention
from .masking import complementary_masks, random_patch_mask
from .minimax import Route, straight
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

AttentionOutput = tuple[Tensor, Any]  # an attention's output, and a second result that depends on the call
AttentionCall = Callable[[AnomalyAttention, Tensor], AttentionOutput]

N_MASKS = 4  # complementary masks: a quarter of the rows is hidden at a time
MAX_PATCH_SIZE = 8  # rows that are hidden together
SCALE_FLOOR = 0.1  # standard deviations of the training series; limits the gain on a calm window


@dataclass(frozen=True)
class WindowSettings:
    """Input and output of a network.

    Parameters
    ----------
    n_channels : int
        Channels of the series.
    window_size : int
        Rows in a window.
    model_size : int
        Features of each row inside the network.
    dropout : float, default=0.0
        Dropout of the embedding, in [0, 1).
    normalize : bool, default=True
        Whether each window is normalised to mean 0 and scale 1 per channel, and back at the end. The statistics are
        those of the visible rows.
    n_masks : int, default=4
        Number of complementary masks; 0 hides nothing.
    patch_size : int or None, default=None
        Rows that are hidden together; ``min(8, window_size // n_masks)`` if None.

    Raises
    ------
    ValueError
        If `n_masks` patches of `patch_size` rows do not fit in a window.
    """

    n_channels: int
    window_size: int
    model_size: int
    dropout: float = 0.0
    normalize: bool = True
    n_masks: int = N_MASKS
    patch_size: int | None = None

    def __post_init__(self) -> None:
        if self.n_masks * self.patch_rows > self.window_size:
            raise ValueError(
                f"n_masks={self.n_masks} masks of patch_size={self.patch_rows} rows need a window_size of at least "
                f"{self.n_masks * self.patch_rows}, but it is {self.window_size}. Use smaller patches, fewer masks, a "
                "longer window, or n_masks=0."
            )

    @property
    def patch_rows(self) -> int:
        """Rows that are hidden together."""
        if self.patch_size is not None:
            return self.patch_size
        return max(1, min(MAX_PATCH_SIZE, self.window_size // max(self.n_masks, 1)))


@dataclass(frozen=True)
class BlockSettings:
    """The TimesNet blocks.

    Parameters
    ----------
    n_layers : int
        Blocks.
    periods : sequence of int
        Periods in rows.
    n_kernels : int, default=4
        Kernels of each inception convolution; the largest is ``2 * n_kernels - 1`` wide.
    """

    n_layers: int
    periods: Sequence[int]
    n_kernels: int = 4


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
        Returns the prior associations of a layer; called once per layer.
    divergence : callable
        (S, P) -> (batch, time); see `timesad.nn.divergence`.
    """

    n_layers: int
    n_heads: int
    priors: Callable[[], Sequence[Prior]]
    divergence: Divergence = symmetric_kl


class Encoded(NamedTuple):
    """Output of `ReconstructionNetwork.encode`."""

    features: Tensor  # (batch, time, model_size)
    side_features: Tensor | None = None  # the same, of a detached association branch
    discrepancy: Tensor | None = None  # (batch, time, prior), mean over layers
    width_share: Tensor | None = None  # (batch, time, width), of the last layer


class NetworkOutput(NamedTuple):
    """Output of a network for a batch of windows."""

    reconstruction: Tensor  # (batch, time, channel)
    side_reconstruction: Tensor | None  # (batch, time, channel), of a detached association branch
    discrepancy: Tensor | None  # (batch, time, prior)
    width_share: Tensor | None  # (batch, time, width), of the last layer: each prior width as a share of its range

    @property
    def sigma_saturation(self) -> Tensor:
        """Share of prior widths at an end of their range, where the gradient vanishes; a scalar."""
        assert self.width_share is not None, "a network without associations has no prior widths"
        return ((self.width_share < SATURATION_MARGIN) | (self.width_share > 1 - SATURATION_MARGIN)).float().mean()


class ReconstructionNetwork(nn.Module, ABC):
    """Embed the visible rows of a window, encode them, project them back to channels.

    Parameters
    ----------
    window : WindowSettings
        Input and output.
    """

    masks: Tensor

    def __init__(self, window: WindowSettings) -> None:
        super().__init__()
        self.window = window
        self.embedding = WindowEmbedding(window.n_channels, window.model_size, window.window_size, window.dropout)
        self.projection = nn.Linear(window.model_size, window.n_channels)
        self.side_projection: nn.Linear | None = None
        masks = complementary_masks(window.window_size, window.patch_rows, window.n_masks)
        self.register_buffer("masks", masks, persistent=False)  # (mask, time); empty if nothing is hidden

    def embed(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Embedded visible rows, (batch, time, model_size), and the mean and scale of each window."""
        if hidden is None:
            visible = torch.ones_like(x[..., :1])
        else:
            visible = (~(hidden if hidden.dim() == x.dim() else hidden[..., None])).to(x.dtype)
        if self.window.normalize:
            mean, scale = window_statistics(x, visible)
        else:
            mean, scale = x.new_zeros(()), x.new_ones(())
        return self.embedding((x - mean) / scale * visible), mean, scale

    @abstractmethod
    def features(self, embedded: Tensor) -> Tensor:
        """Encode embedded rows, (batch, time, model_size) -> (batch, time, model_size)."""

    def encode(self, embedded: Tensor, route: Route) -> Encoded:
        """Features and, in a network with associations, the discrepancy."""
        return Encoded(self.features(embedded))

    def reconstruct(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The reconstruction of `forward`, of x's shape, without the discrepancy."""
        embedded, mean, scale = self.embed(x, hidden)
        return self.projection(self.features(embedded)) * scale + mean

    def forward(self, x: Tensor, hidden: Tensor | None = None, route: Route = straight) -> NetworkOutput:
        """Reconstruct windows.

        Parameters
        ----------
        x : Tensor of shape (batch, time, channel)
            Scaled windows.
        hidden : Tensor of bool, shape (batch, time) or (batch, time, channel), default=None
            Rows or cells that the network must not see.
        route : callable
            Multiplies the gradients of the discrepancy with respect to S and P; see `timesad.nn.minimax`.
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
            encoded.width_share,
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Context in which the weights do not change: terms that depend on them alone are computed once."""
        with ExitStack() as stack:
            for block in self.modules():
                if isinstance(block, TimesBlock):
                    stack.enter_context(block.frozen())
            yield

    def random_mask(self, batch: int, generator: torch.Generator) -> Tensor | None:
        """Random rows to hide in a training batch, (batch, time), on the CPU; None if nothing is hidden."""
        settings = self.window
        if not settings.n_masks:
            return None
        return random_patch_mask(batch, settings.window_size, settings.patch_rows, settings.n_masks, generator)

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
        Input and output.
    blocks : BlockSettings
        The TimesNet blocks.
    """

    def __init__(self, window: WindowSettings, blocks: BlockSettings) -> None:
        super().__init__(window)
        size = window.model_size
        self.blocks = nn.ModuleList(
            TimesBlock(window.window_size, size, size, blocks.periods, blocks.n_kernels) for _ in range(blocks.n_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(blocks.n_layers))

    def features(self, embedded: Tensor) -> Tensor:
        """Apply the blocks, each with a layer norm."""
        for block, norm in zip(self.blocks, self.norms, strict=True):
            embedded = norm(block(embedded))
        return embedded


class AssociationLayers(nn.Module):
    """Anomaly attentions, each with a residual and a layer norm.

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

    def forward(self, layer: int, x: Tensor, call: AttentionCall) -> AttentionOutput:
        """norm(x + attention(x)) of a layer, and the second result of the call."""
        attended, result = call(cast(AnomalyAttention, self.attentions[layer]), x)
        return self.norms[layer](x + attended), result


class AssociatingNetwork(ReconstructionNetwork):
    """A network with anomaly attentions; a subclass implements `associate`."""

    association: AssociationLayers

    @abstractmethod
    def associate(self, embedded: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor, list[Any]]:
        """Features, features of the association branch, and the second result of each attention."""

    def features(self, embedded: Tensor) -> Tensor:
        """The features of `associate`."""
        return self.associate(embedded, lambda attention, x: (attention.attend(x), None))[0]

    def encode(self, embedded: Tensor, route: Route) -> Encoded:
        """Features, those of the association branch, and the discrepancy."""
        divergence = self.association.divergence

        def compare(attention: AnomalyAttention, x: Tensor) -> tuple[Tensor, Comparison]:
            return attention.compare(x, route, divergence)

        features, side, compared = self.associate(embedded, compare)
        discrepancy = torch.stack([layer.discrepancy for layer in compared]).mean(dim=0)
        return Encoded(features, side, discrepancy, compared[-1].width_share)

    def associations(self, x: Tensor, hidden: Tensor | None = None) -> list[Associations]:
        """Associations of every layer in windows.

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
        Input and output.
    blocks : BlockSettings
        The TimesNet blocks.
    association : AssociationSettings
        The attentions, as many as there are blocks.
    detached : bool
        If True, the attention reads the features with their gradient stopped and reconstructs the window with a
        projection of its own, so the trunk trains exactly as a plain TimesNet. If False, the attention's output is
        added to the features, and trunk and association train together.
    """

    attention_class: type[AnomalyAttention] = FusedAttention

    def __init__(
        self, window: WindowSettings, blocks: BlockSettings, association: AssociationSettings, *, detached: bool
    ) -> None:
        super().__init__(window, blocks)
        self.detached = detached
        # Built after the trunk, so that the trunk has the same initial weights with and without it.
        self.association = AssociationLayers(window, association, self.attention_class)
        self.side_projection = nn.Linear(window.model_size, window.n_channels) if detached else None

    def features(self, embedded: Tensor) -> Tensor:
        """Features of the trunk; a detached association does not change them."""
        return TimesNetNetwork.features(self, embedded) if self.detached else super().features(embedded)

    def associate(self, embedded: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor, list[Any]]:
        """Features of the trunk and of the association, which are the same in a joint network, and the results."""
        features, attended, results = embedded, [], []
        for index, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            features = norm(block(features))
            output, result = self.association(index, features.detach() if self.detached else features, call)
            attended.append(output)
            results.append(result)
            if not self.detached:
                features = output
        side = reduce(torch.add, attended) / len(attended) if self.detached else features
        return features, side, results


class AnomalyTransformerNetwork(AssociatingNetwork):
    """Anomaly Transformer (Xu et al., ICLR 2022): anomaly attention and feed-forward layers, each with a residual.

    Parameters
    ----------
    window : WindowSettings
        Input and output.
    association : AssociationSettings
        The attentions.
    """

    attention_class: type[AnomalyAttention] = FusedAttention

    def __init__(self, window: WindowSettings, association: AssociationSettings) -> None:
        super().__init__(window)
        size = window.model_size
        self.association = AssociationLayers(window, association, self.attention_class)
        self.feed_forwards = nn.ModuleList(
            nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, size)) for _ in range(association.n_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(association.n_layers))

    def associate(self, embedded: Tensor, call: AttentionCall) -> tuple[Tensor, Tensor, list[Any]]:
        """Features, twice because there is no side branch, and the result of every attention."""
        features, results = embedded, []
        for index, (feed_forward, norm) in enumerate(zip(self.feed_forwards, self.norms, strict=True)):
            features, result = self.association(index, features, call)
            results.append(result)
            features = norm(features + feed_forward(features))
        return features, features, results
