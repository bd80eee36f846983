"""A model whose every epoch has a known score, and which writes down, outside the sweep, each epoch it trained."""

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurosweep import Experiment, Objective


@dataclass(frozen=True)
class Nothing:
    values: np.ndarray = field(default_factory=lambda: np.zeros((4, 1), dtype="float32"))


def load() -> Nothing:
    return Nothing()


class Data(pl.LightningDataModule):
    def __init__(self, data: Nothing) -> None:
        super().__init__()
        self._set = TensorDataset(torch.tensor(data.values))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)


def true_score(parameters: dict[str, Any], epoch: int) -> float:
    """The score after an epoch, in closed form: a parabola over the epochs."""
    return parameters["model.height"] - 0.01 * (epoch - parameters["model.peak"]) ** 2


class Counting(pl.LightningModule):
    """Counts in a buffer how many epochs its weights were trained: a start from zero shows in every score.

    Args:
        height: Score at the best epoch.
        peak: The best epoch.
        colour: Changes nothing; a third thing to suggest.
        diary: File of the ground truth, one line an epoch.
        epoch_seconds: How long an epoch takes, s.
        worker_kills: `MOMENT NAME` by comma, such as `after last`: the worker kills itself around the renaming of
            the checkpoint of that name; each once a sweep.
        seed: The trial's seed: its name in the diary.
    """

    def __init__(
        self,
        *,
        height: float,
        peak: int,
        colour: str = "red",
        diary: str = "",
        epoch_seconds: float = 0.0,
        worker_kills: str = "",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("epochs_trained", torch.zeros(1, dtype=torch.float64))
        plant_worker_kills(worker_kills, Path(diary))

    def training_step(self, batch, batch_index):
        time.sleep(self.hparams.epoch_seconds)
        return (self.weight - 1).square().sum()

    def on_validation_epoch_start(self):
        epoch = int(self.epochs_trained.item())
        self.epochs_trained += 1
        write_diary(Path(self.hparams.diary), {"seed": self.hparams.seed, "epoch": epoch, "pid": os.getpid()})

    def validation_step(self, batch, batch_index):
        trained = self.epochs_trained.item() - 1
        score = self.hparams.height - 0.01 * (trained - self.hparams.peak) ** 2
        self.log("val/score", torch.tensor(score, dtype=torch.float64))
        self.log("val/trained", torch.tensor(trained, dtype=torch.float64))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def write_diary(diary: Path, entry: dict[str, Any]) -> None:
    with diary.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def plant_worker_kills(kills: str, diary: Path) -> None:
    """Wrap what this process, a worker, does after an epoch; once a process."""
    if not kills or hasattr(Path.replace, "planted"):
        return
    wanted = kills.split(",")
    replace = Path.replace

    def die_once(moment: str, name: str) -> None:
        kill = f"{moment} {name}"
        if kill not in wanted:
            return
        try:
            diary.with_name(f"{kill}.done").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def replace_or_die(path: Path, target: Any) -> Path:
        name = Path(target).name.partition("-")[0].partition(".")[0]  # `best`, `last`, `config`
        die_once("before", name)
        result = replace(path, target)
        die_once("after", name)
        return result

    replace_or_die.planted = True  # type: ignore[attr-defined]
    Path.replace = replace_or_die  # type: ignore[method-assign]
    from neurosweep.trials import run

    run_trial = run.run_trial

    def run_or_die(*arguments: Any, **keywords: Any) -> Any:
        ending = run_trial(*arguments, **keywords)
        die_once("before", "ending")
        return ending

    run.run_trial = run_or_die  # from the worker's next trial on


def space(trial):
    trial.suggest_float("model.height", 0.0, 1.0)
    trial.suggest_int("model.peak", 0, 5)
    trial.suggest_categorical("model.colour", ["red", "green"])


PUBLISHED = [
    {"model.height": 0.5, "model.peak": 2, "model.colour": "red"},
    {"model.height": 0.25, "model.peak": 3, "model.colour": "green"},
]
EXPERIMENT = Experiment(
    name="counting",
    summary="Scores that are known",
    module="chaos_lab:Counting",
    data_module="chaos_lab:Data",
    load="chaos_lab:load",
    space="chaos_lab:space",
    objectives=(Objective("val/score", "maximize"),),
    published="chaos_lab:PUBLISHED",
)
