"""What one training step must cost, what this machine can do, and where we stand between the two.

    python -m benchmarks.floor
    python -m benchmarks.floor --window 96 --batch-size 64 --repeats 20

The operations and bytes of every phase follow from the sizes by the formulas below, which
`docs/performance.md` explains. The peaks are measured: matrix product, convolution, exponential,
copy. The floor of a phase is the longer of the time that its arithmetic takes at peak and the time
that its bytes take at peak. The table is written to ``docs/results/floor.md``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from timesad.nn import (
    AssociationSettings,
    BlockSettings,
    LocalPrior,
    TimesNetDiscrepancyNetwork,
    WindowSettings,
)
from timesad.nn.minimax import simultaneous
from timesad.training import SCHEDULES, MinimaxObjective

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .report import markdown_table
from .timing import available_cores, machine_sentence, wait_for_device

TITLE = "The floor"
BYTES = 4  # of a float32
OPERATIONS = 2  # a multiplication and an addition
# Of a linear map the backward pass computes the input's gradient and the weight's, each as much work as the map.
BACKWARD_MAPS = 2
# Exponentials and logarithms of a pair of rows: exp of S, exp of the local P, log of their ratio.
TRANSCENDENTALS_A_PAIR = 3
# Adam reads the parameter, its gradient and two moments, and writes all but the gradient.
ADAM_PASSES = 7
ADAM_OPERATIONS = 12

PEAK_MATRIX = 1536  # rows and columns of the product whose rate is called the peak
PEAK_GRID = (32, 64, 48, 48, 3)  # batch, features, height, width, kernel
PEAK_EXPONENTIALS = 2**16  # few enough to stay in cache
PEAK_COPY = 2**26  # numbers; too many for any cache
PEAK_REPEATS = 10
DEFAULT_REPEATS = 20
GIGA = 1e9


@dataclass(frozen=True)
class StepSize:
    """Sizes of one training step of the flagship.

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


def embedding_cost(size: StepSize) -> Cost:
    """Three taps of a convolution over time; the input needs no gradient, the weight does."""
    product = OPERATIONS * size.rows * 3 * size.n_channels * size.model_size
    traffic = size.rows * (2 * size.n_channels + 2 * size.model_size)
    return Cost(2 * product, 0, BYTES * traffic)


