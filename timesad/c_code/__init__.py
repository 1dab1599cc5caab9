"""The C code, for single precision on a processor, and whether it can be used.

It is optional: a package built without a compiler has none, and with TIMESAD_NO_C=1 in the environment it is neither
built nor used. It uses one thread where torch's threads are not GNU OpenMP's. Each of its functions has a counterpart
of torch's operations, and the results of both differ by rounding: `timesad.nn.maps` and `timesad.nearest`.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress

import torch
from torch import Tensor

with suppress(ImportError):  # `_find` names the reason
    from . import _code as code

__all__ = ["LANES", "OBSTACLE", "code", "usable", "widest"]


def _find() -> tuple[list[int], str]:
    """Floats in a vector, for each vector width of this processor, the widest first. If there is none: why."""
    if os.environ.get("TIMESAD_NO_C", "") not in ("", "0"):
        return [], "the environment variable TIMESAD_NO_C is set"
    try:
        lanes = importlib.import_module("timesad.c_code._code").lanes()
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
    return code.has_threads() or torch.get_num_threads() == 1


def widest(lanes: int | None) -> int:
    """The number of lanes, or that of the widest vectors; raise ValueError if neither can be used."""
    if lanes is None and LANES:
        lanes = LANES[0]
    if lanes not in LANES:
        raise ValueError(f"lanes is {lanes}, but the processor and the C code support {LANES}")
    return lanes
