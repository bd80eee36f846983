"""Predictions of a trained model for a session that it has not seen, as a file."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurosweep.comparison import best_record
from neurosweep.config import SweepConfig
from neurosweep.errors import (
    ConfigError,
    NeurosweepError,
    StorageError,
    SweepNotFoundError,
    as_data_error,
)
from neurosweep.experiments import import_callable
from neurosweep.sweeps.inspection import inspect_sweep
from neurosweep.sweeps.next_steps import resume_command
from neurosweep.sweeps.preparation import storage_root


@dataclass(frozen=True)
class DecodedFile:
    """A session that was decoded.

    Args:
        model: Address of the model: what was given, or the path of its checkpoint.
        output: The file with the predictions.
        n_trials: Trials that were decoded.
        scores: On this session, by name; empty where its truth is not known.
        warnings: What to know before trusting the predictions, in sentences.
    """

    model: str
    output: Path
    n_trials: int
    scores: Mapping[str, float]
    warnings: tuple[str, ...]


def decode(
    model: str,
    data: str,
    *,
    output: str | None = None,
    overwrite: bool = False,
    adapt_from: str | None = None,
    tracking_uri: str | None = None,
    storage: str | None = None,
) -> DecodedFile:
    """Decode a new session, in this process and on the CPU.

    Args:
        model: As for `neurosweep.load_model`, or the name of a sweep, whose best trial is taken.
        data: The session, in a format that the experiment's `decode` reads.
        output: `.npz` file to write. Default: `<session>-decoded.npz` in the working directory.
        overwrite: Whether the file may exist.
        adapt_from: The sessions that the model was trained on, a file or a folder: the model then adapts to the new
            session without its labels.
        tracking_uri: Where MLflow is. Default: the database of `storage`, if that is given.
        storage: Folder of the sweeps.

    Raises:
        ConfigError: If the output cannot be written there, or the experiment decodes nothing.
        DataError: If the session does not fit the model.
        NeurosweepError: If there is no such model, or nothing says what input it takes.
    """
    session = Path(data).expanduser()
    target = _check_output(Path(output or f"{session.stem}-decoded.npz").expanduser(), session, overwrite)
    address = _address(model, storage)
    if tracking_uri is None and storage is not None:
        tracking_uri = f"sqlite:///{storage_root(storage) / 'mlflow.db'}"
    decoded = _decode(address, session, tracking_uri, adapt_from)
    _write(target, {**decoded.arrays, "model": np.array(address)})
    return DecodedFile(address, target, decoded.n_trials, dict(decoded.scores), tuple(decoded.warnings))


def _check_output(output: Path, session: Path, overwrite: bool) -> Path:
    """Refuse at once what could not be written after all the work."""
    if output.suffix != ".npz":
        raise ConfigError(f"The output {output} is no .npz file.", "Let `--output` end in .npz.")
    if not output.parent.is_dir():
        raise ConfigError(f"There is no folder {output.parent}.", "Make it, or give another `--output`.")
    if output.resolve() == session.resolve():
        raise ConfigError(f"The output {output} is the session itself.", "Give another `--output`.")
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists already.", "Give `--overwrite`, or another `--output`.")
    return output


def _address(model: str, storage: str | None) -> str:
    """Return the address of a model as `load_model` takes it; of a sweep, its best checkpoint."""
    if Path(model).suffix == ".ckpt":
        return str(Path(model).expanduser().resolve())
    if re.match(r"(models|runs):/", model) or re.fullmatch(r"[0-9a-f]{32}", model):
        return model
    try:
        sweep = inspect_sweep(model, storage or SweepConfig.storage)
    except SweepNotFoundError as error:
        raise SweepNotFoundError(
            error.problem,
            "Give `--model` the name of a sweep, with its `--storage`, or `models:/m-...`, `runs:/<run id>`, or the "
            "path of a checkpoint.",
        ) from error
    best = best_record(sweep.records, sweep.experiment.objectives)
    checkpoint = None if best is None else sweep.checkpoint_of(best)
    if checkpoint is None:
        raise NeurosweepError(
            f"The sweep `{model}` has no completed trial with a kept checkpoint.",
            f"Continue it with `{resume_command(sweep.folder)}`, or name a model.",
        )
    return str(checkpoint)


def _decode(address: str, session: Path, tracking_uri: str | None, adapt_from: str | None) -> Any:
    from neurosweep.trials.build import quiet_lightning
    from neurosweep.trials.reload import load_located, locate_model, read_description

    quiet_lightning()
    checkpoint, config = locate_model(address, tracking_uri)
    if config.experiment.decode is None:
        raise ConfigError(
            f"The experiment `{config.experiment.name}` names no function that decodes a session.",
            "Give its `Experiment` a `decode` and train the model again, or use `neurosweep.load_model(...)`.",
        )
    description = read_description(checkpoint)
    module = load_located(checkpoint, config)
    decode_session = import_callable(config.experiment.decode)
    form = "Check that the session has the form that the model was trained on."
    with as_data_error(f"{session} cannot be decoded", form):
        adapt = {} if adapt_from is None else {"adapt_from": Path(adapt_from).expanduser()}
        return decode_session(module, description, session, **adapt)


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write the arrays so that a reader, or a kill, sees the old file or the new one."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}", "Give another `--output`.") from error
    finally:
        scratch.unlink(missing_ok=True)
