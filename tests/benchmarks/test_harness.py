from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks.command import _place
from benchmarks.contract import PROTOCOLS, SEMI_SUPERVISED, UNSUPERVISED, Method, Settings
from benchmarks.harness import NO_ISOLATION, PROCESS_ISOLATION, collect, plan, run_cells, write_record
from benchmarks.measure import measure

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = Settings(window=10, smoothing=8)
PATIENCE_SECONDS = 60


def _plan(methods, groups, protocols=(UNSUPERVISED,), seeds=(0,), settings=SETTINGS):
    return plan(methods, groups, protocols=protocols, seeds=seeds, settings=settings)


def _name(record):
    return record["protocol"], record["series"], record["seed"]


def _fits(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def test_plan_repeats_only_methods_that_draw(tiny_groups, toys):
    methods = [
        Method("drawn", "toy", toys.toy),
        Method("fixed", "toy", toys.toy, stochastic=False),
        Method("some", "toy", toys.toy, max_seeds=2),
    ]
    cells = _plan(methods, tiny_groups, protocols=PROTOCOLS, seeds=(0, 1, 2))
    assert len(cells) == 2 * 3 * (3 + 1 + 2)
    assert {cell.seed for cell in cells if cell.method.name == "some"} == {0, 1}
    assert {cell.seed for cell in cells if cell.method.name == "fixed"} == {0}


def test_finished_cells_are_kept_and_not_run_again(tmp_path, tiny_groups, toys):
    log = tmp_path / "fits"
    cells = _plan([Method("toy", "toy", partial(toys.logged, log=str(log)))], tiny_groups, PROTOCOLS, (0, 1))
    first = run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION)
    assert len(first) == len(_fits(log)) == len(cells)
    second = run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION)
    assert len(_fits(log)) == len(cells)
    assert {_name(r): r["raw"] for r in second} == {_name(r): r["raw"] for r in first}


def test_run_that_is_interrupted_loses_only_the_cells_in_flight(tmp_path, tiny_groups, toys):
    log = tmp_path / "fits"
    cells = _plan([Method("toy", "toy", partial(toys.logged, log=str(log)))], tiny_groups, seeds=(0, 1))

    def interrupt(record, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION, on_record=interrupt)
    finished, missing = collect(cells, tmp_path / "cells")
    assert len(finished) >= 2
    assert len(finished) + len(missing) == len(cells)
    assert len(run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION)) == len(cells)
    assert len(set(_fits(log))) <= len(_fits(log)) <= len(cells) + 1


KILLED_SCRIPT = """
    import sys
    from functools import partial
    from pathlib import Path

    import numpy as np
    from sklearn.utils import Bunch

    sys.path.insert(0, sys.argv[2])
    import toy_methods

    from benchmarks.contract import UNSUPERVISED, Method, Settings
    from benchmarks.harness import NO_ISOLATION, plan, run_cells

    rows = np.random.default_rng(0).random((60, 1))
    series = [
        Bunch(data=rows + i, target=(np.arange(60) > 50).astype(int), train_size=30, groups=None, name=f"s{i}")
        for i in range(2)
    ]
    methods = [
        Method("quick", "toy", toy_methods.toy),
        Method("slow", "toy", partial(toy_methods.slow, seconds=float(sys.argv[3]))),
    ]
    cells = plan(methods, {"g": series}, protocols=[UNSUPERVISED], seeds=[0], settings=Settings(window=10))
    run_cells(cells, Path(sys.argv[1]), isolation=NO_ISOLATION)
"""


