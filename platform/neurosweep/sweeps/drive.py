"""Driving a sweep: the loop between Ray, the study and MLflow, and its orderly end."""

import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Any

import optuna
from ray import tune
from ray.tune.experiment import Trial

from neurosweep.errors import ClusterLostError
from neurosweep.layout import SweepFolder
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.search.contract import TrialMemory
from neurosweep.search.decisions import decision_epochs
from neurosweep.search.earlier import EarlierTrials
from neurosweep.search.memory import SweepMemory
from neurosweep.search.population.memory import PopulationMemory
from neurosweep.search.study import open_study
from neurosweep.search.trial_records import records_of
from neurosweep.sweeps.closing import close_sweep, leave_sweep
from neurosweep.sweeps.drawing import FigureDrawer
from neurosweep.sweeps.events import SweepEvents
from neurosweep.sweeps.full_disk import full_disk
from neurosweep.sweeps.next_steps import resume_command
from neurosweep.sweeps.node_watch import NodeWatch
from neurosweep.sweeps.opening import open_parent
from neurosweep.sweeps.preparation import PreparedSweep
from neurosweep.sweeps.progress import Observer, count_epochs, take_snapshot
from neurosweep.sweeps.result import SweepEnd, SweepResult
from neurosweep.sweeps.signals import SignalWatch
from neurosweep.sweeps.stopping import StopSignal
from neurosweep.sweeps.tuning import (
    NUMBER,
    StudyScheduler,
    StudySearcher,
    TuneWatcher,
)
from neurosweep.sweeps.warm_start import read_earlier
from neurosweep.sweeps.watchdog import cluster_sockets, run_watched
from neurosweep.tracking import Courier, Mirror, Outbox, TrackingStore, training_seconds
from neurosweep.trials.run import run_on_ray
from neurosweep.trials.setup import Pace, TrialSetup

logger = logging.getLogger(__name__)


def drive_sweep(
    prepared: PreparedSweep,
    *,
    earlier: EarlierTrials | None,
    store: TrackingStore,
    watch: SignalWatch,
    observer: Observer | None,
) -> SweepResult:
    """Run what is left of a sweep, mirror it in MLflow, and write its report.

    Args:
        prepared: The checked sweep with its data.
        earlier: Trials of earlier sweeps, for a new one; None for one that is resumed.
        store: MLflow.
        watch: Knows of signals.
        observer: Is shown the progress.

    Raises:
        StorageError: If the disk was full; the sweep can be resumed.
        ClusterLostError: If Ray died; the sweep can be resumed.
    """
    started = time.monotonic()
    config, folder = prepared.config, prepared.folder
    folder.drop_half_written()
    study = open_study(config, folder, prepared.experiment.objectives)
    memory = _open_memory(prepared, study, earlier)
    mirror = Mirror(store, folder, keep_checkpoints=config.tracking.keep_checkpoints)
    with contextlib.ExitStack() as stack:
        courier = Courier(mirror)
        stack.callback(courier.stop)
        drawer = FigureDrawer(prepared, courier.notify)

        def publish(record: TrialRecord) -> None:
            courier.notify(record)
            drawer.consider(record)

        nodes = NodeWatch(config.resources)
        events = SweepEvents(
            memory,
            keep_points=Outboxes(folder).keep,
            publish=publish,
            retries=config.resources.retries,
            nodes=nodes,
        )
        stop = StopSignal(
            config, objective=prepared.experiment.objectives[0], memory=memory, events=events, started=started
        )
        if config.search.gpu_hours is not None:
            events.training_seconds = training_seconds(folder)
        # From here on MLflow may show a run as running, so that a signal has something to wind down.
        stack.enter_context(watch.winding_down(stop.take_signal))
        run_id = open_parent(mirror, prepared)
        folder.end.unlink(missing_ok=True)  # a driver that is killed leaves no word
        for record in memory.records():
            if not mirror.has(record):
                courier.notify(record)  # whatever an earlier driver could not deliver
            drawer.consider(record)  # or has not drawn
        epochs_before = count_epochs(memory.records())

        def show() -> None:
            if observer is not None:
                observer(
                    take_snapshot(
                        memory.records(),
                        objective=prepared.experiment.objectives[0],
                        trials=config.search.trials,
                        elapsed=time.monotonic() - started,
                        max_epochs=memory.max_epochs,
                        waiting_points=courier.backlog().points,
                        epochs_before=epochs_before,
                        draining=stop.draining,
                    )
                )

        def beat() -> None:
            show()
            drawer.look()

        def tune_trials() -> None:
            _tune(prepared, memory, events, stop, TuneWatcher(events, beat), nodes)
            for record in memory.records():  # a population's members end together
                drawer.consider(record)
            drawer.finish(give_up=lambda: stop.hurried or events.full_disk is not None)

        memory.ask_ahead(slots=nodes.slots())
        cluster_lost: ClusterLostError | None = None
        try:
            run_watched(
                tune_trials,
                missing=cluster_sockets().missing,
                remedy=f"Nothing is lost. Once a cluster runs again: `{resume_command(folder)}`.",
            )
        except ClusterLostError as error:
            cluster_lost = error
        finally:
            events.close()
        stop.closing = True
        memory.release_live()
        show()
        for record in memory.records():
            # A population's members end together, after the last of them was heard.
            if not record.status.is_final or config.population.method is not None:
                courier.notify(record)
        if events.full_disk is not None:
            leave_sweep(mirror, courier)
            raise full_disk(folder, events.full_disk)
        result = close_sweep(
            prepared,
            memory,
            mirror,
            courier,
            run_id=run_id,
            stop=stop,
            watch=watch,
            wall_seconds=None if epochs_before else time.monotonic() - started,
        )
    if cluster_lost is not None:
        raise cluster_lost
    logger.info("sweep %s: %s after %.0f s", config.name, result.end, time.monotonic() - started)
    return result


