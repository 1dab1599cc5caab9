"""PaAno (Park & Kang, ICLR 2026, arXiv 2602.01359), written from its description.

The score of a patch is its mean cosine distance to the nearest training patches in the space of a small convolutional
encoder. A row has the mean score of the patches that hold it.

Sources: the preprint's abstract, summaries of the preprint and of the conference version, and the authors' code
(github.com/jinnnju/PaAno, read, not copied). The full text was not at hand. From the summaries: the losses, the weight
of the pretext loss, 100 iterations (the preprint had 200), a memory of 10 %, 3 neighbours. From the code: the layers
and kernels, the positive shift of at most 2 rows, 5 random patches in the pretext task, a cosine schedule of the
learning rate, the weights of the lowest training loss, a memory of at least 500 patches. From a later state of that
code, read in a copy in another repository: the margin of 0.1 (first 0.5) and the division of the triplet loss by 10.

Deviations: each iteration draws its patches anew; the authors go through all patches in epochs whose last batch is
smaller. The memory holds all patches where the authors leave out one. The negative is the farthest anchor of the batch
before projection, as described; the authors' code takes the farthest positive after it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import pairwise_distances_argmin
from torch import Tensor, nn
from torch.nn import functional as F

from timesad.accelerator import repeatable_convolutions

from .baselines import overlap_mean
from .contract import FloatArray
from .devices import own_generator, torch_device

ENCODER_CHANNELS, ENCODER_KERNELS = (128, 256, 128, 64), (7, 5, 3, 3)
EMBEDDING_SIZE = ENCODER_CHANNELS[-1]
PROJECTION_SIZE = 256

SHIFT = 2  # rows at most between an anchor and its positive
MARGIN = 0.1  # cosine distance
TRIPLET_DIVISOR = 10
PRETEXT_ITERATIONS = 20  # until the weight of the pretext loss is 0
N_RANDOM_PATCHES = 5  # per anchor, in the pretext loss
WEIGHT_DECAY = 1e-4
FINAL_RATE_FRACTION = 0.1  # learning rate of the last iteration, relative to the first

MEMORY_FRACTION, MEMORY_MINIMUM = 0.1, 500  # of the training patches
KMEANS_BATCH, KMEANS_EPOCHS = 8192, 50
SCORING_BATCH = 1024  # patches encoded at once

Patches = Tensor  # (channel, patch, time), a view of the series


class PatchEncoder(nn.Module):
    """Four blocks of convolution, batch normalisation and ReLU, then the mean over time: 0.3 M weights.

    With `standardise` every patch is standardised first, channel by channel: `(x - mean) / sqrt(variance + 1e-5)`. The
    two heads are used in training only.

    Shapes: (batch, channel, time) -> (batch, EMBEDDING_SIZE)
    """

    def __init__(self, n_channels: int, *, standardise: bool) -> None:
        super().__init__()
        self.standardise = standardise
        blocks: list[nn.Module] = []
        for size, kernel in zip(ENCODER_CHANNELS, ENCODER_KERNELS, strict=True):
            blocks += [
                nn.Conv2d(n_channels, size, (1, kernel), padding=(0, kernel // 2), bias=False),
                nn.BatchNorm2d(size),
                nn.ReLU(inplace=True),
            ]
            n_channels = size
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Sequential(
            nn.Linear(EMBEDDING_SIZE, PROJECTION_SIZE), nn.ReLU(), nn.Linear(PROJECTION_SIZE, PROJECTION_SIZE)
        )
        self.classify = nn.Linear(2 * EMBEDDING_SIZE, 1)

    def forward(self, x: Tensor) -> Tensor:
        image = (F.instance_norm(x) if self.standardise else x).unsqueeze(2)  # (batch, channel, 1, time)
        # Channels last: a fifth faster on a processor than Conv1d over (batch, channel, time).
        return self.blocks(image.contiguous(memory_format=torch.channels_last)).mean((2, 3))


def view_patches(X: FloatArray, window: int) -> Patches:
    """Return all patches of X (n_timestamps, n_channels) as a view, (channel, patch, time)."""
    if len(X) < window:
        raise ValueError(f"X has {len(X)} rows but window is {window}. Pass a longer series or a smaller window.")
    return torch.from_numpy(np.ascontiguousarray(X.T, dtype=np.float32)).unfold(1, window, 1)


def take(patches: Patches, index: Tensor, device: torch.device) -> Tensor:
    """Return a copy of the patches at the index, (batch, channel, time)."""
    return patches[:, index].transpose(0, 1).to(device)


def draw_positives(anchors: Tensor, n_patches: int) -> Tensor:
    """Return for each anchor a patch that starts 1 to SHIFT rows before or after it, (batch,)."""
    shifts = torch.tensor([shift for shift in range(-SHIFT, SHIFT + 1) if shift])
    candidates = anchors[:, None] + shifts  # (batch, shift)
    allowed = (candidates >= 0) & (candidates < n_patches)
    chosen = torch.multinomial(allowed.float(), 1)  # (batch, 1)
    return candidates.gather(1, chosen).squeeze(1)


def triplet_loss(encoder: PatchEncoder, anchors: Tensor, positives: Tensor) -> Tensor:
    """Return `mean(max(0, d(anchor, positive) - d(anchor, negative) + MARGIN))`, d the cosine distance of projections.

    The negative is the anchor of the batch that is farthest in the encoder's space.

    Shapes: embeddings (batch, EMBEDDING_SIZE) -> ()
    """
    directions = F.normalize(anchors.detach(), dim=1)
    farthest = (directions @ directions.T).argmin(1)  # (batch,)
    projected = F.normalize(encoder.project(anchors), dim=1)
    to_positive = 1 - (projected * F.normalize(encoder.project(positives), dim=1)).sum(1)
    to_negative = 1 - (projected * projected[farthest]).sum(1)
    return F.relu(to_positive - to_negative + MARGIN).mean()


def pretext_loss(encoder: PatchEncoder, anchors: Tensor, before: Tensor, has_before: Tensor) -> Tensor:
    """Return the cross-entropy of "the second patch ends where the first begins".

    True pairs are an anchor and the patch `window` rows before it; false pairs are an anchor and other anchors.

    Shapes: anchors (batch, EMBEDDING_SIZE), before (pair, EMBEDDING_SIZE), has_before (batch,) with `pair` true -> ()
    """
    n_anchors = len(anchors)
    first = torch.arange(n_anchors).repeat_interleave(N_RANDOM_PATCHES)
    other = (first + torch.randint(1, n_anchors, first.shape)) % n_anchors
    true_logits = encoder.classify(torch.cat([anchors[has_before], before], 1))
    false_logits = encoder.classify(torch.cat([anchors[first], anchors[other]], 1))
    # A batch without a true pair has the loss 0 for them, not NaN.
    return F.softplus(-true_logits).sum() / max(len(before), 1) + F.softplus(false_logits).mean()


def train_encoder(
    patches: Patches,
    n_iterations: int,
    batch_size: int,
    learning_rate: float,
    device: torch.device,
    *,
    standardise: bool,
) -> PatchEncoder:
    """Train an encoder; draws from torch's generator.

    A loop of its own, not skorch's: a batch is three sets of patches of one series, and the loss changes by iteration.
    """
    n_channels, n_patches, window = patches.shape
    encoder = PatchEncoder(n_channels, standardise=standardise).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(encoder.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, n_iterations, eta_min=learning_rate * FINAL_RATE_FRACTION
    )
    lowest, best = float("inf"), copy.deepcopy(encoder.state_dict())
    for iteration in range(1, n_iterations + 1):
        index = torch.randperm(n_patches)[:batch_size]
        pretext_weight = max(0.0, 1 - iteration / PRETEXT_ITERATIONS)
        has_before = (index >= window) if pretext_weight else torch.zeros_like(index, dtype=torch.bool)
        all_index = torch.cat([index, draw_positives(index, n_patches), index[has_before] - window])
        # One pass, so that the three sets share the statistics of the batch normalisation.
        embeddings = encoder(take(patches, all_index, device))
        anchors, positives, before = embeddings.split([len(index), len(index), int(has_before.sum())])
        loss = triplet_loss(encoder, anchors, positives) / TRIPLET_DIVISOR
        if pretext_weight:
            loss = loss + pretext_weight * pretext_loss(encoder, anchors, before, has_before.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if loss.item() < lowest:
            lowest, best = loss.item(), copy.deepcopy(encoder.state_dict())
        if lowest == 0:  # every triplet keeps the margin; no later loss can be lower
            break
    encoder.load_state_dict(best)
    return encoder.eval()


def choose_memory(embeddings: NDArray[np.float32], random_state: int) -> NDArray[np.float32]:
    """Return the embeddings nearest to the centres of k-means, (memory, EMBEDDING_SIZE); all of them if few."""
    n_centres = max(MEMORY_MINIMUM, round(MEMORY_FRACTION * len(embeddings)))
    if n_centres >= len(embeddings):
        return embeddings
    kmeans = MiniBatchKMeans(
        n_centres,
        batch_size=max(KMEANS_BATCH, n_centres),
        max_iter=KMEANS_EPOCHS,
        n_init=1,
        random_state=random_state,
    ).fit(embeddings)
    return embeddings[pairwise_distances_argmin(kmeans.cluster_centers_, embeddings)]


@dataclass
class PaAno:
    """Mean cosine distance of a row's patches to their nearest patches in memory.

    `score(row) = mean over patches p that hold the row of mean over k nearest m of (1 - cos(f(p), f(m)))`

    The training rows are scored like new ones, so `decision_scores_` equals `decision_function` of them.

    Parameters
    ----------
    window : int, default=96
        Rows of a patch; the stride is 1.
    random_state : int, default=0
        Seed of weights, batches and k-means. The global generators are not touched.
    n_iterations : int, default=100
        Training steps at most. Often about 20 are run: once every triplet of a batch keeps the margin, the loss is 0,
        and the weights of the lowest loss, which are used, cannot change any more.
    batch_size : int, default=512
        Anchors of a step, all patches if there are fewer.
    learning_rate : float, default=1e-4
        First step size of AdamW.
    n_neighbours : int, default=3
        Nearest patches in memory (k).
    standardise : bool, default=True
        Whether every patch is standardised first, as the authors' scripts do. The defaults of their code do not.
    device : str, default="auto"
        "auto" is "cuda" where available, else "cpu".
    """

    window: int = 96
    random_state: int = 0
    n_iterations: int = 100
    batch_size: int = 512
    learning_rate: float = 1e-4
    n_neighbours: int = 3
    standardise: bool = True
    device: str = "auto"
    decision_scores_: FloatArray = field(init=False, repr=False)
    encoder_: PatchEncoder = field(init=False, repr=False)
    memory_: Tensor = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> PaAno:
        """Train the encoder on X (n_timestamps, n_channels) and store its memory.

        Raises
        ------
        ValueError
            If X does not hold two patches side by side.
        """
        if len(X) < 2 * self.window:
            raise ValueError(
                f"X has {len(X)} rows but two patches of window {self.window} need {2 * self.window}. Pass a longer "
                f"series or a window of at most {len(X) // 2}."
            )
        device = torch_device(self.device)
        patches = view_patches(X, self.window)
        with own_generator(device, self.random_state), repeatable_convolutions(device):
            self.encoder_ = train_encoder(
                patches, self.n_iterations, self.batch_size, self.learning_rate, device, standardise=self.standardise
            )
        directions = self._directions(patches)
        memory = choose_memory(directions.cpu().numpy(), self.random_state)
        self.memory_ = torch.from_numpy(memory).to(device)
        self.decision_scores_ = self._row_scores(directions)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return one score a row of X (n_timestamps, n_channels)."""
        return self._row_scores(self._directions(view_patches(X, self.window)))

    @torch.inference_mode()
    def _directions(self, patches: Patches) -> Tensor:
        """Return the embeddings at unit length, (patch, EMBEDDING_SIZE)."""
        device = self.encoder_.classify.weight.device
        batches = torch.arange(patches.shape[1]).split(SCORING_BATCH)
        with repeatable_convolutions(device):
            return torch.cat([F.normalize(self.encoder_(take(patches, index, device)), dim=1) for index in batches])

    @torch.inference_mode()
    def _row_scores(self, directions: Tensor) -> FloatArray:
        n_neighbours = min(self.n_neighbours, len(self.memory_))
        similarities = [
            (batch @ self.memory_.T).topk(n_neighbours, dim=1).values.mean(1)  # (batch,)
            for batch in directions.split(SCORING_BATCH)
        ]
        distances = 1 - torch.cat(similarities).cpu().numpy().astype(np.float64)  # (patch,)
        return overlap_mean(distances, self.window)
