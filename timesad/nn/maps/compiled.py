"""The functions of `operations` in C, for single precision on a processor.

A few rows of a map are computed, compared and reduced in the first cache before the next ones, with the widest vectors
of the processor. Terms of P are computed only near the diagonal, where P is not zero. The C code is optional: a package
built without a compiler has none, and with TIMESAD_NO_C=1 in the environment it is neither built nor used. It uses one
thread where torch's threads are not GNU OpenMP's.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from ..divergence import LOG_FLOOR
from ..minimax import Route

with suppress(ImportError):  # `_find` names the reason
    from . import _compiled

__all__ = ["LANES", "OBSTACLE", "attend", "backward", "forward", "usable"]


def _find() -> tuple[list[int], str]:
    """Floats in a vector, for each vector width of this processor, the widest first. If there is none: why."""
    if os.environ.get("TIMESAD_NO_C", "") not in ("", "0"):
        return [], "the environment variable TIMESAD_NO_C is set"
    try:
        lanes = importlib.import_module("timesad.nn.maps._compiled").lanes()
    except ModuleNotFoundError:
        return [], (
            "the package was built without C code, which needs Linux on x86-64 and, in a build from source, GCC 9 or "
            "clang 12 or a later one; pip install -v prints the compiler's errors"
        )
    except ImportError as error:
        return [], f"the C code cannot be loaded ({error})"
    return lanes, "" if lanes else "the processor has no AVX2 with FMA"


LANES, OBSTACLE = _find()


def usable(tensor: Tensor) -> bool:
    """Whether the C code can run on this tensor."""
    if not LANES or tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        return False
    return _compiled.has_threads() or torch.get_num_threads() == 1


def attend(qkv: Tensor, lanes: int | None = None) -> Tensor:
    """See `operations.attend`; without a gradient."""
    qkv = _checked("qkv", qkv, _shape_of(qkv))
    mixed = torch.empty_like(qkv[:, :, 0])
    _run(_compiled.forward, qkv, lanes, qkv.data_ptr(), 0, mixed.data_ptr(), 0)
    return mixed


def forward(qkv: Tensor, precision: Tensor, lanes: int | None = None) -> tuple[Tensor, Tensor]:
    """See `operations.forward`; `lanes` selects another vector width than the widest."""
    batch, time, _, heads, _ = shape = _shape_of(qkv)
    qkv, precision = _checked("qkv", qkv, shape), _checked("precision", precision, (batch, heads, time))
    mixed, discrepancy = torch.empty_like(qkv[:, :, 0]), torch.empty_like(precision)
    outputs = (mixed.data_ptr(), discrepancy.data_ptr())
    _run(_compiled.forward, qkv, lanes, qkv.data_ptr(), precision.data_ptr(), *outputs)
    return mixed, discrepancy


def backward(
    qkv: Tensor,
    precision: Tensor,
    from_mixed: Tensor,
    from_discrepancy: Tensor,
    route: Route,
    lanes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """See `operations.backward`."""
    batch, time, _, heads, feature = shape = _shape_of(qkv)
    qkv, precision = _checked("qkv", qkv, shape), _checked("precision", precision, (batch, heads, time))
    from_mixed = _checked("from_mixed", from_mixed, (batch, time, heads, feature))
    from_discrepancy = _checked("from_discrepancy", from_discrepancy, (batch, heads, time))
    on_qkv, on_precision = torch.empty_like(qkv), torch.empty_like(precision)
    inputs = [x.data_ptr() for x in (qkv, precision, from_mixed, from_discrepancy)]
    outputs = (on_qkv.data_ptr(), on_precision.data_ptr())
    _run(_compiled.backward, qkv, lanes, *inputs, route.series, route.prior, *outputs)
    return on_qkv, on_precision


def _shape_of(qkv: Tensor) -> tuple[int, ...]:
    """(batch, time, 3, head, feature), for a batch of any size and at least one of all else."""
    shape = tuple(qkv.shape)
    if len(shape) != 5 or shape[2] != 3 or 0 in shape[1:]:
        raise ValueError(f"qkv has shape {shape}, but must have (batch, time, 3, head, feature), with no size of 0")
    return shape


def _checked(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor with its rows one after another, if the C code can read it."""
    if tensor.dtype != torch.float32:
        raise TypeError(f"{name} is {tensor.dtype}, but the C code reads torch.float32; `operations` takes every dtype")
    if tensor.device.type != "cpu":
        raise ValueError(f"{name} is on {tensor.device}, but the C code reads the processor's memory; use `operations`")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, but must have {shape}, as qkv has")
    return tensor.contiguous()


def _run(function: Callable[..., None], qkv: Tensor, lanes: int | None, *addresses: float) -> None:
    """Call a C function on lanes, threads, (batch, time, head, feature), ε and addresses; on no window, do nothing."""
    if lanes is None and LANES:
        lanes = LANES[0]
    if lanes not in LANES:
        raise ValueError(f"lanes is {lanes}, but the processor and the C code support {LANES}")
    batch, time, _, heads, feature = qkv.shape
    if batch:
        function(lanes, torch.get_num_threads(), batch, time, heads, feature, LOG_FLOOR, *addresses)
