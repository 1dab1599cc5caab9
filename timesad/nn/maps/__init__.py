"""S, P and D of the heads of windows, a few maps at a time.

Two modules have the same three functions, `attend`, `forward` and `backward`: `operations` uses torch and runs
anywhere; `compiled` is C code for a processor, if the package was built with a compiler. Their results differ by
rounding.
"""

from __future__ import annotations

from types import ModuleType

from torch import Tensor

from ... import c_code
from . import compiled, operations

__all__ = ["backend_for"]


def backend_for(tensor: Tensor) -> ModuleType:
    """Return the module whose functions are faster for this tensor."""
    return compiled if c_code.usable(tensor) else operations
