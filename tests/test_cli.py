"""The command line gives what the API gives, and an error with status 2 for what cannot be used."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import timesad
from timesad import NearestWindowsDetector
from timesad.cli import _parser, main

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
TRAIN, FAULT = 400, slice(500, 520)
DETECTOR = ["--detector", "nearest-windows", "--window-size", "24", "--smoothing", "8"]


@pytest.fixture
def table():
    time_ = np.arange(700)
    waves = np.column_stack([np.sin(time_ / 3), np.cos(time_ / 5)])
    waves += np.random.default_rng(0).normal(scale=0.1, size=waves.shape)
    waves[FAULT] += 3.0
    label = np.zeros(700, dtype=int)
    label[FAULT] = 1
    times = pd.date_range("2026-01-01", periods=700, freq="s")
    return pd.DataFrame({"timestamp": times, "flow": waves[:, 0], "pressure": waves[:, 1], "anomaly": label})


@pytest.fixture
def plant(tmp_path, table):
    table.to_csv(tmp_path / "plant.csv", index=False)
    return tmp_path / "plant.csv"


@pytest.fixture
def channels(table):
    return table[["flow", "pressure"]]


@pytest.fixture
def detector(channels):
    return NearestWindowsDetector(window_size=24, smoothing=8).fit(channels[:TRAIN])


@pytest.fixture
def model(detector, tmp_path):
    detector.save(tmp_path / "model")
    return tmp_path / "model"


class TestDetect:
    def test_prints_the_alarms_after_the_training_rows(self, plant, capsys):
        assert main(["detect", str(plant), "--train-rows", str(TRAIN), *DETECTOR]) == 0
        printed = capsys.readouterr()
        [header, alarm] = printed.out.splitlines()
        assert header.split()[:4] == ["start", "end", "start_time", "end_time"]
        start, end = (int(cell) for cell in alarm.split()[:2])
        assert abs(start - FAULT.start) < 5
        assert abs(end - FAULT.stop) < 5
        assert printed.err == ""

    def test_writes_scores_alarms_and_a_picture(self, plant, tmp_path, channels, detector, capsys):
        files = [str(tmp_path / name) for name in ("scores.csv", "alarms.csv", "plot.png")]
        options = ["--train-rows", str(TRAIN), "--out", files[0], "--alarms", files[1], "--plot", files[2]]
        assert main(["detect", str(plant), *DETECTOR, *options]) == 0
        assert capsys.readouterr().out == ""
        scores = pd.read_csv(files[0])
        assert scores.columns.tolist() == ["row", "time", "score", "anomaly"]
        assert scores["row"].tolist() == list(range(TRAIN, 700))
        np.testing.assert_allclose(scores["score"], detector.decision_function(channels[TRAIN:]), rtol=1e-6)
        assert scores["anomaly"].tolist() == detector.predict(channels[TRAIN:]).tolist()
        alarms, expected = pd.read_csv(files[1]), detector.detect(channels[TRAIN:])
        assert alarms["start"].tolist() == (expected["start"] + TRAIN).tolist()
        assert alarms["start_time"].tolist() == [str(scores["time"][row]) for row in expected["start"]]
        assert Path(files[2]).read_bytes().startswith(b"\x89PNG")

    def test_without_training_rows_all_rows_are_fitted_and_reported(self, plant, tmp_path, channels):
        out = tmp_path / "scores.csv"
        assert main(["detect", str(plant), *DETECTOR, "--out", str(out), "--alarms", str(tmp_path / "alarms.csv")]) == 0
        whole = NearestWindowsDetector(window_size=24, smoothing=8, clean_training=False).fit(channels)
        np.testing.assert_allclose(pd.read_csv(out)["score"], whole.decision_scores_, rtol=1e-6)
        assert pd.read_csv(tmp_path / "alarms.csv")["start"].tolist() == whole.detect(None)["start"].tolist()

    def test_a_detector_with_a_network(self, plant, capsys):
        options = ["--detector", "timesnet", "--window-size", "24", "--smoothing", "8", "--max-epochs", "1"]
        assert main(["detect", str(plant), "--train-rows", str(TRAIN), *options]) == 0
        assert "start" in capsys.readouterr().out


class TestModels:
    def test_a_fitted_detector_is_saved_and_scores(self, plant, tmp_path, channels, detector, capsys):
        model = tmp_path / "saved"
        assert main(["fit", str(plant), "--train-rows", str(TRAIN), *DETECTOR, "--save", str(model)]) == 0
        np.testing.assert_array_equal(
            timesad.load(model).decision_function(channels), detector.decision_function(channels)
        )
        assert main(["score", str(plant), "--model", str(model), "--out", str(tmp_path / "scores.csv")]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1 + len(detector.detect(channels))
        scores = pd.read_csv(tmp_path / "scores.csv")["score"]
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-6)


class TestWatch:
    def watched(self, text):
        found = pd.read_csv(pd.io.common.StringIO(text))
        return found[found["final"] == 1].set_index("row")["score"]

    @pytest.mark.parametrize("every", ["1", "64"])
    def test_a_file_is_scored_as_a_whole(self, plant, model, channels, detector, capsys, every):
        assert main(["watch", str(plant), "--model", str(model), "--every", every]) == 0
        scores = self.watched(capsys.readouterr().out)
        assert scores.index.tolist() == list(range(700))
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-4, atol=1e-4)

    def test_rows_arrive_through_a_pipe(self, plant, model, channels, detector):
        command = [sys.executable, "-m", "timesad", "watch", "--model", str(model), "--every", "100"]
        ended = subprocess.run(
            command, input=plant.read_bytes(), capture_output=True, cwd=REPOSITORY, timeout=100, check=True
        )
        np.testing.assert_allclose(
            self.watched(ended.stdout.decode()), detector.decision_function(channels), rtol=1e-4, atol=1e-4
        )
        assert ended.stderr == b""

    def test_a_growing_file_is_followed(self, plant, model, tmp_path):
        growing = tmp_path / "growing.csv"
        text = plant.read_text()
        middle = text.index("\n", len(text) // 2) - 5  # within a line
        growing.write_text(text[:middle])
        command = [sys.executable, "-m", "timesad", "watch", str(growing), "--model", str(model), "--follow"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
            try:
                first = [process.stdout.readline() for _ in range(10)]
                with growing.open("a") as file:
                    file.write(text[middle:])
                deadline, row = time.monotonic() + 60, -1
                while row < 699 and time.monotonic() < deadline:
                    row = max(row, int(process.stdout.readline().partition(",")[0]))
            finally:
                process.kill()
        assert first[0] == "row,score,anomaly,final\n"
        assert row == 699

    def test_columns_may_have_another_order_and_company(
        self, plant, model, table, channels, detector, tmp_path, capsys
    ):
        mixed = table[["pressure", "anomaly", "flow"]].assign(further=1.0)
        mixed.to_csv(tmp_path / "mixed.csv", index=False)
        assert main(["watch", str(tmp_path / "mixed.csv"), "--model", str(model), "--every", "700"]) == 0
        scores = self.watched(capsys.readouterr().out)
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-4, atol=1e-4)


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["detect", "nothing.csv"], "nothing.csv does not exist"),
            (["detect", "{plant}", "--train-rows", "9999"], "train_size"),
            (["detect", "{plant}", "--train-rows", "700", *DETECTOR], "all 700 rows"),
            (["detect", "{plant}", "--train-rows", "400", "--window-size", "3"], "window_size"),
            (["score", "{plant}", "--model", "{plant}"], "no detector that can be loaded"),
            (["watch", "{plant}", "--model", "{model}", "--every", "0"], "--every is 0"),
            (["watch", "{other}", "--model", "{model}"], r"with the names \['flow', 'pressure'\]"),
            (["watch", "{damaged}", "--model", "{model}"], r"line 3: \['1.0', 'high'\] has no number"),
        ],
    )
    def test_one_line_on_standard_error_and_status_2(self, plant, model, tmp_path, capsys, arguments, message):
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        (tmp_path / "damaged.csv").write_text("flow,pressure\n1.0,2.0\n1.0,high\n")
        names = {"plant": plant, "model": model, "other": tmp_path / "other.csv", "damaged": tmp_path / "damaged.csv"}
        arguments = [argument.format(**names) for argument in arguments]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"timesad {arguments[0]}: error: ")
        assert pd.Series([error]).str.contains(message)[0]

    def test_help_shows_examples(self, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["--help"])
        assert ended.value.code == 0
        assert "timesad detect plant.csv --train-rows 5000" in capsys.readouterr().out

    def test_no_command_is_a_usage_error(self, capsys):
        with pytest.raises(SystemExit) as ended:
            main([])
        assert ended.value.code == 2
        assert "COMMAND" in capsys.readouterr().err

    def test_the_commands_of_the_readme_can_be_parsed(self):
        commands = re.findall(r"timesad ((?:detect|fit|score|watch) [^#\n|]*)", README)
        assert len(commands) >= 4
        assert {_parser().parse_args(command.split()).command for command in commands} >= {"detect", "fit", "watch"}
