"""The mirror: MLflow made equal to the sweep's folder, as often as wanted."""

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neurosweep.errors import TrackingError
from neurosweep.layout import SweepFolder, read_json, write_json
from neurosweep.naming import Status, Tag
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.tracking.backend import explained
from neurosweep.tracking.delivery import load_delivery
from neurosweep.tracking.outbox import count_points, now_ms
from neurosweep.tracking.store import TrackingStore
from neurosweep.tracking.trial_mirror import STATES, ParentRun, TrialMirror
from neurosweep.tracking.values import legal_key

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

IDENTITY = "neurosweep.identity"
"""Tag that tells sweeps of one name apart: from another storage, or from before the folder was deleted."""

SweepEnd = Literal["finished", "failed", "interrupted"]

_SWEEP_STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_INHERITED = (Tag.EXPERIMENT, Tag.CONFIG_HASH, Tag.DATA_HASH, Tag.COMMIT, Tag.VERSIONS)


@dataclass(frozen=True)
class DataNote:
    """A data set that a sweep has read, as MLflow shows it.

    Args:
        name: Name, such as a session or a split.
        digest: Hash of the content, up to 36 characters.
        source: Where it came from: a path or an address.
        context: What it was used for: `train`, `val` or `test`.
    """

    name: str
    digest: str
    source: str
    context: str


