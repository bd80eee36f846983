"""A model whose pictures say what they were drawn from: run as a lab's."""

import json
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from troubled_lab import Data, load

from neurosweep import Experiment, Objective

__all__ = ["Data", "load"]

PEAK = 2
"""Epoch of the best score."""


class Drawn(pl.LightningModule):
    """Counts the epochs that its weights were trained; its score is best after `PEAK`.

    Args:
        level: Height of the score; those of 1 are poor and are pruned.
        trouble: `raises` or `dies`: what happens when it is drawn.
    """

    def __init__(self, *, level: int, trouble: str = "none") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("epochs_trained", torch.zeros(1))

    def training_step(self, batch, batch_index):
        return (self.weight - 1).square().sum()

    def on_validation_epoch_start(self):
        self.epochs_trained += 1

    def validation_step(self, batch, batch_index):
        self.log("val/score", float(self.hparams.level) - 0.1 * (self.current_epoch - PEAK) ** 2)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Note:
    """Stands for a matplotlib Figure, and writes down what it shows."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def savefig(self, path: Path, **options: Any) -> None:
        Path(path).write_text(json.dumps(self._content), encoding="utf-8")


def draw(module: Drawn, data_module: Data, curves: dict[str, list[tuple[int, float]]]) -> dict[str, Note]:
    trouble = module.hparams["trouble"]
    if trouble == "raises":
        raise RuntimeError("nothing to see")
    if trouble == "dies":
        os._exit(1)
    content = {
        "level": module.hparams["level"],
        "training": module.training,
        "epochs_trained": module.get_buffer("epochs_trained").item(),
        "curve": curves["val/score"],
        "process": os.getpid(),
    }
    return {"first": Note(content), "second": Note(content)}


def space(trial):
    trial.suggest_int("model.level", 1, 9)
    trial.suggest_categorical("model.trouble", ["none", "raises", "dies"])


PUBLISHED = [
    {"model.level": 5, "model.trouble": "none"},
    {"model.level": 6, "model.trouble": "raises"},
    {"model.level": 7, "model.trouble": "dies"},
    {"model.level": 1, "model.trouble": "none"},
    {"model.level": 5, "model.trouble": "none"},
    {"model.level": 8, "model.trouble": "none"},
    {"model.level": 9, "model.trouble": "none"},
]
EXPERIMENT = Experiment(
    name="drawn",
    summary="Pictures that are known",
    module="drawn_lab:Drawn",
    data_module="drawn_lab:Data",
    load="drawn_lab:load",
    space="drawn_lab:space",
    objectives=(Objective("val/score", "maximize"),),
    published="drawn_lab:PUBLISHED",
    mutable=("model.level",),
    figures="drawn_lab:draw",
)
