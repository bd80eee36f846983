"""One trial on a worker: resolved configuration in, epoch reports and an ending out."""

import json
import logging
import os
import socket
import traceback
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neurosweep.layout import TrialFolder, write_json
from neurosweep.naming import Failure
from neurosweep.search.population.segment import Segment
from neurosweep.trials.setup import ALONE, TrialSetup, WorkerRank
from neurosweep.trials.worker_memory import WorkerMemory, free_memory, spare_the_imports

logger = logging.getLogger(__name__)

EPOCHS, ENDING, DECLINED = "epoch_reports", "ending", "declined"
"""Keys of the results that Ray carries to the driver."""

_WORKER_MEMORY = WorkerMemory()


class WorkerRetiredError(Exception):
    """This process holds too much memory for another trial."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended on its worker.

    Args:
        values: Objectives of the kept checkpoint; None if the trial failed.
        constrained: The metric of each constraint there.
        failure: Why it failed, if it did.
        message: One line for people.
        storage_full: Whether the disk was full: the trial is unfinished rather than failed.
    """

    values: tuple[float, ...] | None = None
    constrained: tuple[float, ...] = ()
    failure: Failure | None = None
    message: str = ""
    storage_full: bool = False


def run_on_ray(config: dict[str, Any], *, setup: TrialSetup, data: Any) -> None:
    """Run a trial inside a Ray Tune worker.

    Args:
        config: `number`, `parameters`, `seed` and, in a population, `segment` of an `Assignment`.
        setup: What all trials share.
        data: What the experiment's `load` returned, from Ray's object store.

    Raises:
        WorkerRetiredError: If earlier trials have left too much memory behind. The driver has been told, and hands
            the trial to another worker.
    """
    from ray import tune

    def send(result: dict[str, Any]) -> None:
        # Tune rewrites what it finds in a result, so the report travels as one string.
        tune.report({key: json.dumps(value) for key, value in result.items()})

    grown = _WORKER_MEMORY.excess_before_trial(setup.worker_growth_mb)
    if grown is not None:
        tune.report({DECLINED: f"its worker (pid {os.getpid()}) holds {grown:.0f} MB more than at first"})
        raise WorkerRetiredError("Tune replaces a worker whose trial raises.")
    spare_the_imports()
    ending = run_trial(config, setup=setup, data=data, send=send)
    tune.report({ENDING: json.dumps(asdict(ending))})


def run_trial(
    assignment: dict[str, Any],
    *,
    setup: TrialSetup,
    data: Any,
    send: Callable[[dict[str, Any]], None],
    worker: WorkerRank = ALONE,
) -> Ending:
    """Build, fit and report one trial, from its last checkpoint if it has one.

    Exceptions of the module do not leave this function, because to Ray an exception is a reason to start again.
    The loss of another worker of the trial does leave it, because it is one.

    Args:
        assignment: `number`, `parameters`, `seed` and, in a population, `segment` of an `Assignment`.
        setup: What all trials share.
        data: What the experiment's `load` returned.
        send: Takes the epoch reports; SystemExit from it ends the trial.
        worker: Which of the trial's workers this is; each calls this function.
    """
    if not setup.gpus:
        # Ray leaves every GPU visible to a trial that asked for none.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from neurosweep.trials.failures import classify, is_full_disk, is_lost_worker

    folder = setup.folder(assignment["number"])
    try:
        if worker.leads:
            _note_attempt(folder)
        return _fit(assignment, setup=setup, data=data, send=send, folder=folder, worker=worker)
    except Exception as error:  # whatever a lab's module raises is the trial's failure, not the sweep's
        if not worker.alone and is_lost_worker(error):
            raise
        if is_full_disk(error):
            return Ending(message=f"The disk of {folder.root} is full: {error}", storage_full=True)
        logger.warning("trial %d failed", assignment["number"], exc_info=True)
        _keep_traceback(folder)
        return Ending(failure=classify(error), message=_one_line(error))
    finally:
        free_memory()


