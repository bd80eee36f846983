"""Making the MLflow run of one trial equal to the trial.

Each step looks for what is there before it adds to it, and is noted down after it is done. A process that is
killed anywhere repeats at most one step, and the repetition changes nothing.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from neurosweep.layout import SweepFolder, TrialFolder
from neurosweep.naming import Split, Status, Tag, run_name
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.tracking.delivery import Delivery, load_delivery
from neurosweep.tracking.models import KeptModel, publish
from neurosweep.tracking.outbox import BATCH, read_points
from neurosweep.tracking.store import TrackingStore
from neurosweep.tracking.values import cut, milliseconds

logger = logging.getLogger(__name__)

BEST_EPOCH = f"{Split.BEST}/epoch"

STATES = {
    Status.RUNNING: "RUNNING",
    Status.INTERRUPTED: "KILLED",
    Status.COMPLETED: "FINISHED",
    Status.PRUNED: "KILLED",
    Status.FAILED: "FAILED",
}
"""MLflow's state for each status of a trial that has started."""

_MAX_MESSAGE = 2000


@dataclass(frozen=True)
class ParentRun:
    """The run of the sweep.

    Args:
        run_id: Its id.
        inherited: Tags that the sweep's trials carry too.
    """

    run_id: str
    inherited: Mapping[str, str]


@dataclass(frozen=True)
class TrialMirror:
    """Delivers the trials of one sweep.

    Args:
        store: Where to.
        sweep: The sweep's folder.
        parent: The sweep's run.
        keep_checkpoints: Whether kept checkpoints are published.
    """

    store: TrackingStore
    sweep: SweepFolder
    parent: ParentRun
    keep_checkpoints: bool

    def sync(self, record: TrialRecord) -> bool:
        """Send what has not arrived yet; see `Mirror.sync_trial`."""
        if record.status not in STATES:
            return True
        folder = self.sweep.trial(record.number)
        delivery = load_delivery(folder, parent=self.parent.run_id)
        if not delivery.run_id:
            delivery = replace(delivery, run_id=self._find_or_create(record)).save(folder)
        delivery = self._describe(record, folder, delivery)
        delivery = self._send_points(folder, delivery)
        if record.status in (Status.COMPLETED, Status.PRUNED):
            delivery = self._send_best(record, folder, delivery)
            delivery = self._send_figures(folder, delivery)
        if delivery.status != record.status:
            if record.status is Status.FAILED and folder.failure.exists():
                self.store.upload(delivery.run_id, folder.failure.name, folder.failure)
            if record.status.is_final and folder.lineage.exists():
                self.store.upload(delivery.run_id, folder.lineage.name, folder.lineage)
            self.store.set_state(delivery.run_id, STATES[record.status], end_time=milliseconds(record.ended))
            delivery = replace(delivery, status=str(record.status)).save(folder)
        return not read_points(folder.metrics, delivery.offset, limit=1)[0]

    def delete_doubles(self) -> None:
        """Delete the runs of trials that have another one.

        A server that is overloaded may make a run after its client has given up and looked for it in vain.
        """
        for run in self.store.find_runs({Tag.KIND: "trial", Tag.PARENT: self.parent.run_id}):
            number = int(run.data.tags[Tag.TRIAL])
            own = load_delivery(self.sweep.trial(number), parent=self.parent.run_id).run_id
            if own and own != run.info.run_id:
                logger.warning("trial %d had two runs in MLflow; the empty one is deleted", number)
                self.store.client.delete_run(run.info.run_id)

    def _identity(self, record: TrialRecord) -> dict[str, str]:
        return {
            Tag.KIND: "trial",
            Tag.SWEEP: self.sweep.name,
            Tag.TRIAL: str(record.number),
            Tag.PARENT: self.parent.run_id,
        }

    def _find_or_create(self, record: TrialRecord) -> str:
        identity = self._identity(record)
        found = self.store.find_runs(identity)
        if found:
            return found[0].info.run_id
        run = self.store.client.create_run(
            self.store.experiment_id,
            start_time=milliseconds(record.started),
            tags=identity,
            run_name=run_name(self.sweep.name, record.number),
        )
        return run.info.run_id

    def _describe(self, record: TrialRecord, folder: TrialFolder, delivery: Delivery) -> Delivery:
        # MLflow's are write-once: those that a trial began with; a population's changes are metrics `hp/…`.
        parameters = record.first_parameters or record.parameters
        new = {name: value for name, value in parameters.items() if name not in delivery.parameters}
        if new:
            self.store.log_parameters(delivery.run_id, new)
            delivery = replace(delivery, parameters=list(parameters)).save(folder)
        tags = {**self.parent.inherited, **_tags(record)}
        if tags != delivery.tags:
            self.store.set_tags(delivery.run_id, tags)
            delivery = replace(delivery, tags=tags).save(folder)
        if not delivery.configured and folder.config.exists():
            self.store.upload(delivery.run_id, folder.config.name, folder.config)
            delivery = replace(delivery, configured=True).save(folder)
        return delivery

    def _send_points(self, folder: TrialFolder, delivery: Delivery) -> Delivery:
        while True:
            points, offset = read_points(folder.metrics, delivery.offset, limit=BATCH)
            if not points:
                return delivery
            self.store.log_points(delivery.run_id, points)
            delivery = replace(delivery, offset=offset).save(folder)

    def _send_best(self, record: TrialRecord, folder: TrialFolder, delivery: Delivery) -> Delivery:
        # A trial that took over the results of another has its values, so that the table of runs sorts; history,
        # checkpoint and model are with the other, which the tag `neurosweep.origin` names.
        source = folder if record.duplicate_of is None else self.sweep.trial(record.duplicate_of)
        checkpoint = source.best_checkpoint
        if delivery.published or checkpoint is None:
            return delivery
        validation = _validation_points(source, epoch=_epoch_of(checkpoint))
        self.store.log_points(delivery.run_id, _best_points(validation))
        if self.keep_checkpoints and record.duplicate_of is None:
            kept = KeptModel(
                run_id=delivery.run_id,
                name=run_name(self.sweep.name, record.number),
                folder=folder,
                checkpoint=checkpoint,
                parameters=record.parameters,
                tags={**self.parent.inherited, **_tags(record), **self._identity(record)},
                points=validation,
            )
            delivery = replace(delivery, model_id=publish(self.store, kept))
        return replace(delivery, published=True).save(folder)

    def _send_figures(self, folder: TrialFolder, delivery: Delivery) -> Delivery:
        if delivery.figures or not folder.figures.is_dir():
            return delivery
        self.store.upload(delivery.run_id, folder.figures.name, folder.figures)
        return replace(delivery, figures=True).save(folder)


