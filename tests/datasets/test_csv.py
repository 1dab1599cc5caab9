"""load_csv: values, time columns, labels and error messages."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from timesad.datasets import load_csv


@pytest.fixture
def write(tmp_path):
    """Write text into a file and return its path."""

    def write(text: str, name: str = "pump.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


class TestValues:
    def test_columns_become_channels_in_order(self, write):
        series = load_csv(write("flow,pressure\n1,5.5\n2,-6e1\n"))
        assert series.feature_names == ["flow", "pressure"]
        np.testing.assert_array_equal(series.data, [[1, 5.5], [2, -60]])
        assert series.data.dtype == np.float64
        assert series.data.flags.c_contiguous

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_delimiter_is_detected(self, write, delimiter):
        text = "a,b,label\n1,2,0\n3,4,1\n".replace(",", delimiter)
        series = load_csv(write(text))
        np.testing.assert_array_equal(series.data, [[1, 2], [3, 4]])
        np.testing.assert_array_equal(series.target, [0, 1])

    def test_delimiter_inside_quotes_does_not_count(self, write):
        series = load_csv(write('"a,x,y";"b"\n1;2\n'))
        assert series.feature_names == ["a,x,y", "b"]

    def test_one_column_needs_no_delimiter(self, write):
        assert load_csv(write("value\n1\n2\n")).data.shape == (2, 1)

    def test_gzip_gives_the_same_series(self, write, tmp_path):
        text = "time,a,label\n0,1.5,0\n1,2.5,1\n"
        plain = load_csv(write(text))
        packed_path = tmp_path / "packed.csv.gz"
        packed_path.write_bytes(gzip.compress(text.encode()))
        packed = load_csv(packed_path)
        np.testing.assert_array_equal(packed.data, plain.data)
        np.testing.assert_array_equal(packed.target, plain.target)
        assert packed.name == "packed"

    def test_byte_order_mark_and_line_ends_are_not_data(self, write):
        series = load_csv(write("a,b\r\n1,2\r\n3,4\r\n\r\n", encoding="utf-8-sig"))
        assert series.feature_names == ["a", "b"]
        assert series.data.shape == (2, 2)

    def test_path_may_be_a_string(self, write):
        assert load_csv(str(write("a\n1\n"))).data.shape == (1, 1)

    def test_pandas_is_not_needed(self, write, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        assert load_csv(write("time,a\n2026-11-22,2\n")).data.shape == (1, 1)


class TestTime:
    @pytest.mark.parametrize("name", ["time", "Time", "DATE", "timestamp", "datetime", "seconds"])
    def test_increasing_numbers_with_a_time_name_are_not_a_channel(self, write, name):
        series = load_csv(write(f"a,{name}\n1,0.0\n2,0.2\n3,0.4\n"))
        assert series.feature_names == ["a"]
        np.testing.assert_array_equal(series.timestamps, [0.0, 0.2, 0.4])

    def test_decreasing_numbers_are_a_channel_with_any_name(self, write):
        series = load_csv(write("a,seconds\n1,0.4\n2,0.1\n3,0.3\n"))
        assert series.feature_names == ["a", "seconds"]
        assert series.timestamps is None

    @pytest.mark.parametrize(
        "moment", ["2026-11-22 14:13:00", "2026-11-22T14:13:00Z", "22.11.2026 14:13", "11/22/2026", "14:13:00"]
    )
    def test_first_column_of_dates_is_time_with_any_name(self, write, moment):
        series = load_csv(write(f"when,a\n{moment},1\n{moment},2\n"))
        assert series.feature_names == ["a"]
        assert series.timestamps.tolist() == [moment, moment]

    def test_date_and_time_columns_are_joined(self, write):
        series = load_csv(write("date,time,a\n2026-11-22,14:13,1\n2026-11-22,14:14,2\n"))
        assert series.feature_names == ["a"]
        assert series.timestamps.tolist() == ["2026-11-22 14:13", "2026-11-22 14:14"]

    def test_nameless_index_of_pandas_is_not_a_channel(self, write):
        assert load_csv(write(",a\n0,1\n1,2\n")).feature_names == ["a"]

    def test_timestamps_are_none_without_a_time_column(self, write):
        assert load_csv(write("a,b\n1,2\n3,4\n")).timestamps is None


class TestLabels:
    @pytest.mark.parametrize("name", ["label", "Label", "LABEL"])
    def test_label_column_is_target_and_not_a_channel(self, write, name):
        series = load_csv(write(f"a,{name}\n1,0\n2,1.0\n"))
        assert series.feature_names == ["a"]
        assert series.target.tolist() == [0, 1]
        assert np.issubdtype(series.target.dtype, np.integer)

    def test_target_is_none_without_a_label_column(self, write):
        assert load_csv(write("a,b\n1,2\n")).target is None

    def test_label_gives_the_name_of_the_column(self, write):
        series = load_csv(write("a,is_anomaly\n1,0\n2,1\n"), label="is_anomaly")
        assert series.target.tolist() == [0, 1]
        assert series.feature_names == ["a"]

    def test_columns_of_other_names_are_channels_by_default(self, write):
        series = load_csv(write("a,anomaly\n1,0\n2,1\n"))
        assert series.target is None
        assert series.feature_names == ["a", "anomaly"]

    def test_label_none_reads_no_labels(self, write):
        series = load_csv(write("a,label\n1,0\n2,1\n"), label=None)
        assert series.feature_names == ["a", "label"]

    def test_missing_label_column_raises_an_error(self, write):
        with pytest.raises(ValueError, match=r"label='is_anomly', but .*pump.csv has no such"):
            load_csv(write("a,is_anomaly\n1,0\n"), label="is_anomly")

    def test_label_other_than_zero_and_one_raises_an_error(self, write):
        with pytest.raises(ValueError, match=r"pump.csv: column 'label', row 2: .* got 2"):
            load_csv(write("a,label\n1,0\n2,2\n"))


class TestTrainSize:
    def test_train_size_is_in_the_result(self, write):
        assert load_csv(write("a\n1\n2\n3\n"), train_size=2).train_size == 2

    def test_train_size_is_none_by_default(self, write):
        assert load_csv(write("a\n1\n2\n")).train_size is None

    @pytest.mark.parametrize("train_size", [0, -1, 4])
    def test_out_of_range_raises_an_error_with_the_number_of_rows(self, write, train_size):
        with pytest.raises(ValueError, match=f"train_size={train_size} .*3 rows"):
            load_csv(write("a\n1\n2\n3\n"), train_size=train_size)

    def test_float_raises_a_type_error(self, write):
        with pytest.raises(TypeError, match="train_size"):
            load_csv(write("a\n1\n2\n"), train_size=0.5)


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "pump.csv is empty"),
            ("a,b\n", "pump.csv has no rows"),
            ("1,2\n3,4\n", "pump.csv: the first line holds only numbers"),
            ("a,b\n1,2\n3,x\n", r"pump.csv: column 'b', row 2 \(line 3\): 'x' is not a number"),
            ("a;b\n1,5;2\n", r"column 'a', row 1 \(line 2\): '1,5' is not a number \(with a decimal point\)"),
            ("a,b\n1,2\n,4\n", r"pump.csv: column 'a', row 2 \(line 3\): the cell is blank"),
            ("a,b\n1,2\n3,nan\n", r"pump.csv: column 'b', row 2 \(line 3\): 'nan' is not finite"),
            ("a,b\n1,-inf\n3,4\n", r"pump.csv: column 'b', row 1 \(line 2\): '-inf' is not finite"),
            ("a,b\n1,2\n3\n", r"pump.csv: row 2 \(line 3\) has 1 cells, but the header has 2"),
            ("a,b\n1,2,9\n", r"pump.csv: row 1 \(line 2\) has 3 cells, but the header has 2"),
            ("a\n1\n\n3\n", "pump.csv: line 3 is blank"),
            ("a,a\n1,2\n", "pump.csv: two columns are called 'a'"),
            ("a,,b\n1,2,3\n", "pump.csv: column 2 has no name"),
            ("time,label\n1,0\n2,1\n", "pump.csv has no channel"),
            ("date\n2026-11-22\n", "pump.csv has no channel"),
        ],
    )
    def test_message_has_file_row_and_column(self, write, text, message):
        with pytest.raises(ValueError, match=message):
            load_csv(write(text))

    def test_missing_file_raises_an_error_with_its_name(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nowhere.csv does not exist"):
            load_csv(tmp_path / "nowhere.csv")

    def test_folder_raises_an_error(self, tmp_path):
        with pytest.raises(ValueError, match="is a folder, but a file was expected"):
            load_csv(tmp_path)

    def test_text_with_a_gzip_name_raises_an_error_with_its_name(self, write):
        with pytest.raises(ValueError, match=r"pump.csv.gz cannot be read as gzip-compressed text"):
            load_csv(write("a\n1\n", name="pump.csv.gz"))

    def test_truncated_gzip_raises_an_error_with_its_name(self, tmp_path):
        path = tmp_path / "cut.csv.gz"
        path.write_bytes(gzip.compress(b"a\n" + b"1.25\n" * 5000)[:-12])
        with pytest.raises(ValueError, match=r"cut.csv.gz cannot be read as gzip-compressed text"):
            load_csv(path)

    def test_binary_file_raises_an_error_with_its_name(self, tmp_path):
        path = tmp_path / "picture.csv"
        path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
        with pytest.raises(ValueError, match=r"picture.csv cannot be read as text in UTF-8"):
            load_csv(path)

    def test_large_finite_numbers_are_valid(self, write):
        assert load_csv(write("a,b\n1e308,1e308\n")).data.tolist() == [[1e308, 1e308]]
