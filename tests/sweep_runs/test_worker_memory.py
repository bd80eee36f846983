"""Workers are reused: what trials leave behind is bounded, and the data is there once."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from neurosweep.trials import worker_memory
from neurosweep.trials.worker_memory import WorkerMemory

TRIALS, LEAK_MB, LIMIT_MB = 8, 80, 120
"""The second trial sets the measure; the fourth finds 160 MB more than that, and is declined."""


@pytest.fixture(scope="module")
def leaky(make_bench):
    bench = make_bench("leaky")
    shutil.copy(Path(__file__).with_name("memory_lab.py"), bench.folder)
    code, output = bench.run(
        *["launch", "memory_lab:EXPERIMENT", "--name", "leaky", "--trials", str(TRIALS)],
        *["--trainer.max_epochs", "2", "--model.leak_mb", str(LEAK_MB)],
        *["--worker-growth-mb", str(LIMIT_MB), "--pruner", "none", "--retries", "0"],
    )
    assert code == 0, output
    return bench, output


def attempts(bench, number: int) -> list[dict]:
    lines = bench.trial_file("leaky", number, "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_worker_that_leaks_is_replaced_and_no_trial_pays_for_it(leaky):
    bench, output = leaky
    runs = bench.trials("leaky")
    assert {number: run.info.status for number, run in runs.items()} == dict.fromkeys(
        range(TRIALS), "FINISHED"
    )
    assert {run.data.tags["neurosweep.attempt"] for run in runs.values()} == {"1"}
    served = Counter(one["pid"] for number in range(TRIALS) for one in attempts(bench, number))
    assert sum(served.values()) == TRIALS, "every trial was begun once"
    assert max(served.values()) == 3
    assert "goes to a fresh worker" in output


def test_the_data_lies_in_the_object_store_and_no_worker_copies_it(leaky):
    bench, _ = leaky
    for run in bench.trials("leaky").values():
        assert run.data.metrics["val/total"] == 200 // 8 * 1_000_000
        assert run.data.metrics["val/in_shared_memory"] == 1.0
        assert run.data.metrics["val/grown_mb"] < 20


def test_an_array_of_ones_own_is_known_for_what_it_is(lab_memory):
    assert "/dev/shm" not in lab_memory.mapped_file(np.ones(1_000_000))


@pytest.fixture
def lab_memory(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import memory_lab

    return memory_lab


def test_the_first_trial_is_no_measure_and_what_can_be_freed_is_no_growth(monkeypatch):
    held = [100.0]
    monkeypatch.setattr(worker_memory, "_held_mb", lambda: held[0])
    monkeypatch.setattr(worker_memory, "free_memory", lambda: held.__setitem__(0, min(held[0], 900.0)))
    memory = WorkerMemory()
    assert memory.excess_before_trial(50.0) is None
    held[0] = 800.0  # the libraries
    assert memory.excess_before_trial(50.0) is None
    held[0] = 850.0
    assert memory.excess_before_trial(50.0) is None
    held[0] = 2000.0  # of which all but 900 can be freed
    assert memory.excess_before_trial(100.0) is None
    held[0] = 2000.0
    assert memory.excess_before_trial(50.0) == 100.0
