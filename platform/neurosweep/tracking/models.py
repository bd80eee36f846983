"""The kept checkpoint of a trial as MLflow artifact and LoggedModel, and the way back.

The model's folder is written here rather than by `mlflow.pytorch`: importing that costs six seconds, and it
pickles the module. A checkpoint with its configuration builds the module anew, and can be trained further.
"""

import functools
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosweep.errors import TrackingError
from neurosweep.layout import TrialFolder, read_json
from neurosweep.naming import Tag
from neurosweep.records import MetricPoint
from neurosweep.tracking import backend
from neurosweep.tracking.store import TrackingStore
from neurosweep.tracking.values import parameter_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

LOADER = "neurosweep.trials.reload"
"""Module whose `_load_pyfunc(path)` makes a pyfunc of the folder."""
FLAVOR = "neurosweep"
CHECKPOINT, CONFIG, REQUIREMENTS = "model.ckpt", "config.json", "requirements.txt"
"""Files of a model's folder, beside `MLmodel`."""
CHECKPOINTS = "checkpoint"
"""Folder of the run's artifacts that the checkpoint goes to."""

_MODEL_TYPE = "neurosweep-trial"
_NEEDED = ("neurosweep", "torch", "pytorch-lightning", "numpy")


@dataclass(frozen=True)
class KeptModel:
    """What is published of a trial.

    Args:
        run_id: The trial's run.
        name: Name of the model in the Models tab.
        folder: The trial's folder, with the configuration.
        checkpoint: The checkpoint that was kept.
        parameters: The trial's parameters.
        tags: Tags of sweep and trial.
        points: Metric points at the checkpoint's epoch, as the run has them.
    """

    run_id: str
    name: str
    folder: TrialFolder
    checkpoint: Path
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    points: Sequence[MetricPoint]


def publish(store: TrackingStore, kept: KeptModel) -> str:
    """Upload the checkpoint and make it a LoggedModel of the run; a repetition completes what is missing.

    Returns:
        The model's id.
    """
    from mlflow.entities import LoggedModelOutput

    client = store.client
    store.upload(kept.run_id, f"{CHECKPOINTS}/{kept.checkpoint.name}", kept.checkpoint)
    model = _find_model(store, kept.run_id) or _create_model(store, kept)
    if str(model.status) != "READY":
        with _model_folder(model, kept) as folder:
            client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, "READY")
    outputs = client.get_run(kept.run_id).outputs
    # `log_outputs` writes a second line when it is repeated.
    if model.model_id not in [one.model_id for one in (outputs.model_outputs if outputs else [])]:
        epoch = max((point.step for point in kept.points), default=0)
        client.log_outputs(kept.run_id, [LoggedModelOutput(model.model_id, step=epoch)])
    # The table of the models' metrics has no NaN: it would show a 0.
    finite = [point for point in kept.points if point.value == point.value]
    store.log_points(kept.run_id, finite, model_id=model.model_id)
    return model.model_id


def fetch_model(uri: str, *, tracking_uri: str) -> Path:
    """Bring a published model to this machine.

    Args:
        uri: `models:/m-...`, `runs:/<run id>`, a bare run id, or an address of the model registry such as
            `models:/name@champion`.
        tracking_uri: Where it was published.

    Returns:
        The model's folder: `MLmodel`, `model.ckpt`, `config.json`, `requirements.txt`, and `data.json` where the
        data module describes the model's input. Where artifacts are files of this machine it is the original: do
        not write into it.

    Raises:
        TrackingError: If there is no such model.
    """
    backend.prepare_process()
    tracking_uri = backend.resolve_uri(tracking_uri)
    database = backend.sqlite_file(tracking_uri)
    if database is not None and not database.is_file():
        raise TrackingError(
            f"There is no tracking database {database}.", "Give the `--tracking-uri` of the sweep."
        )
    if backend.is_server(tracking_uri):
        backend.probe_server(tracking_uri)
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts

    with backend.explained(tracking_uri):
        client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        # MLflow looks a `models:/` address up in the process's default store, whatever store it is given.
        return Path(download_artifacts(_artifact_location(client, uri), tracking_uri=tracking_uri))


