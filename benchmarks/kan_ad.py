"""KAN-AD (Zhou et al., ICML 2025, arXiv 2411.00278), written from the paper.

A network of 274 weights forecasts the next value of a channel from fixed functions of its window. The score of a row is
its absolute forecast error, averaged over channels.

Details that the paper leaves open follow the authors' code (github.com/CSTCloudOps/KAN-AD, read in a copy in another
repository): Adam, whose step size shrinks by a quarter every 5 epochs, and a patience of 3 epochs. Equation 5 has a
sine beside each cosine; code and published size (274, Table 3) have cosines only, and so has this network. Found in
neither place and chosen here: the weights of the best epoch are kept; the rows before the first forecast have the score
of the first; a multichannel row has the mean over its channels.

Deviations: an epoch draws at most EPOCH_PAIRS windows, all if there are fewer. It has at least MIN_STEPS steps: the
published batch of 1024 windows is a single step on a short series, and training would stop after a few of them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from timesad.accelerator import repeatable_convolutions

from .contract import FloatArray
from .devices import own_generator, torch_device

KERNEL = 3
RATE_STEP, RATE_FACTOR = 5, 0.75  # epochs between two reductions of the learning rate, and their factor
PATIENCE = 3  # epochs without a smaller held-out error
HELD_OUT_FRACTION = 0.2  # of the forecasts of each channel, the last ones
EPOCH_PAIRS = 100 * 1024  # windows and their next values, over all channels
MIN_STEPS = 10  # in an epoch
SCORING_BATCH = 8192  # windows

Pairs = Tensor  # (channel, forecast, window + 1), a view: a window and its next value


class KanAdNetwork(nn.Module):
    """Forecast of the next value from cosines of the window, with learned weights (Equations 5 to 12).

    `H0 = [cos(2 pi n i / T), cos(n x), x]`, n = 1 … n_terms; `H = H0 + block(block(H0))` with
    `block = GELU(BatchNorm(Conv))`; `pattern = GELU(BatchNorm(Conv1x1(H)))`; `forecast = Linear(pattern)`.

    Shapes: (batch, window) -> (batch,)
    """

    waves: Tensor
    orders: Tensor

    def __init__(self, window: int, n_terms: int) -> None:
        super().__init__()
        orders = torch.arange(1, n_terms + 1)[:, None]  # (term, 1)
        self.register_buffer("orders", orders)
        self.register_buffer("waves", torch.cos(2 * torch.pi * orders * torch.arange(window) / window))
        size = 2 * n_terms + 1
        self.blocks = nn.Sequential(*self._block(size), *self._block(size))
        self.reduce = nn.Sequential(nn.Conv1d(size, 1, 1, bias=False), nn.BatchNorm1d(1), nn.GELU())
        self.forecast = nn.Linear(window, 1)

    @staticmethod
    def _block(size: int) -> list[nn.Module]:
        return [nn.Conv1d(size, size, KERNEL, padding="same", bias=False), nn.BatchNorm1d(size), nn.GELU()]

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1)  # (batch, 1, time)
        functions = torch.cat([self.waves.expand(len(x), -1, -1), torch.cos(self.orders * x), x], 1)
        pattern = self.reduce(functions + self.blocks(functions))  # (batch, 1, time)
        return self.forecast(pattern).flatten()


def take(pairs: Pairs, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return windows (batch, window) and next values (batch,) at the index, which counts forecasts within channels."""
    chosen = pairs[index // pairs.shape[1], index % pairs.shape[1]].to(device)
    return chosen[:, :-1], chosen[:, -1]


def forecast_errors(network: KanAdNetwork, pairs: Pairs, index: Tensor, device: torch.device) -> Tensor:
    """Return next value minus forecast in evaluation mode, (len(index),)."""
    network.eval()
    errors = []
    with torch.inference_mode():
        for batch in index.split(SCORING_BATCH):
            windows, following = take(pairs, batch, device)
            errors.append(following - network(windows))
    return torch.cat(errors)


def train_network(
    network: KanAdNetwork, pairs: Pairs, max_epochs: int, batch_size: int, learning_rate: float, device: torch.device
) -> None:
    """Minimise the squared forecast error, with early stopping; draws from torch's generator.

    A loop of its own, not skorch's: one index takes a batch of windows from the view.
    """
    n_channels, n_forecasts, _ = pairs.shape
    n_held_out = max(1, round(HELD_OUT_FRACTION * n_forecasts))
    index = torch.arange(n_channels * n_forecasts)
    is_held_out = index % n_forecasts >= n_forecasts - n_held_out
    train_index, held_out_index = index[~is_held_out], index[is_held_out]
    held_out_index = held_out_index[torch.randperm(len(held_out_index))[:EPOCH_PAIRS]]
    batch_size = min(batch_size, max(2, len(train_index) // MIN_STEPS))
    optimiser = torch.optim.Adam(network.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, RATE_STEP, RATE_FACTOR)
    lowest, best, waited = float("inf"), copy.deepcopy(network.state_dict()), 0
    for _ in range(max_epochs):
        network.train()
        for batch in train_index[torch.randperm(len(train_index))[:EPOCH_PAIRS]].split(batch_size):
            windows, following = take(pairs, batch, device)
            loss = F.mse_loss(network(windows), following)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        held_out = forecast_errors(network, pairs, held_out_index, device).square().mean().item()
        waited += 1
        if held_out < lowest:
            lowest, best, waited = held_out, copy.deepcopy(network.state_dict()), 0
        if waited >= PATIENCE:
            break
    network.load_state_dict(best)


@dataclass
class KanAd:
    """Absolute error of a one-step forecast, averaged over channels.

    `score(row) = mean over channels of |z - forecast(the window before z)|`, z the standardised first difference

    All channels share one network (Section 4.7). The training rows are scored like new ones, so `decision_scores_`
    equals `decision_function` of them.

    Parameters
    ----------
    window : int, default=96
        Values that a forecast reads.
    random_state : int, default=0
        Seed of weights and batches. The global generators are not touched.
    n_terms : int, default=2
        Cosines of each kind (N).
    max_epochs : int, default=100
        Epochs at most.
    batch_size : int, default=1024
        Windows of a step at most, fewer on short series.
    learning_rate : float, default=0.01
        First step size of Adam.
    device : str, default="auto"
        "auto" is "cuda" where available, else "cpu".
    """

    window: int = 96
    random_state: int = 0
    n_terms: int = 2
    max_epochs: int = 100
    batch_size: int = 1024
    learning_rate: float = 0.01
    device: str = "auto"
    decision_scores_: FloatArray = field(init=False, repr=False)
    network_: KanAdNetwork = field(init=False, repr=False)
    mean_: FloatArray = field(init=False, repr=False)
    deviation_: FloatArray = field(init=False, repr=False)

    def fit(self, X: FloatArray) -> KanAd:
        """Train the network on X (n_timestamps, n_channels).

        Raises
        ------
        ValueError
            If X holds fewer than two windows.
        """
        least = 2 * self.window + 2
        if len(X) < least:
            raise ValueError(
                f"X has {len(X)} rows but window {self.window} needs {least}. Pass a longer series or a window of at "
                f"most {(len(X) - 2) // 2}."
            )
        differences = np.diff(X, axis=0)
        self.mean_ = differences.mean(axis=0)
        deviation = differences.std(axis=0)
        self.deviation_ = np.where(deviation > 0, deviation, 1.0)
        device = torch_device(self.device)
        pairs = self._pairs(X)
        with own_generator(device, self.random_state), repeatable_convolutions(device):
            self.network_ = KanAdNetwork(self.window, self.n_terms).to(device)
            train_network(self.network_, pairs, self.max_epochs, self.batch_size, self.learning_rate, device)
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return one score a row of X (n_timestamps, n_channels)."""
        pairs = self._pairs(X)
        n_channels, n_forecasts, _ = pairs.shape
        device = self.network_.forecast.weight.device
        errors = forecast_errors(self.network_, pairs, torch.arange(n_channels * n_forecasts), device)
        scores = errors.abs().reshape(n_channels, n_forecasts).mean(0).cpu().numpy().astype(np.float64)
        return np.pad(scores, (len(X) - n_forecasts, 0), mode="edge")

    def _pairs(self, X: FloatArray) -> Pairs:
        if len(X) < self.window + 2:
            raise ValueError(
                f"X has {len(X)} rows but a forecast with window {self.window} needs {self.window + 2}. Pass a longer "
                "series."
            )
        standardised = (np.diff(X, axis=0) - self.mean_) / self.deviation_
        series = torch.from_numpy(np.ascontiguousarray(standardised.T, dtype=np.float32))  # (channel, time)
        return series.unfold(1, self.window + 1, 1)
