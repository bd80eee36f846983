"""Trials that do nothing but report: what is left is the platform's own cost."""

from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurosweep import Experiment, Objective


@dataclass(frozen=True)
class Nothing:
    rows: int = 4


def load() -> Nothing:
    return Nothing()


class NoData(pl.LightningDataModule):
    def __init__(self, data: Nothing) -> None:
        super().__init__()
        self._set = TensorDataset(torch.zeros(data.rows, 1))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)


class NoModel(pl.LightningModule):
    def __init__(self, *, learning_rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_index):
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, batch_index):
        self.log_dict({"val/score": self.weight.sum(), "val/one": 1.0})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams["learning_rate"])


def space(trial):
    trial.suggest_float("model.learning_rate", 1e-3, 1e-1, log=True)


EXPERIMENT = Experiment(
    name="noop",
    summary="Trials that only report",
    module="noop_lab:NoModel",
    data_module="noop_lab:NoData",
    load="noop_lab:load",
    space="noop_lab:space",
    objectives=(Objective("val/score", "maximize"),),
)
