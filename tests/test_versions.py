"""One version, one list of dependencies, and a report of both for a bug report."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import timesad
from timesad import _versions
from timesad.nn.maps import compiled

REPOSITORY = Path(__file__).resolve().parents[1]
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def names_in(array: str) -> list[str]:
    """Distributions of an array of requirements in pyproject.toml."""
    [requirements] = re.findall(rf"^{array} = \[(.*?)\]$", PYPROJECT, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r'"([\w-]+)[<>=]', requirements)


@pytest.fixture
def shown(capsys):
    assert timesad.show_versions() is None
    return dict(line.strip().split(": ", maxsplit=1) for line in capsys.readouterr().out.splitlines() if ": " in line)


def test_version_is_written_in_one_place() -> None:
    assert 'dynamic = ["version"]' in PYPROJECT
    assert 'version = { attr = "timesad.__version__" }' in PYPROJECT
    assert not re.search(r"^version\b", (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_requirements_shown_are_those_of_the_package() -> None:
    assert sorted(_versions.REQUIRED) == sorted(names_in("dependencies"))
    assert {*names_in("plots"), *names_in("progress"), *names_in("benchmarks")} <= set(_versions.OPTIONAL)


def test_report_has_versions_threads_and_back_ends(shown) -> None:
    assert shown["timesad"] == timesad.__version__
    assert shown["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert {name: shown[name] for name in _versions.REQUIRED} == {name: version(name) for name in _versions.REQUIRED}
    assert shown["threads"] == f"{torch.get_num_threads()} of torch"
    assert shown["cpu"] == torch.backends.cpu.get_cpu_capability()
    assert shown["attention"].startswith("C code" if compiled.usable(torch.zeros(1)) else "torch's operations: ")


def test_missing_package_is_a_line_of_the_report(monkeypatch, capsys) -> None:
    monkeypatch.setattr(_versions, "OPTIONAL", ("no-such-distribution",))
    timesad.show_versions()
    assert "no-such-distribution: not installed\n" in capsys.readouterr().out


class TestReasonForAttentionWithoutC:
    def test_other_threads_than_gnu_openmp(self, monkeypatch) -> None:
        monkeypatch.setattr(compiled, "usable", lambda tensor: False)
        monkeypatch.setattr(compiled, "LANES", [8])
        assert "OMP_NUM_THREADS=1" in _versions._attention()

    def test_built_without_it(self, monkeypatch) -> None:
        monkeypatch.setattr(compiled, "LANES", [])
        monkeypatch.setitem(sys.modules, "timesad.nn.maps._compiled", None)
        assert "no usable C code (" in _versions._attention()

    def test_processor_without_its_instructions(self, monkeypatch) -> None:
        pytest.importorskip("timesad.nn.maps._compiled", reason="the package was built without a C compiler")
        monkeypatch.setattr(compiled, "LANES", [])
        assert "AVX2" in _versions._attention()


class TestCuda:
    @pytest.fixture(autouse=True)
    def built_with_cuda(self, monkeypatch) -> None:
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    @pytest.mark.parametrize(
        ("is_available", "text"), [(False, "no device for torch's CUDA 13.0"), (True, "A7, A7; torch's CUDA 13.0")]
    )
    def test_devices_are_named(self, monkeypatch, is_available, text) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: is_available)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A7")
        assert _versions._cuda() == text

    def test_device_that_fails_does_not_end_the_report(self, monkeypatch) -> None:
        def fail(device: int) -> str:
            raise RuntimeError("driver is gone")

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", fail)
        assert "driver is gone" in _versions._cuda()
