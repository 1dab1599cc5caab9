"""What contributors are told, what the workflows run and what the metadata claim is the same."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def text(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


WORKFLOWS = text(".github/workflows/tests.yml") + text(".github/workflows/wheels.yml")


def test_every_make_command_is_a_target() -> None:
    commands = re.findall(r"\bmake ([\w-]+)", text("CONTRIBUTING.md") + WORKFLOWS + text(".pre-commit-config.yaml"))
    assert {"test", "test-oldest", "types", "docs"} <= set(commands)
    for command in commands:
        assert re.search(rf"^{command}:", text("Makefile"), flags=re.MULTILINE), command


def test_linked_files_exist() -> None:
    for page in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md"):
        targets = [target for target in re.findall(r"\]\(([^)]+)\)", text(page)) if "://" not in target]
        assert [target for target in targets if not (REPOSITORY / target).exists()] == []


def test_each_python_of_the_metadata_is_in_the_matrix_and_each_of_the_matrix_in_the_metadata() -> None:
    claimed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text("pyproject.toml"))
    [matrix] = re.findall(r"python: \[(.*)\]", WORKFLOWS)
    assert re.findall(r"3\.\d+", matrix) == claimed
    assert f'requires-python = ">={claimed[0]}"' in text("pyproject.toml")


def test_hooks_before_a_commit_have_the_formatter_of_ci() -> None:
    [revision] = re.findall(r"ruff-pre-commit\n\s+rev: v(\S+)", text(".pre-commit-config.yaml"))
    assert f"\nruff=={revision}\n" in text("constraints.txt")