class Mirror:
    """One sweep's image in MLflow. The folder and the records are the truth; nothing is read back from here.

    Args:
        store: Where the image is.
        folder: The sweep's folder.
        keep_checkpoints: Whether the kept checkpoint of each trial is published.
    """

    def __init__(self, store: TrackingStore, folder: SweepFolder, *, keep_checkpoints: bool = True) -> None:
        self.store = store
        self.folder = folder
        self._keep_checkpoints = keep_checkpoints
        self._trials: TrialMirror | None = None
        self._one_at_a_time = threading.Lock()
        self._counted: dict[int, tuple[object, int]] = {}

    def open_sweep(
        self,
        *,
        tags: Mapping[str, str],
        parameters: Mapping[str, Any],
        artifacts: Mapping[str, str | Path],
        data: Sequence[DataNote] = (),
    ) -> str:
        """Find or make the sweep's run, and set it running.

        Args:
            tags: Tags of the sweep; the trials inherit experiment, commit and hashes.
            parameters: Settings by dotted name. MLflow's are write-once: where a resume changes one, the
                first value stays here, and the configuration artifact shows the present one.
            artifacts: Texts or files by artifact path.
            data: Data sets that the sweep reads.

        Returns:
            Id of the run.

        Raises:
            TrackingError: If MLflow fails.
        """
        with explained(self.store.uri):
            identity = self._identity()
            run = self._stored_run() or self._find_or_create(identity)
            run_id = run.info.run_id
            write_json(self.folder.delivery, {"identity": identity, "run_id": run_id})
            self.store.set_state(run_id, "RUNNING")
            self.store.set_tags(run_id, {**tags, Tag.STATUS: str(Status.RUNNING)})
            self._log_new_parameters(run, parameters)
            self._log_data(run_id, data)
            for path, content in artifacts.items():
                self.store.upload(run_id, path, content)
        inherited = {key: value for key, value in tags.items() if key in _INHERITED}
        parent = ParentRun(run_id, inherited)
        self._trials = TrialMirror(self.store, self.folder, parent, self._keep_checkpoints)
        return run_id

    def sync_trial(self, record: TrialRecord) -> bool:
        """Send what MLflow does not have of a trial. A repetition changes nothing.

        Returns:
            Whether all that the trial's folder holds has arrived.

        Raises:
            Exception: Whatever MLflow raises; what has arrived until then is noted down.
        """
        trials = self._opened()
        with self._one_at_a_time:
            try:
                return trials.sync(record)
            except Exception:
                if self._was_deleted(record, trials):
                    return True
                raise

    def unsent_points(self, number: int) -> int:
        """Count the points of a trial that MLflow does not have yet, without asking it."""
        folder = self.folder.trial(number)
        state = (_stamp(folder.metrics), _stamp(folder.delivery))
        counted = self._counted.get(number)
        if counted is None or counted[0] != state:  # the progress display asks for all trials twice a second
            delivery = load_delivery(folder, parent=self._opened().parent.run_id)
            counted = (state, count_points(folder.metrics, delivery.offset))
            self._counted[number] = counted
        return counted[1]

    def has(self, record: TrialRecord) -> bool:
        """Whether the notes beside a trial say that all of it has arrived, without asking MLflow."""
        folder = self.folder.trial(record.number)
        delivery = load_delivery(folder, parent=self._opened().parent.run_id)
        size = folder.metrics.stat().st_size if folder.metrics.exists() else 0
        drawn = delivery.figures or not folder.figures.is_dir()
        return delivery.status == record.status and delivery.offset == size and drawn

    def close_sweep(
        self,
        status: SweepEnd,
        *,
        end: str,
        files: Mapping[str, Path],
        metrics: Mapping[str, float],
    ) -> None:
        """End the sweep's run.

        Args:
            status: How the sweep ended.
            end: Why the driver stopped, in a word.
            files: Files or folders by artifact path; those that do not exist are left out.
            metrics: Values of the sweep as a whole; one that has not changed is not sent again.

        Raises:
            TrackingError: If MLflow fails.
        """
        run_id = self._opened().parent.run_id
        with explained(self.store.uri):
            self._opened().delete_doubles()
            for path, file in files.items():
                if file.exists():
                    self.store.upload(run_id, path, file)
            known = self.store.client.get_run(run_id).data.metrics
            now = now_ms()
            changed = [
                MetricPoint(key, value, 0, now)
                for key, value in metrics.items()
                if known.get(legal_key(key)) != value
            ]
            self.store.log_points(run_id, changed)
            self.store.set_tags(run_id, {Tag.STATUS: status, Tag.END: end})
            self.store.set_state(run_id, _SWEEP_STATES[status])

    def end_ownerless(self, alive: Sequence[int]) -> int:
        """End the trials' runs that MLflow shows as running although none of these trials is theirs.

        Args:
            alive: Numbers of the trials that are running.

        Returns:
            How many were ended.
        """
        tags = {Tag.KIND: "trial", Tag.PARENT: self._opened().parent.run_id}
        ended = 0
        for run in self.store.find_runs(tags, condition="attributes.status = 'RUNNING'"):
            if int(run.data.tags[Tag.TRIAL]) not in alive:
                self.store.set_tags(run.info.run_id, {Tag.STATUS: str(Status.INTERRUPTED)})
                self.store.set_state(run.info.run_id, STATES[Status.INTERRUPTED])
                ended += 1
        return ended

    def _opened(self) -> TrialMirror:
        if self._trials is None:
            raise TrackingError(
                f"The sweep `{self.folder.name}` is not open in MLflow.", "Call `open_sweep` first."
            )
        return self._trials

    def _identity(self) -> str:
        """Return the sweep's identity; a new one is written down before any run carries it."""
        content = read_json(self.folder.delivery)
        if "identity" not in content:
            content = {"identity": uuid.uuid4().hex}
            write_json(self.folder.delivery, content)
        return str(content["identity"])

    def _stored_run(self) -> "Run | None":
        """Return the run noted down, unless another store or experiment has it; undelete a deleted one."""
        run_id = read_json(self.folder.delivery).get("run_id")
        run = None if run_id is None else self.store.get_run(run_id)
        if run is None or run.info.experiment_id != self.store.experiment_id:
            return None
        if run.info.lifecycle_stage == "deleted":
            self.store.client.restore_run(run.info.run_id)
        return run

    def _find_or_create(self, identity: str) -> "Run":
        tags = {Tag.KIND: "sweep", Tag.SWEEP: self.folder.name, IDENTITY: identity}
        found = self.store.find_runs(tags)
        if found:
            return found[0]
        return self.store.client.create_run(self.store.experiment_id, tags=tags, run_name=self.folder.name)

    def _log_new_parameters(self, run: "Run", parameters: Mapping[str, Any]) -> None:
        known = run.data.params
        self.store.log_parameters(
            run.info.run_id,
            {name: value for name, value in parameters.items() if legal_key(name) not in known},
        )

    def _log_data(self, run_id: str, data: Sequence[DataNote]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(one.name[:500], one.digest[:36], source_type="local", source=one.source),
                [InputTag("mlflow.data.context", one.context)],
            )
            for one in data
        ]
        if inputs:
            self.store.client.log_inputs(run_id, inputs)

    def _was_deleted(self, record: TrialRecord, trials: TrialMirror) -> bool:
        """Whether somebody deleted the trial's run in MLflow: it is then left alone."""
        delivery = load_delivery(self.folder.trial(record.number), parent=trials.parent.run_id)
        if not delivery.run_id:
            return False
        try:
            run = self.store.get_run(delivery.run_id)
            # Without its parent it was not a person who deleted the run: the whole store is another one.
            gone = run is None and self.store.get_run(trials.parent.run_id) is not None
        except Exception:  # the store is away: the caller raises why
            return False
        deleted = gone or (run is not None and run.info.lifecycle_stage == "deleted")
        if deleted:
            logger.warning("trial %d was deleted in MLflow and is not sent there again", record.number)
        return deleted


def _stamp(path: Path) -> tuple[int, int]:
    """Tell one state of a file from another: its size and time of change."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)
