from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils import Bunch

from benchmarks.series import ECG_ROWS, check_series, load_groups


@pytest.mark.parametrize(
    ("group", "n_series", "multichannel"),
    [("tsb-ad-m", 17, True), ("telemanom", 17, True), ("skab", 8, True), ("nab", 22, False), ("tsb-ad-u", 6, False)],
)
def test_development_groups_hold_the_series_they_name(group, n_series, multichannel, data_folder):
    series = load_groups([group], data_folder)[group]
    assert len(series) == n_series
    assert all((one.data.shape[1] > 1) == multichannel for one in series)
    assert all(len(one.data) == len(one.target) and np.isfinite(one.data).all() for one in series)


def test_electrocardiogram_is_cut_and_has_anomalies_after_its_training_rows(data_folder):
    series = load_groups(["tsb-ad-u"], data_folder)["tsb-ad-u"][-1]
    assert len(series.data) == ECG_ROWS
    assert series.train_size == ECG_ROWS // 10
    assert series.target[series.train_size :].sum() > 0


def test_unknown_group_and_missing_folder_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="choose from"):
        load_groups(["no-such-group"])
    with pytest.raises(FileNotFoundError, match="TIMESAD_DATA"):
        load_groups(["skab"], tmp_path / "missing")


def test_series_that_cannot_be_measured_is_refused():
    series = Bunch(data=np.zeros((5, 1)), target=np.zeros(5, dtype=int), train_size=3, groups=None, name="s")
    with pytest.raises(ValueError, match="labelled 0 and rows labelled 1"):
        check_series(series)
    series.target = np.array([0, 0, 0, 0, 1])
    check_series(series)
    series.train_size = 6
    with pytest.raises(ValueError, match="train_size 6"):
        check_series(series)
