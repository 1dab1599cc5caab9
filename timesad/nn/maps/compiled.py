"""The functions of `operations` in C, for single precision on a processor.

A few rows of a map are computed, compared and reduced in the first cache before the next ones, with the widest vectors
of the processor. Terms of P are computed only near the diagonal, where P is not zero. The C code is optional: a package
built without a compiler has none. It uses one thread where torch's threads are not GNU OpenMP's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..divergence import LOG_FLOOR
from ..minimax import Route

try:
    from . import _compiled
except ImportError:  # built without a C compiler
    LANES = []
else:
    LANES = _compiled.lanes()  # floats in a vector, for each vector width of this processor; the widest first

__all__ = ["LANES", "attend", "backward", "forward", "usable"]


def usable(tensor: Tensor) -> bool:
    """Whether the C code can run on this tensor."""
    if not LANES or tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        return False
    return _compiled.has_threads() or torch.get_num_threads() == 1


def attend(qkv: Tensor, lanes: int | None = None) -> Tensor:
    """See `operations.attend`; without a gradient."""
    qkv = qkv.contiguous()
    mixed = torch.empty_like(qkv[:, :, 0])
    _compiled.forward(*_size(qkv, lanes), qkv.data_ptr(), 0, mixed.data_ptr(), 0)
    return mixed


def forward(qkv: Tensor, precision: Tensor, lanes: int | None = None) -> tuple[Tensor, Tensor]:
    """See `operations.forward`; `lanes` selects another vector width than the widest."""
    qkv, precision = qkv.contiguous(), precision.contiguous()
    mixed, discrepancy = torch.empty_like(qkv[:, :, 0]), torch.empty_like(precision)
    outputs = (mixed.data_ptr(), discrepancy.data_ptr())
    _compiled.forward(*_size(qkv, lanes), qkv.data_ptr(), precision.data_ptr(), *outputs)
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
    inputs = [x.contiguous() for x in (qkv, precision, from_mixed, from_discrepancy)]
    on_qkv, on_precision = (torch.empty_like(x) for x in inputs[:2])
    outputs = (on_qkv.data_ptr(), on_precision.data_ptr())
    routes = (route.series, route.prior)
    _compiled.backward(*_size(qkv, lanes), *(x.data_ptr() for x in inputs), *routes, *outputs)
    return on_qkv, on_precision


def _size(qkv: Tensor, lanes: int | None) -> tuple[int | float, ...]:
    """First arguments of the C functions: lanes, threads, (batch, time, head, feature), ε."""
    batch, time, _, heads, feature = qkv.shape
    return lanes or LANES[0], torch.get_num_threads(), batch, time, heads, feature, LOG_FLOOR
