"""One version, one list of dependencies, and a report of both for a bug report."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import timesad
from timesad import _versions, c_code

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
    assert shown["C code"].startswith("in use" if c_code.usable(torch.zeros(1)) else "not in use: ")


def test_missing_package_is_a_line_of_the_report(monkeypatch, capsys) -> None:
    monkeypatch.setattr(_versions, "OPTIONAL", ("no-such-distribution",))
    timesad.show_versions()
    assert "no-such-distribution: not installed\n" in capsys.readouterr().out


class TestReasonWhyTheCCodeIsNotInUse:
    """Each test changes what the search for the C code meets, and reads the line of the report."""

    @pytest.fixture(autouse=True)
    def not_switched_off(self, monkeypatch) -> None:
        monkeypatch.delenv("TIMESAD_NO_C", raising=False)

    @pytest.fixture
    def reported(self, monkeypatch):
        def search() -> str:
            lanes, obstacle = c_code._find()
            monkeypatch.setattr(c_code, "LANES", lanes)
            monkeypatch.setattr(c_code, "OBSTACLE", obstacle)
            return _versions._c_code()

        return search

    @pytest.fixture
    def code(self, monkeypatch) -> SimpleNamespace:
        """C code that can be loaded and used, for these tests on any machine."""
        code = SimpleNamespace(lanes=lambda: [8], has_threads=lambda: True)
        monkeypatch.setitem(sys.modules, "timesad.c_code._code", code)
        monkeypatch.setattr(c_code, "code", code, raising=False)
        return code

    def test_none_if_it_is_in_use(self, reported, code) -> None:
        assert reported() == "in use, 8 floats in a vector"

    @pytest.mark.parametrize(("value", "is_off"), [("1", True), ("yes", True), ("0", False), ("", False)])
    def test_switched_off(self, reported, code, monkeypatch, value, is_off) -> None:
        monkeypatch.setenv("TIMESAD_NO_C", value)
        assert ("TIMESAD_NO_C is set" in reported()) == is_off

    def test_built_without_it(self, reported, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "timesad.c_code._code", None)  # its import raises ModuleNotFoundError
        assert "built without C code" in reported()

    def test_built_but_does_not_load(self, reported, monkeypatch) -> None:
        def fail(name: str) -> None:
            raise ImportError("undefined symbol: expf", name=name)

        monkeypatch.setattr(c_code.importlib, "import_module", fail)
        assert "cannot be loaded (undefined symbol: expf)" in reported()

    def test_processor_without_its_instructions(self, reported, code) -> None:
        code.lanes = list
        assert "no AVX2 with FMA" in reported()

    def test_other_threads_than_gnu_openmp(self, reported, code, monkeypatch) -> None:
        code.has_threads = lambda: False
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        assert "OMP_NUM_THREADS=1" in reported()
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        assert reported().startswith("in use")


class TestFailedCompilation:
    @pytest.fixture
    def build(self, tmp_path, monkeypatch):
        pytest.importorskip("setuptools")

        def build_without_compiler() -> subprocess.CompletedProcess[str]:
            monkeypatch.setenv("CC", "no-such-compiler")
            folders = ["--build-lib", str(tmp_path), "--build-temp", str(tmp_path)]
            command = [sys.executable, "setup.py", "build_ext", *folders]
            return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

        return build_without_compiler

    def test_is_a_warning(self, build, monkeypatch) -> None:
        monkeypatch.delenv("TIMESAD_NO_C", raising=False)
        done = build()
        assert done.returncode == 0, done.stderr
        assert "failed" in done.stderr

    def test_is_an_error_if_the_c_code_is_demanded(self, build, monkeypatch) -> None:
        monkeypatch.setenv("TIMESAD_NO_C", "0")
        assert build().returncode != 0


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
