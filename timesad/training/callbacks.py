"""Callbacks for skorch."""

from __future__ import annotations

import math
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

__all__ = ["OneCycle", "ProgressBar"]

RISE = 0.25  # share of the steps while the step size grows
START_DIVISOR, END_DIVISOR = 10.0, 100.0  # the first step size is a tenth of the largest, the last a thousandth


class OneCycle(Callback):
    """The step size of each step: up to the peak in the first quarter, then down to nearly 0, along two cosines.

    Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2019.
    Torch's `OneCycleLR` has the same sizes. It divides by zero in a cycle of four steps.

    Parameters
    ----------
    peak : float
        Largest step size.
    n_steps : int
        Steps of the whole training.
    """

    def __init__(self, peak: float, n_steps: int) -> None:
        self.peak = peak
        self.n_steps = n_steps

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Begin the cycle."""
        self.step_ = 0

    def on_batch_begin(self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        """Set the step size."""
        if not training:
            return
        size = self.size(self.step_)
        for group in net.optimizer_.param_groups:
            if isinstance(group["lr"], Tensor):  # a recorded step reads it from there
                group["lr"].fill_(size)
            else:
                group["lr"] = size
        self.step_ += 1

    def size(self, step: int) -> float:
        """Size of a step, counted from 0."""
        first = self.peak / START_DIVISOR
        last = first / END_DIVISOR
        top = max(RISE * (self.n_steps + 1) - 1, 0.0)  # the step with the largest size, mostly between two
        if step < top:
            return between(first, self.peak, step / top)
        return between(self.peak, last, (step - top) / (self.n_steps - top))


def between(begin: float, end: float, share: float) -> float:
    """A number from `begin`, with a share of 0, to `end`, with 1, along half a cosine."""
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


class ProgressBar(Callback):
    """A tqdm bar over the epochs that shows the held-out reconstruction error, or else the training error.

    Parameters
    ----------
    max_epochs : int
        Length of the bar.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Open the bar."""
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "verbose=1 shows a progress bar, which needs tqdm: pip install timesad[progress], or set verbose=0."
            ) from error
        self.bar_ = tqdm(total=self.max_epochs, unit="epoch", leave=True)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Move the bar by one epoch."""
        latest = net.history[-1]
        error = latest.get("valid_reconstruction", latest["train_reconstruction"])
        self.bar_.set_postfix_str(f"reconstruction {error:.4f}", refresh=False)
        self.bar_.update()

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()