def _artifact_location(client: "MlflowClient", uri: str) -> str:
    """Resolve an address to the place where the model's files are."""
    name = uri.removeprefix("models:/")
    if name == uri:
        return client.get_logged_model(_model_of_run(client, uri)).artifact_location
    if "@" in name:
        version = client.get_model_version_by_alias(*name.split("@", 1))
    elif "/" in name:
        version = client.get_model_version(*name.split("/", 1))
    else:
        return client.get_logged_model(name).artifact_location
    location = client.get_model_version_download_uri(version.name, str(version.version))
    # A version made from a logged model may keep that model's address as its place.
    return _artifact_location(client, location) if location.startswith("models:/") else location


def _model_of_run(client: "MlflowClient", uri: str) -> str:
    run_id = uri.removeprefix("runs:/").strip("/")
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise TrackingError(
            f"`{uri}` is no address of a model.", "Give `models:/m-...`, `runs:/<run id>` or a run id."
        )
    outputs = client.get_run(run_id).outputs
    models = outputs.model_outputs if outputs else []
    if not models:
        raise TrackingError(
            f"The run {run_id} has no model.",
            "Choose a trial that completed or was pruned, of a sweep with `tracking.keep_checkpoints: true`.",
        )
    return models[-1].model_id


def _find_model(store: TrackingStore, run_id: str) -> "LoggedModel | None":
    found = store.client.search_logged_models(
        [store.experiment_id], filter_string=f"source_run_id = '{run_id}'", max_results=50
    )
    ours = [model for model in found if Tag.TRIAL in model.tags]
    return min(ours, key=lambda model: model.creation_timestamp) if ours else None


def _create_model(store: TrackingStore, kept: KeptModel) -> "LoggedModel":
    return store.client.create_logged_model(
        store.experiment_id,
        # MLflow refuses these characters in a model's name.
        name=re.sub(r"[/:.%\"']", "-", kept.name),
        source_run_id=kept.run_id,
        tags=dict(kept.tags),
        params={name: parameter_text(value) for name, value in kept.parameters.items()},
        model_type=_MODEL_TYPE,
    )


@contextmanager
def _model_folder(model: "LoggedModel", kept: KeptModel) -> Iterator[Path]:
    """Lay out the model's folder; the checkpoint is linked, not copied."""
    from mlflow.models import Model

    config = read_json(kept.folder.config)
    module = str(config.get("experiment", {}).get("module", ""))
    description = Model(
        artifact_path=model.artifact_location,
        run_id=kept.run_id,
        model_id=model.model_id,
        model_uuid=model.model_id,
    )
    description.add_flavor(
        "python_function", loader_module=LOADER, python_version=platform.python_version(), env={}
    )
    description.add_flavor(FLAVOR, module=module, checkpoint=CHECKPOINT, config=CONFIG)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        description.save(str(folder / "MLmodel"))
        (folder / CHECKPOINT).symlink_to(kept.checkpoint.resolve(strict=True))
        if kept.folder.config.exists():
            shutil.copyfile(kept.folder.config, folder / CONFIG)
        description = kept.folder.description
        if description.exists():
            shutil.copyfile(description, folder / description.name)
        lines = "".join(f"{line}\n" for line in _requirements(module))
        (folder / REQUIREMENTS).write_text(lines, encoding="utf-8")
        yield folder


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    """Map import names to distributions; reading every installed one takes 0.2 s."""
    return packages_distributions()


def _requirements(module: str) -> list[str]:
    """Pin what rebuilds the module: ours, and the distribution that its code came with."""
    package = module.partition(":")[0].partition(".")[0]
    names = dict.fromkeys([*_NEEDED, *_packages().get(package, [])])
    return [f"{name}=={version(name)}" for name in names]
