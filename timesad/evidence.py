"""Refuses detectors that version 0.1 fitted and pickled: their pickles import this module first."""

from ._compatibility import refusal

__getattr__ = refusal(__name__, "PositionCalibration")
