"""The documentation names what the package has, and its code runs. `make docs` checks the links and the pages."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
MODULES = (
    "alarms",
    "datasets",
    "displays",
    "exceptions",
    "many",
    "metrics",
    "model_selection",
    "nn",
    "saving",
    "streams",
    "testing",
    "thresholds",
)


@pytest.mark.parametrize("module", ["timesad", *(f"timesad.{name}" for name in MODULES)])
def test_every_public_name_is_in_the_api_reference(module: str) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (?:\w+\.)*(\w+)$|`timesad\.(?:\w+\.)*(\w+)`", page, flags=re.MULTILINE)
    assert sorted(set(importlib.import_module(module).__all__) - {name for pair in listed for name in pair}) == []


def test_code_for_users_of_other_libraries_runs() -> None:
    page = (DOCS / "coming-from.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)), names)
    n_rows, n_new = len(names["series"].data), len(names["new"])
    assert [len(flags) for flags in names["flags"].values()] == [n_new, n_new]
    assert names["anomalous_before"].shape == names["anomalous_after"].shape == (n_new,)
    assert names["semisupervised"].shape == names["unsupervised"].shape == (n_rows,)
    share = names["series"].target.mean()
    assert all(value > share for value in (names["auc_pr"], names["best_f1"], *names["vus_pr"])), "worse than chance"
    assert np.isfinite(names["scores"]).all()
