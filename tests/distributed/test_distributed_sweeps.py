"""Two workers a trial against one: the same sweep twice, with a pruned trial, one that raises and one that dies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurosweep import load_model

WORKERS = {"one": 1, "two": 2}
SAME = {"abs": 1e-4}


@pytest.fixture(scope="module")
def swept(make_bench):
    """A bench with the sweeps `one` and `two`, and the states of the placement groups at the end of each."""
    bench = make_bench("distributed")
    here = Path(__file__).parent
    (bench.folder / "distributed_lab.py").write_text(
        (here / "distributed_lab.py").read_text("utf-8"), "utf-8"
    )
    states = {}
    for name, workers in WORKERS.items():
        answer = bench.folder / f"{name}.json"
        path = os.pathsep.join([str(bench.folder), os.environ.get("PYTHONPATH", "")])
        process = subprocess.run(
            [sys.executable, str(here / "distributed_sweep.py"), name, str(workers), str(answer)],
            cwd=bench.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        states[name] = json.loads(answer.read_text("utf-8"))
    return bench, states


@pytest.mark.parametrize("name", WORKERS)
def test_trials_end_as_they_should(swept, name):
    bench, _ = swept
    tags = [run.data.tags for _, run in sorted(bench.trials(name).items())]
    assert [one["neurosweep.status"] for one in tags] == ["completed", "pruned", "failed", "completed"]
    assert [one["neurosweep.attempt"] for one in tags] == ["1", "1", "1", "2"]
    assert tags[2]["neurosweep.failure"] == "raised"
    assert "the spikes are upside down" in tags[2]["neurosweep.failure_message"]


def test_two_workers_give_the_validation_metrics_of_one(swept):
    bench, _ = swept
    epochs = {0: 4, 1: 2, 2: 2, 3: 4}
    largest = 0.0
    for number, expected in epochs.items():
        one, two = (bench.history(bench.trials(name)[number], "val/mse") for name in WORKERS)
        assert [epoch for epoch, _ in two] == list(range(expected))
        assert two == [(epoch, pytest.approx(value, **SAME)) for epoch, value in one]
        largest = max([largest, *(abs(a[1] - b[1]) for a, b in zip(one, two, strict=True))])
    print(f"largest difference: {largest:.2g}")


def test_workers_draw_noise_of_their_own_in_training(swept):
    bench, _ = swept
    alone, mean = (dict(bench.history(bench.trials(name)[0], "train/noise")) for name in WORKERS)
    # What is logged under `train/` is the mean over the workers, and rank 0 draws what a single worker draws.
    for epoch, first in alone.items():
        second = 2 * mean[epoch] - first
        assert 0 <= second < 1
        assert abs(second - first) > 1e-3


def test_workers_validate_with_the_noise_of_rank_0(swept):
    bench, _ = swept
    run = bench.trials("two")[0]
    assert bench.history(run, "val/noise") == bench.history(bench.trials("one")[0], "val/noise")
    # The same number again, but as a mean over the workers.
    means = bench.history(run, "train/validation_noise")
    assert means == [(epoch, pytest.approx(value)) for epoch, value in bench.history(run, "val/noise")]


def test_no_placement_group_is_left(swept):
    _, states = swept
    assert set(states["two"]) == {"REMOVED"}
    # One of Tune's, and one of Ray Train's for each of the five attempts.
    assert len(states["two"]) >= 6


def test_checkpoints_load_as_those_of_one_worker(swept, monkeypatch):
    bench, _ = swept
    monkeypatch.syspath_prepend(str(bench.folder))
    for number in (0, 1, 3):
        one, two = (
            load_model(next(bench.trial_file(name, number, "").glob("best-*.ckpt"))).state_dict()
            for name in WORKERS
        )
        assert list(one) == list(two)
        for name, weights in one.items():
            assert weights.numpy() == pytest.approx(two[name].numpy(), **SAME)
