"""The skorch net that runs the minimax, and the function that trains it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor
from torch.utils.data import RandomSampler

from ..accelerator import Recorded, repeatable_convolutions, send
from ..exceptions import TrainingError, TrainingWarning, warn
from ..nn.networks import ReconstructionNetwork
from ..torch_state import Building
from ..windows import Series, WindowSet, chronological_split
from .callbacks import OneCycle, ProgressBar
from .objective import MinimaxObjective, Phase

__all__ = ["MinimaxNet", "TrainingSettings", "adam_settings", "train_network"]

MONITOR = "valid_reconstruction"
WORTHLESS = 4.0  # times the error of a window's mean; at most 1.3 on real series, above 13 after divergence
SMALLEST_ERROR = 0.05  # squared standard deviations of the training series; a calm window has no smaller one at first
MEAN_WINDOWS = 256  # evenly spaced windows, at most, for the error of their means


def as_fetched(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the batch: the data set reads whole batches, so there is nothing to collate."""
    return batch


class MinimaxNet(NeuralNet):
    """A `skorch.NeuralNet` that takes one optimiser step per phase on each batch.

    Parameters
    ----------
    phases : sequence of Phase
        The steps on each batch.
    generator : torch.Generator
        Where the rows to hide are drawn from.

    The other parameters are those of `skorch.NeuralNet`. The module is a `ReconstructionNetwork`, the criterion a
    `MinimaxObjective`.

    Notes
    -----
    Losses stay on the device during an epoch and are read once at its end. The record of an epoch in `history` has
    ``train_reconstruction``, ``valid_reconstruction`` and, with associations, ``train_discrepancy_<phase>``.
    """

    def __init__(self, *args: Any, phases: tuple[Phase, ...], generator: torch.Generator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.phases = phases
        self.generator = generator
        self._recorded_descend = Recorded(self._descend)
        self._recorded_validate = Recorded(self._validate)

    def train_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Tensor]:
        """Take one optimiser step for each phase."""
        self._set_mode(training=True)
        hidden = self.module_.random_mask(len(batch[0]), self.generator)
        hidden = None if hidden is None else send(hidden, self.device)
        return self._recorded_descend(send(batch[0], self.device), hidden)

    def _set_mode(self, *, training: bool) -> None:
        """Set the mode of the modules where it changes: to walk through them takes a twentieth of a step."""
        if self.module_.training != training:
            self._set_training(training)

    def _descend(self, x: Tensor, hidden: Tensor | None) -> dict[str, Tensor]:
        parts: dict[str, Tensor] = {}
        for phase in self.phases:
            self.optimizer_.zero_grad(set_to_none=True)
            measured = self.criterion_(self.module_(x, hidden, phase.route), x, hidden, phase)
            measured.pop("loss").backward()
            self.optimizer_.step()
            parts["reconstruction"] = measured.pop("reconstruction")
            parts |= {f"{name}_{phase.name}": value for name, value in measured.items()}
        return parts

    def validation_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Tensor]:
        """Reconstruction error of a held-out batch; the choice of the epoch does not use the discrepancy."""
        self._set_mode(training=False)
        return self._recorded_validate(send(batch[0], self.device))

    def _validate(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.module_.fixed_mask(len(x))
        with torch.no_grad():
            return {"reconstruction": self.criterion_.reconstruction(self.module_.reconstruct(x, hidden), x, hidden)}

    def run_single_epoch(
        self,
        iterator: Iterable[tuple[Tensor, Tensor]] | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Tensor]],
        **fit_params: Any,
    ) -> None:
        """Run all batches and record their mean losses.

        Raises
        ------
        TrainingError
            If a mean is NaN or infinite.
        """
        if iterator is None:
            return
        totals: defaultdict[str, Tensor | float] = defaultdict(float)
        count = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            parts = step_fn(batch, **fit_params)
            for name, value in parts.items():
                totals[name] = totals[name] + value * len(batch[0])
            count += len(batch[0])
            self.notify("on_batch_end", batch=batch, training=training)
        for name, total in totals.items():
            mean = float(total) / count
            if not math.isfinite(mean):
                raise TrainingError(
                    f"{prefix}_{name} became {mean} in epoch {len(self.history)}. Lower learning_rate "
                    f"(now {float(self.lr):g}) or discrepancy_weight, or look for extreme values in X."
                )
            self.history.record(f"{prefix}_{name}", mean)


