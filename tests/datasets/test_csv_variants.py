"""load_csv reads what people have: decimal commas, epochs, labels as words or in a second file, frames of pandas."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from timesad.datasets import load_csv
from timesad.datasets._csv import iterate_csv, shown_times
from timesad.exceptions import TimeGapWarning

NORMAL = ["no", "n", "False", "f", "Normal", "BENIGN", "nominal", "OK"]
ANOMALOUS = ["Yes", "y", "TRUE", "t", "anomaly", "Anomalous", "abnormal", "Attack", "A ttack", "fault", "faulty"]
ANOMALOUS += ["malicious", "outlier"]
EPOCH = 1_700_000_000  # 2023-11-14 22:13:20 in UTC


def streamed(path, channels, **options):
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return list(iterate_csv(lines, path, channels, **options))


class TestDecimalMark:
    @pytest.mark.parametrize("delimiter", [";", "\t"])
    @pytest.mark.parametrize("first", ["1,5", "-1,5e3", "+,5", "1,", " 1,234 "])
    def test_comma_between_semicolons_or_tabs_is_the_decimal_mark(self, write, delimiter, first):
        text = f"time;flow;label\n0,5;{first};0\n1,0;2;1\n".replace(";", delimiter)
        series = load_csv(write(text))
        assert series.data.tolist() == [[float(first.replace(",", "."))], [2]]
        assert series.timestamps.tolist() == [0.5, 1.0]
        assert series.target.tolist() == [0, 1]

    def test_point_between_semicolons_is_the_decimal_mark(self, write):
        assert load_csv(write("a;b\n1;2\n1.234;5\n")).data.tolist() == [[1, 2], [1.234, 5]]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "a;b\n1;2\n1,5;2\n3;4.25\n",
                r"pump.csv: column 'b', row 3 \(line 4\): '4.25' has a decimal point, but '1,5' in row 2 \(line 3\) "
                "has the other mark. Write all numbers with one decimal mark",
            ),
            ("a;b\n1.5;2\n3;1,234\n", r"column 'b', row 2 \(line 3\): '1,234' has a decimal comma, but '1.5' in row 1"),
            ("a;b\n1,5;1.234\n", r"column 'b', row 1 \(line 2\): '1.234' has a decimal point, but '1,5' in row 1"),
            ("a;b\n1.234,5;2\n", r"column 'a', row 1 \(line 2\): '1.234,5' has thousands separators. Write all"),
            ("a;b\n1,234.5;2\n", "'1,234.5' has thousands separators"),
            ("a;b\n1.234.567;2\n", "'1.234.567' has thousands separators"),
            ("a;b\n1,234,567;2\n", "'1,234,567' has thousands separators"),
            ("a;b\n1 234,5;2\n", "'1 234,5' has thousands separators"),
            ('a,b\n"1,234",2\n', r"column 'a', row 1 \(line 2\): '1,234' is not a number .* without thousands"),
            ("a,b\n1,5,2\n", r"row 1 \(line 2\) has 3 cells, but the header has 2. .* columns by semicolons"),
            ("a\n1,5\n", r"row 1 \(line 2\) has 2 cells, but the header has 1. .* separate the columns by semicolons"),
            ("1,5;2;3\n4;5;6\n", "the first line holds only numbers"),
        ],
    )
    def test_doubt_is_an_error_and_never_a_number(self, write, text, message):
        with pytest.raises(ValueError, match=message):
            load_csv(write(text))

    def test_comma_of_seconds_in_a_date_decides_nothing(self, write):
        series = load_csv(write("when;a\n22.11.2026 14:13:00,500;1.5\n22.11.2026 14:13:01,500;2\n"))
        assert series.data.tolist() == [[1.5], [2]]
        assert series.index.tolist() == [pd.Timestamp(f"2026-11-22 14:13:0{second}.5") for second in (0, 1)]


class TestIndex:
    @pytest.mark.parametrize(
        "name", ["time", "Timestamp", "date", "seconds", "ts", "epoch", "Unix_Time", "timestamp_ms"]
    )
    @pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
    def test_epochs_are_times_in_utc(self, write, name, unit):
        times = [EPOCH * unit + second * unit for second in range(3)]
        series = load_csv(write(f"a,{name}\n" + "".join(f"{row},{moment}\n" for row, moment in enumerate(times))))
        assert series.feature_names == ["a"]
        assert series.timestamps.tolist() == times
        expected = pd.date_range("2023-11-14 22:13:20", periods=3, freq="s", tz="UTC")
        assert series.index.tolist() == expected.tolist()
        assert shown_times(series)[0] == "2023-11-14 22:13:20+00:00"

    def test_fractions_of_an_epoch_are_kept(self, write):
        series = load_csv(write(f"time;a\n{EPOCH},25;1\n{EPOCH + 1},5;2\n"))
        assert [moment.microsecond for moment in series.index] == [250_000, 500_000]

    @pytest.mark.parametrize("first", ["0.5", "631151999", "4102444800", "20261122", "202611221413", "20261122141300"])
    def test_other_numbers_are_no_epochs(self, write, first):
        series = load_csv(write(f"time,a\n{first},1\n"))
        assert series.index is None
        assert shown_times(series) == [first]

    @pytest.mark.parametrize("name", ["ts", "epoch", "unix", "time_ms"])
    def test_other_numbers_under_a_name_of_epochs_are_a_channel(self, write, name):
        assert load_csv(write(f"{name},a\n3,1\n2,2\n")).feature_names == [name, "a"]

    @pytest.mark.parametrize(
        ("header", "first", "expected"),
        [
            ("when", "2026-11-22 14:13", "2026-11-22 14:13"),
            ("", "2026-11-22T14:13:00Z", "2026-11-22 14:13+00:00"),
            ("time", "2026-11-22T14:13:00+02:00", "2026-11-22 12:13+00:00"),
            ("date,time", "2026-11-22,14:13", "2026-11-22 14:13"),
            ("Timestamp", " 22/11/2026 2:13:00 PM", "2026-11-22 14:13"),
            (",time", f"7,{EPOCH}", "2023-11-14 22:13:20+00:00"),
        ],
    )
    def test_dates_are_times(self, write, header, first, expected):
        assert load_csv(write(f"{header},a\n{first},1\n")).index.tolist() == [pd.Timestamp(expected)]

    @pytest.mark.parametrize(
        ("header", "first"), [("time", "14:13"), ("time", "noon"), ("date,seconds", "2026-11-22,7")]
    )
    def test_times_without_a_date_in_one_place_are_no_index(self, write, header, first):
        assert load_csv(write(f"{header},a\n{first},1\n")).index is None

    def test_without_a_time_column_there_is_no_index(self, write):
        series = load_csv(write("a\n1\n"))
        assert series.index is None
        assert shown_times(series) is None


class TestFramesOfPandas:
    @pytest.mark.parametrize(("sep", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", ",")])
    @pytest.mark.parametrize("index", ["dates", "named", "rows", "epochs", "left out"])
    def test_round_trip(self, tmp_path, sep, decimal, index):
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 2)) * [1, 1e6], columns=["flow", "a b"])
        dates = pd.date_range("2026-01-01", periods=9, freq="min")
        frame = {
            "dates": frame.set_axis(dates),
            "named": frame.set_axis(dates.rename("timestamp")),
            "epochs": frame.set_axis(pd.Index(EPOCH + np.arange(9), name="time")),
        }.get(index, frame)
        frame.assign(label=[0, 1] * 4 + [1]).to_csv(
            tmp_path / "frame.csv", sep=sep, decimal=decimal, index=index != "left out"
        )
        series = load_csv(tmp_path / "frame.csv")
        np.testing.assert_array_equal(series.data, frame.to_numpy())
        assert series.feature_names == ["flow", "a b"]
        assert series.target.tolist() == [0, 1] * 4 + [1]
        assert (series.timestamps is None) == (index == "left out")
        if index in ("dates", "named"):
            assert series.index.tolist() == dates.tolist()


class TestWords:
    @pytest.mark.parametrize(
        ("normal", "anomalous"), [*product(["False", "Normal"], ANOMALOUS), *product(NORMAL, ["TRUE", "1.0"])]
    )
    @pytest.mark.parametrize("name", ["label", "is_anomaly", "attack"])
    def test_words_are_labels(self, write, normal, anomalous, name):
        series = load_csv(write(f"a,{name}\n1,{normal}\n2, {anomalous}\n3,{normal}\n"))
        assert series.feature_names == ["a"]
        assert series.target.tolist() == [0, 1, 0]

    def test_swat_has_a_name_of_its_own_and_a_slip_of_the_pen(self, write):
        text = (
            " Timestamp, FIT101,Normal/Attack\n 28/12/2015 10:00:00 AM,2.4,Normal\n 28/12/2015 10:00:01 AM,2,A ttack\n"
        )
        series = load_csv(write(text))
        assert series.feature_names == ["FIT101"]
        assert series.target.tolist() == [0, 1]
        assert shown_times(series) == ["28/12/2015 10:00:00 AM", "28/12/2015 10:00:01 AM"]

    def test_given_name_may_be_a_column_of_words(self, write):
        series = load_csv(write("a,state,b\n1,ok,2\n2,fault,3\n"), label="State")
        assert series.feature_names == ["a", "b"]
        assert series.target.tolist() == [0, 1]

    @pytest.mark.parametrize("wrong", ["DDoS", "-1", "2", "", "maybe"])
    def test_other_words_raise_an_error_with_value_and_row(self, write, wrong):
        path = write(f"a,label\n1,BENIGN\n2,{wrong}\n")
        with pytest.raises(
            ValueError, match=rf"pump.csv: column 'label', row 2 \(line 3\): .* got '{wrong}'. Replace it"
        ):
            load_csv(path)
        assert load_csv(path, label=None).feature_names == ["a"]

    def test_other_columns_of_text_raise_an_error(self, write):
        with pytest.raises(
            ValueError, match=r"column 'state', row 1 \(line 2\): 'Normal' is not a number .* name of one of"
        ):
            load_csv(write("a,state\n1,Normal\n2,Attack\n"))

    def test_a_channel_may_be_called_auto(self, write):
        assert load_csv(write("a,auto\n1,2\n")).feature_names == ["a", "auto"]


class TestLabelsInASecondFile:
    SERIES = "time,a,attack\n0,1.5,1\n1,2.5,0\n2,3.5,0\n"

    @pytest.mark.parametrize(
        "labels",
        [
            "0\n1\n0\n",
            "label\n0\n1\n0\n",
            "y\nNormal\nAttack\nNormal\n",
            "time,y\n0,0\n1,1\n2,0\n",
            ",0\n0,0\n1,1\n2,0\n",
            "time;is_anomaly;attack type\n0;no;\n1;yes;flood\n2;no;\n",
            "day,y\n2026-11-22,0\n2026-11-23,1\n2026-11-24,0\n",
        ],
    )
    def test_labels_come_row_by_row(self, write, labels):
        series = load_csv(write(self.SERIES), labels_path=write(labels, "labels.csv"))
        assert series.target.tolist() == [0, 1, 0]
        assert series.feature_names == ["a"]

    def test_label_names_the_column_of_the_second_file(self, write):
        series = load_csv(
            write("a,state\n1,5\n2,6\n"), labels_path=str(write("x,State\n0,1\n1,0\n", "labels.csv")), label="state"
        )
        assert series.target.tolist() == [1, 0]
        assert series.feature_names == ["a"], "labels are never a channel"

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ("0\n1\n", r"labels.csv has 2 labels, but .*pump.csv has 3 rows"),
            ("y\n0\n1\n0\n1\n", r"labels.csv has 4 labels, but .*pump.csv has 3 rows"),
            ("x,y\n0,0\n1,1\n2,0\n", r"labels.csv has 2 columns beside times: 'x', 'y'. Pass label=<name>"),
            ("time\n0\n1\n2\n", r"labels.csv has 0 columns beside times"),
            (
                "time,y\n0,0\n1.5,1\n2,0\n",
                r"labels.csv: column 'time', row 2 \(line 3\): 1.5, but .*pump.csv has 1 there",
            ),
            ("time,y\n00:00,0\n00:01,1\n00:02,0\n", r"labels.csv: column 'time', row 1 \(line 2\): 00:00, but"),
            ("y\n0\n0.5\n0\n", r"labels.csv: column 'y', row 2 \(line 3\): a label is one of 0, .* got '0.5'"),
            ("0\n0.5\n0\n", r"labels.csv: column 'label', row 2 \(line 2\): a label is"),
            ("y\nok\nbad\nok\n", r"labels.csv: column 'y', row 2 \(line 3\): .* got 'bad'"),
            ("label,anomaly\n0,0\n0,1\n0,0\n", "labels.csv has 2 columns of labels: 'label', 'anomaly'"),
            ("", "labels.csv is empty"),
        ],
    )
    def test_error_names_the_file(self, write, labels, message):
        with pytest.raises(ValueError, match=message):
            load_csv(write(self.SERIES), labels_path=write(labels, "labels.csv"))

    def test_missing_file_raises_an_error(self, write):
        with pytest.raises(FileNotFoundError, match=r"nowhere.csv does not exist"):
            load_csv(write(self.SERIES), labels_path="nowhere.csv")

    def test_no_labels_from_a_file_of_labels_is_a_contradiction(self, write):
        with pytest.raises(ValueError, match="label=None reads no labels, but labels_path is 'labels.csv'"):
            load_csv(write(self.SERIES), labels_path="labels.csv", label=None)


class TestMissing:
    TEXT = "time,a,b\n0,1,2\n1,,NA\n2,NaN, null\n3,4,n/a\n"

    def test_missing_cells_are_nan_where_they_are_allowed(self, write):
        series = load_csv(write(self.TEXT), allow_nan=True)
        np.testing.assert_array_equal(series.data, [[1, 2], [np.nan] * 2, [np.nan] * 2, [4, np.nan]])

    @pytest.mark.parametrize(("row", "cell"), [("1,,2", "the cell is blank"), ("1,2,NA", "'NA' is a missing value")])
    def test_missing_cells_raise_an_error_by_default(self, write, row, cell):
        with pytest.raises(
            ValueError, match=rf"row 2 \(line 3\): {cell}. Fill it in, leave out the row, or allow missing"
        ):
            load_csv(write(f"time,a,b\n0,1,2\n{row}\n"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a,b\n1,inf\n", "'inf' is not finite"),
            ("a,b\n1,x\n", "'x' is not a number"),
            ("time,a\n0,1\n,2\n", "times must increase"),
            ("a,label\n1,0\n2,\n", "a label is 0 .* got nan"),
            ("a,attack\n1,0\n2,\n3,1\n", "a label is 0 .* got nan"),
        ],
    )
    def test_no_other_cell_may_be_missing(self, write, text, message):
        with pytest.raises(ValueError, match=message):
            load_csv(write(text), allow_nan=True)


class TestStream:
    @pytest.mark.parametrize(
        "text",
        [
            "a,b\n1,2\n3,4\n",
            "a;b\n1;2\n3,5;4\n",
            f"b\ttime\ta\n1,5\t{EPOCH}\t2\n3\t{EPOCH + 1}\t4\n",
            "date,time,a,b,label\n2026-11-22,14:13,1,2,Normal\n2026-11-22,14:14,3,4,Attack\n",
            ",time,a,b\n7,0.5,1,2\n3,1.5,3,4\n",
            '"a\n(l/s)";b\n1;2,5\n3;4\n',
        ],
    )
    def test_rows_are_those_of_load_csv(self, write, text):
        path = write(text)
        series = load_csv(path)
        for channels in (series.feature_names, len(series.feature_names)):
            rows = streamed(path, channels)
            assert [values for values, _ in rows] == series.data.tolist()
            assert [time for _, time in rows] == (shown_times(series) or [None, None])

    def test_channels_are_found_by_name_and_other_columns_may_hold_text(self, write):
        path = write("remark,b,a\nfine,1,2\n,3,4\n")
        assert streamed(path, ["a", "b"]) == [([2, 1], None), ([4, 3], None)]

    def test_a_channel_may_have_the_name_of_a_time(self, write):
        assert streamed(write("seconds,a\n5,1\n3,2\n"), ["seconds", "a"]) == [([5, 1], None), ([3, 2], None)]

    def test_missing_cells(self, write):
        path = write("a,b\n1,\n")
        np.testing.assert_equal(streamed(path, ["a", "b"], allow_nan=True), [([1, np.nan], None)])
        with pytest.raises(ValueError, match=r"pump.csv: column 'b', row 1 \(line 2\): the cell is blank"):
            streamed(path, ["a", "b"])

    @pytest.mark.parametrize(
        ("text", "channels", "message"),
        [
            ("", ["a"], "pump.csv is empty"),
            ("1,2\n", ["a"], "pump.csv: the first line holds only numbers"),
            (
                "a,b\n",
                ["a", "c"],
                "pump.csv has the columns 'a', 'b', and the detector was fitted on the channels 'a', 'c'",
            ),
            ("time,a,label\n0,1,0\n", 2, "pump.csv has the columns 'time', 'a', 'label', and .* fitted on 2 channels"),
            ("a,b\n1,2\n3\n", ["a"], r"pump.csv: row 2 \(line 3\) has 1 cells, but the header has 2"),
            ("a,b\n1,2\n\n3,4\n", ["a"], "pump.csv: line 3 is blank"),
            ("a;b\n1,5;2\n1.5;2\n", ["a"], r"pump.csv: column 'a', row 2 \(line 3\): '1.5' has a decimal point"),
        ],
    )
    def test_error_names_file_and_row(self, write, text, channels, message):
        with pytest.raises(ValueError, match=message):
            streamed(write(text), channels)


def test_gap_between_epochs_is_a_warning(write):
    with pytest.warns(TimeGapWarning, match="1 gap"):
        load_csv(write("time,a\n" + "".join(f"{EPOCH + second},1\n" for second in (0, 1, 2, 9))))


def test_text_in_another_encoding_raises_an_error_with_the_remedy(write):
    with pytest.raises(ValueError, match=r"pump.csv cannot be read as text in UTF-8: .* Save it as CSV in UTF-8"):
        load_csv(write("t (°C),b\n1,2\n", encoding="latin-1"))
