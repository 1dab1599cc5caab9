"""Versions, processor and back ends, for a bug report."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

from . import c_code

__all__ = ["show_versions"]

REQUIRED = ("joblib", "numpy", "pandas", "pyod", "safetensors", "scikit-learn", "scipy", "skorch", "torch")
OPTIONAL = ("matplotlib", "tqdm", "psutil", "dask", "distributed")


def show_versions() -> None:
    """Print versions, processor and back ends to standard output, for a bug report.

    The text has the versions of Python, of timesad and of its required and optional packages. It also has the number
    of threads, torch's CPU capability and CUDA devices. It says whether the C code is in use, and if not, why.

    Examples
    --------
    >>> import timesad
    >>> timesad.show_versions()
    System
             python: 3...
    """
    from . import __version__  # imported here: the package imports this module

    sections = {
        "System": {
            "python": f"{platform.python_version()} ({platform.python_implementation()})",
            "system": platform.platform(),
            "processor": f"{platform.machine()}, {os.cpu_count()} logical cores",
        },
        "Packages": {"timesad": __version__} | {name: _installed(name) for name in REQUIRED + OPTIONAL},
        "Computation": {
            "threads": f"{torch.get_num_threads()} of torch",
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "cuda": _cuda(),
            "C code": _c_code(),
        },
    }
    for title, entries in sections.items():
        sys.stdout.write(f"{title}\n" + "".join(f"{name:>15}: {value}\n" for name, value in entries.items()) + "\n")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cuda() -> str:
    """The CUDA devices that torch can use, or why there is none."""
    if torch.version.cuda is None:
        return "torch was built without CUDA"
    if not torch.cuda.is_available():
        return f"no device for torch's CUDA {torch.version.cuda}"
    try:
        names = [torch.cuda.get_device_name(device) for device in range(torch.cuda.device_count())]
    except (RuntimeError, AssertionError) as error:  # in a process that was forked from one with CUDA, for example
        return f"a device that cannot be used here ({error})"
    return f"{', '.join(names)}; torch's CUDA {torch.version.cuda}"


def _c_code() -> str:
    """Whether the C code computes attention and nearest windows on the processor, and if not, why."""
    if c_code.usable(torch.empty(0, dtype=torch.float32, device="cpu")):
        return f"in use, {c_code.LANES[0]} floats in a vector"
    if not c_code.LANES:
        return f"not in use: {c_code.OBSTACLE}"
    return "not in use: torch's threads are not GNU OpenMP's; OMP_NUM_THREADS=1 selects it"
