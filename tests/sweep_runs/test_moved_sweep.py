"""A sweep whose folder is looked at from elsewhere, was moved, or lost its data or its experiment."""

import json
import os
import shutil
import threading

import pytest

from neurosweep.layout import SweepFolder
from neurosweep.sweeps.lease import driver_lease, is_owned


@pytest.fixture
def moved(finished, make_bench, monkeypatch):
    """A copy of a finished sweep in another storage, and a bench in an empty folder."""
    bench, _ = finished
    elsewhere = make_bench("elsewhere")
    storage = elsewhere.folder / "kept"
    shutil.copytree(bench.storage, storage)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(bench.folder), os.environ.get("PYTHONPATH", "")]))
    return elsewhere, storage


def test_resume_and_doctor_work_where_the_sweep_lies_not_where_they_are_started(moved):
    bench, storage = moved
    before = sorted(path.name for path in bench.folder.iterdir())
    for arguments in (("resume", "first", "--trials", "9"), ("doctor",)):
        code, output = bench.run(*arguments, "--storage", str(storage))
        assert code == 0, output
    assert sorted(path.name for path in bench.folder.iterdir()) == before
    assert (storage / "first" / "trials" / "0008" / "metrics.jsonl").exists()
    assert "9/9" in bench.run("status", "--storage", str(storage))[1]


def test_a_sweep_is_not_continued_on_other_data(moved):
    bench, storage = moved
    provenance = storage / "first" / "provenance.json"
    content = json.loads(provenance.read_text(encoding="utf-8"))
    provenance.write_text(json.dumps({**content, "data_hash": "of other recordings"}), encoding="utf-8")
    code, output = bench.run("resume", "first", "--trials", "9", "--storage", str(storage))
    assert code == 2, output
    assert "The data has changed since the sweep `first` began" in output
    assert "--warm-start first" in output


def test_a_sweep_whose_experiment_is_gone_does_not_hide_the_others(moved):
    bench, storage = moved
    shutil.copytree(storage / "first", storage / "broken")
    config = storage / "broken" / "sweep.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("my_lab:EXPERIMENT", "gone:EXPERIMENT"))
    code, output = bench.run("status", "--storage", str(storage))
    assert code == 0, output
    assert "`gone:EXPERIMENT` cannot be imported" in output
    assert "8/8" in output
    code, output = bench.run("doctor", "--storage", str(storage))
    assert code == 1, output
    assert "sweep first: finished; MLflow agrees" in output


def test_somebody_who_looks_at_a_sweep_does_not_keep_its_driver_from_starting(tmp_path):
    folder = SweepFolder(tmp_path)
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            is_owned(folder)

    watcher = threading.Thread(target=poll)
    watcher.start()
    try:
        for _ in range(100):
            with driver_lease(folder):
                pass
    finally:
        over.set()
        watcher.join()
