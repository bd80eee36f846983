"""Run as a script: one sweep of `distributed_lab`, and what Ray still holds when its last trial has ended.

Arguments: name, workers a trial, file for the answer.
"""

import json
import sys
from pathlib import Path

import neurosweep

name, workers, answer = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
states: list[str] = []


def look(progress) -> None:
    import ray

    if progress.finished == progress.trials:
        states[:] = [one["state"] for one in ray.util.placement_group_table().values()]


neurosweep.launch(
    "distributed_lab:EXPERIMENT",
    overrides={
        "name": name,
        "model": {"marker": str(answer.with_suffix(".died"))},
        "search": {"trials": 4, "pruner": "median", "startup_trials": 1, "min_epochs": 2},
        "resources": {"concurrency": 1, "workers_per_trial": workers},
        "trainer": {"max_epochs": 4},
    },
    observer=look,
)
answer.write_text(json.dumps(states), encoding="utf-8")
