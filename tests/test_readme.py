"""Code, commands and links of README.md work as they are written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_usage_runs_and_gives_what_it_says(capsys) -> None:
    names: dict[str, Any] = {}
    exec("\n".join(code_blocks("python")), names)
    [shown] = code_blocks("text")
    assert capsys.readouterr().out.splitlines()[0] == shown.splitlines()[0]
    assert len(names["alarms"]) == len(shown.splitlines()) - 2
    for alarm, fault in zip(names["alarms"].itertuples(), names["series"].anomalies, strict=True):
        first = fault["start"] - names["series"].train_size
        assert alarm.start < first + 100
        assert alarm.end > first
    n_rows = len(names["new"])
    assert names["scores"].shape == names["flags"].shape == (n_rows,)
    assert np.isfinite(names["scores"]).all()
    assert set(np.unique(names["flags"])) == {0, 1}
    np.testing.assert_array_equal(names["flags"] == 1, names["scores"] > names["detector"].threshold_)


def test_every_make_command_is_a_target_and_every_variable_is_read() -> None:
    commands = re.findall(r"^make (\w+)([^#\n]*)", "\n".join(code_blocks("sh")), flags=re.MULTILINE)
    assert {target for target, _ in commands} >= {"demo", "test"}
    for target, arguments in commands:
        assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE), target
        for variable in re.findall(r"(\w+)=", arguments):
            assert f"$({variable})" in MAKEFILE, variable


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in "\n".join(code_blocks("sh"))
    assert (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "make test"


def test_linked_files_of_the_repository_exist() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
