"""A model with two objectives, a constraint and a metric to prune on, all known beforehand: run as a lab's."""

import pytorch_lightning as pl
import torch
from troubled_lab import Data, load

from neurosweep import Constraint, Experiment, Objective

__all__ = ["Data", "load"]


class Searched(pl.LightningModule):
    """Scores its level, less what epochs are missing; greater levels are larger, slower and, above 5, too slow."""

    def __init__(self, *, level: int, quick: bool = True) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_index):
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, batch_index):
        level = float(self.hparams.level)
        self.log("val/score", level - 1 / (self.current_epoch + 1))
        self.log("val/size", level**2)
        self.log("val/latency", level**2)
        self.log("val/pace", float(self.hparams.quick))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def space(trial):
    trial.suggest_int("model.level", 1, 6)
    trial.suggest_categorical("model.quick", [True, False])


PUBLISHED = [
    {"model.level": 6, "model.quick": True},
    {"model.level": 3, "model.quick": True},
    {"model.level": 3, "model.quick": True},
    {"model.level": 5, "model.quick": False},
    {"model.level": 5, "model.quick": False},
    {"model.level": 1, "model.quick": True},
]
EXPERIMENT = Experiment(
    name="searched",
    summary="Two objectives, a constraint and a metric to prune on",
    module="searched_lab:Searched",
    data_module="searched_lab:Data",
    load="searched_lab:load",
    space="searched_lab:space",
    objectives=(
        Objective("val/score", "maximize", reference=0),
        Objective("val/size", "minimize", reference=25),
    ),
    published="searched_lab:PUBLISHED",
    constraints=(Constraint("val/latency", at_most=25.0),),
    prune_on=Objective("val/pace", "maximize"),
)
