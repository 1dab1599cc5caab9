"""The functions of `operations` in C, for single precision on a processor; see `timesad.c_code`.

A few rows of a map are computed, compared and reduced in the first cache before the next ones, with the widest vectors
of the processor. Terms of P are computed only near the diagonal, where P is not zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ... import c_code
from ...c_code import widest
from ..divergence import LOG_FLOOR
from ..minimax import Route

__all__ = ["attend", "backward", "forward"]


def attend(qkv: Tensor, lanes: int | None = None) -> Tensor:
    """See `operations.attend`; without a gradient."""
    qkv = _checked("qkv", qkv, _shape_of(qkv))
    mixed = torch.empty_like(qkv[:, :, 0])
    _run(c_code.code.forward, qkv, lanes, qkv.data_ptr(), 0, mixed.data_ptr(), 0)
    return mixed


def forward(qkv: Tensor, precision: Tensor, lanes: int | None = None) -> tuple[Tensor, Tensor]:
    """See `operations.forward`; `lanes` selects another vector width than the widest."""
    batch, time, _, heads, _ = shape = _shape_of(qkv)
    qkv, precision = _checked("qkv", qkv, shape), _checked("precision", precision, (batch, heads, time))
    mixed, discrepancy = torch.empty_like(qkv[:, :, 0]), torch.empty_like(precision)
    outputs = (mixed.data_ptr(), discrepancy.data_ptr())
    _run(c_code.code.forward, qkv, lanes, qkv.data_ptr(), precision.data_ptr(), *outputs)
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
    _run(c_code.code.backward, qkv, lanes, *inputs, route.series, route.prior, *outputs)
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
    batch, time, _, heads, feature = qkv.shape
    if batch:
        function(widest(lanes), torch.get_num_threads(), batch, time, heads, feature, LOG_FLOOR, *addresses)
