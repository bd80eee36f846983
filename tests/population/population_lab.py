"""Noisy descent, whose best learning rate falls as training goes on; copied into a test's folder and run as a lab's."""

from dataclasses import dataclass, field

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurosweep import Experiment, Objective

DIMENSIONS = 64


@dataclass(frozen=True)
class Steps:
    values: np.ndarray = field(default_factory=lambda: np.zeros((8, 1), dtype="float32"))


def load() -> Steps:
    return Steps()


class Data(pl.LightningDataModule):
    def __init__(self, data: Steps, *, seed: int = 0) -> None:
        super().__init__()
        self._set = TensorDataset(torch.tensor(data.values))
        self.model_arguments = {"split": seed}

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=1, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=8)


class NoisyDescent(pl.LightningModule):
    """Half the squared distance from 0, with gradients of unit noise: a large rate gets near, a small one nearer.

    `breaks_above` makes training diverge in epoch 3 for learning rates above it.
    """

    def __init__(
        self, *, split: int, learning_rate: float = 0.1, momentum: float = 0.0, width: int = 1,
        schedule: str = "none", breaks_above: float = 1e9, epoch_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.save_hyperparameters()
        self.position = torch.nn.Parameter(torch.full((DIMENSIONS,), 10.0) + 0.1 * torch.randn(DIMENSIONS))

    def training_step(self, batch, batch_index):
        if self.hparams.epoch_seconds and batch_index == 0:
            import time

            time.sleep(self.hparams.epoch_seconds)
        return 0.5 * self.position.square().sum() + (torch.randn(DIMENSIONS) * self.position).sum()

    def validation_step(self, batch, batch_index):
        score = float(self.position.square().mean())
        broken = self.hparams.learning_rate > self.hparams.breaks_above and self.current_epoch == 3
        self.log("val/error", float("nan") if broken else score)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(
            self.parameters(), lr=self.hparams.learning_rate, momentum=self.hparams.momentum
        )
        if self.hparams.schedule == "none":
            return optimizer
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)]


def space(trial):
    trial.suggest_float("model.learning_rate", 1e-3, 1.0, log=True)
    trial.suggest_float("model.momentum", 0.0, 0.5)
    trial.suggest_int("model.width", 1, 8)


EXPERIMENT = Experiment(
    name="noisy-descent",
    summary="Descent with noise",
    module="population_lab:NoisyDescent",
    data_module="population_lab:Data",
    load="population_lab:load",
    space="population_lab:space",
    objectives=(Objective("val/error", "minimize"),),
    mutable=("model.learning_rate", "model.momentum"),
)
