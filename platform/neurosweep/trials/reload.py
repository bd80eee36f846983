"""From MLflow back to a model: one call, without Ray or Optuna."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from neurosweep.config import SweepConfig
from neurosweep.errors import DataError, NeurosweepError
from neurosweep.experiments import import_callable
from neurosweep.layout import TrialFolder, read_json
from neurosweep.provenance import fingerprint
from neurosweep.tracking.models import fetch_model
from neurosweep.trials.build import (
    TrialConfig,
    build_data_module,
    build_trainer,
    load_data,
    quiet_lightning,
)

_DEFAULT_DATABASE = Path(SweepConfig.storage) / "mlflow.db"

CHECKPOINT, CONFIG = "model.ckpt", "config.json"
"""Files of a logged model."""


def load_model(model: str | Path, *, tracking_uri: str | None = None) -> pl.LightningModule:
    """Load the kept checkpoint of a trial, ready to predict on the CPU.

    Args:
        model: `models:/m-...` of a LoggedModel, `runs:/<id>` or the id of a trial's run, or the path of a
            checkpoint in a sweep's folder.
        tracking_uri: Where MLflow is; None takes MLFLOW_TRACKING_URI, or else the database of the default storage.

    Returns:
        The experiment's module in `eval` mode.

    Raises:
        NeurosweepError: If there is no such model.
    """
    checkpoint, config = locate_model(model, tracking_uri)
    return load_located(checkpoint, config)


def validate_model(model: str | Path, *, tracking_uri: str | None = None) -> dict[str, float]:
    """Load a kept checkpoint and its data again, and compute the validation metrics anew.

    On the CPU they equal the logged ones at the checkpoint's epoch to float precision.

    Args:
        model: As for `load_model`.
        tracking_uri: As for `load_model`.

    Returns:
        Every metric that the module logs in validation, by name.

    Raises:
        DataError: If the recordings are not those that the trial was trained on.
        NeurosweepError: If there is no such model.
    """
    checkpoint, config = locate_model(model, tracking_uri)
    module = load_located(checkpoint, config)
    data = load_data(config)
    found = fingerprint(data)
    if found != config.data_hash:
        raise DataError(
            f"The data now has the hash {found}, but the trial was trained on {config.data_hash}.",
            f"Bring back the recordings as they were: {config.sections['data']}.",
        )
    trainer = build_trainer(config, gpus=0)
    (metrics,) = trainer.validate(module, datamodule=build_data_module(config, data), verbose=False)
    return {name: float(value) for name, value in metrics.items()}


def locate_model(model: str | Path, tracking_uri: str | None) -> tuple[Path, TrialConfig]:
    """Return a kept checkpoint, fetched from MLflow if need be, and the configuration of its trial.

    Args:
        model: As for `load_model`.
        tracking_uri: As for `load_model`.

    Raises:
        NeurosweepError: If there is no such model.
    """
    path = Path(model)
    if path.suffix == ".ckpt":
        checkpoint = path
    else:
        uri = (
            tracking_uri
            or os.environ.get("MLFLOW_TRACKING_URI")
            or f"sqlite:///{_DEFAULT_DATABASE.resolve()}"
        )
        checkpoint = fetch_model(str(model), tracking_uri=uri) / CHECKPOINT
    config = checkpoint.with_name(CONFIG)
    for file in (checkpoint, config):
        if not file.is_file():
            raise NeurosweepError(f"There is no {file}.", "Give a model that neurosweep has logged.")
    return checkpoint, TrialConfig.from_dict(json.loads(config.read_text(encoding="utf-8")))


def read_description(checkpoint: Path) -> dict[str, Any]:
    """Return what the data module said of the model's input, which lies beside the checkpoint.

    Raises:
        NeurosweepError: If it is not there.
    """
    file = TrialFolder(checkpoint.parent).description
    if not file.is_file():
        raise NeurosweepError(
            f"Nothing says what input the model takes: there is no {file}. Its data module has no `description`, or "
            "an earlier version of neurosweep trained it.",
            "Train it again with this version, or cut the session as in training and call "
            "`neurosweep.load_model(...)` on it.",
        )
    return read_json(file)


def load_located(checkpoint: Path, config: TrialConfig) -> pl.LightningModule:
    """Load what `locate_model` found, in `eval` mode, on the CPU."""
    quiet_lightning()
    kind: Any = import_callable(config.experiment.module)
    # weights_only: a checkpoint from a shared store must not be able to run code.
    return kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()


class Predictor:
    """What `mlflow.pyfunc.load_model` gives for a logged model.

    Args:
        module: The module in `eval` mode.
    """

    def __init__(self, module: pl.LightningModule) -> None:
        self._module = module

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Run the module's `forward`.

        Args:
            model_input: An array of the shape that the module takes, such as spikes (trials, bins, units).
            params: Unused; MLflow passes it.

        Returns:
            An array, or a mapping from name to array where the module returns a named tuple.
        """
        with torch.inference_mode():
            output = self._module(torch.as_tensor(np.asarray(model_input), dtype=torch.float32))
        if hasattr(output, "_asdict"):
            return {name: _as_array(value) for name, value in output._asdict().items()}
        return _as_array(output)


def _as_array(value: Any) -> Any:
    return value.numpy() if isinstance(value, torch.Tensor) else value


def _load_pyfunc(path: str) -> Predictor:
    """Load a logged model's folder; MLflow's python_function flavor calls this by name."""
    return Predictor(load_model(Path(path) / CHECKPOINT))
