"""Models that get into trouble, each in its own way: copied into a test's folder and run as a lab's."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurosweep import Experiment, Objective


@dataclass(frozen=True)
class Nothing:
    values: np.ndarray = field(default_factory=lambda: np.zeros((8, 1), dtype="float32"))


def load() -> Nothing:
    return Nothing()


class Data(pl.LightningDataModule):
    def __init__(self, data: Nothing) -> None:
        super().__init__()
        self._set = TensorDataset(torch.tensor(data.values))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=8)


class Troubled(pl.LightningModule):
    """Counts epochs, and meets `trouble` in epoch 2."""

    def __init__(self, *, trouble: str = "none", epoch_seconds: float = 0.0, marker: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_index):
        time.sleep(self.hparams.epoch_seconds / 2)
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, batch_index):
        value = float(self.current_epoch)
        if self.current_epoch == 2:
            value = self._meet(self.hparams.trouble, value)
        self.log("val/score", value)

    def _meet(self, trouble: str, value: float) -> float:
        if trouble == "raises":
            raise ValueError("the spikes are upside down")
        if trouble == "diverges":
            return float("nan")
        if trouble == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB")
        if trouble == "dies_once" and not Path(self.hparams.marker).exists():
            Path(self.hparams.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "full_disk":
            raise OSError(28, "No space left on device")
        return value

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def space(trial):
    trial.suggest_categorical("model.trouble", ["none", "raises", "diverges", "memory"])


PUBLISHED = [{"model.trouble": one} for one in ("none", "raises", "diverges", "memory")]
EXPERIMENT = Experiment(
    name="troubled",
    summary="Trials in trouble",
    module="troubled_lab:Troubled",
    data_module="troubled_lab:Data",
    load="troubled_lab:load",
    space="troubled_lab:space",
    objectives=(Objective("val/score", "maximize"),),
    published="troubled_lab:PUBLISHED",
)
