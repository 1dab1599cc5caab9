"""Fixtures of the network tests."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def float64():
    """Modules built in the test compute in double precision, their buffers included."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