def _open_memory(prepared: PreparedSweep, study: optuna.Study, earlier: EarlierTrials | None) -> TrialMemory:
    """Open the memory of a search or of a population."""
    config, experiment = prepared.config, prepared.experiment
    if config.population.method is not None:
        return PopulationMemory(study, experiment, config, prepared.folder)
    if earlier is None and not any(record.started for record in records_of(study, {})):
        earlier = read_earlier(prepared)  # it was killed before its first trial
    return SweepMemory(study, experiment, config, earlier)


class Outboxes:
    """The outboxes of the sweep's trials, opened when they are first needed.

    Args:
        folder: The sweep's folder.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._open: dict[int, Outbox] = {}

    def keep(self, number: int, points: Iterable[MetricPoint]) -> list[MetricPoint]:
        """Append points to the outbox of a trial, and return the new ones."""
        if number not in self._open:
            self._open[number] = Outbox(self._folder.trial(number))
        return self._open[number].append(points)


def _tune(
    prepared: PreparedSweep,
    memory: TrialMemory,
    events: SweepEvents,
    stop: StopSignal,
    watcher: TuneWatcher,
    nodes: NodeWatch,
) -> None:
    """Run the trials that are left with a fresh Tuner."""
    config = prepared.config
    if stop.end() is SweepEnd.FINISHED or stop.stop_all():
        return
    resources = config.resources
    setup = TrialSetup(
        experiment=prepared.experiment,
        sweep_root=prepared.folder.root,
        fixed={"model": config.model, "data": config.data, "trainer": config.trainer},
        data_hash=prepared.data_hash,
        cpus=resources.cpus_per_trial,
        gpus=resources.gpus_per_trial,
        workers=resources.workers_per_trial,
        worker_growth_mb=resources.worker_growth_mb,
        pace=Pace(decisions=decision_epochs(config.search, max_epochs=memory.max_epochs)),
    )
    tune.Tuner(
        _trainable(setup, prepared.data),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(memory, events, stop, nodes.slots),
            scheduler=StudyScheduler(events),
            num_samples=-1,  # the searcher says when it has no more
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(prepared.folder.ray),
            # What a trial needs to go on lies in its folder.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            stop=stop,
            callbacks=[watcher],
            verbose=0,
        ),
    ).fit()


def _trainable(setup: TrialSetup, data: Any) -> Any:
    """Return what Tune runs as a trial: a function in one process, or a trainable that leads several."""
    if setup.workers == 1:
        return tune.with_resources(
            tune.with_parameters(run_on_ray, setup=setup, data=data), {"cpu": setup.cpus, "gpu": setup.gpus}
        )
    from neurosweep.trials.distributed import distributed_trainable

    return distributed_trainable(setup, data)


def _trial_name(trial: Trial) -> str:
    return f"{trial.config[NUMBER]:04d}-{trial.trial_id}"