def _wait_for_files(folder: Path, process: subprocess.Popen) -> list[Path]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        files = sorted(folder.rglob("*.json"))
        if files:
            return files
        time.sleep(0.05)
    pytest.fail("the run wrote no cell before it ended or the patience did")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_run_that_is_killed_keeps_whole_files_of_finished_cells(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(KILLED_SCRIPT), str(tmp_path), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([*command, "600"], cwd=REPOSITORY, env=environment)
    try:
        files = _wait_for_files(tmp_path, process)
    finally:
        process.kill()
        process.wait()
    assert [json.loads(file.read_text(encoding="utf-8"))["method"] for file in files] == ["quick"]


def test_cell_file_that_is_not_whole_is_run_again(tmp_path, tiny_groups, toys):
    cells = _plan([Method("toy", "toy", toys.toy)], {"one": tiny_groups["one"]})
    run_cells(cells, tmp_path, isolation=NO_ISOLATION)
    path = cells[0].path(tmp_path)
    path.write_text(path.read_text(encoding="utf-8")[:40], encoding="utf-8")
    assert collect(cells, tmp_path) == ([], cells)


def test_other_settings_parameters_or_data_make_other_cells(tiny_groups, toys):
    series = {"one": tiny_groups["one"]}
    slow = Method("toy", "toy", partial(toys.slow, seconds=0.0))

    def digest(method=slow, groups=series, settings=SETTINGS, protocol=UNSUPERVISED, seed=0):
        return _plan([method], groups, (protocol,), (seed,), settings)[0].digest()

    changed = tiny_groups["one"][0].copy()
    changed["data"] = changed["data"] + 1e-9
    digests = [
        digest(),
        digest(settings=Settings(window=11, smoothing=8)),
        digest(settings=Settings(window=10, smoothing=9)),
        digest(protocol=SEMI_SUPERVISED),
        digest(seed=1),
        digest(method=Method("toy", "toy", partial(toys.slow, seconds=0.5))),
        digest(groups={"one": [type(tiny_groups["one"][0])(**changed)]}),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(method=Method("toy", "other family", partial(toys.slow, seconds=0.0), note="a note")) == digests[0]


def test_method_that_fails_is_a_row_and_the_run_goes_on(tmp_path, tiny_groups, toys):
    methods = [
        Method("crashing", "toy", toys.crashing),
        Method("not-finite", "toy", toys.not_finite),
        Method("not-installed", "toy", toys.not_installed),
        Method("toy", "toy", toys.toy),
    ]
    cells = _plan(methods, tiny_groups)
    records = run_cells(cells, tmp_path, isolation=NO_ISOLATION)
    errors = {record["method"]: (record["status"], record["error"]) for record in records}
    assert errors["crashing"] == ("failed", "RuntimeError: toy crash")
    assert errors["not-finite"][1] == "ValueError: The method returned 7 of 300 scores that are not finite."
    assert errors["not-installed"] == ("failed", "ImportError: toy peer is not installed")
    assert errors["toy"][0] == "ok"
    assert len(records) == len(cells)


def test_failed_cells_run_again_only_when_asked(tmp_path, tiny_groups, toys):
    log = tmp_path / "fits"
    cells = _plan([Method("toy", "toy", partial(toys.logged, log=str(log)))], {"one": tiny_groups["one"]})
    record = run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION)[0]
    write_record(record | {"status": "failed", "error": "was out of luck"}, cells[0].path(tmp_path / "cells"))
    kept = run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION)
    assert [r["status"] for r in kept] == ["failed"]
    again = run_cells(cells, tmp_path / "cells", isolation=NO_ISOLATION, retry=("failed",))
    assert [r["status"] for r in again] == ["ok"]
    assert len(_fits(log)) == 2


def test_transductive_method_is_a_row_in_the_protocol_that_it_cannot_serve(tmp_path, tiny_groups, toys):
    method = Method("toy", "toy", toys.toy, transductive=True)
    records = run_cells(_plan([method], {"one": tiny_groups["one"]}, PROTOCOLS), tmp_path, isolation=NO_ISOLATION)
    statuses = {record["protocol"]: record["status"] for record in records}
    assert statuses == {SEMI_SUPERVISED: "unsupported", UNSUPERVISED: "ok"}