def convolution_cost(size: StepSize) -> Cost:
    """All layers' two convolutions on every period's grid, without the taps that only meet padding."""
    reach = size.n_kernels - 1
    meetings = sum(
        taps_that_meet(-(-size.window_size // period), reach) * taps_that_meet(period, reach) for period in size.periods
    )
    products = OPERATIONS * 2 * size.batch_size * meetings * size.model_size**2
    # Forward: input and output. Backward: input, output's gradient, input's gradient.
    traffic = 5 * size.rows * size.model_size
    return Cost(size.n_layers * (1 + BACKWARD_MAPS) * products, 0, BYTES * size.n_layers * traffic)


def association_cost(size: StepSize) -> Cost:
    """All layers' projections, S, S·V and the local P, with S and P never written out."""
    projections = size.rows * (4 * size.model_size**2 + size.model_size * size.n_heads)
    products = 2 * size.pairs * size.model_size // size.n_heads
    maps = OPERATIONS * (projections + products)
    traffic = 5 * size.rows * size.model_size
    return Cost(
        size.n_layers * (1 + BACKWARD_MAPS) * maps,
        size.n_layers * (TRANSCENDENTALS_A_PAIR - 1) * size.pairs,
        BYTES * size.n_layers * traffic,
    )


def divergence_cost(size: StepSize) -> Cost:
    """The logarithm of S over P, its product with S - P, and the gradient by both, made where S and P are made."""
    forward, backward = 5, 8  # additions and products an entry
    return Cost(
        size.n_layers * (forward + backward) * size.pairs,
        size.n_layers * size.pairs,
        BYTES * size.n_layers * 2 * size.rows,
    )


def projection_cost(size: StepSize) -> Cost:
    """Features to channels and the squared error."""
    product = OPERATIONS * size.rows * size.model_size * size.n_channels
    traffic = 3 * size.rows * (size.model_size + size.n_channels)
    return Cost((1 + BACKWARD_MAPS) * product, 0, BYTES * traffic)


def optimizer_cost(n_parameters: int) -> Cost:
    """Adam's update."""
    return Cost(ADAM_OPERATIONS * n_parameters, 0, BYTES * ADAM_PASSES * n_parameters)


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of `work`, after one run that does not count."""
    seconds = []
    for _ in range(repeats + 1):
        wait_for_device()
        start = time.perf_counter()
        work()
        wait_for_device()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def measure_peaks(device: torch.device) -> Peaks:
    """Return the rates of this machine, best of several runs: a peak is what it can do, not what it does on average."""
    a, b = (torch.randn(PEAK_MATRIX, PEAK_MATRIX, device=device) for _ in range(2))
    batch, features, height, width, kernel = PEAK_GRID
    grid = torch.randn(batch, features, height, width, device=device).to(memory_format=torch.channels_last)
    weight = torch.randn(features, features, kernel, kernel, device=device).to(memory_format=torch.channels_last)
    few = torch.randn(PEAK_EXPONENTIALS, device=device)
    many = torch.randn(PEAK_COPY, device=device)
    few_out, many_out = torch.empty_like(few), torch.empty_like(many)
    with torch.inference_mode():
        matrix = best_seconds(lambda: a @ b)
        convolution = best_seconds(lambda: F.conv2d(grid, weight, padding=kernel // 2))
        exponentials = best_seconds(lambda: torch.exp2(few, out=few_out))
        copy = best_seconds(lambda: many_out.copy_(many))
    meetings = taps_that_meet(height, kernel // 2) * taps_that_meet(width, kernel // 2)
    return Peaks(
        matrix=OPERATIONS * PEAK_MATRIX**3 / matrix,
        convolution=OPERATIONS * batch * meetings * features**2 / convolution,
        transcendentals=PEAK_EXPONENTIALS / exponentials,
        bytes=2 * BYTES * PEAK_COPY / copy,
    )


def best_seconds(work: Callable[[], object]) -> float:
    """Return the shortest time of `work`."""
    seconds = []
    for _ in range(PEAK_REPEATS):
        wait_for_device()
        start = time.perf_counter()
        work()
        wait_for_device()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def build_network(size: StepSize, *, detached: bool) -> TimesNetDiscrepancyNetwork:
    """Return the flagship's network with masks as by default."""
    window = WindowSettings(
        n_channels=size.n_channels,
        window_size=size.window_size,
        model_size=size.model_size,
        dropout=0.0,
        normalize=True,
        n_masks=4,
        patch_size=8,
    )
    blocks = BlockSettings(size.n_layers, size.periods, size.n_kernels)
    association = AssociationSettings(size.n_layers, size.n_heads, lambda: [LocalPrior(size.window_size)])
    return TimesNetDiscrepancyNetwork(window, blocks, association, detached=detached)


@dataclass(frozen=True)
class PhaseTime:
    """A phase, its cost and the seconds it takes."""

    name: str
    cost: Cost
    arithmetic: float  # operations a second that its kind of operation reaches at best
    forward: float
    both: float  # forward and backward


def forward_and_backward(forward: Callable[[], Sequence[Tensor]], leaves: Sequence[Tensor]) -> Callable[[], object]:
    """Return work that runs `forward` and differentiates all its outputs by the leaves."""

    def work() -> object:
        outputs = forward()
        return torch.autograd.grad(outputs, leaves, [torch.ones_like(output) for output in outputs], allow_unused=True)

    return work


def measure_phases(size: StepSize, peaks: Peaks, repeats: int, device: torch.device) -> list[PhaseTime]:
    """Time every phase of a step alone, on tensors of the step's shapes."""
    network = build_network(size, detached=True).to(device).train()
    x = torch.randn(size.batch_size, size.window_size, size.n_channels, device=device)
    features = torch.randn(size.batch_size, size.window_size, size.model_size, device=device, requires_grad=True)

    def associate() -> list[Tensor]:
        divergence = network.association.divergence
        found = [attention.compare(features, simultaneous, divergence) for attention in network.association.attentions]
        return [tensor for output, compared in found for tensor in (output, compared.discrepancy)]

    def timed(
        name: str, cost: Cost, rate: float, forward: Callable[[], Sequence[Tensor]], leaves: Sequence[Tensor]
    ) -> PhaseTime:
        alone = median_seconds(forward, repeats)
        return PhaseTime(name, cost, rate, alone, median_seconds(forward_and_backward(forward, leaves), repeats))

    def of(module: nn.Module) -> list[Tensor]:
        return list(module.parameters())

    phases = [
        timed(
            "embedding",
            embedding_cost(size),
            peaks.convolution,
            lambda: [network.embedding(x)],
            of(network.embedding),
        ),
        timed(
            "convolution",
            convolution_cost(size),
            peaks.convolution,
            lambda: [block(features) for block in network.blocks],
            [features, *of(network.blocks)],
        ),
        timed(
            "association and divergence",
            association_cost(size) + divergence_cost(size),
            peaks.matrix,
            associate,
            [features, *of(network.association.attentions)],
        ),
        timed(
            "projection and error",
            projection_cost(size),
            peaks.matrix,
            lambda: [((network.projection(features) - x) ** 2).mean()],
            [features, *of(network.projection)],
        ),
    ]
    return [*phases, measure_optimizer(network, peaks, repeats)]


def measure_optimizer(network: nn.Module, peaks: Peaks, repeats: int) -> PhaseTime:
    """Time Adam's update of all parameters."""
    parameters = list(network.parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    seconds = median_seconds(torch.optim.Adam(parameters).step, repeats)
    cost = optimizer_cost(sum(parameter.numel() for parameter in parameters))
    return PhaseTime("optimizer", cost, peaks.matrix, seconds, seconds)


def measure_step(size: StepSize, repeats: int, device: torch.device) -> float:
    """Time a whole step of the flagship at its defaults: forward, loss, backward, update."""
    network = build_network(size, detached=True).to(device).train()
    objective, (phase,) = MinimaxObjective("auto"), SCHEDULES["simultaneous"]
    optimizer = torch.optim.Adam(network.parameters())
    x = torch.randn(size.batch_size, size.window_size, size.n_channels, device=device)

    def step() -> None:
        hidden = network.random_mask(len(x))
        optimizer.zero_grad(set_to_none=True)
        objective(network(x, hidden, phase.route), x, hidden, phase)["loss"].backward()
        optimizer.step()

    return median_seconds(step, repeats)


def peaks_table(peaks: Peaks) -> str:
    """Return what the machine was seen to do."""
    batch, features, height, width, kernel = PEAK_GRID
    rows = [
        [f"matrix product, {PEAK_MATRIX} × {PEAK_MATRIX}", f"{peaks.matrix / GIGA:.1f} GFLOP/s"],
        [
            f"convolution, {batch} × {features} × {height} × {width}, kernel {kernel} × {kernel}",
            f"{peaks.convolution / GIGA:.1f} GFLOP/s",
        ],
        [f"2 to the power of {PEAK_EXPONENTIALS} numbers", f"{peaks.transcendentals / GIGA:.2f} G/s"],
        [f"copy of {BYTES * PEAK_COPY / 2**20:.0f} MiB, read and written", f"{peaks.bytes / GIGA:.1f} GB/s"],
    ]
    return markdown_table(["measured peak", ""], rows)


def phases_table(phases: Sequence[PhaseTime], peaks: Peaks, step: float) -> str:
    """Return a phase a row: what it must do, its floor, what it takes, the share of the peak that it reaches."""
    header = [
        "phase",
        "MFLOP",
        "M exp and log",
        "MB",
        "floor, ms",
        "forward, ms",
        "forward and backward, ms",
        "share of peak",
        "share of the step",
    ]
    rows = []
    for phase in phases:
        floor = peaks.seconds(phase.cost, phase.arithmetic)
        rows.append(
            [
                phase.name,
                f"{phase.cost.operations / 1e6:.1f}",
                f"{phase.cost.transcendentals / 1e6:.2f}",
                f"{phase.cost.bytes / 1e6:.2f}",
                f"{1e3 * floor:.2f}",
                f"{1e3 * phase.forward:.2f}",
                f"{1e3 * phase.both:.2f}",
                f"{floor / phase.both:.0%}",
                f"{phase.both / step:.0%}",
            ]
        )
    total = sum(peaks.seconds(phase.cost, phase.arithmetic) for phase in phases)
    measured = sum(phase.both for phase in phases)
    rows.append(
        [
            "sum of the phases",
            "",
            "",
            "",
            f"{1e3 * total:.2f}",
            "",
            f"{1e3 * measured:.2f}",
            f"{total / measured:.0%}",
            "",
        ]
    )
    rows.append(
        ["whole step", "", "", "", f"{1e3 * total:.2f}", "", f"{1e3 * step:.2f}", f"{total / step:.0%}", "100%"]
    )
    return markdown_table(header, rows)


def page(size: StepSize, peaks: Peaks, phases: Sequence[PhaseTime], step: float, command: str, device: str) -> str:
    """Return the Markdown page."""
    bullets = [
        f"Made by `{command}`.",
        f"Machine: {machine_sentence(device)}.",
        f"One step: {size.batch_size} windows of {size.window_size} rows × {size.n_channels} channels; "
        f"{size.n_layers} layers, {size.model_size} features, {size.n_heads} heads, {size.n_kernels} kernels, periods "
        f"{', '.join(map(str, size.periods))}.",
        "The formulas and how to read the columns: `docs/performance.md`.",
    ]
    return "\n".join(
        [
            f"# {TITLE}\n",
            "\n".join(f"- {bullet}" for bullet in bullets) + "\n",
            "## What the machine can do\n",
            peaks_table(peaks),
            "## What a step must do, and what it takes\n",
            phases_table(phases, peaks, step),
        ]
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    default = StepSize()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--window", type=int, default=default.window_size)
    parser.add_argument("--channels", type=int, default=default.n_channels)
    parser.add_argument("--model-size", type=int, default=default.model_size)
    parser.add_argument("--heads", type=int, default=default.n_heads)
    parser.add_argument("--layers", type=int, default=default.n_layers)
    parser.add_argument("--kernels", type=int, default=default.n_kernels)
    parser.add_argument("--periods", type=int, nargs="+", default=list(default.periods))
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=DEFAULT_RESULTS, help="folder of the page (docs/results)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = arguments_of(argv)
    options = make_parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    size = StepSize(
        batch_size=options.batch_size,
        window_size=options.window,
        n_channels=options.channels,
        model_size=options.model_size,
        n_heads=options.heads,
        n_layers=options.layers,
        n_kernels=options.kernels,
        periods=tuple(options.periods),
    )
    peaks = measure_peaks(device)
    phases = measure_phases(size, peaks, options.repeats, device)
    step = measure_step(size, options.repeats, device)
    command = command_text("benchmarks.floor", arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "floor.md"
    path.write_text(page(size, peaks, phases, step, command, options.device), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