def _tags(record: TrialRecord) -> dict[str, str]:
    tags = {
        Tag.STATUS: str(record.status),
        Tag.ATTEMPT: str(record.attempts),
        Tag.ORIGIN: record.origin,
        Tag.SEED: str(record.seed),
    }
    if record.violations:
        tags[Tag.FEASIBLE] = str(record.feasible).lower()
    if record.failure is not None:
        tags[Tag.FAILURE] = str(record.failure)
    if record.failure_message:
        tags[Tag.FAILURE_MESSAGE] = cut(record.failure_message, _MAX_MESSAGE)
    return tags


def _epoch_of(checkpoint: Path) -> int:
    """Read the epoch from the name that `TrialFolder.best_checkpoint_of` gave."""
    return int(checkpoint.stem.rpartition("-")[2])


def _validation_points(folder: TrialFolder, *, epoch: int) -> list[MetricPoint]:
    points, _ = read_points(folder.metrics, 0, limit=None)
    prefix = f"{Split.VALIDATION}/"
    return [point for point in points if point.step == epoch and point.key.startswith(prefix)]


def _best_points(validation: list[MetricPoint]) -> list[MetricPoint]:
    """Name the values at the kept epoch: the table of runs is then sorted by what the checkpoint is worth."""
    best = [replace(point, key=f"{Split.BEST}/{point.key.partition('/')[2]}") for point in validation]
    if best:
        best.append(replace(best[0], key=BEST_EPOCH, value=float(best[0].step)))
    return best