def test_process_isolation_survives_a_death_and_weighs_memory(tmp_path, tiny_groups, toys):
    methods = [
        Method("dying", "toy", toys.dying),
        Method("crashing", "toy", toys.crashing),
        Method("hungry", "toy", toys.hungry),
    ]
    records = run_cells(_plan(methods, {"one": tiny_groups["one"]}), tmp_path, n_jobs=2)
    of_method = {record["method"]: record for record in records}
    dying, hungry = of_method["dying"], of_method["hungry"]
    assert (dying["status"], dying["error"]) == ("failed", "the process died with exit code 3")
    assert of_method["crashing"]["error"] == "RuntimeError: toy crash"
    assert hungry["memory_peak_mb"] - hungry["memory_before_mb"] == pytest.approx(toys.Hungry.megabytes, rel=0.2)


def test_cell_that_takes_too_long_is_ended_and_is_a_row(tmp_path, tiny_groups, toys):
    method = Method("slow", "toy", partial(toys.slow, seconds=PATIENCE_SECONDS))
    (record,) = run_cells(_plan([method], {"one": tiny_groups["one"]}), tmp_path, timeout=1.0)
    assert (record["status"], record["error"]) == ("timeout", "no result within 1 s")


def test_parallel_cells_have_the_values_of_a_serial_run(tmp_path, tiny_groups, toys):
    cells = _plan([Method("toy", "toy", toys.toy)], tiny_groups)
    serial = run_cells(cells, tmp_path / "serial", isolation=NO_ISOLATION)
    parallel = run_cells(cells, tmp_path / "parallel", n_jobs=2, isolation=PROCESS_ISOLATION)
    values = [{_name(record): record["raw"] for record in records} for records in (serial, parallel)]
    assert values[0] == values[1]


def test_novelty_takes_training_scores_for_the_rows_fitted(tiny_groups, toys):
    series = tiny_groups["one"][0]
    plain, novelty = (Method("apart", "toy", toys.apart, novelty=flag) for flag in (False, True))
    settings = Settings(window=10, smoothing=8)
    values = [measure(method, series, SEMI_SUPERVISED, 0, settings)["raw"]["auc_roc"] for method in (plain, novelty)]
    # `apart` gives training rows the score 2 and new rows 1 where they are anomalous, else 0.
    assert values[0] == 1.0
    assert values[1] < 1.0


def test_novelty_changes_a_digest_only_where_it_is_set(tiny_groups, toys):
    digests = [
        _plan([Method("toy", "toy", toys.toy, novelty=flag)], {"one": tiny_groups["one"]})[0].digest()
        for flag in (False, True)
    ]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"isolation": "none"}, "isolation"),
        ({"isolation": "worker", "n_jobs": 2}, "Threads"),
        ({"timeout": 0}, "timeout"),
        ({"retry": ("lost",)}, "retry"),
    ],
)
def test_run_options_out_of_range_name_the_parameter(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_cells([], tmp_path, **arguments)


def test_plan_refuses_unknown_protocols_no_seeds_and_series_named_alike(tiny_groups, toys):
    method = Method("toy", "toy", toys.toy)
    with pytest.raises(ValueError, match="protocols"):
        _plan([method], tiny_groups, protocols=("supervised",))
    with pytest.raises(ValueError, match="seeds"):
        _plan([method], tiny_groups, seeds=())
    with pytest.raises(ValueError, match="alike"):
        _plan([method], {"one": tiny_groups["one"] * 2})


@pytest.mark.filterwarnings("default")  # those of Dask and of its event loop are not ours
def test_cells_run_on_the_workers_of_a_cluster(tmp_path, tiny_groups, toys):
    distributed = pytest.importorskip("distributed", reason="pip install distributed")
    dask = pytest.importorskip("dask")
    cells = _plan([Method("toy", "toy", toys.toy)], tiny_groups)
    expected = run_cells(cells, tmp_path / "here", isolation=NO_ISOLATION)
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        with _place(cluster.scheduler_address):
            records = run_cells(cells, tmp_path / "there", isolation=PROCESS_ISOLATION)
        assert cluster.scheduler.transition_counter >= len(cells), "the cluster had no task"
    assert {record["status"] for record in records} == {"ok"}
    assert {_name(r): r["raw"] for r in records} == {_name(r): r["raw"] for r in expected}
    assert len(collect(cells, tmp_path / "there")[0]) == len(cells)
