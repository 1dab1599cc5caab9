"""S, P and D of the heads of windows: a few maps at a time, reduced to rows and overwritten by the next ones.

There are two ways, with the same three functions, `attend`, `forward` and `backward`: by torch's `operations`
everywhere, and `compiled` on a processor, where the package was built with a C compiler. They differ by rounding.
"""

from __future__ import annotations

from types import ModuleType

from torch import Tensor

from . import compiled, operations

__all__ = ["way_for"]


def way_for(tensor: Tensor) -> ModuleType:
    """Return the module whose functions are the faster ones for such a tensor."""
    return compiled if compiled.usable(tensor) else operations
