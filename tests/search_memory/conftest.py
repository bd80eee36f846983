"""Sweeps without Ray: their memory over real journals and databases."""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neurosweep.config import SearchConfig, SweepConfig
from neurosweep.experiments import Experiment, Objective
from neurosweep.layout import SweepFolder
from neurosweep.search.earlier import EarlierTrials
from neurosweep.search.memory import SweepMemory
from neurosweep.search.study import open_study

EPOCHS = 14


@dataclass(frozen=True)
class Drawer:
    """A sweep's folder and configuration; `open` is what a driver does when it starts."""

    experiment: Experiment
    config: SweepConfig
    folder: SweepFolder

    def open(self, *, earlier: EarlierTrials | None = None, **experiment: Any) -> SweepMemory:
        chosen = dataclasses.replace(self.experiment, **experiment)
        study = open_study(self.config, self.folder, chosen.objectives)
        return SweepMemory(study, chosen, self.config, earlier)


@pytest.fixture(autouse=True, scope="session")
def _spaces() -> Iterator[None]:
    """Make `memory_spaces` importable by its name, as a lab's own module is."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write journals without waiting for the disk: no test here pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def make_sweep(tmp_path: Path) -> Callable[..., Drawer]:
    """Make a sweep; `search` and `sweep` replace settings, `experiment` parts of the experiment."""

    def make(
        *,
        name: str = "drawer",
        search: dict[str, Any] | None = None,
        experiment: dict[str, Any] | None = None,
        **sweep: Any,
    ) -> Drawer:
        parts: dict[str, Any] = {
            "name": "memory",
            "summary": "A space alone",
            "module": "memory_spaces:none",
            "data_module": "memory_spaces:none",
            "load": "memory_spaces:none",
            "space": "memory_spaces:space",
            "objectives": (Objective("val/loss", "minimize"),),
            **(experiment or {}),
        }
        folder = SweepFolder(tmp_path / name)
        folder.root.mkdir()
        chosen = SearchConfig(**{"sampler": "random", "pruner": "none", "trials": 6, **(search or {})})
        settings: dict[str, Any] = {"trainer": {"max_epochs": EPOCHS}, **sweep}
        return Drawer(Experiment(**parts), SweepConfig("memory", name, search=chosen, **settings), folder)

    return make