def adam_settings(device: torch.device) -> dict[str, bool]:
    """Settings of Adam: recordable by CUDA graphs, and on a processor one pass over each weight."""
    return {"capturable": device.type == "cuda", "fused": device.type == "cpu"}


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    max_epochs : int, default=8
        Epochs. The weights of the one with the smallest held-out error are kept.
    epoch_size : int, default=512
        Windows drawn for an epoch, all of them if there are fewer: training time does not grow with the series.
    batch_size : int, default=16
        Windows in a step.
    learning_rate : float, default=5e-3
        Largest step size of Adam; see `OneCycle`.
    validation_fraction : float, default=0.2
        Share of each series' last rows that are held out to choose the epoch, in [0, 1). They lie one window after the
        rows trained on.
    """

    max_epochs: int = 8
    epoch_size: int = 512
    batch_size: int = 16
    learning_rate: float = 5e-3
    validation_fraction: float = 0.2


def train_network(
    build: Callable[[], ReconstructionNetwork],
    series: Series,
    settings: TrainingSettings,
    *,
    phases: tuple[Phase, ...],
    discrepancy_weight: float | str,
    device: torch.device,
    seed: int,
    verbose: int,
) -> tuple[ReconstructionNetwork, list[dict[str, float]]]:
    """Build a network and train it, reproducibly; the global generators are neither used nor changed.

    Parameters
    ----------
    build : callable
        Returns the network; called with a seeded generator for its weights (`timesad.torch_state.Building`).
    series : Series
        Scaled training rows. The last ones are held out; see `TrainingSettings`.
    settings : TrainingSettings
        How to train.
    phases : tuple of Phase
        Steps on each batch.
    discrepancy_weight : float or "balanced"
        See `MinimaxObjective`.
    device : torch.device
        Where to train.
    seed : int
        Fixes initial weights, masks and order.
    verbose : int
        0 is silent, 1 shows a progress bar (tqdm).

    Returns
    -------
    network : ReconstructionNetwork
        Trained, in evaluation mode.
    history : list of dict
        One record per epoch.

    Raises
    ------
    TrainingError
        If a loss becomes NaN or infinite.

    Warns
    -----
    TrainingWarning
        If the network describes the windows worse than their mean does.
    """
    with repeatable_convolutions(device):
        with Building(torch.Generator().manual_seed(seed)):
            network = build().float()
        net, train, valid = prepare_training(
            network, series, settings, phases, discrepancy_weight, device, seed, verbose
        )
        net.notify("on_train_begin", X=train, y=None)
        net.fit_loop(train)  # skorch's fit would swallow a KeyboardInterrupt and return a half-trained net
        net.notify("on_train_end", X=train, y=None)
    trained: ReconstructionNetwork = net.module_.eval()
    trained.zero_grad(set_to_none=True)  # gradients take as much memory as the weights
    kept = ("epoch", "dur")
    history = [
        {name: row[name] for name in row if name in kept or name.startswith(("train_", "valid_"))}
        for row in net.history.to_list()
    ]
    warn_if_worthless(history, train if valid is None else valid, settings)
    return trained, history


def warn_if_worthless(history: list[dict[str, float]], windows: WindowSet, settings: TrainingSettings) -> None:
    """Warn if the smallest error is far above that of a network that returns the mean of each window."""
    name = MONITOR if MONITOR in history[0] else "train_reconstruction"
    smallest = min(record[name] for record in history)
    some = windows.thinned(MEAN_WINDOWS)
    of_mean = float(some.batch(np.arange(len(some))).var(dim=1, correction=0).mean())
    if smallest > WORTHLESS * of_mean + SMALLEST_ERROR:
        warn(
            f"The network describes the series worse than the mean of each window: its smallest {name} of "
            f"{len(history)} epochs is {smallest:.3g}, and that of the means {of_mean:.3g}. Scores are hardly of use. "
            f"Lower learning_rate (now {settings.learning_rate:g}), raise max_epochs (now {settings.max_epochs}), or "
            "fit on more rows.",
            TrainingWarning,
        )


def prepare_training(
    network: ReconstructionNetwork,
    series: Series,
    settings: TrainingSettings,
    phases: tuple[Phase, ...],
    discrepancy_weight: float | str,
    device: torch.device,
    seed: int,
    verbose: int,
) -> tuple[MinimaxNet, WindowSet, WindowSet | None]:
    """The initialised skorch net, the windows to train on, and those held out; see `train_network`."""
    size = network.window.window_size
    early, late = chronological_split(series.borders, size, settings.validation_fraction)
    train = WindowSet(series.values, early, size)
    # Validation reads at most as many windows as an epoch.
    valid = WindowSet(series.values, late, size).thinned(settings.epoch_size) if len(late) else None
    epoch_size = min(settings.epoch_size, len(train))
    n_steps = settings.max_epochs * math.ceil(epoch_size / settings.batch_size)
    callbacks: list[tuple[str, Callback]] = [("one_cycle", OneCycle(settings.learning_rate, n_steps))]
    if valid is not None:
        # The patience has no end: this callback keeps the best weights.
        best = EarlyStopping(monitor=MONITOR, patience=settings.max_epochs + 1, sink=noop, load_best=True)
        callbacks.append(("keep_best", best))
    if verbose:
        callbacks.append(("progress_bar", ProgressBar(settings.max_epochs)))
    generator = torch.Generator().manual_seed(seed)  # its own: masks do not depend on the number of initial weights
    order = RandomSampler(
        train,
        num_samples=epoch_size,
        generator=torch.Generator().manual_seed(seed),
    )
    net = MinimaxNet(
        module=network,
        criterion=MinimaxObjective(discrepancy_weight),
        optimizer=torch.optim.Adam,
        **{f"optimizer__{name}": value for name, value in adam_settings(device).items()},
        # A recorded step reads the step size from the device.
        lr=torch.tensor(settings.learning_rate, device=device) if device.type == "cuda" else settings.learning_rate,
        max_epochs=settings.max_epochs,
        batch_size=settings.batch_size,
        iterator_train__sampler=order,
        iterator_train__collate_fn=as_fetched,
        iterator_valid__collate_fn=as_fetched,
        iterator_train__generator=generator,  # a loader draws a number for workers, without any, too
        iterator_valid__generator=generator,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=callbacks,
        callbacks__train_loss=None,
        callbacks__valid_loss=None,
        callbacks__print_log=None,
        verbose=0,
        device=device,
        phases=phases,
        generator=generator,
    )
    return net.initialize(), train, valid
