"""Ours and the peers at one size, so that what is compared is how they compute and not how much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

from torch import nn

from timesad import AnomalyTransformerDetector, TimesNetDetector, TimesNetDiscrepancyDetector
from timesad._base import BaseDeepDetector
from timesad.nn import AnomalyTransformerNetwork, AssociationSettings, WindowSettings
from timesad.nn.products import RowLinear

OFFICIAL_WEIGHT = 3.0  # k of the official code
PYOD_WIDENING = 4  # PyOD's feed-forward networks are so many times as wide as the model
RAY_MODULES = ("ray", "ray.tune", "ray.air", "ray.tune.schedulers")


@dataclass(frozen=True)
class Size:
    """What is equal for ours and a peer.

    Parameters
    ----------
    n_rows, n_channels : int
        Shape of the series to fit; another one of the same shape is scored.
    window_size : int
        Rows in a window.
    model_size, n_heads, n_layers, top_k, n_kernels : int
        Shape of the network.
    batch_size : int
        Windows in a training step.
    n_epochs : int
        Epochs.
    step : int
        Rows between two windows, in training and in scoring.
    device : str
        Where to compute.
    """

    n_rows: int = 5000
    n_channels: int = 25
    window_size: int = 100
    model_size: int = 64
    n_heads: int = 4
    n_layers: int = 2
    top_k: int = 3
    n_kernels: int = 6
    batch_size: int = 64
    n_epochs: int = 1
    step: int = 1
    device: str = "cpu"

    @property
    def n_windows(self) -> int:
        """Windows of the series, one every `step` rows."""
        return (self.n_rows - self.window_size) // self.step + 1

    def sentence(self) -> str:
        """Return the sizes in words."""
        return (
            f"{self.n_rows:,} rows × {self.n_channels} channels to fit and as many to score, windows of "
            f"{self.window_size} rows, one every {self.step}, batches of {self.batch_size}, {self.n_epochs} epoch(s)"
        )


class WideNetwork(AnomalyTransformerNetwork):
    """Ours with feed-forward networks four times as wide, as PyOD builds them."""

    def __init__(self, window: WindowSettings, association: AssociationSettings) -> None:
        super().__init__(window, association)
        size = window.model_size
        self.feed_forwards = nn.ModuleList(
            nn.Sequential(RowLinear(size, PYOD_WIDENING * size), nn.GELU(), RowLinear(PYOD_WIDENING * size, size))
            for _ in self.feed_forwards
        )


class WideTransformer(AnomalyTransformerDetector):
    """Our Anomaly Transformer with as many parameters as PyOD's."""

    _network_class = WideNetwork


def plain_settings(size: Size) -> dict[str, Any]:
    """Return what makes ours do what the peers do: no masks, no early stopping, as many windows an epoch."""
    return {
        "window_size": size.window_size,
        "n_layers": size.n_layers,
        "model_size": size.model_size,
        "top_k": size.top_k,
        "n_masks": 0,
        "patch_size": 1,
        "max_epochs": size.n_epochs,
        "epoch_size": size.n_windows,
        "batch_size": size.batch_size,
        "validation_fraction": 0,
        "device": size.device,
        "random_state": 0,
    }


def our_transformer(size: Size, *, schedule: str = "simultaneous") -> WideTransformer:
    """Build ours at the size of PyOD's, with its windows and the score of the paper, which PyOD has too."""
    return WideTransformer(
        **plain_settings(size),
        n_heads=size.n_heads,
        score_stride=size.step,
        score_rule="product",
        schedule=schedule,
        discrepancy_weight=OFFICIAL_WEIGHT,
    )


def our_timesnet(size: Size) -> TimesNetDetector:
    """Build ours at the size of DeepOD's, which scores a window at every row."""
    return TimesNetDetector(**plain_settings(size), n_kernels=size.n_kernels, score_stride=1)


def with_own_stride(build: Callable[[Size], BaseDeepDetector], size: Size) -> BaseDeepDetector:
    """Build it to score a window every eighth of a window, as ours do where nobody says otherwise."""
    return build(size).set_params(score_stride=None)


def defaults(kind: type[BaseDeepDetector], size: Size) -> BaseDeepDetector:
    """Build a detector of ours with its defaults, but for the epochs and the window."""
    return kind(window_size=size.window_size, max_epochs=size.n_epochs, device=size.device, random_state=0)


def with_associations(size: Size) -> TimesNetDiscrepancyDetector:
    """Build the flagship with its defaults and its associations trained, which no default score reads."""
    return defaults(TimesNetDiscrepancyDetector, size).set_params(discrepancy_weight="balanced")


def pyod_transformer(size: Size) -> Any:
    """Build PyOD's Anomaly Transformer."""
    from pyod.models.ts_anomaly_transformer import AnomalyTransformer

    return AnomalyTransformer(
        window_size=size.window_size,
        d_model=size.model_size,
        n_heads=size.n_heads,
        n_layers=size.n_layers,
        epochs=size.n_epochs,
        batch_size=size.batch_size,
        step=size.step,
        dropout=0.0,
        device=size.device,
    )


def deepod_timesnet(size: Size) -> Any:
    """Build DeepOD's TimesNet."""
    return import_deepod_timesnet()(
        seq_len=size.window_size,
        stride=size.step,
        epochs=size.n_epochs,
        batch_size=size.batch_size,
        epoch_steps=-1,  # all of them
        e_layers=size.n_layers,
        d_model=size.model_size,
        d_ff=size.model_size,
        dropout=0.0,
        top_k=size.top_k,
        num_kernels=size.n_kernels,
        verbose=0,
        random_state=0,
        device=size.device,
    )


def import_deepod_timesnet() -> Any:
    """Return DeepOD's class.

    Its base class imports the tuner ray at once, which nothing measured here uses: where ray is
    missing, empty modules stand in for it while DeepOD is imported.

    Raises
    ------
    ImportError
        If DeepOD, or something else that it needs, is not installed.
    """
    stand_ins = [name for name in RAY_MODULES if name not in sys.modules]
    sys.modules.update({name: mock.MagicMock(__path__=[]) for name in stand_ins})
    try:
        from deepod.models.time_series.timesnet import TimesNet
    except ImportError as error:
        raise ImportError(f"DeepOD is not installed here ({error})") from error
    finally:
        for name in stand_ins:
            del sys.modules[name]
    return TimesNet
