"""From what the network says of windows to what is known of each row.

Squared reconstruction error of each row and channel, in units of what is usual at its position in a window, averaged
over the windows that hold the row. The discrepancy, where it is asked for, is standardised per position, so that no
position is systematically near zero, and averaged over the same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .accelerator import Recorded, send
from .nn.networks import ReconstructionNetwork
from .windows import OverlapAverage, WindowSet

__all__ = [
    "CALIBRATION_WINDOWS",
    "ChannelEvidence",
    "Evidence",
    "JudgedWindows",
    "PositionCalibration",
    "calibrate_positions",
    "gather_evidence",
    "judge_all",
    "judge_windows",
]

PRODUCT_TEMPERATURE = 50.0  # of the official code's softmax(-50 D)
CALIBRATION_WINDOWS = 512  # evenly spread training windows that the position statistics are read from, at most
SMALLEST_ERROR = 1e-12  # squared standard deviations
SMALLEST_AGREED = np.float32(1e-4)  # squared standard deviations; who rebuilds a row even better outvotes no more
SMALLEST_SCALE = 1e-7  # the rounding of float32: what varies less does not vary
SCALE_SHARE = 0.05  # no position's scale falls below this share of the positions' median scale


@dataclass(frozen=True)
class PositionCalibration:
    """What is usual at each in-window position of training windows.

    A row at a window's edge has context on one side only and is rebuilt worse; the first and last rows of a series are
    always at an edge.

    Parameters
    ----------
    error : ndarray of shape (window_size,)
        Typical squared error, relative to that of all positions.
    center, spread : ndarray of shape (window_size, n_priors)
        Mean and standard deviation of the discrepancy; without columns where nobody asks for it.
    """

    error: NDArray[np.float64]
    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    @property
    def n_priors(self) -> int:
        """Priors whose discrepancy is calibrated."""
        return self.center.shape[1]

    def level_error(self, error: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared error, (batch, time, channel), as if every position were rebuilt equally well."""
        return error / self.error.astype(np.float32)[:, None]

    def closeness(self, discrepancy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standard deviations by which D falls short of its position's mean: large = associates abnormally closely."""
        return ((self.center - discrepancy) / self.spread).astype(np.float32)


@dataclass(frozen=True)
class Evidence:
    """What the windows say of each row, averaged over the windows that hold it.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
        The scaled rows themselves.
    error : ndarray of shape (n_rows, n_channels)
        Squared reconstruction error, in squared standard deviations of the training series.
    agreed : ndarray of shape (n_rows, n_channels)
        The same by the geometric mean. Normal rows beside an anomaly are badly rebuilt in the windows that the anomaly
        spoils, and well in the others; here the others count, and only what no context explains stays large.
    closeness : ndarray of shape (n_rows, n_priors) or None
        Calibrated discrepancy with its sign turned, a column for each prior.
    product : ndarray of shape (n_rows,) or None
        The published score, softmax(-50 D) times the error, where it was asked for.
    memory : ndarray of shape (n_rows,) or None
        What the memory says of each row (`MemoryScorer`), where it was asked for.
    """

    values: NDArray[np.float32]
    error: NDArray[np.float32]
    agreed: NDArray[np.float32]
    closeness: NDArray[np.float32] | None
    product: NDArray[np.float32] | None
    memory: NDArray[np.float64] | None

    def by_channel(self) -> Iterator[ChannelEvidence]:
        """Each channel's columns in double precision, one channel at a time: memory is that of one."""
        for columns in zip(self.values.T, self.error.T, self.agreed.T, strict=True):
            yield ChannelEvidence(*(column.astype(np.float64) for column in columns))

    def by_prior(self) -> Iterator[NDArray[np.float64]]:
        """The closeness to each prior in double precision, one prior at a time; nothing without the discrepancy."""
        for column in () if self.closeness is None else self.closeness.T:
            yield column.astype(np.float64)


class ChannelEvidence(NamedTuple):
    """One channel of `Evidence`, (n_rows,) each."""

    values: NDArray[np.float64]
    error: NDArray[np.float64]
    agreed: NDArray[np.float64]


class JudgedWindows(NamedTuple):
    """What the network says of a batch of windows."""

    starts: NDArray[np.intp]  # (batch,), the windows' first rows
    error: Tensor  # (batch, time, channel), squared, of each row where it was hidden
    discrepancy: Tensor | None = None  # (batch, time, prior), where it was asked for


@torch.inference_mode()
def judge_windows(network: ReconstructionNetwork, x: Tensor, *, with_discrepancy: bool) -> tuple[Tensor, Tensor | None]:
    """Squared error of each row where it was hidden, (batch, time, channel), and D, (batch, time, prior).

    Every complementary mask is applied in turn, so that each row is judged once by its context alone. D is averaged
    over the passes.
    """
    error = torch.zeros_like(x)
    discrepancies = []
    hides = [mask.expand(len(x), -1) for mask in network.masks] or [None]
    for hidden in hides:
        if with_discrepancy:
            output = network(x, hidden)
            reconstruction = output.reconstruction
            discrepancies.append(output.discrepancy)
        else:
            reconstruction = network.reconstruct(x, hidden)
        judged = 1.0 if hidden is None else hidden[..., None]
        error += (reconstruction - x) ** 2 * judged
    return error, torch.stack(discrepancies).mean(dim=0) if discrepancies else None


def judge_all(
    network: ReconstructionNetwork,
    windows: WindowSet,
    batch_size: int,
    device: torch.device,
    *,
    with_discrepancy: bool,
) -> Iterator[JudgedWindows]:
    """Judge all windows, a batch at a time; see `judge_windows`.

    Parameters
    ----------
    network : ReconstructionNetwork
        Trained, in evaluation mode.
    windows : WindowSet
        What to judge.
    batch_size : int
        Windows at a time; has no influence on the result beyond rounding.
    device : torch.device
        Where the network is.
    with_discrepancy : bool
        Whether D is wanted too.
    """

    def judge(x: Tensor) -> dict[str, Tensor]:
        error, discrepancy = judge_windows(network, x, with_discrepancy=with_discrepancy)
        return {"error": error} if discrepancy is None else {"error": error, "discrepancy": discrepancy}

    recorded_judge = Recorded(judge)
    with network.frozen():
        for starts, x in windows.batches(batch_size):
            yield JudgedWindows(starts, **recorded_judge(send(x, device)))


def calibrate_positions(judged: Iterable[JudgedWindows]) -> PositionCalibration:
    """Read what is usual at each position off evenly spread training windows."""
    errors, discrepancies = [], []
    for _, error, discrepancy in judged:
        errors.append(error.mean(dim=-1).double().cpu().numpy())
        none = error.new_empty(*error.shape[:2], 0)
        discrepancies.append((none if discrepancy is None else discrepancy).double().cpu().numpy())
    # The geometric mean: a few windows that cannot be rebuilt are no reason to trust their position less.
    usual = np.exp(np.log(np.maximum(np.concatenate(errors), SMALLEST_ERROR)).mean(axis=0))
    every = np.concatenate(discrepancies)  # (window, time, prior)
    spread = every.std(axis=0)
    typical = np.maximum(np.median(spread, axis=0), SMALLEST_SCALE)
    return PositionCalibration(usual / usual.mean(), every.mean(axis=0), np.maximum(spread, SCALE_SHARE * typical))


def gather_evidence(
    judged: Iterable[JudgedWindows],
    windows: WindowSet,
    calibration: PositionCalibration,
    *,
    memory: NDArray[np.float64] | None,
    with_product: bool,
) -> Evidence:
    """Average what the windows say of each row.

    Parameters
    ----------
    judged : iterable of JudgedWindows
        What the network says of the windows, with their discrepancy where the calibration has one.
    windows : WindowSet
        Windows that together hold every row.
    calibration : PositionCalibration
        Of the windows' positions.
    memory : ndarray of shape (n_rows,) or None
        What the memory says of each row, if it is asked.
    with_product : bool
        Whether the published product score is wanted too.

    Returns
    -------
    evidence : Evidence
    """
    n_rows, n_channels = windows.values.shape
    n_priors = calibration.n_priors
    n_errors = 2 * n_channels
    rows = OverlapAverage(n_rows, n_errors + n_priors + with_product)
    for starts, error, discrepancy in judged:
        levelled = calibration.level_error(error.cpu().numpy())
        columns = [levelled, np.log(levelled + SMALLEST_AGREED)]
        if discrepancy is not None:
            columns.append(calibration.closeness(discrepancy.cpu().numpy()))
        if with_product and discrepancy is not None:
            weight = torch.softmax(-PRODUCT_TEMPERATURE * discrepancy.mean(dim=-1), dim=-1)  # (batch, time)
            columns.append((weight * error.mean(dim=-1))[..., None].cpu().numpy())
        rows.add(starts, np.concatenate(columns, axis=-1))
    average = rows.average()
    return Evidence(
        windows.values,
        average[:, :n_channels],
        np.exp(average[:, n_channels:n_errors], out=average[:, n_channels:n_errors]),
        average[:, n_errors : n_errors + n_priors] if n_priors else None,
        average[:, -1] if with_product else None,
        memory,
    )
