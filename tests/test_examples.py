"""Every script in examples/ runs, and the demo works with a CSV file of the user."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((REPOSITORY / "examples").glob("*.py"))
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
N_ROWS, TRAIN_ROWS, FAULT = 600, 400, slice(500, 520)

# Arguments that make a script short; the others are short without arguments.
SHORT_ARGUMENTS = {
    "demo.py": ["--epochs", "1", "--data", "plant.csv", "--train-rows", str(TRAIN_ROWS)],
    "live_stream.py": ["--learn", "3", "--watch", "2", "--interval", "0.02"],
    "record_host_telemetry.py": ["--minutes", "0.05"],
}


def run_script(script: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "examples" / script, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def write_plant_csv(path: Path, columns: dict[str, NDArray[np.generic]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


@pytest.fixture
def plant() -> dict[str, NDArray[np.generic]]:
    """Two waves; one is constant during the fault."""
    rows = np.arange(N_ROWS)
    noise = np.random.default_rng(0).normal(scale=0.05, size=(2, N_ROWS))
    label = np.zeros(N_ROWS, dtype=int)
    label[FAULT] = 1
    pressure = np.sin(2 * np.pi * rows / 25) + noise[0]
    pressure[FAULT] = 4.0
    return {
        "timestamp": np.datetime64("2026-01-01T00:00:00") + rows.astype("timedelta64[s]"),
        "pressure": pressure,
        "flow": np.cos(2 * np.pi * rows / 25) + noise[1],
        "label": label,
    }


@pytest.fixture
def folder(tmp_path: Path, plant: dict[str, NDArray[np.generic]]) -> Path:
    """A folder with plant.csv."""
    plant["timestamp"] = plant["timestamp"].astype(str)
    write_plant_csv(tmp_path / "plant.csv", plant)
    return tmp_path


@pytest.mark.parametrize("script", [script.name for script in SCRIPTS])
def test_every_example_runs(script: str, folder: Path) -> None:
    finished = run_script(script, *SHORT_ARGUMENTS.get(script, []), folder=folder)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip(), "an example prints something"


def test_every_example_is_in_the_list_of_examples() -> None:
    listing = (REPOSITORY / "examples" / "README.md").read_text(encoding="utf-8")
    assert [script.name for script in SCRIPTS if f"`{script.name}`" not in listing] == []


@pytest.fixture
def run_demo(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs demo.py in this process (its imports are slow) and returns what it printed."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["demo.py", *arguments])
        runpy.run_path(str(REPOSITORY / "examples" / "demo.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_demo_prints_every_method_and_writes_the_picture(run_demo: Callable[..., str], folder: Path) -> None:
    printed = run_demo(*SHORT_ARGUMENTS["demo.py"], "--out", "plant.png")
    table = [line.split() for line in printed.splitlines()]
    for method in ("TimesNetDiscrepancyDetector", "NearestWindowsDetector", "IForest", "PCA", "random"):
        assert sum(line[:1] == [method] for line in table) == 1, method
    assert "AUC-PR" in printed
    assert "of 1 " in printed, "20 faulty rows are one fault"
    assert "Alarms of TimesNetDiscrepancyDetector.detect" in printed
    assert re.search(
        r"^\d+ alarms?, [\d.]+% of the rows in alarm; \d+ of them true, \d of 1 faults hit", printed, re.MULTILINE
    ) or ("\nnone\n" in printed)
    assert (folder / "plant.png").read_bytes().startswith(PNG_SIGNATURE)


def test_demo_lists_the_alarms_with_their_time_channel_and_fault(run_demo: Callable[..., str]) -> None:
    printed = run_demo(*SHORT_ARGUMENTS["demo.py"])
    [alarm] = [line.split() for line in printed.splitlines() if line.strip().startswith("2026-01-01")]
    first, last = int(alarm[1]), int(alarm[2])
    assert first < FAULT.stop
    assert last >= FAULT.start
    assert alarm[0] == f"2026-01-01T00:{first // 60:02}:{first % 60:02}"
    assert "pressure" in alarm
    assert alarm[-1] == "fault"
    assert "1 of them true, 1 of 1 faults hit" in printed


def test_demo_without_labels_prints_no_metric(
    run_demo: Callable[..., str], folder: Path, plant: dict[str, NDArray[np.generic]]
) -> None:
    del plant["label"]
    write_plant_csv(folder / "plant.csv", plant)
    printed = run_demo(*SHORT_ARGUMENTS["demo.py"])
    assert "rows flagged" in printed
    assert "AUC" not in printed
    assert "faults hit" not in printed
    assert "1 alarms" in printed
    assert "for the report" not in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "missing.csv"], "missing.csv"),
        (["--data", "blank.csv"], "blank.csv"),
        (["--data", "single.csv"], "single.csv"),
        (["--data", "plant.csv", "--train-rows", "60000"], "60000"),
        (["--data", "plant.csv", "--train-rows", str(N_ROWS)], "--train-rows"),
        (["--data", "plant.csv", "--train-rows", "0"], "train_size=0"),
        (["--data", "plant.csv", "--train-rows", "12"], "12 rows"),
        (["--data", "plant.csv", "--epochs", "0"], "max_epochs"),
        (["--data", "plant.csv", "--smoothing", "0"], "smoothing"),
        (["--train-rows", "12"], "--data"),
    ],
)
def test_demo_explains_an_unusable_input_and_exits_with_2(
    run_demo: Callable[..., str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    (folder / "blank.csv").write_text("pressure,flow\n1.0,2.0\n,3.0\n")
    (folder / "single.csv").write_text("pressure,flow\n1.0,2.0\n")
    with pytest.raises(SystemExit) as stopped:
        run_demo(*arguments)
    assert stopped.value.code == 2
    assert named in capsys.readouterr().err
    assert not (folder / "demo.png").exists()


def test_a_short_recording_has_the_documented_columns_and_faults(folder: Path) -> None:
    finished = run_script("record_host_telemetry.py", "--minutes", "0.05", "--out", "host.csv", folder=folder)
    assert finished.returncode == 0, finished.stderr
    with (folder / "host.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header[0] == "seconds"
    assert header[-1] == "label"
    assert len(rows) == 15, "three seconds, five rows per second"
    assert isinstance(json.loads((folder / "host_faults.json").read_text()), list)
