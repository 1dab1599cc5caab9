"""What a network must do, by formulas that `docs/performance.md` explains, and what this machine can do at best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

from .timing import repeated_seconds

BYTES = 4  # of a float32
OPERATIONS = 2  # a multiplication and an addition
# Of a linear map the backward pass computes the input's gradient and the weight's, each as much work as the map.
BACKWARD_MAPS = 2
# Exponentials and logarithms of a pair of rows: exp of S, exp of the local P, log of their ratio.
TRANSCENDENTALS_A_PAIR = 3
# Adam reads the parameter, its gradient and two moments, and writes all but the gradient.
ADAM_PASSES = 7
ADAM_OPERATIONS = 12

PEAK_REPEATS = 10


class PeakSizes(NamedTuple):
    """How large the things are whose rates are called peaks.

    Parameters
    ----------
    matrix : int
        Rows and columns of the product.
    grid : tuple of int
        Batch, features, height, width and kernel of the convolution.
    exponentials, copied : int
        Numbers raised and copied.
    """

    matrix: int
    grid: tuple[int, int, int, int, int]
    exponentials: int
    copied: int


# What is raised stays in a processor's cache, what is copied fits no cache.
ON_PROCESSOR = PeakSizes(1536, (32, 64, 48, 48, 3), exponentials=2**16, copied=2**26)
# Less would not fill an accelerator for longer than the host takes to ask for it.
ON_ACCELERATOR = PeakSizes(8192, (512, 64, 48, 48, 3), exponentials=2**26, copied=2**28)


def peak_sizes(device: torch.device) -> PeakSizes:
    """Return the sizes that bring a device to its peak."""
    return ON_PROCESSOR if device.type == "cpu" else ON_ACCELERATOR


@dataclass(frozen=True)
class StepSize:
    """Sizes of one step of a network.

    Parameters
    ----------
    batch_size, window_size, n_channels : int
        Shape of the batch.
    model_size, n_heads, n_layers, n_kernels : int
        Shape of the network.
    periods : tuple of int
        Periods in rows.
    """

    batch_size: int = 64
    window_size: int = 96
    n_channels: int = 25
    model_size: int = 16
    n_heads: int = 1
    n_layers: int = 2
    n_kernels: int = 4
    periods: tuple[int, ...] = (24, 12, 8)

    @property
    def rows(self) -> int:
        """Rows in a batch."""
        return self.batch_size * self.window_size

    @property
    def pairs(self) -> int:
        """Entries of S in a layer."""
        return self.batch_size * self.n_heads * self.window_size**2


@dataclass(frozen=True)
class Cost:
    """What a phase must do, forward and backward.

    Parameters
    ----------
    operations : float
        Multiplications and additions.
    transcendentals : float
        Exponentials and logarithms.
    bytes : float
        Traffic if every input is read once and every output written once, and nothing else leaves the cache.
    """

    operations: float
    transcendentals: float
    bytes: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.operations + other.operations,
            self.transcendentals + other.transcendentals,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True)
class Peaks:
    """What the machine was seen to do, a second.

    Parameters
    ----------
    matrix, convolution : float
        Operations of a large matrix product and a large convolution.
    transcendentals : float
        Exponentials, from cache.
    bytes : float
        Of a large copy, read and written.
    """

    matrix: float
    convolution: float
    transcendentals: float
    bytes: float

    def seconds(self, cost: Cost, arithmetic: float) -> float:
        """Return the floor of a phase whose operations run at the rate `arithmetic`."""
        computing = cost.operations / arithmetic + cost.transcendentals / self.transcendentals
        return max(computing, cost.bytes / self.bytes)


def taps_that_meet(size: int, reach: int) -> int:
    """Pairs of a position and a kernel tap that lies inside an axis of `size` positions.

    Examples
    --------
    >>> taps_that_meet(3, reach=1)
    7
    """
    return sum(min(position + reach, size - 1) - max(position - reach, 0) + 1 for position in range(size))


def moved(backward: bool) -> int:
    """Tensors of features that a layer reads or writes: input and output; then input and the gradients of both."""
    return 2 + 3 * backward


def embedding_cost(size: StepSize, *, backward: bool = True) -> Cost:
    """Three taps of a convolution over time; the input needs no gradient, the weight does."""
    product = OPERATIONS * size.rows * 3 * size.n_channels * size.model_size
    traffic = size.rows * (2 * size.n_channels + 2 * size.model_size)
    return Cost((1 + backward) * product, 0, BYTES * traffic)


def convolution_cost(size: StepSize) -> Cost:
    """All layers' two convolutions on every period's grid, without the taps that only meet padding."""
    reach = size.n_kernels - 1
    meetings = sum(
        taps_that_meet(-(-size.window_size // period), reach) * taps_that_meet(period, reach) for period in size.periods
    )
    products = OPERATIONS * 2 * size.batch_size * meetings * size.model_size**2
    traffic = moved(backward=True) * size.rows * size.model_size
    return Cost(size.n_layers * (1 + BACKWARD_MAPS) * products, 0, BYTES * size.n_layers * traffic)


def association_cost(size: StepSize, *, backward: bool = True) -> Cost:
    """All layers' projections, S, S·V and the local P, with S and P never written out."""
    projections = size.rows * (4 * size.model_size**2 + size.model_size * size.n_heads)
    products = 2 * size.pairs * size.model_size // size.n_heads
    maps = OPERATIONS * (projections + products)
    traffic = moved(backward) * size.rows * size.model_size
    return Cost(
        size.n_layers * (1 + BACKWARD_MAPS * backward) * maps,
        size.n_layers * (TRANSCENDENTALS_A_PAIR - 1) * size.pairs,
        BYTES * size.n_layers * traffic,
    )


