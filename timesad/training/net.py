"""The skorch net that runs the minimax, and the one function that trains it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor
from torch.utils.data import RandomSampler

from ..accelerator import Recorded, repeatable_convolutions, send
from ..exceptions import TrainingError
from ..nn.networks import ReconstructionNetwork
from ..windows import WindowSet
from .callbacks import ProgressBar, StopEarly, TrainingStopped
from .objective import MinimaxObjective, Phase

__all__ = ["MinimaxNet", "adam_settings", "train_network"]

MONITOR = "valid_reconstruction"


def as_fetched(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The data set fetches whole batches itself; nothing is left to collate."""
    return batch


class MinimaxNet(NeuralNet):
    """A `skorch.NeuralNet` whose training step runs every phase of a minimax schedule on the batch.

    Parameters
    ----------
    phases : sequence of Phase
        The steps taken on each batch.

    The others are `skorch.NeuralNet`'s. The module is a `ReconstructionNetwork`, the criterion a `MinimaxObjective`.

    Notes
    -----
    Losses stay on the device during an epoch and are read once at its end. Each epoch's record in `history` has
    ``train_reconstruction``, ``valid_reconstruction`` and, where there are associations, ``train_discrepancy_<phase>``.
    """

    def __init__(self, *args: Any, phases: tuple[Phase, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.phases = phases
        self._recorded_descend = Recorded(self._descend)
        self._recorded_validate = Recorded(self._validate)

    def train_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Tensor]:
        """Take one optimizer step for each phase."""
        self._set_training(True)
        return self._recorded_descend(send(batch[0], self.device))

    def _descend(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.module_.random_mask(len(x))
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
        """Reconstruction error of a held-out batch; the discrepancy has no part in early stopping."""
        self._set_training(False)
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
        """Run all batches, summing losses on the device; record their means.

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
                    f"(now {self.lr}) or discrepancy_weight, or look for extreme values in X."
                )
            self.history.record(f"{prefix}_{name}", mean)


@contextmanager
def own_generator(device: torch.device, seed: int) -> Iterator[None]:
    """Within the block torch's generators start from `seed`; afterwards they stand where they stood before."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


def adam_settings(device: torch.device) -> dict[str, bool]:
    """How Adam computes: as CUDA can record it, and on a processor in one pass over each weight."""
    return {"capturable": device.type == "cuda", "fused": device.type == "cpu"}


def train_network(
    build: Callable[[], ReconstructionNetwork],
    train: WindowSet,
    valid: WindowSet | None,
    *,
    phases: tuple[Phase, ...],
    discrepancy_weight: float | str,
    max_epochs: int,
    epoch_size: int,
    batch_size: int,
    learning_rate: float,
    patience: int,
    device: torch.device,
    seed: int,
    verbose: int,
) -> tuple[ReconstructionNetwork, list[dict[str, float]]]:
    """Build a network and train it, reproducibly and without touching the global generators.

    Parameters
    ----------
    build : callable
        Returns the network; called with torch's generators seeded.
    train, valid : WindowSet
        Windows to train on, and to stop on (None: no early stopping).
    phases, discrepancy_weight
        See `SCHEDULES` and `MinimaxObjective`.
    max_epochs, epoch_size : int
        Epochs at most, and windows drawn for each (all of them if there are fewer).
    batch_size : int
        Windows in a step.
    learning_rate : float
        Of Adam.
    patience : int
        Epochs without a better held-out reconstruction after which training stops; the best epoch's weights are kept.
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
        One record an epoch.

    Raises
    ------
    TrainingError
        If a loss becomes NaN or infinite.
    """
    callbacks: list[tuple[str, Callback]] = []
    if valid is not None:
        stopping = StopEarly(monitor=MONITOR, patience=patience, sink=noop, load_best=True)
        callbacks.append(("stop_early", stopping))
    if verbose:
        callbacks.append(("progress_bar", ProgressBar(max_epochs)))
    n_drawn = min(epoch_size, len(train))
    with own_generator(device, seed), repeatable_convolutions():
        network = build()
        # Masks are drawn from here on: the same ones, however many weights the network has drawn.
        torch.manual_seed(seed)
        order = RandomSampler(train, num_samples=n_drawn, generator=torch.Generator().manual_seed(seed))
        net = MinimaxNet(
            module=network,
            criterion=MinimaxObjective(discrepancy_weight),
            optimizer=torch.optim.Adam,
            **{f"optimizer__{name}": value for name, value in adam_settings(device).items()},
            lr=learning_rate,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train__sampler=order,
            iterator_train__collate_fn=as_fetched,
            iterator_valid__collate_fn=as_fetched,
            train_split=None if valid is None else predefined_split(valid),
            callbacks=callbacks,
            callbacks__train_loss=None,
            callbacks__valid_loss=None,
            callbacks__print_log=None,
            verbose=0,
            device=device,
            phases=phases,
        ).initialize()
        net.notify("on_train_begin", X=train, y=None)
        # skorch's fit would swallow a KeyboardInterrupt and hand back a half-trained net as if it were whole.
        with suppress(TrainingStopped):
            net.fit_loop(train)
        net.notify("on_train_end", X=train, y=None)
    trained: ReconstructionNetwork = net.module_.eval()
    trained.zero_grad(set_to_none=True)  # as much memory as the weights, and of no further use
    kept = ("epoch", "dur")
    history = [
        {name: row[name] for name in row if name in kept or name.startswith(("train_", "valid_"))}
        for row in net.history.to_list()
    ]
    return trained, history
