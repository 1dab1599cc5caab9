"""Training: the skorch net with the minimax step, its objective, its callbacks."""

from .net import MinimaxNet, adam_settings, train_network
from .objective import SCHEDULES, MinimaxObjective, Phase

__all__ = ["SCHEDULES", "MinimaxNet", "MinimaxObjective", "Phase", "adam_settings", "train_network"]