def divergence_cost(size: StepSize, *, backward: bool = True) -> Cost:
    """The logarithm of S over P, its product with S - P, and the gradient by both, made where S and P are made."""
    of_value, of_gradients = 5, 8  # additions and products an entry
    return Cost(
        size.n_layers * (of_value + of_gradients * backward) * size.pairs,
        size.n_layers * size.pairs,
        BYTES * size.n_layers * 2 * size.rows,
    )


def projection_cost(size: StepSize, *, backward: bool = True) -> Cost:
    """Features to channels and the squared error."""
    product = OPERATIONS * size.rows * size.model_size * size.n_channels
    traffic = 3 * size.rows * (size.model_size + size.n_channels)
    return Cost((1 + BACKWARD_MAPS * backward) * product, 0, BYTES * traffic)


def feed_forward_cost(size: StepSize, widening: int, *, backward: bool = True) -> Cost:
    """All layers' networks of two linear maps, `widening` times as wide between, and their error functions."""
    hidden = size.rows * widening * size.model_size
    maps = OPERATIONS * 2 * hidden * size.model_size
    traffic = moved(backward) * size.rows * size.model_size
    return Cost(
        size.n_layers * (1 + BACKWARD_MAPS * backward) * maps,
        size.n_layers * (1 + backward) * hidden,
        BYTES * size.n_layers * traffic,
    )


def transformer_floor(size: StepSize, widening: int, peaks: Peaks, *, backward: bool) -> float:
    """Seconds that a step of the Anomaly Transformer takes at least, or its forward pass alone.

    Its phases follow one another, and each runs its products at the better of both rates.
    """
    phases = (
        embedding_cost(size, backward=backward),
        association_cost(size, backward=backward) + divergence_cost(size, backward=backward),
        feed_forward_cost(size, widening, backward=backward),
        projection_cost(size, backward=backward),
    )
    return sum(peaks.seconds(phase, max(peaks.matrix, peaks.convolution)) for phase in phases)


def optimizer_cost(n_parameters: int) -> Cost:
    """Adam's update."""
    return Cost(ADAM_OPERATIONS * n_parameters, 0, BYTES * ADAM_PASSES * n_parameters)


def best_seconds(work: Callable[[], object]) -> float:
    """Return the shortest time of `work`."""
    return min(repeated_seconds(work, PEAK_REPEATS))


def measure_peaks(device: torch.device) -> Peaks:
    """Return the rates of this machine, best of several runs: a peak is what it can do, not what it does on average."""
    sizes = peak_sizes(device)
    a, b = (torch.randn(sizes.matrix, sizes.matrix, device=device) for _ in range(2))
    batch, features, height, width, kernel = sizes.grid
    grid = torch.randn(batch, features, height, width, device=device).to(memory_format=torch.channels_last)
    weight = torch.randn(features, features, kernel, kernel, device=device).to(memory_format=torch.channels_last)
    few = torch.randn(sizes.exponentials, device=device)
    many = torch.randn(sizes.copied, device=device)
    few_out, many_out = torch.empty_like(few), torch.empty_like(many)
    with torch.inference_mode():
        matrix = best_seconds(lambda: a @ b)
        convolution = best_seconds(lambda: F.conv2d(grid, weight, padding=kernel // 2))
        exponentials = best_seconds(lambda: torch.exp2(few, out=few_out))
        copy = best_seconds(lambda: many_out.copy_(many))
    meetings = taps_that_meet(height, kernel // 2) * taps_that_meet(width, kernel // 2)
    return Peaks(
        matrix=OPERATIONS * sizes.matrix**3 / matrix,
        convolution=OPERATIONS * batch * meetings * features**2 / convolution,
        transcendentals=sizes.exponentials / exponentials,
        bytes=2 * BYTES * sizes.copied / copy,
    )
