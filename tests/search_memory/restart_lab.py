"""A sweep without Ray in processes that die while they write: prints as JSON what became of its trials.

Started as a script: `restart_lab.py FOLDER KILLS CASE...`. Each life is forked from this process, so that no life
pays for the imports, and dies at a write to the journal that the seed of its case decides: before the write, in the
middle of the line, after it with the lock still held, or after it.
"""

import json
import math
import os
import random
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from neurosweep.config import SearchConfig, SweepConfig
from neurosweep.experiments import Experiment, Objective
from neurosweep.layout import SweepFolder
from neurosweep.naming import Failure
from neurosweep.search import study as study_module
from neurosweep.search.memory import SweepMemory
from neurosweep.search.study import open_study

EPOCHS = 9
LOSS, SIZE = Objective("val/loss", "minimize"), Objective("val/size", "minimize")


def toy_space(trial: Any) -> None:
    trial.suggest_float("model.gain", -3.0, 3.0)
    trial.suggest_float("model.rate", 1e-4, 1e-1, log=True)
    if trial.suggest_categorical("model.kind", ["plain", "wide", "deep"]) != "plain":
        trial.suggest_int("model.width", 8, 64, log=True)


def numeric_space(trial: Any) -> None:
    trial.suggest_float("model.gain", -3.0, 3.0)
    trial.suggest_float("model.rate", 1e-4, 1e-1, log=True)
    trial.suggest_int("model.depth", 1, 6)


def loss(parameters: dict[str, Any], epoch: int) -> float:
    """A loss that falls to a floor, at a speed of its own."""
    floor = (parameters["model.gain"] - 1) ** 2 + parameters.get("model.width", 30) / 64
    speed = 0.1 + abs(math.log10(parameters["model.rate"]) + 2) / 3
    return floor + 3 * math.exp(-speed * epoch)


CASES: dict[str, dict[str, Any]] = {
    **{f"tpe-{pruner}": {"pruner": pruner} for pruner in ("successive_halving", "hyperband", "median")},
    "random-hyperband": {"sampler": "random", "pruner": "hyperband"},
    "gp-median": {"sampler": "gp", "pruner": "median", "trials": 9},
    "cmaes-successive_halving": {
        "sampler": "cmaes",
        "pruner": "successive_halving",
        "space": "numeric_space",
    },
    "qmc-median": {"sampler": "qmc", "pruner": "median"},
    "nsga2-hyperband": {
        "sampler": "nsga2",
        "pruner": "hyperband",
        "objectives": (LOSS, SIZE),
        "prune_on": LOSS,
    },
    "tpe-two-objectives": {"pruner": "median", "objectives": (LOSS, SIZE), "prune_on": SIZE},
}


def open_memory(case: str, root: Path) -> SweepMemory:
    settings = dict(CASES[case])
    experiment = Experiment(
        name="toy",
        summary="A space alone",
        module="restart_lab:none",
        data_module="restart_lab:none",
        load="restart_lab:none",
        space=f"restart_lab:{settings.pop('space', 'toy_space')}",
        objectives=settings.pop("objectives", (LOSS,)),
        prune_on=settings.pop("prune_on", None),
    )
    search = SearchConfig(
        **{
            "trials": 24,
            "min_epochs": 2,
            "startup_trials": 4,
            "generation_size": 4,
            "reduction_factor": 2,
            **settings,
        }
    )
    config = SweepConfig("toy", case, search=search, trainer={"max_epochs": EPOCHS}, seed=11)
    return SweepMemory(open_study(config, SweepFolder(root), experiment.objectives), experiment, config)


def drive(memory: SweepMemory) -> None:
    """Run what is left in one slot; a trial that was under way repeats its last epoch, as from its checkpoint."""
    while (assignment := memory.next()) is not None:
        number, parameters = assignment.number, dict(assignment.parameters)
        if parameters["model.gain"] < -2.3:
            memory.fail(number, Failure.DIVERGED, "too far left")
            continue
        if parameters["model.gain"] > 2.3:
            memory.fail(number, Failure.OUT_OF_MEMORY, "too far right")
            continue
        size = float(parameters.get("model.width", 4)) + parameters["model.rate"]
        for epoch in range(max(0, len(memory.record(number).curve) - 1), EPOCHS):
            value = loss(parameters, epoch)
            judged = size if memory.objectives == (LOSS, SIZE) and "two" in memory.study.study_name else None
            if memory.report(number, epoch=epoch, value=value, judged=judged):
                memory.prune(number)
                break
        else:
            memory.complete(number, (value, size)[: len(memory.objectives)])


def die_at_write(count: int, how: str) -> None:
    """Let this process be killed at its write number `count`."""
    whole = study_module.SweepJournal.append_logs
    writes = 0

    def append_logs(self: study_module.SweepJournal, logs: list[dict[str, Any]]) -> None:
        nonlocal writes
        writes += 1
        if writes < count:
            whole(self, logs)
            return
        if how in ("half a line", "lock held"):
            self._lock.acquire()
            text = "\n".join(json.dumps(log, separators=(",", ":")) for log in logs) + "\n"
            with open(self._file_path, "a", encoding="utf-8") as file:
                file.write(text[: len(text) // 2] if how == "half a line" else text)
        elif how == "after":
            whole(self, logs)
        os.kill(os.getpid(), signal.SIGKILL)

    study_module.SweepJournal.append_logs = append_logs  # type: ignore[method-assign]


def live(case: str, root: Path, death: tuple[int, str] | None) -> bool:
    """Run a driver in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if death is not None:
                die_at_write(*death)
            drive(open_memory(case, root))
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"{case}: a driver failed"
    return os.WIFSIGNALED(status)


def run(case: str, root: Path, kills: int) -> dict[str, Any]:
    root.mkdir(parents=True)
    chance = random.Random(f"kills of {case}")
    killed = 0
    for _ in range(kills):
        writes = 2 * CASES[case].get("trials", 24)
        death = (chance.randint(2, writes), chance.choice(["before", "half a line", "lock held", "after"]))
        killed += live(case, root, death)
    live(case, root, None)
    trials = [
        [one.number, one.parameters, one.status, one.values, sorted(one.curve.items()), one.seed, one.failure]
        for one in open_memory(case, root).records()
    ]
    return {"killed": killed, "trials": trials}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    study_module.DEAD_LOCK_SECONDS = 0.05
    os.fsync = lambda file: (
        None
    )  # a killed process leaves what it wrote to the kernel; a disk is not at stake
    import torch

    torch.set_num_threads(1)
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({case: run(case, folder / case, kills) for case in sys.argv[3:]}))
