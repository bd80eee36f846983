"""A linear model whose batches are uneven, and troubles that befall the last worker of a trial only."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurosweep import Experiment, Objective

TRIALS = 105
"""With a batch of 32 the last batch has 9 trials, which two workers cannot divide evenly."""


@dataclass(frozen=True)
class Recording:
    rates: np.ndarray
    velocity: np.ndarray


def load() -> Recording:
    draw = np.random.default_rng(0)
    rates = draw.normal(size=(TRIALS + 26, 6))
    velocity = rates @ draw.normal(size=(6, 2)) + draw.normal(size=(TRIALS + 26, 2))
    return Recording(rates.astype("float32"), velocity.astype("float32"))


class Data(pl.LightningDataModule):
    def __init__(self, recording: Recording, *, batch_size: int = 32) -> None:
        super().__init__()
        everything = TensorDataset(torch.tensor(recording.rates), torch.tensor(recording.velocity))
        self.training, self.validation = torch.utils.data.random_split(everything, [TRIALS, 26])
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.training, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.validation, batch_size=8)


class Decoder(pl.LightningModule):
    """Meets `trouble` in epoch 2, on the last of its workers."""

    def __init__(self, *, learning_rate: float = 0.05, trouble: str = "none", marker: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.readout = torch.nn.Linear(6, 2)
        self.unused = torch.nn.Linear(6, 2)  # a branch that no step takes
        self._noise = 0.0

    def training_step(self, batch, batch_index):
        self._noise = torch.rand(()).item()
        loss = torch.nn.functional.mse_loss(self.readout(batch[0]), batch[1])
        self.log("train/mse", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.log("train/noise", self._noise)

    def validation_step(self, batch, batch_index):
        if self.current_epoch == 2 and self.global_rank == self.trainer.world_size - 1:
            self._meet_trouble()
        self.log("val/mse", torch.nn.functional.mse_loss(self.readout(batch[0]), batch[1]))

    def on_validation_epoch_end(self):
        noise = torch.rand(()).item()
        self.log("val/noise", noise)
        self.log("train/validation_noise", noise)

    def _meet_trouble(self):
        if self.hparams.trouble == "raises":
            raise ValueError("the spikes are upside down")
        if self.hparams.trouble == "dies_once" and not Path(self.hparams.marker).exists():
            Path(self.hparams.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def configure_optimizers(self):
        return torch.optim.SGD(self.readout.parameters(), lr=self.hparams.learning_rate)


def space(trial):
    trial.suggest_float("model.learning_rate", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("model.trouble", ["none", "raises", "dies_once"])


PUBLISHED = [
    {"model.learning_rate": 0.05, "model.trouble": "none"},
    {"model.learning_rate": 1e-4, "model.trouble": "none"},  # poor, so it is pruned
    {"model.learning_rate": 0.04, "model.trouble": "raises"},
    {"model.learning_rate": 0.06, "model.trouble": "dies_once"},
]

EXPERIMENT = Experiment(
    name="distributed",
    summary="A linear decoder on several workers",
    module="distributed_lab:Decoder",
    data_module="distributed_lab:Data",
    load="distributed_lab:load",
    space="distributed_lab:space",
    objectives=(Objective("val/mse", "minimize"),),
    published="distributed_lab:PUBLISHED",
)
