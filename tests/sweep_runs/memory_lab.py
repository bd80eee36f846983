"""A model that leaks, and that says where its data lies: copied into a test's folder and run as a lab's."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from neurosweep import Experiment, Objective

DATA_MB = 200


@dataclass(frozen=True)
class Large:
    values: np.ndarray  # (rows, columns), 8 MB a row


def load() -> Large:
    return Large(np.ones((DATA_MB // 8, 1_000_000)))


def mapped_file(values: np.ndarray) -> str:
    """Return the file whose pages an array lies in; private memory has none."""
    address = values.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        pages, *_, last = line.split(maxsplit=5)
        start, end = (int(one, 16) for one in pages.split("-"))
        if start <= address < end:
            return last
    raise AssertionError("the array lies nowhere")


class Data(pl.LightningDataModule):
    def __init__(self, data: Large) -> None:
        super().__init__()
        process = psutil.Process()
        before = process.memory_full_info().uss
        total = sum(float(row.sum()) for row in data.values)
        grown = process.memory_full_info().uss - before
        self.model_arguments = {
            "total": total,
            "grown_mb": grown / 1e6,
            "in_shared_memory": "/dev/shm" in mapped_file(data.values),
        }
        self._set = TensorDataset(torch.zeros(4, 1))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=4)


class Leaky(pl.LightningModule):
    """Keeps `leak_mb` of every trial for ever."""

    KEPT: ClassVar[list[np.ndarray]] = []

    def __init__(
        self, *, total: float, grown_mb: float, in_shared_memory: bool, leak_mb: int = 0, rate: float = 0.1
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        Leaky.KEPT.append(np.ones(leak_mb * 125_000))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_index):
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, batch_index):
        self.log_dict(
            {
                "val/score": float(self.current_epoch),
                "val/total": self.hparams.total,
                "val/grown_mb": self.hparams.grown_mb,
                "val/in_shared_memory": float(self.hparams.in_shared_memory),
            }
        )

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)


def space(trial):
    trial.suggest_float("model.rate", 0.0, 1.0)


EXPERIMENT = Experiment(
    name="leaky",
    summary="Memory that is not given back",
    module="memory_lab:Leaky",
    data_module="memory_lab:Data",
    load="memory_lab:load",
    space="memory_lab:space",
    objectives=(Objective("val/score", "maximize"),),
)
