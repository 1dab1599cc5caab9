"""The same code for a processor's arrays and an accelerator's tensors.

What follows the network, from averages over windows to the score, is written once. On a processor its rows are numpy
arrays. On an accelerator they are tensors, and stay there until the score is complete.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .accelerator import send

__all__ = ["Array", "beside", "double", "is_host", "library", "maximum", "on_device", "on_host", "rows_of"]

Array = Any  # an ndarray on a processor, a Tensor on an accelerator


def is_host(device: torch.device | str) -> bool:
    """Whether rows on this device are numpy arrays."""
    return torch.device(device).type == "cpu"


def library(x: Array) -> Any:
    """The library of an array: numpy or torch. The functions that are used of it have the same names in both."""
    return torch if isinstance(x, Tensor) else np


def on_device(values: NDArray[Any], device: torch.device | str) -> Array:
    """The values as they are on a processor, and as a tensor on an accelerator.

    Examples
    --------
    >>> import numpy as np
    >>> from timesad.arrays import on_device
    >>> on_device(np.array([1.0, 2.0]), "cpu")
    array([1., 2.])
    """
    return values if is_host(device) else send(torch.from_numpy(values), torch.device(device))


def rows_of(x: Tensor) -> Array:
    """The tensor's values as an array on a processor, and the tensor itself on an accelerator."""
    return x.numpy() if is_host(x.device) else x


def beside(values: NDArray[Any], other: Array) -> Array:
    """The values where another array is."""
    return send(torch.from_numpy(values), other.device) if isinstance(other, Tensor) else values


def on_host(x: Array) -> NDArray[Any]:
    """A numpy array: the array itself on a processor, a copy of a tensor."""
    return x.cpu().numpy() if isinstance(x, Tensor) else x


def double(x: Array) -> Array:
    """The array in double precision."""
    return x.double() if isinstance(x, Tensor) else x.astype(np.float64)


def maximum(first: Array | None, second: Array) -> Array:
    """Larger of two arrays in each place; the second, if there is no first."""
    return second if first is None else library(second).maximum(first, second)
