"""Loaders of the public benchmarks: layouts of the sources, and errors with the name of the file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from timesad.datasets import (
    load_nab,
    load_skab,
    load_smap_msl,
    load_tsb_ad,
    load_tsb_uad,
    load_ucr_anomaly,
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_tsb_ad(folder, suffix=".csv", name="001_Pump_id_1_Facility_tr_2_1st_2"):
    return write(folder / f"{name}{suffix}", "0,1,Label\n1.0,5.1,0\n1.1,5.0,0\n9.0,5.2,1\n")


def write_tsb_uad(folder, suffix=".out", name="pulse"):
    return write(folder / f"{name}{suffix}", "0.1,0\n" * 19 + "7.0,1\n")


def write_ucr(folder, name="001_UCR_Anomaly_demo_3_5_6", text="1\n2\n1\n2\n9\n9\n1\n"):
    return write(folder / f"{name}.txt", text)


def write_skab(folder, name="valve1/0", suffix=".csv"):
    lines = ["datetime;Pressure;Volume Flow RateRMS;anomaly;changepoint"]
    lines += [
        f"2020-03-09 10:{row // 60:02}:{row % 60:02};0.1;32.0;{float(row > 450)};{float(row == 451)}"
        for row in range(500)
    ]
    return write(folder / "data" / f"{name}{suffix}", "\n".join(lines))


def write_nab(folder, name="demo/load", suffix=".csv"):
    lines = ["timestamp,value", *(f"2014-02-14 14:{minute}:00,{minute % 3}" for minute in range(10, 50))]
    windows = {f"{name}.csv": [["2014-02-14 14:40:00.000000", "2014-02-14 14:42:00.000000"]]}
    write(folder / "labels" / "combined_windows.json", json.dumps(windows))
    return write(folder / "data" / f"{name}{suffix}", "\n".join(lines))


def write_smap(folder, anomalies="[[2, 3]]", inside=""):
    for part, rows in {"train": 4, "test": 6}.items():
        path = folder / inside / part / "P-1.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((rows, 3), float(rows)))
    labels = f'chan_id,spacecraft,anomaly_sequences,class,num_values\nP-1,SMAP,"{anomalies}",[point],6\n'
    return write(folder / "labeled_anomalies.csv", labels)


WRITERS = {
    load_tsb_ad: write_tsb_ad,
    load_tsb_uad: write_tsb_uad,
    load_ucr_anomaly: write_ucr,
    load_skab: write_skab,
    load_nab: write_nab,
    load_smap_msl: write_smap,
}
every_loader = pytest.mark.parametrize("load", WRITERS, ids=lambda load: load.__name__)


class TestEveryLoader:
    @every_loader
    def test_keys_are_those_of_all_series(self, load, tmp_path):
        WRITERS[load](tmp_path)
        (series,) = load(tmp_path)
        assert series.data.ndim == 2
        assert series.data.dtype == np.float64
        assert series.target.shape == (len(series.data),)
        assert set(np.unique(series.target)) <= {0, 1}
        assert np.issubdtype(series.target.dtype, np.integer)
        assert len(series.feature_names) == series.data.shape[1]
        assert 1 <= series.train_size <= len(series.data)
        assert series.groups is None or series.groups.shape == series.target.shape
        assert series.name in series.DESCR

    @every_loader
    def test_description_has_source_and_reference(self, load, tmp_path):
        WRITERS[load](tmp_path)
        (series,) = load(tmp_path)
        assert "Source: https://" in series.DESCR
        assert "Reference: " in series.DESCR

    @every_loader
    def test_names_select_series(self, load, tmp_path):
        WRITERS[load](tmp_path)
        (series,) = load(tmp_path)
        (selected,) = load(tmp_path, names=[series.name])
        np.testing.assert_array_equal(selected.data, series.data)
        assert load(tmp_path, names=[]) == []

    @every_loader
    def test_unknown_name_raises_an_error_with_a_valid_one(self, load, tmp_path):
        WRITERS[load](tmp_path)
        (series,) = load(tmp_path)
        with pytest.raises(ValueError, match=f"names holds 'nothing'.*among them {series.name}"):
            load(tmp_path, names=["nothing"])

    @every_loader
    def test_string_for_names_raises_a_type_error(self, load, tmp_path):
        WRITERS[load](tmp_path)
        with pytest.raises(TypeError, match=r"Pass names=\['abc'\]"):
            load(tmp_path, names="abc")

    @every_loader
    def test_missing_folder_raises_an_error_with_the_expected_contents(self, load, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nowhere' is no existing folder. Expected one that holds"):
            load(tmp_path / "nowhere")

    @every_loader
    def test_empty_folder_raises_an_error_with_its_name(self, load, tmp_path):
        with pytest.raises(FileNotFoundError, match=tmp_path.name):
            load(tmp_path)

    @pytest.mark.parametrize(
        ("load", "suffix"),
        [(load_tsb_ad, ".csv"), (load_tsb_uad, ".out"), (load_skab, ".csv"), (load_nab, ".csv")],
        ids=lambda value: getattr(value, "__name__", value),
    )
    def test_gzip_gives_the_same_series(self, load, suffix, tmp_path):
        WRITERS[load](tmp_path / "plain", suffix=suffix)
        WRITERS[load](tmp_path / "packed", suffix=f"{suffix}.gz")
        (plain,), (packed,) = load(tmp_path / "plain"), load(tmp_path / "packed")
        assert packed.name == plain.name
        np.testing.assert_array_equal(packed.data, plain.data)
        np.testing.assert_array_equal(packed.target, plain.target)

    def test_plain_and_gzip_file_of_one_name_are_one_series(self, tmp_path):
        write_tsb_ad(tmp_path)
        write_tsb_ad(tmp_path, suffix=".csv.gz")
        assert len(load_tsb_ad(tmp_path)) == 1

    def test_names_determine_the_order(self, tmp_path):
        write_tsb_uad(tmp_path, name="a")
        write_tsb_uad(tmp_path, name="b")
        assert [series.name for series in load_tsb_uad(tmp_path)] == ["a", "b"]
        assert [series.name for series in load_tsb_uad(tmp_path, names=["b", "a"])] == ["b", "a"]


class TestTsbAd:
    def test_train_size_is_read_from_the_name(self, tmp_path):
        write_tsb_ad(tmp_path)
        (series,) = load_tsb_ad(tmp_path)
        assert series.train_size == 2
        assert series.feature_names == ["0", "1"]
        np.testing.assert_array_equal(series.data, [[1.0, 5.1], [1.1, 5.0], [9.0, 5.2]])
        assert series.target.tolist() == [0, 0, 1]

    def test_other_csv_files_are_ignored(self, tmp_path):
        write_tsb_ad(tmp_path)
        write(tmp_path / "results.csv", "file,score\nx,1\n")
        assert len(load_tsb_ad(tmp_path)) == 1

    def test_missing_label_column_raises_an_error_with_the_file(self, tmp_path):
        path = write_tsb_ad(tmp_path)
        write(path, "a,b\n1,2\n3,4\n")
        with pytest.raises(ValueError, match=rf"{path.name} has no column 'Label'"):
            load_tsb_ad(tmp_path)

    def test_fewer_rows_than_in_the_name_raise_an_error(self, tmp_path):
        write_tsb_ad(tmp_path, name="001_Pump_id_1_Facility_tr_9_1st_2")
        with pytest.raises(ValueError, match=r"train_size=9 does not fit 001_Pump.*3 rows"):
            load_tsb_ad(tmp_path)


class TestTsbUad:
    def test_train_size_is_a_tenth_of_the_rows(self, tmp_path):
        write_tsb_uad(tmp_path)
        (series,) = load_tsb_uad(tmp_path)
        assert series.train_size == 2
        assert series.data.shape == (20, 1)
        assert series.target.tolist() == [0] * 19 + [1]

    def test_malformed_line_raises_an_error_with_the_line(self, tmp_path):
        write(tmp_path / "pulse.out", "0.1,0\n0.2;0\n")
        with pytest.raises(ValueError, match=r"pulse.out: row 2 \(line 2\) has 1 cells"):
            load_tsb_uad(tmp_path)


class TestUcr:
    def test_train_size_and_anomaly_are_read_from_the_name(self, tmp_path):
        write_ucr(tmp_path)
        (series,) = load_ucr_anomaly(tmp_path)
        assert series.train_size == 3
        assert series.data[:, 0].tolist() == [1, 2, 1, 2, 9, 9, 1]
        assert series.target.tolist() == [0, 0, 0, 0, 1, 1, 0]

    def test_all_values_may_be_in_one_line(self, tmp_path):
        write_ucr(tmp_path, text="  1.0e+00   2 1 2 9 9 1")
        (series,) = load_ucr_anomaly(tmp_path)
        assert series.data.shape == (7, 1)

    def test_truncated_file_raises_an_error_with_its_name(self, tmp_path):
        path = write_ucr(tmp_path, text="1\n2\n1\n2\n9\n")
        with pytest.raises(ValueError, match=f"{path.name} has 5 values, but .* the values 5 to 6"):
            load_ucr_anomaly(tmp_path)

    @pytest.mark.parametrize("text", ["1\n2\nx\n", "1\n2\nnan\n1\n2\n3\n4\n"])
    def test_text_and_nan_raise_an_error_with_the_file(self, tmp_path, text):
        path = write_ucr(tmp_path, text=text)
        with pytest.raises(ValueError, match=path.name):
            load_ucr_anomaly(tmp_path)


class TestSkab:
    def test_data_are_the_sensors_without_the_labels(self, tmp_path):
        write_skab(tmp_path)
        (series,) = load_skab(tmp_path)
        assert series.name == "valve1/0"
        assert series.feature_names == ["Pressure", "Volume Flow RateRMS"]
        assert series.train_size == 400
        assert np.flatnonzero(series.target).tolist() == list(range(451, 500))
        assert np.flatnonzero(series.changepoint).tolist() == [451]
        assert (np.diff(series.timestamps) == np.timedelta64(1, "s")).all()

    def test_recording_of_normal_operation_is_not_loaded(self, tmp_path):
        write_skab(tmp_path)
        write_skab(tmp_path, name="anomaly-free/anomaly-free")
        assert [series.name for series in load_skab(tmp_path)] == ["valve1/0"]

    def test_invalid_time_raises_an_error_with_the_file(self, tmp_path):
        path = write_skab(tmp_path)
        write(path, path.read_text().replace("2020-03-09 10:00:05", "yesterday"))
        with pytest.raises(ValueError, match=r"0.csv: column 'datetime' must hold dates and times"):
            load_skab(tmp_path)


class TestNab:
    def test_labels_include_both_ends_of_a_window(self, tmp_path):
        write_nab(tmp_path)
        (series,) = load_nab(tmp_path)
        assert np.flatnonzero(series.target).tolist() == [30, 31, 32]
        assert series.timestamps[30] == np.datetime64("2014-02-14T14:40")

    def test_train_size_is_15_percent_of_at_most_5000_rows(self, tmp_path):
        path = write_nab(tmp_path)
        (short,) = load_nab(tmp_path)
        assert short.train_size == 6
        moments = np.datetime64("2014-02-14T00:00") + np.arange(6000)
        write(path, "timestamp,value\n" + "".join(f"{str(moment).replace('T', ' ')},1\n" for moment in moments))
        (long,) = load_nab(tmp_path)
        assert long.train_size == 750

    def test_series_without_windows_has_no_anomalies(self, tmp_path):
        write_nab(tmp_path)
        write(tmp_path / "labels" / "combined_windows.json", '{"demo/load.csv": []}')
        (series,) = load_nab(tmp_path)
        assert not series.target.any()

    @pytest.mark.parametrize(
        ("windows", "message"),
        [
            ("{", "combined_windows.json is not valid JSON"),
            ("[]", "combined_windows.json must map file names"),
            ("{}", "combined_windows.json has no entry 'demo/load.csv'"),
            ('{"demo/load.csv": [["today"]]}', "combined_windows.json: entry 'demo/load.csv' must be"),
        ],
    )
    def test_malformed_windows_raise_an_error_with_the_file(self, tmp_path, windows, message):
        write_nab(tmp_path)
        write(tmp_path / "labels" / "combined_windows.json", windows)
        with pytest.raises(ValueError, match=message):
            load_nab(tmp_path)

    def test_missing_windows_raise_an_error_with_the_file(self, tmp_path):
        write_nab(tmp_path)
        (tmp_path / "labels" / "combined_windows.json").unlink()
        with pytest.raises(FileNotFoundError, match=r"combined_windows.json does not exist"):
            load_nab(tmp_path)


class TestSmapMsl:
    def test_test_recording_follows_training_recording(self, tmp_path):
        write_smap(tmp_path)
        (series,) = load_smap_msl(tmp_path)
        assert series.train_size == 4
        assert series.data[:, 0].tolist() == [4] * 4 + [6] * 6
        assert series.groups.tolist() == [0] * 4 + [1] * 6
        assert series.feature_names == ["telemetry", "command_1", "command_2"]

    def test_labels_are_test_rows_from_zero_with_both_ends(self, tmp_path):
        write_smap(tmp_path)
        (series,) = load_smap_msl(tmp_path)
        assert np.flatnonzero(series.target).tolist() == [4 + 2, 4 + 3]

    def test_recordings_may_be_in_the_folder_data(self, tmp_path):
        write_smap(tmp_path, inside="data")
        assert len(load_smap_msl(tmp_path)) == 1

    def test_channel_listed_twice_has_the_labels_of_both_lines(self, tmp_path):
        path = write_smap(tmp_path)
        write(path, path.read_text() + 'P-1,SMAP,"[[5, 5]]",[point],6\n')
        (series,) = load_smap_msl(tmp_path)
        assert np.flatnonzero(series.target).tolist() == [6, 7, 9]

    def test_end_after_the_last_row_is_clipped(self, tmp_path):
        write_smap(tmp_path, anomalies="[[4, 6]]")
        (series,) = load_smap_msl(tmp_path)
        assert np.flatnonzero(series.target).tolist() == [8, 9]

    @pytest.mark.parametrize("anomalies", ["[[6, 7]]", "[[3, 2]]", "[[-1, 2]]"])
    def test_impossible_rows_raise_an_error(self, tmp_path, anomalies):
        write_smap(tmp_path, anomalies=anomalies)
        with pytest.raises(ValueError, match=r"labeled_anomalies.csv puts an anomaly of P-1 .* has 6 rows"):
            load_smap_msl(tmp_path)

    @pytest.mark.parametrize("anomalies", ["[[2]]", "none", "5"])
    def test_malformed_labels_raise_an_error_with_file_and_line(self, tmp_path, anomalies):
        write_smap(tmp_path, anomalies=anomalies)
        with pytest.raises(ValueError, match=r"labeled_anomalies.csv: line 2 must hold"):
            load_smap_msl(tmp_path)

    def test_missing_recording_raises_an_error_with_its_name(self, tmp_path):
        write_smap(tmp_path)
        (tmp_path / "test" / "P-1.npy").unlink()
        with pytest.raises(FileNotFoundError, match=r"P-1.npy does not exist"):
            load_smap_msl(tmp_path)

    @pytest.mark.parametrize(
        ("recording", "message"),
        [
            (np.ones(6), r"P-1.npy must have the shape \(rows, channels\)"),
            (np.ones((6, 2)), "P-1.npy has 2 channels"),
            (np.array([[1.0, 2.0, np.nan]]), "P-1.npy: row 0, channel 2 is nan"),
            (np.array([["a", "b", "c"]]), "P-1.npy must be a NumPy file of numbers"),
        ],
    )
    def test_malformed_recording_raises_an_error_with_its_name(self, tmp_path, recording, message):
        write_smap(tmp_path)
        np.save(tmp_path / "test" / "P-1.npy", recording)
        with pytest.raises(ValueError, match=message):
            load_smap_msl(tmp_path)

    def test_file_of_another_type_raises_an_error_with_its_name(self, tmp_path):
        write_smap(tmp_path)
        (tmp_path / "test" / "P-1.npy").write_text("hello")
        with pytest.raises(ValueError, match=r"P-1.npy must be a NumPy file"):
            load_smap_msl(tmp_path)


class TestRealFiles:
    """Original files of the sources, if they are present."""

    @pytest.mark.parametrize(
        ("load", "folder"),
        [
            (load_tsb_ad, "TSB-AD-M"),
            (load_tsb_ad, "TSB-AD-U"),
            (load_tsb_uad, "ECG"),
            (load_ucr_anomaly, "UCR"),
            (load_skab, "SKAB"),
            (load_nab, "NAB"),
            (load_smap_msl, "telemanom"),
        ],
    )
    def test_every_file_loads_and_has_labels(self, data_folder, load, folder):
        bunches = load(data_folder / folder)
        assert bunches
        for series in bunches:
            assert np.isfinite(series.data).all(), series.name
            assert series.target.any(), series.name
            assert not series.target.all(), series.name

    @pytest.mark.parametrize("folder", ["TSB-AD-M", "TSB-AD-U"])
    def test_first_label_of_tsb_ad_is_that_of_the_name(self, data_folder, folder):
        for series in load_tsb_ad(data_folder / folder):
            assert series.target.argmax() == int(series.name.rpartition("_")[2]), series.name

    @pytest.mark.parametrize(
        ("load", "folder"),
        [(load_ucr_anomaly, "UCR"), (load_skab, "SKAB"), (load_nab, "NAB"), (load_smap_msl, "telemanom")],
    )
    def test_rows_for_fitting_have_no_anomalies(self, data_folder, load, folder):
        for series in load(data_folder / folder):
            assert not series.target[: series.train_size].any(), series.name
