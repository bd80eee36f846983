"""Building a trial's module, data module and Trainer from its resolved configuration."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pydantic import TypeAdapter
from pytorch_lightning.callbacks import Checkpoint
from torch.utils._pytree import tree_map

from neurosweep.experiments import Experiment, import_callable
from neurosweep.trials.arguments import (
    FILLED_IN,
    Sections,
    data_module_settings,
    keyword_names,
    split_data_settings,
)


@dataclass(frozen=True)
class TrialConfig:
    """One trial, resolved: enough to build it again anywhere without Ray, Optuna or MLflow.

    Args:
        experiment: The experiment's parts by import path.
        number: The trial's number.
        seed: Seed of the trial.
        sections: Arguments of module, data and trainer, searched ones included.
        data_hash: Fingerprint of the loaded data.
        data_seed: Seed of the data module where it is not the trial's: members of a population share their split.
    """

    experiment: Experiment
    number: int
    seed: int
    sections: Sections
    data_hash: str
    data_seed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-ready mapping."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrialConfig":
        """Read back what `as_dict` gave."""
        return TypeAdapter(cls).validate_python(content)


def quiet_lightning() -> None:
    """Keep Lightning's advertisements and per-trial notices out of the logs."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=r".*returned `None`, this fit will run with no optimizer.*")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
    warnings.filterwarnings("ignore", message=r".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=r".*exists and is not empty.*")
    warnings.filterwarnings("ignore", message=r".*The given NumPy array is not writable.*")
    warnings.filterwarnings("ignore", message=r".*contains no parameters.*")


def load_data(config: TrialConfig) -> Any:
    """Read the recordings as the sweep did."""
    load = import_callable(config.experiment.load)
    data_module = import_callable(config.experiment.data_module)
    of_load, _ = split_data_settings(config.sections["data"], load=load, data_module=data_module)
    return load(**of_load)


def build_data_module(config: TrialConfig, data: Any) -> pl.LightningDataModule:
    """Build the data module around loaded data.

    Everything is seeded first: a data module that splits at random splits alike whenever it is built.
    """
    seed = config.seed if config.data_seed is None else config.data_seed
    pl.seed_everything(seed, workers=True, verbose=False)
    load = import_callable(config.experiment.load)
    data_module = import_callable(config.experiment.data_module)
    _, settings = split_data_settings(config.sections["data"], load=load, data_module=data_module)
    if FILLED_IN in data_module_settings(data_module):
        settings.setdefault(FILLED_IN, seed)
    return data_module(data, **settings)


def build_module(config: TrialConfig, data_module: pl.LightningDataModule) -> pl.LightningModule:
    """Build the module; what the data decides comes from the data module's `model_arguments`."""
    if config.data_seed is not None:  # members of a population share their data, not their first weights
        pl.seed_everything(config.seed, workers=True, verbose=False)
    module = import_callable(config.experiment.module)
    arguments = {**getattr(data_module, "model_arguments", {}), **config.sections["model"]}
    if FILLED_IN in keyword_names(module):
        arguments.setdefault(FILLED_IN, config.seed)
    return module(**tree_map(_plain, arguments))


def _plain(value: Any) -> Any:
    """NumPy's numbers end up among the hyperparameters of a checkpoint, which could then not be loaded safely."""
    return value.item() if isinstance(value, np.generic) else value


def build_trainer(
    config: TrialConfig,
    *,
    gpus: float,
    callbacks: Sequence[pl.Callback] = (),
    distributed: Mapping[str, Any] | None = None,
) -> pl.Trainer:
    """Build a Trainer that neither logs nor checkpoints by itself.

    Args:
        config: The trial.
        gpus: GPUs of the trial; 0 keeps it on the CPU even where the machine has some.
        callbacks: The platform's callbacks.
        distributed: Arguments of the Trainer of one of several workers.
    """
    defaults = {"accelerator": "gpu" if gpus else "cpu", "devices": 1}
    return pl.Trainer(
        **{**defaults, **config.sections["trainer"], **(distributed or {})},
        logger=False,
        # Lightning adds a checkpoint callback of its own where this is True and it finds none.
        enable_checkpointing=any(isinstance(one, Checkpoint) for one in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
    )
