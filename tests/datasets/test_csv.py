"""load_csv: values, time columns, labels and error messages."""

from __future__ import annotations

import gzip
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils import Bunch

from timesad.datasets import load_csv
from timesad.datasets._csv import iterate_csv
from timesad.exceptions import TimeGapWarning

SURE_NAMES = ["label", "labels", "anomaly", "is_anomaly"]
OTHER_NAMES = ["anomalies", "outlier", "is_outlier", "attack", "is_attack", "fault", "is_fault", "changepoint"]
OTHER_NAMES += ["ground_truth", "target"]


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

    def test_blanks_and_tabs_around_a_number_are_accepted(self, write):
        assert load_csv(write("a,b\n 1,\t2\n3\u00a0,4 \n")).data.tolist() == [[1, 2], [3, 4]]

    def test_line_break_in_a_name_moves_the_lines_of_messages(self, write):
        with pytest.raises(ValueError, match=r"row 2 \(line 4\): 'x' is not a number"):
            load_csv(write('"flow\n(l/s)",b\n1,2\n3,x\n'))


class TestTime:
    @pytest.mark.parametrize("name", ["time", "Time", "DATE", "timestamp", "datetime", "seconds"])
    def test_increasing_numbers_with_a_time_name_are_not_a_channel(self, write, name):
        series = load_csv(write(f"a,{name}\n1,0.0\n2,0.2\n3,0.4\n"))
        assert series.feature_names == ["a"]
        np.testing.assert_array_equal(series.timestamps, [0.0, 0.2, 0.4])

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("2026-11-22 14:13:00", "2026-11-22 14:14:00"),
            ("2026-11-22T14:13:00Z", "2026-11-22T14:14:00Z"),
            ("22.11.2026 14:13", "22.11.2026 14:14"),
            ("11/22/2026", "11/23/2026"),
            ("14:13:00", "14:14:00"),
        ],
    )
    def test_first_column_of_dates_is_time_with_any_name(self, write, first, second):
        series = load_csv(write(f"when,a\n{first},1\n{second},2\n"))
        assert series.feature_names == ["a"]
        assert series.timestamps.tolist() == [first, second]

    def test_date_and_time_columns_are_joined(self, write):
        series = load_csv(write("date,time,a\n2026-11-22,14:13,1\n2026-11-22,14:14,2\n"))
        assert series.feature_names == ["a"]
        assert series.timestamps.tolist() == ["2026-11-22 14:13", "2026-11-22 14:14"]

    def test_nameless_index_of_pandas_is_not_a_channel(self, write):
        assert load_csv(write(",a\n0,1\n1,2\n")).feature_names == ["a"]

    def test_timestamps_are_none_without_a_time_column(self, write):
        assert load_csv(write("a,b\n1,2\n3,4\n")).timestamps is None

    def test_index_gives_way_to_another_time_column(self, write):
        """pandas writes the old index of sorted rows."""
        series = load_csv(write(",time,a\n7,0.5,1\n3,1.5,2\n5,2.5,3\n"))
        assert series.feature_names == ["a"]
        assert series.timestamps.tolist() == [0.5, 1.5, 2.5]


def rows_at(times: list[str], name: str = "time") -> str:
    return f"{name},a\n" + "".join(f"{moment},{row}\n" for row, moment in enumerate(times))


