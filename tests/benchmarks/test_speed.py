"""What a score needs at least, counted, is what the formulas of the network say."""

from __future__ import annotations

from benchmarks import speed


def test_operations_of_the_anomaly_transformer():
    time, size, wide, n_channels, n_rows = speed.WINDOW, speed.MODEL_SIZE, 4 * speed.MODEL_SIZE, 3, 150
    projections = size * 3 * size + size * speed.N_HEADS + size * size  # to Q, K, V and sigma, and of their result
    layer = projections + 2 * time * size + 2 * size * wide  # the products S = QK' and SV, and the feed-forward part
    row = 3 * n_channels * size + speed.N_LAYERS * layer + size * n_channels  # a convolution embeds three rows
    build = speed.peers("cpu")["AnomalyTransformerDetector, equal size"]
    assert speed.operations(build, n_rows, n_channels) == 2 * row * time * (n_rows - time + 1)


def test_the_floor_has_a_row_for_each_of_ours(monkeypatch):
    monkeypatch.setattr(speed, "operations", lambda build, n_rows, n_channels: 5e9)
    monkeypatch.setattr(speed, "product_rate", lambda: 1e10)
    names = speed.peers("cpu")
    results = [speed.Times(name, {speed.FIT: [1.0], speed.SCORE: [2.0, 1.0, 4.0]}) for name in names]
    lines = speed.floor_table(results, 150, 3, "cpu").splitlines()[-2:]
    assert [line.split(" | ")[1:] for line in lines] == [["5", "0.50", "2.00", "4.0 |"]] * 2
    assert "DeepOD" not in "".join(lines)
