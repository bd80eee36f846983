"""Populations trained in this process, without Ray: the real memory and the real trials, killed at will."""

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from neurosweep.config import SweepConfig
from neurosweep.config_files import resolve_config
from neurosweep.layout import SweepFolder
from neurosweep.naming import Failure
from neurosweep.search.population.memory import PopulationMemory
from neurosweep.search.study import open_study
from neurosweep.trials.run import EPOCHS, run_trial
from neurosweep.trials.setup import TrialSetup


class Killed(BaseException):
    """Ends driver and worker at once."""


@dataclass
class Colony:
    """A population in a folder."""

    config: SweepConfig
    folder: SweepFolder

    def open(self) -> PopulationMemory:
        import population_lab

        experiment = population_lab.EXPERIMENT
        return PopulationMemory(
            open_study(self.config, self.folder, experiment.objectives), experiment, self.config, self.folder
        )

    def train(self, at_event: Callable[[int], None] = lambda event: None) -> PopulationMemory:
        """Train to the end, or until `at_event` raises: it is called before and after everything that is told."""
        import population_lab

        memory = self.open()
        events = iter(range(10**9))
        setup = TrialSetup(
            experiment=population_lab.EXPERIMENT,
            sweep_root=self.folder.root,
            fixed={"model": self.config.model, "data": self.config.data, "trainer": self.config.trainer},
            data_hash="none",
            cpus=1.0,
            gpus=0.0,
        )
        while (assignment := memory.next()) is not None:
            at_event(next(events))

            def send(result: dict[str, Any], number: int = assignment.number) -> None:
                at_event(next(events))
                for report in json.loads(json.dumps(result[EPOCHS])):
                    if report["objectives"][0] == report["objectives"][0]:
                        memory.report(number, epoch=report["epoch"], value=report["objectives"][0])
                at_event(next(events))

            ending = run_trial(asdict(assignment), setup=setup, data=population_lab.load(), send=send)
            at_event(next(events))
            if ending.failure is not None:
                memory.fail(assignment.number, Failure(ending.failure), ending.message)
            else:
                assert ending.values is not None
                memory.complete(assignment.number, ending.values)
        return memory

    def scores(self) -> list[dict[int, float]]:
        study = open_study(self.config, self.folder, self.open().objectives)
        return [trial.intermediate_values for trial in study.get_trials()]


@pytest.fixture(scope="session")
def population_lab() -> Iterator[Any]:
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield importlib.import_module("population_lab")
    sys.path.remove(folder)


@pytest.fixture(autouse=True, scope="module")
def _own_process() -> Iterator[None]:
    """Undo what a worker does to its own process."""
    visible, threads = os.environ.get("CUDA_VISIBLE_DEVICES"), torch.get_num_threads()
    gc.freeze()  # every segment collects garbage at its end, and all that is imported here need not be searched
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


@pytest.fixture(scope="module")
def make_colony(population_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Colony]:
    """Make a population with the given sections of its configuration."""

    def make(name: str, *, trials: int = 4, epochs: int = 6, seed: int = 0, **sections: Any) -> Colony:
        population = {"method": "bt_pbt", "generation_epochs": 2, **sections.pop("population", {})}
        given = {
            "name": name,
            "seed": seed,
            "storage": str(tmp_path_factory.mktemp(name)),
            "search": {"trials": trials},
            "population": population,
            "trainer": {"max_epochs": epochs},
            **sections,
        }
        config = resolve_config("population_lab:EXPERIMENT", given)
        folder = SweepFolder(Path(config.storage) / name)
        folder.root.mkdir()
        return Colony(config, folder)

    return make
