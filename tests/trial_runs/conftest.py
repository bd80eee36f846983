"""Trials run in this process, without Ray: what they send is collected, and they can be killed at will."""

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from neurosweep.experiments import Experiment
from neurosweep.layout import TrialFolder
from neurosweep.trials.run import EPOCHS, Ending, run_trial
from neurosweep.trials.setup import Pace, TrialSetup

SEED = 7
EVERY_EPOCH = Pace(checkpoint_share=float("inf"), report_seconds=0.0)


class Killed(BaseException):
    """What a kill looks like from inside: no handler of ordinary errors sees it."""


@dataclass
class Workbench:
    """One trial of one sweep folder, run as often as a test likes."""

    experiment: Experiment
    root: Path
    epochs: int
    model: dict[str, Any] = field(default_factory=dict)
    pace: Pace = EVERY_EPOCH
    trainer: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def setup(self) -> TrialSetup:
        trainer = {"max_epochs": self.epochs, **self.trainer}
        return TrialSetup(
            experiment=self.experiment,
            sweep_root=self.root,
            fixed={"model": self.model, "data": self.data, "trainer": trainer},
            data_hash="none",
            cpus=1.0,
            gpus=0.0,
            pace=self.pace,
        )

    @property
    def folder(self) -> TrialFolder:
        return self.setup.folder(0)

    def run(self, after_report: Callable[[int], None] = lambda epoch: None) -> Ending:
        """Run the trial; each report passes through JSON, as it does on its way to the driver."""

        def send(result: dict[str, Any]) -> None:
            for report in json.loads(json.dumps(result[EPOCHS])):
                self.reports.append(report)
            after_report(self.reports[-1]["epoch"])

        import trial_lab

        assignment = {"number": 0, "parameters": {}, "seed": SEED}
        return run_trial(assignment, setup=self.setup, data=trial_lab.load(), send=send)

    def run_killed_after(self, epoch: int) -> Ending:
        """Run the trial, kill it after the report of an epoch, and run it again."""

        def die(reported: int) -> None:
            if reported == epoch:
                raise Killed

        with pytest.raises(Killed):
            self.run(die)
        return self.run()

    def last_state(self) -> dict[str, Any]:
        return torch.load(self.folder.last_checkpoint, weights_only=True)

    def told(self) -> dict[int, dict[str, Any]]:
        """Every report by epoch, without its clock: two reports of one epoch must say the same."""
        by_epoch: dict[int, dict[str, Any]] = {}
        for report in self.reports:
            points = [one[:3] for one in report["points"] if not one[0].startswith("cost/")]
            told = {**report, "points": points}
            assert by_epoch.setdefault(report["epoch"], told) == told, "an epoch was reported in two versions"
        return by_epoch


@pytest.fixture(scope="module")
def lab() -> Iterator[Any]:
    """The module `trial_lab`, importable by its name as a lab's own is."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield importlib.import_module("trial_lab")
    sys.path.remove(folder)


@pytest.fixture(autouse=True, scope="module")
def _own_process() -> Iterator[None]:
    """Undo what a worker does to its own process."""
    visible, threads = os.environ.get("CUDA_VISIBLE_DEVICES"), torch.get_num_threads()
    gc.freeze()  # every trial collects garbage at its end, and all that is imported here need not be searched
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


@pytest.fixture(scope="module")
def make_learner(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Workbench]:
    """Make a trial of the learner in a folder of its own."""

    def make(name: str, *, epochs: int, pace: Pace = EVERY_EPOCH, **model: Any) -> Workbench:
        return Workbench(lab.LEARNER, tmp_path_factory.mktemp(name), epochs=epochs, model=model, pace=pace)

    return make


@pytest.fixture
def make_scripted(lab: Any, tmp_path: Path) -> Callable[..., Workbench]:
    """Make a trial that logs the scores given."""

    def make(*scores: float, pace: Pace = EVERY_EPOCH, **model: Any) -> Workbench:
        model = {"scores": scores, **model}
        return Workbench(lab.SCRIPTED, tmp_path, epochs=len(scores), model=model, pace=pace)

    return make
