"""The MLflow store of a sweep: connecting to it, and the few things that are asked of it."""

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from neurosweep.errors import TrackingError
from neurosweep.records import MetricPoint
from neurosweep.tracking import backend
from neurosweep.tracking.outbox import BATCH
from neurosweep.tracking.values import MAX_TAG, cut, legal_key, parameter_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackingStore:
    """An experiment in an MLflow store. Its methods raise MLflow's own errors.

    Args:
        client: Client bound to the store; no global setting of MLflow is used or changed.
        uri: Tracking URI, absolute.
        experiment: Name of the experiment.
        experiment_id: Its id.
    """

    client: "MlflowClient"
    uri: str
    experiment: str
    experiment_id: str

    def find_runs(self, tags: Mapping[str, str], *, condition: str = "") -> list["Run"]:
        """Return the runs of the experiment that carry these tags, oldest first."""
        terms = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id],
                " and ".join([*terms, *([condition] if condition else [])]),
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                return found

    def get_run(self, run_id: str) -> "Run | None":
        """Return a run, deleted ones too, or None if the store does not have it."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def log_points(self, run_id: str, points: Sequence[MetricPoint], *, model_id: str | None = None) -> None:
        """Send metric points to the run and, if given, to its logged model; a repeated point stays one."""
        from mlflow.entities import Metric

        metrics = [
            Metric(
                legal_key(point.key),
                point.value,
                point.timestamp,
                point.step,
                model_id=model_id,
                run_id=run_id,
            )
            for point in points
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def log_parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        """Send parameters, which are write-once; the client sends them in batches of 100."""
        from mlflow.entities import Param

        texts = [Param(legal_key(name), parameter_text(value)) for name, value in parameters.items()]
        self.client.log_batch(run_id, params=texts)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; the last value stays."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, cut(value, MAX_TAG)) for key, value in tags.items()])

    def set_state(self, run_id: str, state: str, *, end_time: int | None = None) -> None:
        """Give a run its MLflow state: RUNNING opens it again, any other one ends it, by default now (ms)."""
        if state == "RUNNING":
            self.client.update_run(run_id, status=state)
        else:
            self.client.set_terminated(run_id, status=state, end_time=end_time)

    def upload(self, run_id: str, artifact_path: str, content: str | Path) -> None:
        """Send a text, a file or a folder as artifact, over one of the same path."""
        if isinstance(content, str):
            self.client.log_text(run_id, content, artifact_path)
            return
        if content.is_dir():
            self.client.log_artifacts(run_id, str(content), artifact_path)
            return
        path = PurePosixPath(artifact_path)
        folder = None if path.parent == PurePosixPath(".") else str(path.parent)
        if content.name == path.name:
            self.client.log_artifact(run_id, str(content), folder)
            return
        with tempfile.TemporaryDirectory() as scratch:
            renamed = Path(scratch) / path.name
            shutil.copyfile(content, renamed)
            self.client.log_artifact(run_id, str(renamed), folder)

    def is_reachable(self) -> bool:
        """Whether the store answers now; a server has seconds to do so."""
        try:
            if backend.is_server(self.uri):
                backend.probe_server(self.uri)
            else:
                self.client.get_experiment(self.experiment_id)
        except Exception:  # whatever the reason, it did not answer
            return False
        return True


def connect(uri: str, *, experiment: str, artifact_location: str | None) -> TrackingStore:
    """Open the store, making database and experiment where they are missing.

    To be called by the driver before anything else opens the store: a new database is made by one process.

    Args:
        uri: `http(s)://host:port`, `sqlite:///path`, or another database.
        experiment: Name of the MLflow experiment.
        artifact_location: Folder or URI of a new experiment's artifacts, if the client opens the database
            itself; a server decides on its own. Default for SQLite: `artifacts` beside the file.

    Raises:
        TrackingError: If the store cannot be used, within seconds.
    """
    backend.prepare_process()
    uri = backend.resolve_uri(uri)
    database = backend.sqlite_file(uri)
    if database is not None:
        backend.check_sqlite(database)
    if backend.is_server(uri):
        backend.probe_server(uri)
    location = _artifact_location(uri, artifact_location)
    from mlflow import MlflowClient

    with backend.explained(uri), backend.quiet_migration():
        client = MlflowClient(uri)
        found = _experiment(client, experiment, location)
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"The experiment `{experiment}` of {uri} was deleted.",
            f"Bring it back with `MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id "
            f"{found.experiment_id}`, or name another one with `tracking.experiment`.",
        )
    if database is not None:
        backend.write_ahead(database)
    _warn_of_local_artifacts(uri, found)
    return TrackingStore(client, uri, experiment, found.experiment_id)


def _artifact_location(uri: str, wanted: str | None) -> str | None:
    if not backend.is_database(uri):
        return None
    database = backend.sqlite_file(uri)
    if wanted is None and database is not None:
        wanted = str(database.with_name("artifacts"))
    if wanted is None:
        raise TrackingError(
            f"{uri} has no place for artifacts: MLflow would put them into the working directory.",
            "Put an MLflow server in front of the database and give its `http://` address.",
        )
    # MLflow takes a relative folder from wherever a process happens to be.
    return wanted if "://" in wanted else Path(wanted).absolute().as_uri()


def _experiment(client: "MlflowClient", name: str, artifact_location: str | None) -> "Experiment":
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return found
    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=artifact_location))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)  # another driver may have been faster
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
            raise
        return found


def _warn_of_local_artifacts(uri: str, experiment: "Experiment") -> None:
    location = experiment.artifact_location
    if backend.is_server(uri) and urlsplit(location).scheme in ("", "file"):
        logger.warning(
            "The MLflow server at %s keeps artifacts in %s, a folder that this machine must be able to use. "
            "If it cannot, start the server with `--artifacts-destination` and use a new experiment.",
            uri,
            location,
        )
