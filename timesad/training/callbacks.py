"""Callbacks for skorch."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

__all__ = ["ProgressBar"]


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