class TestOrder:
    @pytest.mark.parametrize("name", ["seconds", "Time", "index", "Unnamed: 0", ""])
    @pytest.mark.parametrize(("later", "written"), [("0.1", "0.1"), ("0.2", "0.2"), ("-1e308", "-1e[+]?308")])
    def test_numbers_that_do_not_increase_raise_an_error(self, write, name, later, written):
        with pytest.raises(ValueError, match=rf"pump.csv: column '.+', row 3 \(line 4\): {written} follows 0.2, but"):
            load_csv(write(rows_at(["0.1", "0.2", later, "0"], name)))

    @pytest.mark.parametrize(
        "times",
        [
            ["2026-11-22", "2026-11-23", "2026-11-23"],
            ["2026-11-22T14:13:00Z", "2026-11-22T14:13:01.5Z", "2026-11-22T14:13:01Z"],
            ["22.11.2026 14:13", "22.11.2026 14:14", "22.10.2026 14:15"],
            ["11/22/2026 11:59 AM", "11/22/2026 12:01 PM", "11/22/2026 12:00 PM"],
            ["01/02/2026", "02/02/2026", "02/02/2026"],
            ["22-Nov-2026 14:13:00", "22-Nov-2026 14:14:00", "22-Nov-2026 14:13:59"],
        ],
    )
    def test_dates_that_do_not_increase_raise_an_error(self, write, times):
        with pytest.raises(
            ValueError, match=rf"'time', row 3 \(line 4\): {times[2]} follows {times[1]}, but times must"
        ):
            load_csv(write(rows_at(times)))

    def test_remedies_are_in_the_message(self, write):
        with pytest.raises(ValueError, match=r"Sort the rows .* drop repeated .* one file per series"):
            load_csv(write(rows_at(["0", "1", "0", "1"])))

    @pytest.mark.parametrize(
        "times",
        [
            ["09/12/2026", "10/12/2026", "11/12/2026", "12/12/2026", "13/12/2026"],  # days
            ["01/10/2026", "01/11/2026", "01/12/2026", "01/01/2027"],  # months, day first
            ["10/01/2026", "11/01/2026", "12/01/2026", "01/01/2027"],  # months, month first
            ["11/02/2026 23:00", "12/02/2026 00:00", "12/02/2026 01:00", "12/02/2026 02:00"],  # hours, day first
            ["1/2/26 9:59", "1/2/26 10:00"],
        ],
    )
    def test_day_and_month_have_either_order(self, write, times):
        assert load_csv(write(rows_at(times))).timestamps.tolist() == times

    def test_offsets_keep_the_hour_after_summer_time_in_order(self, write):
        times = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"]
        assert load_csv(write(rows_at(times))).timestamps.tolist() == times

    @pytest.mark.parametrize("times", [["23:59", "00:00", "00:01"], ["11:59 PM", "12:00 AM"]])
    def test_times_of_day_start_again_at_midnight(self, write, times):
        assert load_csv(write(rows_at(times))).timestamps.tolist() == times

    @pytest.mark.parametrize("times", [["b", "a", "a"], ["2026-11-22", "", "2026-11-22"], ["2026-11-22", "1", "x"]])
    def test_text_that_is_no_date_is_not_checked(self, write, times):
        assert load_csv(write(rows_at(times))).timestamps.tolist() == times

    @pytest.mark.parametrize(
        ("header", "earlier", "times"),
        [
            ("date,time", "2026-11-22,23:59", ["2026-11-22,23:59", "2026-11-23,00:00", "2026-11-23,00:01"]),
            ("date,seconds", "2026-11-22,7", ["2026-11-22,8", "2026-11-22,9", "2026-11-23,0"]),
            ("date,seconds", "20261122,9", ["20261122,8", "20261122,9", "20261123,0"]),
            ("date,datetime", "2026-11-22,2026-11-22 08:00", [f"2026-11-22,2026-11-22 0{hour}:30" for hour in (8, 9)]),
        ],
    )
    def test_several_columns_are_compared_together(self, write, header, earlier, times):
        assert load_csv(write(rows_at(times, header))).feature_names == ["a"]
        first, second = header.split(",")
        with pytest.raises(ValueError, match=rf"columns '{first}', '{second}', row {len(times) + 1} \(line"):
            load_csv(write(rows_at([*times, earlier], header)))


