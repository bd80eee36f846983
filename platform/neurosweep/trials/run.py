"""One trial on a worker: resolved configuration in, epoch reports and an ending out."""

import gc
import json
import logging
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from neurosweep.layout import TrialFolder, write_json
from neurosweep.naming import Failure
from neurosweep.trials.setup import TrialSetup

logger = logging.getLogger(__name__)

EPOCH, ENDING = "epoch_report", "ending"
"""Keys of the results that Ray carries to the driver."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended on its worker.

    Args:
        values: Objectives of the kept checkpoint; None if the trial failed.
        failure: Why it failed, if it did.
        message: One line for people.
        storage_full: Whether the disk was full: the trial is unfinished rather than failed.
    """

    values: tuple[float, ...] | None = None
    failure: Failure | None = None
    message: str = ""
    storage_full: bool = False


def run_on_ray(config: dict[str, Any], *, setup: TrialSetup, data: Any) -> None:
    """Run a trial inside a Ray Tune worker.

    Args:
        config: `number`, `parameters` and `seed` of an `Assignment`.
        setup: What all trials share.
        data: What the experiment's `load` returned, from Ray's object store.
    """
    from ray import tune

    def send(result: dict[str, Any]) -> None:
        # Tune rewrites what it finds in a result, so the report travels as one string.
        tune.report({key: json.dumps(value) for key, value in result.items()})

    ending = run_trial(config, setup=setup, data=data, send=send)
    tune.report({ENDING: json.dumps(asdict(ending))})


def run_trial(
    assignment: dict[str, Any],
    *,
    setup: TrialSetup,
    data: Any,
    send: Callable[[dict[str, Any]], None],
) -> Ending:
    """Build, fit and report one trial, from its last checkpoint if it has one.

    Exceptions of the module do not leave this function, because to Ray an exception is a reason to start again.

    Args:
        assignment: `number`, `parameters` and `seed` of an `Assignment`.
        setup: What all trials share.
        data: What the experiment's `load` returned.
        send: Takes the epoch reports; SystemExit from it ends the trial.
    """
    if not setup.gpus:
        # Ray leaves every GPU visible to a trial that asked for none.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from neurosweep.trials.failures import classify, is_full_disk

    folder = setup.folder(assignment["number"])
    try:
        _note_attempt(folder)
        return _fit(assignment, setup=setup, data=data, send=send, folder=folder)
    except Exception as error:  # whatever a lab's module raises is the trial's failure, not the sweep's
        logger.warning("trial %d failed", assignment["number"], exc_info=True)
        if is_full_disk(error):
            return Ending(message=f"The disk of {folder.root} is full: {error}", storage_full=True)
        _keep_traceback(folder)
        return Ending(failure=classify(error), message=_one_line(error))
    finally:
        _free_memory()


def _fit(
    assignment: dict[str, Any],
    *,
    setup: TrialSetup,
    data: Any,
    send: Callable[[dict[str, Any]], None],
    folder: TrialFolder,
) -> Ending:
    import torch

    from neurosweep.trials import build
    from neurosweep.trials.arguments import merge_parameters
    from neurosweep.trials.failures import MissingObjectiveError
    from neurosweep.trials.reporting import EpochReport, EpochReporter

    build.quiet_lightning()
    torch.set_num_threads(max(1, int(setup.cpus)))
    config = build.TrialConfig(
        experiment=setup.experiment,
        number=assignment["number"],
        seed=assignment["seed"],
        sections=merge_parameters(setup.fixed, assignment["parameters"]),
        data_hash=setup.data_hash,
    )
    write_json(folder.config, config.as_dict())
    data_module = build.build_data_module(config, data)
    module = build.build_module(config, data_module)

    def report(epoch: EpochReport) -> None:
        send({EPOCH: asdict(epoch)})

    reporter = EpochReporter(
        folder=folder, objectives=setup.experiment.objectives, report=report, seed=config.seed
    )
    trainer = build.build_trainer(config, gpus=setup.gpus, callbacks=[reporter])
    last = folder.last_checkpoint
    trainer.fit(
        module,
        datamodule=data_module,
        ckpt_path=str(last) if last.exists() else None,
        weights_only=True if last.exists() else None,
    )
    reporter.repeat_last()  # an attempt that begins after the last epoch trains, and reports, nothing
    if reporter.last is None:
        raise MissingObjectiveError(
            "The trial ended without a validated epoch.",
            "Let the data module give a validation loader, and `trainer.max_epochs` be at least 1.",
        )
    return Ending(values=reporter.last.best_objectives)


def _note_attempt(folder: TrialFolder) -> None:
    folder.root.mkdir(parents=True, exist_ok=True)
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


def _free_memory() -> None:
    """Give the next trial of this worker a clean process."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
