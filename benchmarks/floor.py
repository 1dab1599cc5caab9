"""What one training step must cost, what this machine can do, and where we stand between the two.

    python -m benchmarks.floor
    python -m benchmarks.floor --window 96 --batch-size 64 --repeats 20
    python -m benchmarks.floor --device cuda --batch-size 512 --curve 64 512 4096 --name floor-accelerator

The operations and bytes of every phase follow from the sizes by the formulas of `benchmarks/costs.py`, which
`docs/performance.md` explains. The peaks are measured: matrix product, convolution, exponential,
copy. The floor of a phase is the longer of the time that its arithmetic takes at peak and the time
that its bytes take at peak. The tables are written to ``docs/results/floor.md``, or to a page of another ``--name``;
``--curve`` adds whole steps of other batch sizes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from timesad.accelerator import CALLS_BEFORE, Recorded, repeatable_convolutions
from timesad.nn import (
    AssociationSettings,
    BlockSettings,
    LocalPrior,
    TimesNetDiscrepancyNetwork,
    WindowSettings,
)
from timesad.nn.minimax import simultaneous
from timesad.training import SCHEDULES, MinimaxObjective, adam_settings

from .command import DEFAULT_RESULTS, arguments_of, command_text
from .costs import (
    BYTES,
    Cost,
    Peaks,
    StepSize,
    association_cost,
    convolution_cost,
    divergence_cost,
    embedding_cost,
    measure_peaks,
    optimizer_cost,
    peak_sizes,
    projection_cost,
)
from .report import markdown_table
from .timing import available_cores, machine_sentence, repeated_seconds

TITLE = "The floor"
DEFAULT_REPEATS = 20
GIGA = 1e9


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of `work`, after one run that does not count."""
    return statistics.median(repeated_seconds(work, repeats + 1)[1:])


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
    seconds = median_seconds(torch.optim.Adam(parameters, **adam_settings(parameters[0].device)).step, repeats)
    cost = optimizer_cost(sum(parameter.numel() for parameter in parameters))
    return PhaseTime("optimizer", cost, peaks.matrix, seconds, seconds)


def whole_step(size: StepSize, device: torch.device) -> Callable[[Tensor], dict[str, Tensor]]:
    """Return a step of the flagship with its associations trained: forward, loss, backward, update."""
    network = build_network(size, detached=True).to(device).train()
    objective, (phase,) = MinimaxObjective("balanced"), SCHEDULES["simultaneous"]
    optimizer = torch.optim.Adam(network.parameters(), **adam_settings(device))

    def step(x: Tensor) -> dict[str, Tensor]:
        hidden = network.random_mask(len(x))
        optimizer.zero_grad(set_to_none=True)
        parts = objective(network(x, hidden, phase.route), x, hidden, phase)
        parts.pop("loss").backward()
        optimizer.step()
        return parts

    return step


def measure_step(size: StepSize, repeats: int, device: torch.device) -> float:
    """Time a whole step as the detectors take it: on an accelerator as a recording."""
    step = Recorded(whole_step(size, device))
    x = torch.randn(size.batch_size, size.window_size, size.n_channels, device=device)
    for _ in range(CALLS_BEFORE):
        step(x)
    return median_seconds(lambda: step(x), repeats)


def measure_unrecorded(size: StepSize, repeats: int, device: torch.device) -> float:
    """Time the same step with the host asking for every kernel."""
    step = whole_step(size, device)
    x = torch.randn(size.batch_size, size.window_size, size.n_channels, device=device)
    return median_seconds(lambda: step(x), repeats)


def step_cost(size: StepSize, n_parameters: int) -> Cost:
    """Return what all phases of a step must do."""
    phases = (embedding_cost, convolution_cost, association_cost, divergence_cost, projection_cost)
    return sum((cost(size) for cost in phases), optimizer_cost(n_parameters))


def curve_table(size: StepSize, batches: Sequence[int], peaks: Peaks, repeats: int, device: torch.device) -> str:
    """Return a batch size a row: a step's seconds, and its operations and bytes as shares of what the machine does."""
    n_parameters = sum(parameter.numel() for parameter in build_network(size, detached=True).parameters())
    rows = []
    for batch_size in batches:
        at = replace(size, batch_size=batch_size)
        cost = step_cost(at, n_parameters)
        step = measure_step(at, repeats, device)
        row = [f"{batch_size:,}", f"{1e3 * step:.2f}", f"{batch_size / step:,.0f}"]
        row += [f"{cost.operations / step / GIGA:,.0f}", f"{cost.operations / step / peaks.convolution:.1%}"]
        row += [f"{cost.bytes / step / GIGA:,.1f}", f"{cost.bytes / step / peaks.bytes:.1%}"]
        if device.type != "cpu":
            row.append(f"{1e3 * measure_unrecorded(at, repeats, device):.2f}")
        rows.append(row)
    header = ["windows", "step, ms", "windows/s", "GFLOP/s", "of the peak", "GB/s", "of the peak"]
    if device.type != "cpu":
        header.append("not recorded, ms")
    return markdown_table(header, rows)


def peaks_table(peaks: Peaks, device: torch.device) -> str:
    """Return what the machine was seen to do."""
    sizes = peak_sizes(device)
    batch, features, height, width, kernel = sizes.grid
    rows = [
        [f"matrix product, {sizes.matrix} × {sizes.matrix}", f"{peaks.matrix / GIGA:.1f} GFLOP/s"],
        [
            f"convolution, {batch} × {features} × {height} × {width}, kernel {kernel} × {kernel}",
            f"{peaks.convolution / GIGA:.1f} GFLOP/s",
        ],
        [f"2 to the power of {sizes.exponentials} numbers", f"{peaks.transcendentals / GIGA:.2f} G/s"],
        [f"copy of {BYTES * sizes.copied / 2**20:.0f} MiB, read and written", f"{peaks.bytes / GIGA:.1f} GB/s"],
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


def page(
    size: StepSize, peaks: Peaks, phases: Sequence[PhaseTime], step: float, curve: str, command: str, device: str
) -> str:
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
            peaks_table(peaks, torch.device(device)),
            "## What a step must do, and what it takes\n",
            phases_table(phases, peaks, step),
            *(["## A step by the size of its batch\n", curve] if curve else []),
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
    parser.add_argument("--curve", type=int, nargs="+", default=[], metavar="WINDOWS", help="batch sizes of a curve")
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="floor", help="of the page (floor)")
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
    with repeatable_convolutions():  # as in training
        phases = measure_phases(size, peaks, options.repeats, device)
        step = measure_step(size, options.repeats, device)
        curve = curve_table(size, options.curve, peaks, options.repeats, device) if options.curve else ""
    command = command_text("benchmarks.floor", arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}.md"
    path.write_text(page(size, peaks, phases, step, curve, command, options.device), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