class TestGaps:
    @pytest.mark.parametrize(
        ("times", "message"),
        [
            (["0", "1", "2", "3.75", "4.75", "8"], r"'time': 2 gaps .* at row 4 \(line 5\): 3.75 follows 2[.]"),
            (
                ["2026-11-22", "2026-11-23", "2026-11-25", "2026-11-26"],
                r"'time': 1 gap .* row 3 \(line 4\): 2026-11-25 follows 2026-11-23[.]",
            ),
        ],
    )
    def test_gap_is_a_warning_with_number_row_times_and_remedies(self, write, times, message):
        with pytest.warns(TimeGapWarning, match=message + r" .* fill it .* separate series \(groups\)") as warned:
            series = load_csv(write(rows_at(times)))
        assert series.data.ravel().tolist() == list(range(len(times)))
        assert [Path(warning.filename).name for warning in warned] == [Path(__file__).name]

    @pytest.mark.parametrize(
        "times",
        [
            ["5"],
            ["0", "9"],
            ["0", "1", "2.5", "3.5"],
            ["2026-01-31", "2026-02-28", "2026-03-31"],
            ["0", "1e308", "1.7e308"],
        ],
    )
    def test_uneven_steps_are_no_gaps(self, write, times):
        load_csv(write(rows_at(times)))


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

    @pytest.mark.parametrize("label", ["auto", None, "state"])
    @pytest.mark.parametrize("name", [*SURE_NAMES, *OTHER_NAMES, "Is_Anomaly", "GROUND_TRUTH"])
    def test_labels_are_never_a_channel(self, write, name, label):
        series = load_csv(write(f"a,{name},state\n1,0,1\n2,1,1\n"), label=label)
        assert series.feature_names == ["a"] + ["state"] * (label != "state")
        if label is None:
            assert series.target is None
        else:
            assert series.target.tolist() == ([0, 1] if label == "auto" else [1, 1])

    @pytest.mark.parametrize("name", OTHER_NAMES)
    def test_other_numbers_under_a_name_with_two_meanings_are_a_channel(self, write, name):
        series = load_csv(write(f"a,{name},label\n1,0,0\n2,0.5,1\n"))
        assert series.feature_names == ["a", name]
        assert series.target.tolist() == [0, 1]

    @pytest.mark.parametrize("name", [*SURE_NAMES, "Label"])
    def test_other_numbers_under_a_name_of_labels_raise_an_error(self, write, name):
        path = write(f"a,{name},attack\n1,0,0\n2,0.5,1\n")
        with pytest.raises(
            ValueError, match=rf"pump.csv: column '{name}', row 2 \(line 3\): .* got 0.5. Pass label=None"
        ):
            load_csv(path)
        assert load_csv(path, label=None).feature_names == ["a"]
        assert load_csv(path, label="attack").target.tolist() == [0, 1]
        assert load_csv(path, label="attack").feature_names == ["a"]

    @pytest.mark.parametrize("names", [("anomaly", "changepoint"), ("label", "Label"), ("target", "fault")])
    def test_several_columns_of_labels_raise_an_error_with_their_names(self, write, names):
        with pytest.raises(
            ValueError, match=f"pump.csv has 2 columns of labels: '{names[0]}', '{names[1]}'. Pass label="
        ):
            load_csv(write(f"a,{names[0]},{names[1]}\n1,0,0\n2,1,1\n"))

    def test_repeated_column_of_labels_raises_an_error(self, write):
        with pytest.raises(ValueError, match="pump.csv: two columns are called 'label'"):
            load_csv(write("a,label,label\n1,0,0\n2,1,1\n"))

    def test_name_selects_one_of_several_columns_of_labels(self, write):
        series = load_csv(write("a,anomaly,changepoint\n1,0,1\n2,1,0\n"), label="Anomaly")
        assert series.target.tolist() == [0, 1]
        assert series.feature_names == ["a"]

    def test_name_that_fits_two_columns_raises_an_error(self, write):
        with pytest.raises(ValueError, match="label='state', but .*pump.csv has 2 columns .*: 'state', 'State'"):
            load_csv(write("a,state,State\n1,0,1\n"), label="state")

    @pytest.mark.parametrize("label", [3, True, ["label"], b"label"])
    def test_label_of_another_type_raises_a_type_error(self, write, label):
        with pytest.raises(TypeError, match=r"^label is .+; expected the name of a column") as raised:
            load_csv(write("a,label\n1,0\n"), label=label)
        assert repr(label) in str(raised.value)

    def test_given_name_must_exist(self, write):
        with pytest.raises(ValueError, match="label='label', but .*pump.csv has no such"):
            load_csv(write("a\n1\n"), label="label")

    def test_missing_label_column_raises_an_error(self, write):
        with pytest.raises(ValueError, match=r"label='is_anomly', but .*pump.csv has no such"):
            load_csv(write("a,is_anomaly\n1,0\n"), label="is_anomly")

    def test_label_other_than_zero_and_one_raises_an_error(self, write):
        with pytest.raises(ValueError, match=r"pump.csv: column 'label', row 2 \(line 3\): .* got 2"):
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
            ("a,b\n1,2\n,4\n", r"pump.csv: column 'a', row 2 \(line 3\): the cell is blank"),
            (
                "a,b\n1,2\n3,nan\n",
                r"pump.csv: column 'b', row 2 \(line 3\): 'nan' is a missing value. Fill it in, leave out the row",
            ),
            ("a,b\n1,-inf\n3,4\n", r"pump.csv: column 'b', row 1 \(line 2\): '-inf' is not finite"),
            ("a,b\n1,2\n3\n", r"pump.csv: row 2 \(line 3\) has 1 cells, but the header has 2"),
            ("a,b\n1,2,9\n", r"pump.csv: row 1 \(line 2\) has 3 cells, but the header has 2"),
            ("a\n1\n\n3\n", "pump.csv: line 3 is blank"),
            ("a,a\n1,2\n", "pump.csv: two columns are called 'a'"),
            ("a,,b\n1,2,3\n", "pump.csv: column 2 has no name"),
            ("time,label\n1,0\n2,1\n", "pump.csv has no channel"),
            ("date\n2026-11-22\n", "pump.csv has no channel"),
            ("fault\n1\n", "pump.csv has no channel"),
            ("a\x1f,b\n1,2\n", r"pump.csv: the name of column 1, 'a\\x1f', holds the control character"),
            ("\ufeff\ufefflabel,b\n1,2\n", r"pump.csv: the name of column 1, '\\ufefflabel', holds"),
            ('a,b\n1,"2\n3,4\n', r"pump.csv: column 'b', row 1 \(line 3\): '2\\n3,4\\n' holds the control"),
            (f"a,b\n1,{'7' * 200_000}\n", "pump.csv: line 2 cannot be read: field larger than field limit"),
        ],
    )
    def test_message_has_file_row_and_column(self, write, text, message):
        with pytest.raises(ValueError, match=message):
            load_csv(write(text))

    @pytest.mark.parametrize(
        "cell",
        [
            pytest.param(
                "1\x00", marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="csv names the line only")
            ),
            *("1\x1f", "\x1c1", "1\x85", "1\x0b", "1\x0c", "1\x1a", "1\x7f", "\x85", '"1\r"'),
        ],
    )
    @pytest.mark.parametrize("name", ["b", "time"])
    def test_control_character_raises_an_error_with_row_and_column(self, write, name, cell):
        with pytest.raises(
            ValueError, match=rf"pump.csv: column '{name}', row 2 \(line \d\): .* holds the control char"
        ):
            load_csv(write(f"a,{name}\n1,{'2026-11-22' if name == 'time' else 2}\n3,{cell}\n5,6\n"))

    @pytest.mark.parametrize(
        ("text", "first"),
        [
            ('{"a": [1, 2]}', "{"),
            ('{"a": 1}\n{"a": 2}\n', "{"),
            ("\n  [[1, 2],\n [3, 4]]", "["),
            ("[\n1\n]\n", "["),
            ("[" + "1," * 100_000 + "1]", "["),
            ("<!DOCTYPE html>\n<html>\n<p>Not found</p></html>\n", "<"),
            ("<?xml version='1.0'?><rows/>", "<"),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_json_and_html_do_not_look_like_csv(self, write, text, first, encoding):
        with pytest.raises(
            ValueError, match=rf"pump.csv does not look like CSV: it begins with '{re.escape(first)}', as "
        ):
            load_csv(write(text, encoding=encoding))

    def test_names_in_brackets_are_names(self, write):
        series = load_csv(write("<DATE>,[flow],{x}\n2026-11-22,1,2\n2026-11-23,3,4\n"))
        assert series.feature_names == ["[flow]", "{x}"]

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


CONTROL = ["\x00", "\x1f", "\x85", "\x1a", "\r", "\n", "\t", "\ufeff", "\u200b", "\u2028", "\u00a0"]
NUMBERS = ["١", "²", "½", "１", "−", ".", "-", "e", "nan", "inf", "1e308", "1e999", "1_0", "9" * 400]
TEXT = ['"', "'", ",", ";", "NaT", "now", "24:00", "Z", "+01:00", "0000-00-00", "label", "time", "{", "%", "\\"]


def damage(content: bytes, draw: random.Random) -> bytes:
    """Change some bytes or lines, or insert a piece anywhere or at an end of a cell."""
    at, lines = draw.randrange(len(content)), content.splitlines(keepends=True)
    edge = draw.choice([position for position, byte in enumerate(content) if byte in b",;\t\n"])
    piece = draw.choice(draw.choice([CONTROL, NUMBERS, TEXT])).encode()
    line, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    return draw.choice(
        [
            content[:at],
            content[:at] + content[at + draw.randrange(1, 9) :],
            content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :],
            content[:at] + piece + content[at:],
            *2 * [content[:edge] + piece + content[edge:]],
            content[: edge + 1] + piece + content[edge + 1 :],
            b"".join([*lines[:line], lines[other], *lines[line:]]),
            content[:at] + piece + content[at + 1 :],
        ]
    )


def load_or_error(path: Path) -> tuple[Bunch | None, ValueError | None]:
    try:
        return load_csv(path), None
    except ValueError as error:
        return None, error


@pytest.mark.parametrize(
    "table",
    [
        "time,flow,label\n2026-11-22 14:13,1.5,0\n2026-11-22 14:14,-2e3,0\n2026-11-22 14:15,3,1\n",
        '"seconds";"flow"\r\n"0.5";"1"\r\n"1.0";"2"\r\n"1.5";"3"\r\n',
        "when\tflow\tfault\n22.11.2026 14:13\t1\t0\n23.11.2026 14:13\t2\t1\n",
        "timestamp;flow;state of A;attack\n1700000000;1,5;-2e3;Normal\n1700000060;0,25;7;A ttack\n",
        ",flow,is_anomaly\n0,1.5,False\n1,-2e3,True\n2,3,False\n",
    ],
)
@pytest.mark.filterwarnings("ignore::timesad.exceptions.TimeGapWarning")
def test_damaged_file_gives_finite_numbers_or_a_value_error(tmp_path, table):
    # With this seed, a reader that skips control characters differently in two places fails.
    draw, n_series, path = random.Random(3), 0, tmp_path / "pump.csv"
    for _ in range(100):
        content = damage(table.encode(), draw)
        path.write_bytes(content)
        series, error = load_or_error(path)
        if series is None:
            assert str(path) in str(error), content
            continue
        n_series += 1
        n_rows = len(series.data)
        assert n_rows, content
        assert series.data.dtype == np.float64, content
        assert series.data.shape == (n_rows, len(series.feature_names)), content
        assert np.isfinite(series.data).all(), content
        assert series.timestamps is None or series.timestamps.shape == (n_rows,), content
        assert series.index is None or (len(series.index) == n_rows and not series.index.hasnans), content
        with path.open(newline="", encoding="utf-8-sig") as lines:
            streamed = [values for values, _ in iterate_csv(lines, path, series.feature_names)]
        np.testing.assert_array_equal(streamed, series.data)
        assert series.target is None or set(series.target.tolist()) <= {0, 1}, content
    assert 10 < n_series < 90, "both outcomes are tested"
