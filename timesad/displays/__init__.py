"""Plots with scikit-learn's Display interface: a class method computes and draws, the object keeps the artists."""

from ._associations import AssociationDisplay
from ._scores import AnomalyScoreDisplay
from ._training import TrainingDisplay

__all__ = ["AnomalyScoreDisplay", "AssociationDisplay", "TrainingDisplay"]
