"""Save and load
=============

Save a fitted detector, load it in another process, and see a damaged file refused.

Run ``python examples/save_and_load.py``; it takes a few seconds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import timesad
from timesad import NearestWindowsDetector
from timesad.datasets import make_anomalous_series
from timesad.exceptions import FileFormatError

series = make_anomalous_series(n_rows=2000, period=25, random_state=1)
train, new = np.split(series.data, [series.train_size])
detector = NearestWindowsDetector(window_size=50).fit(train)

SCORE = """
import sys, numpy as np, timesad
np.save(sys.argv[3], timesad.load(sys.argv[1]).decision_function(np.load(sys.argv[2])))
"""

with tempfile.TemporaryDirectory() as folder:
    model, rows, scores = (Path(folder, name) for name in ("pump.safetensors", "rows.npy", "scores.npy"))
    detector.save(model)
    np.save(rows, new)
    print(f"saved {type(detector).__name__}: {model.stat().st_size / 1000:.0f} kB")

    subprocess.run([sys.executable, "-c", SCORE, str(model), str(rows), str(scores)], check=True)
    close = np.allclose(np.load(scores), detector.decision_function(new), atol=1e-4)
    print(f"loaded in another process; the same scores: {close}")

    damaged = bytearray(model.read_bytes())
    damaged[len(damaged) // 2] ^= 1  # one bit
    model.write_bytes(damaged)
    try:
        timesad.load(model)
    except FileFormatError as error:
        print(f"one flipped bit: {str(error).partition(': ')[2]}")