def _fit(
    assignment: dict[str, Any],
    *,
    setup: TrialSetup,
    data: Any,
    send: Callable[[dict[str, Any]], None],
    folder: TrialFolder,
    worker: WorkerRank,
) -> Ending:
    import torch

    from neurosweep.trials import build
    from neurosweep.trials.arguments import merge_parameters
    from neurosweep.trials.failures import MissingObjectiveError
    from neurosweep.trials.reporting import EpochReport, EpochReporter
    from neurosweep.trials.segments import SegmentReporter

    segment = None if assignment.get("segment") is None else Segment(**assignment["segment"])
    build.quiet_lightning()
    torch.set_num_threads(max(1, int(setup.cpus)))
    if 0 < setup.gpus < 1 and torch.cuda.is_available():
        # Ray only keeps count of a fraction: without a cap, one trial's memory is its neighbours' failure.
        torch.cuda.set_per_process_memory_fraction(setup.gpus)
    config = build.TrialConfig(
        experiment=setup.experiment,
        number=assignment["number"],
        seed=assignment["seed"],
        sections=merge_parameters(setup.fixed, assignment["parameters"]),
        data_hash=setup.data_hash,
        data_seed=None if segment is None else segment.data_seed,
    )
    if worker.leads:
        write_json(folder.config, config.as_dict())
    data_module = build.build_data_module(config, data)
    if worker.leads:
        _keep_description(folder, data_module)
    module = build.build_module(config, data_module)

    def report(epochs: Sequence[EpochReport]) -> None:
        send({EPOCHS: [asdict(epoch) for epoch in epochs]})

    told = {"folder": folder, "experiment": setup.experiment, "report": report, "seed": config.seed}
    last = _last_checkpoint(folder)
    if segment is None:
        pace = setup.pace if worker.alone else setup.pace.in_step()
        reporter = EpochReporter(**told, pace=pace, worker=worker)
        start = last
    else:
        reporter = SegmentReporter(**told, pace=setup.pace, segment=segment, start=_start_of(segment, setup))
        start = reporter.checkpoint
    if worker.alone:
        trainer = build.build_trainer(config, gpus=setup.gpus, callbacks=[reporter])
    else:
        from neurosweep.trials import ranks

        ranks.slice_training_batches(data_module, worker)
        trainer = build.build_trainer(
            config,
            gpus=setup.gpus,
            callbacks=[ranks.RankCallback(), reporter],
            distributed=ranks.trainer_arguments(),
        )
    if isinstance(reporter, SegmentReporter) and reporter.has_trained_all:
        reporter.take_up()
    else:
        trainer.fit(
            module,
            datamodule=data_module,
            ckpt_path=None if start is None else str(start),
            weights_only=None if start is None else True,
        )
    reporter.repeat_last()  # an attempt that begins after the last epoch trains, and reports, nothing
    if isinstance(reporter, SegmentReporter):
        reporter.close_generation()
    if reporter.last is None:
        raise MissingObjectiveError(
            "The trial ended without a validated epoch.",
            "Let the data module give a validation loader, and `trainer.max_epochs` be at least 1.",
        )
    return Ending(values=reporter.last.best_objectives, constrained=reporter.last.best_constrained)


def _keep_description(folder: TrialFolder, data_module: Any) -> None:
    """Write what the model must remember of its input, if the data module says it."""
    description = getattr(data_module, "description", None)
    if isinstance(description, Mapping):
        write_json(folder.description, description)


def _last_checkpoint(folder: TrialFolder) -> Path | None:
    """Return the checkpoint to go on from, if there is one and it is whole: a power cut may leave half of one."""
    last = folder.last_checkpoint
    if not last.exists():
        return None
    if zipfile.is_zipfile(last):  # torch's format, whose directory is at the end of the file
        return last
    logger.warning("%s is damaged; the trial begins anew", last)
    last.unlink(missing_ok=True)
    return None


def _start_of(segment: Segment, setup: TrialSetup) -> Path | None:
    """Where a population's member begins: at the end of its source's generation before."""
    if segment.source is None:
        return None
    return setup.folder(segment.source).generation_checkpoint(segment.generation - 1)


def _note_attempt(folder: TrialFolder) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.drop_half_checkpoints()
    note = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    with folder.attempts.open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")


def _keep_traceback(folder: TrialFolder) -> None:
    try:
        folder.failure.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        logger.exception("the traceback could not be kept in %s", folder.failure)


def _one_line(error: BaseException) -> str:
    problem = getattr(error, "problem", None) or str(error) or "no message"
    name = "" if hasattr(error, "problem") else f"{type(error).__name__}: "
    return f"{name}{' '.join(problem.split())}"[:500]
