"""Refuses detectors that version 0.1 fitted and saved by joblib: their files import this module first."""

from .._compatibility import refusal

__getattr__ = refusal(__name__, "RowLinear")
