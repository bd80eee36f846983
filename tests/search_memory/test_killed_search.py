"""A sweep whose driver is killed ten times picks, prunes and scores the same trials as an undisturbed one."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

KILLS = 10
CASES = (
    "tpe-successive_halving",
    "tpe-hyperband",
    "tpe-median",
    "tpe-two-objectives",
    "random-hyperband",
    "gp-median",
    "cmaes-successive_halving",
    "qmc-median",
    "nsga2-hyperband",
)
"""Cases of `restart_lab.py`."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What became of the trials of every case, undisturbed and killed; in two processes that hash differently."""
    script = Path(__file__).with_name("restart_lab.py")
    processes = []
    for seed, kills in (("1", 0), ("2", KILLS)):
        command = [sys.executable, str(script), str(tmp_path_factory.mktemp("lives")), str(kills), *CASES]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=script.parent, text=True)
        )
    outputs = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [json.loads(output) for output in outputs]


@pytest.mark.parametrize("case", CASES)
def test_ten_kills_change_nothing(outcomes, case):
    undisturbed, killed = (outcome[case] for outcome in outcomes)
    assert undisturbed["killed"] == 0
    assert killed["killed"] >= KILLS - 2, "the drivers were not killed often enough to prove anything"
    assert killed["trials"] == undisturbed["trials"]
    statuses = Counter(status for _, _, status, *_ in undisturbed["trials"])
    assert statuses["completed"] > 3
    assert statuses["pruned"] > 0
