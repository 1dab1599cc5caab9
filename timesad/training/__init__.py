"""Training: the skorch net with the minimax step, its loss, its callbacks."""

from .net import MinimaxNet, TrainingSettings, adam_settings, train_network
from .objective import MINIMAX, RECONSTRUCT, MinimaxObjective, Phase

__all__ = [
    "MINIMAX",
    "RECONSTRUCT",
    "MinimaxNet",
    "MinimaxObjective",
    "Phase",
    "TrainingSettings",
    "adam_settings",
    "train_network",
]
