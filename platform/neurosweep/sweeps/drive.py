"""Driving a sweep: the loop between Ray, the study and MLflow, and its orderly end."""

import contextlib
import logging
import time
from collections.abc import Iterable

from ray import tune
from ray.tune.experiment import Trial

from neurosweep.errors import StorageError
from neurosweep.layout import SweepFolder
from neurosweep.records import MetricPoint
from neurosweep.search.memory import SweepMemory
from neurosweep.search.study import open_study
from neurosweep.sweeps.closing import close_sweep
from neurosweep.sweeps.opening import open_parent
from neurosweep.sweeps.preparation import PreparedSweep
from neurosweep.sweeps.progress import Observer, take_snapshot
from neurosweep.sweeps.result import SweepEnd, SweepResult
from neurosweep.sweeps.signals import SignalWatch
from neurosweep.sweeps.tuning import (
    NUMBER,
    StopSignal,
    StudyScheduler,
    StudySearcher,
    SweepEvents,
    TuneWatcher,
)
from neurosweep.tracking import Courier, Mirror, Outbox, TrackingStore
from neurosweep.trials.run import run_on_ray
from neurosweep.trials.setup import TrialSetup

logger = logging.getLogger(__name__)


def drive_sweep(
    prepared: PreparedSweep,
    *,
    store: TrackingStore,
    slots: int,
    watch: SignalWatch,
    observer: Observer | None,
) -> SweepResult:
    """Run what is left of a sweep, mirror it in MLflow, and write its report.

    Args:
        prepared: The checked sweep with its data.
        store: MLflow.
        slots: Trials at the same time.
        watch: Knows of signals.
        observer: Is shown the progress.

    Raises:
        StorageError: If the disk was full; the sweep can be resumed.
    """
    started = time.monotonic()
    config, folder = prepared.config, prepared.folder
    study = open_study(config, folder, prepared.experiment.objectives)
    memory = SweepMemory(study, prepared.experiment, config)
    mirror = Mirror(store, folder, keep_checkpoints=config.tracking.keep_checkpoints)
    run_id = open_parent(mirror, prepared)
    with contextlib.ExitStack() as stack:
        courier = Courier(mirror)
        stack.callback(courier.stop)
        events = SweepEvents(memory, keep_points=Outboxes(folder).keep, publish=courier.notify)
        for record in memory.records():
            courier.notify(record)  # whatever an earlier driver could not deliver
        budget = config.search.time_budget
        stop = StopSignal(None if budget is None else started + budget, events)
        epochs_before = sum(len(record.curve) for record in memory.records())

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
                    )
                )

        with watch.winding_down(stop.ask):
            _tune(prepared, memory, events, stop, TuneWatcher(events, show), slots)
        memory.release_live()
        show()
        for record in memory.records():
            if not record.status.is_final:
                courier.notify(record)
        result = close_sweep(
            prepared,
            memory,
            mirror,
            courier,
            run_id=run_id,
            end=_why(stop, watch, memory, config.search.trials),
            signal=watch.received,
            wall_seconds=None if epochs_before else time.monotonic() - started,
        )
    if events.full_disk is not None:
        raise StorageError(
            events.full_disk,
            f"Free some space, then `neurosweep resume {config.name} --storage {folder.root.parent}`: nothing "
            "is lost.",
        )
    logger.info("sweep %s: %s after %.0f s", config.name, result.end, time.monotonic() - started)
    return result


class Outboxes:
    """The outboxes of the sweep's trials, opened when they are first needed.

    Args:
        folder: The sweep's folder.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._open: dict[int, Outbox] = {}

    def keep(self, number: int, points: Iterable[MetricPoint]) -> None:
        """Append points to the outbox of a trial."""
        if number not in self._open:
            self._open[number] = Outbox(self._folder.trial(number))
        self._open[number].append(points)


def _tune(
    prepared: PreparedSweep,
    memory: SweepMemory,
    events: SweepEvents,
    stop: StopSignal,
    watcher: TuneWatcher,
    slots: int,
) -> None:
    """Run the trials that are left with a fresh Tuner."""
    config = prepared.config
    left = config.search.trials - sum(record.status.is_final for record in memory.records())
    if left <= 0:
        return
    resources = config.resources
    setup = TrialSetup(
        experiment=prepared.experiment,
        sweep_root=prepared.folder.root,
        fixed={"model": config.model, "data": config.data, "trainer": config.trainer},
        data_hash=prepared.data_hash,
        cpus=resources.cpus_per_trial,
        gpus=resources.gpus_per_trial,
    )
    trainable = tune.with_resources(
        tune.with_parameters(run_on_ray, setup=setup, data=prepared.data),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(memory, events),
            scheduler=StudyScheduler(events),
            num_samples=left,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(prepared.folder.ray),
            stop=stop,
            callbacks=[watcher],
            failure_config=tune.FailureConfig(max_failures=resources.retries),
            verbose=0,
        ),
    ).fit()


def _trial_name(trial: Trial) -> str:
    return f"{trial.config[NUMBER]:04d}-{trial.trial_id}"


def _why(stop: StopSignal, watch: SignalWatch, memory: SweepMemory, trials: int) -> SweepEnd:
    if sum(record.status.is_final for record in memory.records()) >= trials:
        return SweepEnd.FINISHED
    return SweepEnd.TIME_BUDGET if stop.out_of_time and watch.received is None else SweepEnd.INTERRUPTED
