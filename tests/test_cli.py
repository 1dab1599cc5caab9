"""The command line gives what the API gives, and an error with status 2 for what cannot be used."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import timesad
from timesad import NearestWindowsDetector
from timesad.cli import _parser, main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [(REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "docs/command-line.md")]
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
        assert re.fullmatch(
            r"timesad detect: compared with the labels: VUS-PR [01][.]\d{3}, AUC-PR [01][.]\d{3}, "
            r"1 of 1 events hit, 1 of 1 alarms true\n",
            printed.err,
        )

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
        assert [json.loads(shares) for shares in alarms["channels"]] == expected["channels"].tolist()
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

    def test_a_german_file_with_epochs_and_words_gives_the_same(self, plant, table, tmp_path, capsys):
        epochs = table["timestamp"].astype("datetime64[s]").astype(np.int64)
        state = np.where(table["anomaly"] == 1, "Attack", "Normal")
        german = table.drop(columns="anomaly").assign(timestamp=epochs, state=state)
        german.to_csv(tmp_path / "german.csv", sep=";", decimal=",", index=False)
        german.drop(columns="state").to_csv(tmp_path / "bare.csv", sep=";", decimal=",", index=False)
        german[["timestamp", "state"]].to_csv(tmp_path / "labels.csv", sep=";", index=False)
        train = ["--train-rows", str(TRAIN), *DETECTOR]
        printed = []
        for arguments in (
            [plant],
            [tmp_path / "german.csv", "--label", "state"],
            [tmp_path / "bare.csv", "--labels", tmp_path / "labels.csv"],
        ):
            assert main(["detect", *map(str, arguments), *train]) == 0
            printed.append(capsys.readouterr())
        assert len({text.err for text in printed}) == 1
        [first, *others] = [text.out.replace("+00:00", "").split() for text in printed]
        assert others == [first, first]
        assert "2026-01-01" in first

    def test_missing_cells_are_for_a_detector_that_accepts_them(self, table, tmp_path, capsys):
        table.loc[[100, 600], "flow"] = np.nan
        table.to_csv(tmp_path / "holes.csv", index=False)
        arguments = ["detect", str(tmp_path / "holes.csv"), "--train-rows", str(TRAIN), *DETECTOR]
        assert main(arguments) == 2
        assert "column 'flow', row 101 (line 102): the cell is blank" in capsys.readouterr().err
        assert main([*arguments, "--missing", "mask"]) == 0

    def test_alarms_may_be_the_status(self, plant, tmp_path, table, capsys):
        arguments = ["--train-rows", str(TRAIN), *DETECTOR, "--fail-on-alarm"]
        assert main(["detect", str(plant), *arguments]) == 1
        table[:450].to_csv(tmp_path / "quiet.csv", index=False)
        capsys.readouterr()
        assert main(["detect", str(tmp_path / "quiet.csv"), *arguments]) == 0
        printed = capsys.readouterr()
        assert printed.out == "no alarms\n"
        assert printed.err == "timesad detect: compared with the labels: 0 of 0 events hit, 0 of 0 alarms true\n"

    def test_progress_is_for_a_terminal(self, plant, capsys, monkeypatch):
        arguments = ["detect", str(plant), "--train-rows", str(TRAIN), *DETECTOR, "--no-label"]
        assert main(arguments) == 0
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert main(arguments) == 0
        assert capsys.readouterr().err.splitlines() == [
            f"timesad detect: reading {plant}",
            "timesad detect: fitting NearestWindowsDetector on 400 rows of 2 channels",
            "timesad detect: scoring 300 rows",
        ]

    @pytest.mark.filterwarnings("default::timesad.exceptions.TimeGapWarning")
    def test_a_warning_is_one_line(self, plant, table, tmp_path, capsys):
        table.drop(index=450).to_csv(tmp_path / "gap.csv", index=False)
        assert main(["detect", str(tmp_path / "gap.csv"), "--train-rows", str(TRAIN), *DETECTOR, "--no-label"]) == 0
        [line] = capsys.readouterr().err.splitlines()
        assert re.match(r"timesad detect: warning: .*gap.csv: column 'timestamp': 1 gap ", line)


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

    def test_a_detector_that_was_fitted_on_an_array_scores_any_names(self, plant, tmp_path, channels, detector):
        NearestWindowsDetector(window_size=24, smoothing=8).fit(channels[:TRAIN].to_numpy()).save(tmp_path / "bare")
        assert main(["score", str(plant), "--model", str(tmp_path / "bare"), "--out", str(tmp_path / "out.csv")]) == 0
        scores = pd.read_csv(tmp_path / "out.csv")["score"]
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

    def test_alarms_are_written_as_they_open_and_close(self, plant, model, tmp_path, capsys):
        events, alarms = tmp_path / "events.csv", tmp_path / "alarms.csv"
        assert main(["watch", str(plant), "--model", str(model), "--every", "50", "--alarms", str(events)]) == 0
        assert main(["score", str(plant), "--model", str(model), "--alarms", str(alarms)]) == 0
        found, expected = pd.read_csv(events), pd.read_csv(alarms)
        assert found.loc[0, "event"] == "opened"
        closed = found[found["event"] == "closed"].reset_index(drop=True)
        assert len(closed) >= 1
        shared = [name for name in expected.columns if name != "ongoing"]
        pd.testing.assert_frame_equal(closed[shared], expected[shared], rtol=1e-4, atol=1e-4)

    def test_rows_arrive_through_a_pipe(self, plant, model, channels, detector):
        command = [sys.executable, "-m", "timesad", "watch", "--model", str(model), "--every", "100"]
        ended = subprocess.run(
            command, input=plant.read_bytes(), capture_output=True, cwd=REPOSITORY, timeout=100, check=True
        )
        np.testing.assert_allclose(
            self.watched(ended.stdout.decode()), detector.decision_function(channels), rtol=1e-4, atol=1e-4
        )
        assert ended.stderr == b""

    def test_a_growing_file_is_followed_until_an_interrupt(self, plant, model, channels, detector, tmp_path):
        growing = tmp_path / "growing.csv"
        text = plant.read_text()
        middle = text.index("\n", len(text) // 2) - 5  # within a line
        growing.write_text(text[:middle])
        command = [sys.executable, "-m", "timesad", "watch", str(growing), "--model", str(model), "--follow"]
        command += ["--every", "7"]
        default = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's job in the background ignores it
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, cwd=REPOSITORY, preexec_fn=default, **pipes) as process:
            try:
                lines = [process.stdout.readline() for _ in range(10)]
                with growing.open("a") as file:
                    file.write(text[middle:])
                deadline = time.monotonic() + 60
                while not lines[-1].startswith("699,") and time.monotonic() < deadline:
                    lines.append(process.stdout.readline())
                process.send_signal(signal.SIGINT)
                rest, error = process.communicate(timeout=60)
            finally:
                process.kill()
        assert lines[0] == "row,time,score,anomaly,final\n"
        assert (process.returncode, error) == (130, "")
        scores = self.watched("".join(lines) + rest)
        assert scores.index.tolist() == list(range(700))
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-4, atol=1e-4)

    def test_columns_may_have_another_order_and_company(
        self, plant, model, table, channels, detector, tmp_path, capsys
    ):
        mixed = table[["pressure", "anomaly", "flow"]].assign(further=1.0)
        mixed.to_csv(tmp_path / "mixed.csv", index=False)
        assert main(["watch", str(tmp_path / "mixed.csv"), "--model", str(model), "--every", "700"]) == 0
        scores = self.watched(capsys.readouterr().out)
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-4, atol=1e-4)

    def test_decimal_commas_and_epochs(self, model, table, channels, detector, tmp_path, capsys):
        epochs = table["timestamp"].astype("datetime64[s]").astype(np.int64)
        german = table.drop(columns="anomaly").assign(timestamp=epochs, remark="fine")
        german.to_csv(tmp_path / "german.csv", sep=";", decimal=",", index=False)
        assert main(["watch", str(tmp_path / "german.csv"), "--model", str(model), "--every", "300"]) == 0
        printed = capsys.readouterr().out
        scores = self.watched(printed)
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-4, atol=1e-4)
        found = pd.read_csv(io.StringIO(printed))
        assert found["time"].tolist() == [f"{table['timestamp'][row]}+00:00" for row in found["row"]]

    def test_a_detector_that_was_fitted_on_an_array_takes_the_channels(
        self, plant, channels, detector, tmp_path, capsys
    ):
        NearestWindowsDetector(window_size=24, smoothing=8).fit(channels[:TRAIN].to_numpy()).save(tmp_path / "bare")
        assert main(["watch", str(plant), "--model", str(tmp_path / "bare"), "--every", "700"]) == 0
        scores = self.watched(capsys.readouterr().out)
        np.testing.assert_allclose(scores, detector.decision_function(channels), rtol=1e-4, atol=1e-4)

    def test_a_bad_row_does_not_take_the_rows_before_with_it(self, plant, model, channels, detector, tmp_path, capsys):
        lines = plant.read_text().splitlines(keepends=True)
        (tmp_path / "damaged.csv").write_text("".join([*lines[:101], "2026-01-01 00:01:40,high,1.0,0\n", *lines[102:]]))
        assert main(["watch", str(tmp_path / "damaged.csv"), "--model", str(model), "--every", "64"]) == 2
        printed = capsys.readouterr()
        assert "damaged.csv: column 'flow', row 101 (line 102): 'high' is not a number" in printed.err
        scores = self.watched(printed.out)
        np.testing.assert_allclose(scores, detector.decision_function(channels[:100]), rtol=1e-4, atol=1e-4)

    def test_a_gone_reader_is_no_error(self, plant, model, capfd, monkeypatch):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "w") as output:
            monkeypatch.setattr(sys, "stdout", output)
            assert main(["watch", str(plant), "--model", str(model), "--every", "350"]) == 0
        assert capfd.readouterr().err == ""


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
            (
                ["watch", "{other}", "--model", "{model}"],
                "other.csv has the columns 'a', 'b', and .* 'flow', 'pressure'",
            ),
            (["watch", "{short}", "--model", "{model}"], "short.csv has 1 rows, but a window has 24"),
            (["watch", "nothing.csv", "--model", "{model}"], "nothing.csv"),
            (["detect", "{plant}", "--labels", "{short}"], "short.csv has 2 columns beside times"),
            (
                ["detect", "{plant}", "--labels", "{short}", "--label", "flow"],
                "column 'flow', row 1 .line 2.: a label is",
            ),
            (
                ["detect", "{plant}", "--out", "nowhere/scores.csv"],
                "--out is nowhere/scores.csv, but there is no folder",
            ),
            (["fit", "{plant}", "--save", "nowhere/model"], "--save is nowhere/model, but there is no folder nowhere"),
            (["detect", "{plant}", "--label", "state"], "label='state', but .*plant.csv has no such column"),
        ],
    )
    def test_one_line_on_standard_error_and_status_2(self, plant, model, tmp_path, capsys, arguments, message):
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        (tmp_path / "short.csv").write_text("flow,pressure\n1.5,2.0\n")
        names = {"plant": plant, "model": model, "other": tmp_path / "other.csv", "short": tmp_path / "short.csv"}
        arguments = [argument.format(**names) for argument in arguments]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"timesad {arguments[0]}: error: ")
        assert pd.Series([error]).str.contains(message)[0]

    def test_an_interrupt_is_a_status_of_its_own(self, plant, capsys, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(NearestWindowsDetector, "fit", interrupted)
        assert main(["detect", str(plant), *DETECTOR]) == 130
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("command", [None, "detect", "fit", "score", "watch"])
    def test_help_shows_an_example(self, capsys, command):
        with pytest.raises(SystemExit) as ended:
            main([*([command] if command else []), "--help"])
        assert ended.value.code == 0
        examples = re.findall(r"\btimesad (\w+ [^\n|]*)", capsys.readouterr().out.partition("example")[2])
        assert {example.split()[0] for example in examples} == (
            {command} if command else {"detect", "fit", "score", "watch"}
        )
        for example in examples:
            _parser().parse_args(example.split())

    def test_no_command_is_a_usage_error(self, capsys):
        with pytest.raises(SystemExit) as ended:
            main([])
        assert ended.value.code == 2
        assert "COMMAND" in capsys.readouterr().err

    @pytest.mark.parametrize("page", PAGES, ids=["README", "command-line"])
    def test_the_commands_of_the_pages_can_be_parsed(self, page):
        blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
        commands = re.findall(r"timesad ((?:detect|fit|score|watch) [^#\n|>]*)", blocks)
        assert len(commands) >= 4
        assert {_parser().parse_args(command.split()).command for command in commands} >= {"detect", "fit", "watch"}
