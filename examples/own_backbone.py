"""A network of your own
=====================

A detector with its own network in some forty lines, and the checks of its contract.

Run ``python examples/own_backbone.py``; it takes a few seconds.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from timesad._network_detector import BaseNetworkDetector
from timesad.datasets import make_anomalous_series
from timesad.nn.networks import ReconstructionNetwork, WindowSettings
from timesad.testing import CHECKS, check_detector


class ConvolutionNetwork(ReconstructionNetwork):
    """Reconstructs the hidden rows of a window by convolutions over time."""

    def __init__(self, window: WindowSettings, n_layers: int) -> None:
        super().__init__(window)
        size = window.model_size
        layers = [nn.Sequential(nn.Conv1d(size, size, 9, padding=4), nn.GELU()) for _ in range(n_layers)]
        self.layers = nn.Sequential(*layers)

    def features(self, embedded: Tensor) -> Tensor:
        """(batch, time, model_size) -> (batch, time, model_size)."""
        return embedded + self.layers(embedded.transpose(1, 2)).transpose(1, 2)


class ConvolutionDetector(BaseNetworkDetector):
    """Reconstruction error of a convolutional network. Parameters are those of `timesad.TimesNetDetector`."""

    def __init__(self, *, window_size=96, smoothing=64, clean_training=True, use_past=True, missing="error",
                 n_layers=3, model_size=32, max_epochs=8, batch_size=16, learning_rate=5e-3, contamination=0.1,
                 device="auto", random_state=None, verbose=0):  # fmt: skip
        for name, value in vars().copy().items():
            if name != "self":
                setattr(self, name, value)

    def _build_network(self) -> ConvolutionNetwork:
        return ConvolutionNetwork(self._window_settings(), self.n_layers)


def main() -> None:
    series = make_anomalous_series(
        n_rows=3000, train_size=2000, period=25, kinds=["frequency", "trend"], random_state=0
    )
    train, new = np.split(series.data, [series.train_size])
    detector = ConvolutionDetector(window_size=50, smoothing=16, max_epochs=4, random_state=0).fit(train)
    print(detector.detect(new)[["start", "end", "severity", "channels"]].round(2).to_string(index=False))
    print("anomalies:", [(one["start"] - len(train), one["stop"] - len(train)) for one in series.anomalies])

    checks = [check for check in CHECKS if check.__name__ != "check_pickle"]  # a class of a script cannot be imported
    check_detector(ConvolutionDetector(window_size=16, smoothing=4, max_epochs=2, random_state=0), checks)
    print(f"{len(checks)} checks passed")


if __name__ == "__main__":
    main()
