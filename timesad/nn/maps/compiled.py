"""The same as `operations`, in single precision on a processor, by C.

Torch's operations go over a map once each. Here a few rows of a map are made, compared and reduced in the first cache
before the next ones, with the widest vectors there are, and what follows from P is worked out near the diagonal alone,
where P is anything. The C code is optional: a package that was built without a compiler has none, and where torch's
threads are not GNU OpenMP's it is used with one thread only.
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
    LANES = _compiled.lanes()  # floats in a vector, of every width that this processor has; the widest first

__all__ = ["LANES", "attend", "backward", "forward", "usable"]


def usable(tensor: Tensor) -> bool:
    """Whether there is such code for this tensor, and threads for it."""
    if not LANES or tensor.device.type != "cpu" or tensor.dtype != torch.float32:
        return False
    return _compiled.has_threads() or torch.get_num_threads() == 1


def attend(qkv: Tensor, lanes: int | None = None) -> Tensor:
    """See `operations.attend`; for the value alone, which no gradient passes through."""
    qkv = qkv.contiguous()
    mixed = torch.empty_like(qkv[:, :, 0])
    _compiled.forward(*_size(qkv, lanes), qkv.data_ptr(), 0, mixed.data_ptr(), 0)
    return mixed


def forward(qkv: Tensor, precision: Tensor, lanes: int | None = None) -> tuple[Tensor, Tensor]:
    """See `operations.forward`; `lanes` asks for another width of vector than the widest."""
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
    """What the C functions are told first: lanes, threads, (batch, time, head, feature), ε."""
    batch, time, _, heads, feature = qkv.shape
    return lanes or LANES[0], torch.get_num_threads(), batch, time, heads, feature, LOG_FLOOR
