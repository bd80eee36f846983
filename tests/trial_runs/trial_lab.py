"""A small model whose training depends on everything that a resume must bring back, and one that follows a script."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from neurosweep import Experiment, Objective


@dataclass(frozen=True)
class Recording:
    rates: np.ndarray = field(default_factory=lambda: np.random.default_rng(0).normal(size=(24, 5)))


def load(*, gain: float = 1.0, shared: int = 1) -> Recording:
    return Recording(gain * np.random.default_rng(0).normal(size=(24, 5)))


class Noisy(Dataset):
    """Adds noise where a sample is fetched."""

    def __init__(self, samples: TensorDataset) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        rates, target = self.samples[index]
        return rates + 0.1 * torch.randn(5), target


class Stream(IterableDataset):
    """Samples in an order that it draws by itself."""

    def __init__(self, samples: TensorDataset) -> None:
        self.samples = samples

    def __iter__(self) -> Any:
        return (self.samples[int(index)] for index in torch.randperm(len(self.samples)))


class Data(pl.LightningDataModule):
    def __init__(
        self,
        recording: Recording,
        *,
        batch_size: int = 8,
        shared: int = 1,
        loader: str = "shuffled",
        workers: int = 0,
    ) -> None:
        super().__init__()
        rates = torch.tensor(recording.rates, dtype=torch.float32)
        self._set = TensorDataset(rates, rates.sum(dim=1, keepdim=True))
        self._batch_size = batch_size
        self._loader, self._workers = loader, workers

    def train_dataloader(self) -> DataLoader:
        size, kept = self._batch_size, {"num_workers": self._workers}
        match self._loader:
            case "noisy":
                return DataLoader(Noisy(self._set), batch_size=size, shuffle=True, **kept)
            case "stream":
                return DataLoader(Stream(self._set), batch_size=size, **kept)
            case "batches":
                batches = BatchSampler(RandomSampler(self._set), size, drop_last=False)
                return DataLoader(self._set, batch_sampler=batches, **kept)
            case "weighted":
                weighted = WeightedRandomSampler([1.0] * len(self._set), len(self._set))
                return DataLoader(self._set, batch_size=size, sampler=weighted, **kept)
            case "subset":
                return DataLoader(self._set, batch_size=size, sampler=SubsetRandomSampler(range(20)), **kept)
        return DataLoader(self._set, batch_size=size, shuffle=True, **kept)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self._set, batch_size=24)


class Learner(pl.LightningModule):
    """Dropout, batch statistics, Adam's moments, noise and, if asked for, a learning rate that changes."""

    LIVING: ClassVar["weakref.WeakSet[Learner]"] = weakref.WeakSet()

    def __init__(self, *, scheduler: str = "none", averaged: bool = False, extra: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self._scheduler, self._averaged = scheduler, averaged
        self.network = torch.nn.Sequential(
            torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)
        )
        Learner.LIVING.add(self)

    def configure_callbacks(self):
        return [EMAWeightAveraging(decay=0.5)] if self._averaged else []

    def forward(self, rates):
        return self.network(rates)

    def training_step(self, batch, batch_index):
        rates, target = batch
        noisy = rates + 0.1 * torch.randn_like(rates)
        loss = torch.nn.functional.mse_loss(self.network(noisy), target)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_index):
        self.log("val/mse", torch.nn.functional.mse_loss(self.network(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        if self._scheduler == "none":
            return optimizer
        if self._scheduler == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=0.5, patience=0, threshold=0.5
            )
            chosen = {"scheduler": plateau, "monitor": "val/mse"}
        else:
            halving = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
            chosen = {"scheduler": halving, "interval": self._scheduler}
        return {"optimizer": optimizer, "lr_scheduler": chosen}


class Scripted(pl.LightningModule):
    """Logs `scores`, one an epoch; its weight counts the epochs that it was trained.

    Args:
        scores: What to log; an epoch whose score is None logs nothing.
        log_as: Name of the metric.
        patience: Stop so many epochs after the best one; -1 never.
    """

    def __init__(
        self, *, scores: Sequence[float | None] = (0.0,), log_as: str = "val/score", patience: int = -1
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self._scores, self._log_as, self._patience = scores, log_as, patience
        self.epochs_trained = torch.nn.Parameter(torch.zeros(1))

    def configure_callbacks(self):
        if self._patience < 0:
            return []
        return [EarlyStopping(self._log_as, patience=self._patience, mode="max")]

    def training_step(self, batch, batch_index):
        return -self.epochs_trained.sum()

    def on_train_epoch_end(self):
        self.epochs_trained.data.fill_(float(self.current_epoch + 1))

    def validation_step(self, batch, batch_index):
        score = self._scores[self.current_epoch]
        if score is not None:
            self.log(self._log_as, float(score))
        if self.current_epoch == 0:
            self.log("val/only_once", 1.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def space(trial):
    trial.suggest_int("data.batch_size", 8, 16)


LEARNER = Experiment(
    name="learner",
    summary="Everything that a resume must bring back",
    module="trial_lab:Learner",
    data_module="trial_lab:Data",
    load="trial_lab:load",
    space="trial_lab:space",
    objectives=(Objective("val/mse", "minimize"),),
)
SCRIPTED = Experiment(
    name="scripted",
    summary="Scores by a script",
    module="trial_lab:Scripted",
    data_module="trial_lab:Data",
    load="trial_lab:load",
    space="trial_lab:space",
    objectives=(Objective("val/score", "maximize"),),
)
