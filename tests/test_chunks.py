"""A series that is scored in chunks: the same scores, if each chunk comes with the rows around it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.chunks import SHIFTED, chunk_scores, differences, reach
from timesad import NearestWindowsDetector

psutil = pytest.importorskip("psutil", reason="pip install psutil")

N_LONG = 10_000_000
CHUNK = 100_000
MEGABYTES = 5


@pytest.fixture(scope="module")
def long_waves():
    time = np.arange(3000)
    noise = np.random.default_rng(1).normal(scale=0.1, size=(3000, 2))
    return np.column_stack([np.sin(2 * np.pi * time / 8), np.cos(2 * np.pi * time / 12)]) + noise


class TestChunks:
    def test_with_the_rows_around_it_a_chunk_scores_as_in_the_whole_series(self, make_detector, waves, long_waves):
        detector = make_detector(use_past=False, smoothing=6).fit(waves)
        _, largest, labels = differences(detector, long_waves, reach(detector), 0)
        assert largest < 1e-4
        assert labels == 0.0

    def test_with_all_earlier_rows_it_does_so_with_the_past(self, make_detector, waves, long_waves):
        detector = make_detector(smoothing=6).fit(waves)
        assert differences(detector, long_waves, None, 0)[1] < 1e-4

    def test_a_slice_of_a_data_frame_has_its_windows_where_the_whole_has_them(self, make_detector, waves, long_waves):
        detector = make_detector(use_past=False, smoothing=6, window_size=40).fit(waves)
        whole = detector.decision_function(long_waves)
        frame = pd.DataFrame(long_waves)
        np.testing.assert_array_equal(detector.decision_function(frame), whole)
        assert differences(detector, frame, reach(detector), SHIFTED + 1)[1] < 1e-4
        every_second = pd.DataFrame(np.repeat(long_waves, 2, axis=0)).iloc[2 * 503 : 2 * 1503 : 2]
        middle = slice(2 * reach(detector), -2 * reach(detector))
        np.testing.assert_allclose(detector.decision_function(every_second)[middle], whole[503:1503][middle], atol=1e-4)

    def test_without_them_or_off_the_grid_it_does_not(self, make_detector, waves, long_waves):
        """Else the two tests above would prove nothing."""
        detector = make_detector(use_past=False, smoothing=6, window_size=40).fit(waves)
        assert differences(detector, long_waves, 0, 0)[1] > 0.1
        assert differences(detector, long_waves, reach(detector), SHIFTED + 1)[1] > 0.01

    def test_every_row_between_the_margins_is_compared_once(self, make_nearest, waves, long_waves):
        detector = make_nearest(use_past=False).fit(waves)
        rows = [np.arange(part.start, part.stop) for part, _ in chunk_scores(detector, long_waves, 0, 0)]
        compared = np.concatenate(rows)
        assert (np.diff(compared) == 1).all()
        assert compared[0] == reach(detector)
        assert compared[-1] > 2600


class TestContext:
    METHODS = ("decision_function", "predict", "predict_confidence", "predict_proba", "p_values")

    @pytest.mark.parametrize("use_past", [True, False])
    def test_scores_are_those_of_the_joined_rows(self, make_detector, waves, long_waves, use_past):
        detector = make_detector(smoothing=6, use_past=use_past).fit(waves)
        for n_before in (5, 700, 2000):
            for method in self.METHODS:
                call = getattr(detector, method)
                found = call(long_waves[n_before:2500], context=long_waves[:n_before])
                np.testing.assert_allclose(found, call(long_waves[:2500])[n_before:], atol=1e-4, err_msg=method)
            parts = detector.explain(long_waves[n_before:2500], context=long_waves[:n_before])
            for name, part in detector.explain(long_waves[:2500]).items():
                np.testing.assert_allclose(parts[name], part[n_before:], atol=1e-4, err_msg=name)

    @pytest.mark.parametrize("use_past", [True, False])
    def test_alarms_are_those_of_the_joined_rows_that_end_in_X(self, make_detector, waves, use_past):
        """The level remembers 2,000 rows, so 5,000 rows of context hold more than is read."""
        detector = make_detector(smoothing=6, use_past=use_past).fit(waves)
        rows = np.tile(waves, (30, 1))
        rows[4980:5020] += 2.0  # begins in the context
        rows[6000:6010] -= 3.0
        rows[6500:, 1] += 0.6
        whole = detector.detect(rows)
        expected = whole[whole["end"] > 5000].reset_index(drop=True)
        assert 2 <= len(expected) < len(whole) + 1
        expected[["start", "end", "peak"]] -= 5000
        found = detector.detect(rows[5000:], context=rows[:5000])
        pd.testing.assert_frame_equal(found, expected, atol=1e-4, rtol=1e-4)
        if isinstance(detector, NearestWindowsDetector):  # a network finds its own beginning of this alarm
            assert found["start"][0] < 0

    def test_alarms_of_tables_have_their_times(self, make_nearest, waves):
        detector = make_nearest().fit(waves)
        frame = pd.DataFrame(waves.copy(), index=pd.date_range("2026", periods=240, freq="s"))
        frame.iloc[200:205] += 4.0
        found, whole = detector.detect(frame[150:], context=frame[:150]), detector.detect(frame)
        assert found["start_time"].tolist() == whole["start_time"].tolist()
        with pytest.raises(ValueError, match="index with context"):
            detector.detect(waves, context=waves, index=np.arange(240))
        with pytest.raises(ValueError, match="context without X"):
            detector.detect(None, context=waves)

    def test_of_tables_and_of_less_than_a_window(self, make_nearest, waves, long_waves):
        detector, frame = make_nearest().fit(waves), pd.DataFrame(long_waves)
        expected = detector.decision_function(long_waves[:503])[500:]
        np.testing.assert_allclose(detector.decision_function(frame[500:503], context=frame[:500]), expected)
        np.testing.assert_allclose(detector.decision_function(long_waves[500:503], context=frame[:500]), expected)

    @pytest.mark.parametrize(
        ("context", "groups", "message"),
        [
            (np.zeros((9, 3)), None, r"context has shape \(9, 3\) and X has shape \(240, 2\)"),
            (np.zeros(9), None, "context has shape"),
            (np.zeros((9, 2)), np.zeros(240), "context with groups"),
            (np.full((9, 2), np.nan), None, "X has NaN in row 0"),
        ],
    )
    def test_that_does_not_fit_is_refused(self, make_nearest, waves, context, groups, message):
        with pytest.raises(ValueError, match=message):
            make_nearest().fit(waves).decision_function(waves, context=context, groups=groups)


@pytest.mark.slow
def test_ten_million_rows_need_no_more_memory_and_time_per_row_than_the_first(waves):
    """Chunk after chunk, each with the rows before it, as a service would score them."""
    rng = np.random.default_rng(0)
    detector = NearestWindowsDetector(window_size=16, smoothing=4, max_windows=200, use_past=False).fit(waves)
    before = np.empty((0, 2))
    resident = []
    for begin in range(0, N_LONG, CHUNK):
        time = np.arange(begin, begin + CHUNK)
        chunk = np.column_stack([np.sin(2 * np.pi * time / 8), np.cos(2 * np.pi * time / 12)])
        chunk += rng.normal(scale=0.1, size=chunk.shape)
        scores = detector.decision_function(np.concatenate([before, chunk]))[len(before) :]
        assert np.isfinite(scores).all()
        before = chunk[-reach(detector) :]
        resident.append(psutil.Process().memory_info().rss / 1e6)
    assert len(resident) == N_LONG // CHUNK
    late = resident[len(resident) // 2 :]
    assert max(late) - resident[len(resident) // 10] < MEGABYTES
