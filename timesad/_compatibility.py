"""Messages for what earlier versions accepted: parameters that are gone, and pickles of another layout."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NoReturn

from .exceptions import IncompatiblePickleError

__all__ = ["check_layout", "explain_removed_parameters", "mark_layout", "raise_incompatible", "refusal"]

LAYOUT = 5  # of the fitted state; raise it when a pickle of an earlier version can no longer score
LAYOUT_KEY = "_timesad_layout"

DERIVED = "is derived from the data or the window"
RESEARCH = "added nothing in the ablation; benchmarks/ablation_methods.py has it as a subclass"
REMOVED_PARAMETERS = {
    "top_k": "is called n_periods now, in the detectors with TimesNet blocks",
    "score_rule": (
        "is called anomaly_score now: 'memory' is 'reconstruction*neighbors', 'sum' is 'reconstruction+discrepancy', "
        "and 'reconstruction' stays; 'product' and 'discrepancy' are in benchmarks/ablation_methods.py"
    ),
    "memory_size": "is max_windows of NearestWindowsDetector now, and 4096 elsewhere",
    "score_stride": f"{DERIVED}: window_size // 8",
    "patch_size": f"{DERIVED}: min(8, window_size // 4)",
    "n_masks": "is always 4",
    "normalize_windows": "is always True",
    "level_weight": "is always 0.3",
    "n_kernels": "is always 4",
    "dropout": "is always 0",
    "epoch_size": "is always 512",
    "validation_fraction": "is always 0.2",
    "patience": "is gone: training has max_epochs epochs, and keeps the best",
    "association_trunk": f"is always 'detached'; a joint trunk {RESEARCH}",
    "prior": f"is always the local Gaussian; the grid prior {RESEARCH}",
    "divergence": f"is always the symmetric Kullback-Leibler divergence; Jensen-Shannon {RESEARCH}",
    "schedule": f"is always simultaneous, and off with discrepancy_weight=0; alternating {RESEARCH}",
}


def explain_removed_parameters(detector_class: type, parameters: dict[str, Any]) -> None:
    """Raise TypeError for a parameter that an earlier version had."""
    for name in parameters:
        if name in REMOVED_PARAMETERS and name not in signature(detector_class).parameters:
            raise TypeError(f"{detector_class.__name__} has no parameter {name!r}: it {REMOVED_PARAMETERS[name]}.")


def mark_layout(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state with the mark of its layout."""
    return state | {LAYOUT_KEY: LAYOUT}


def check_layout(detector_class: type, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state without the mark; raise `IncompatiblePickleError` for another layout."""
    layout = state.get(LAYOUT_KEY)
    if layout != LAYOUT:
        raise_incompatible(detector_class.__name__, layout)
    return {name: value for name, value in state.items() if name != LAYOUT_KEY}


def refusal(module: str, name: str) -> Callable[[str], NoReturn]:
    """The ``__getattr__`` of a module that is gone and that every pickle of version 0.1 imports for this name."""

    def __getattr__(attribute: str) -> NoReturn:
        if attribute == name:
            raise_incompatible("a fitted detector", None)
        raise AttributeError(f"module {module!r} has no attribute {attribute!r}")

    return __getattr__


def raise_incompatible(name: str, layout: int | None) -> NoReturn:
    """Raise the error, with the remedies."""
    raise IncompatiblePickleError(
        f"This pickle of {name} has layout {layout or 1}, and this version of timesad reads layout {LAYOUT}. Fit the "
        "detector again, or load the file with the version that wrote it."
    )
