"""The end of a sweep's driver: deliver what waits, compare the trials, write the report."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from neurosweep.comparison import (
    ReportContext,
    best_record,
    hypervolume,
    leaderboard,
    write_csv,
    write_figures,
    write_report,
)
from neurosweep.errors import TrackingError
from neurosweep.layout import read_json, write_json
from neurosweep.naming import HYPERVOLUME, best_metric
from neurosweep.search.contract import TrialMemory
from neurosweep.search.trial_records import OwnTrials
from neurosweep.sweeps.next_steps import reload_call, resume_command, ui_command
from neurosweep.sweeps.preparation import PreparedSweep, tracking_uri
from neurosweep.sweeps.result import SweepEnd, SweepResult
from neurosweep.sweeps.signals import SignalWatch
from neurosweep.sweeps.stopping import StopSignal
from neurosweep.tracking import Backlog, Courier, Mirror

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 60.0
"""How long the end of a sweep waits for a tracking server that does not answer."""
_HURRIED_SECONDS = 4.0
"""The same once a signal asks for the end: Slurm and Kubernetes kill 30 s after theirs."""


def close_sweep(
    prepared: PreparedSweep,
    memory: TrialMemory,
    mirror: Mirror,
    courier: Courier,
    *,
    run_id: str,
    stop: StopSignal,
    watch: SignalWatch,
    wall_seconds: float | None,
) -> SweepResult:
    """Deliver, compare, report.

    Args:
        prepared: The sweep.
        memory: Its trials.
        mirror: MLflow.
        courier: Holds what has not been delivered.
        run_id: The parent run.
        stop: Knows why the driver stops, and whether it has to hurry.
        watch: Knows which signal came, if one did.
        wall_seconds: How long the sweep ran; None if earlier drivers had a part in it.
    """
    config, folder, objectives = prepared.config, prepared.folder, prepared.experiment.objectives
    records, end = memory.records(), stop.end()
    backlog = _deliver(courier, stop)
    if backlog.trials:
        logger.warning("%d points of %d trials wait for the tracking server", backlog.points, backlog.trials)
    board = leaderboard(records, objectives)
    best = best_record(records, objectives)
    delivered = {record.number: read_json(folder.trial(record.number).delivery) for record in records}
    run_ids = {number: content["run_id"] for number, content in delivered.items() if content.get("run_id")}
    model_ids = {
        number: content["model_id"] for number, content in delivered.items() if content.get("model_id")
    }
    write_json(folder.end, {"end": end.value, "ended": datetime.now(UTC).isoformat(timespec="seconds")})
    write_csv(folder, board)
    study = OwnTrials(memory.study)
    figures = write_figures(study=study, folder=folder, objectives=objectives)
    report = write_report(
        folder=folder,
        records=records,
        objectives=objectives,
        study=study,
        context=ReportContext(
            experiment=prepared.experiment.name,
            seed=config.seed,
            resume_command=resume_command(folder),
            mlflow_command=ui_command(config),
            reload_command=None
            if best is None
            else reload_call(config, model_ids.get(best.number), folder.trial(best.number).best_checkpoint),
            data_hash=prepared.data_hash,
            data_notes=prepared.notes,
            provenance=asdict(prepared.code),
            pinned=config.pins,
            wall_seconds=wall_seconds,
        ),
    )
    volume = hypervolume(study, objectives)
    metrics = {best_metric(objectives[0].metric): best.values[0]} if best and best.values else {}
    metrics |= {} if volume is None else {HYPERVOLUME: volume}
    files = {"leaderboard.csv": folder.leaderboard, "report.html": report}
    files |= {f"figures/{path.name}": path for path in figures.values()}
    files |= {path.name: path for path in (folder.population, folder.lineage) if path.exists()}
    files |= {"study.journal": folder.journal} if folder.journal.exists() else {}
    _close_parent(
        mirror,
        end,
        files=files,
        metrics=metrics,
    )
    return SweepResult(
        config=config,
        end=end,
        signal=watch.received,
        leaderboard=board,
        best=best,
        best_checkpoint=None if best is None else folder.trial(best.number).best_checkpoint,
        run_id=run_id,
        trial_run_ids=run_ids,
        model_ids=model_ids,
        hypervolume=volume,
        undelivered_points=backlog.points,
        tracking_uri=tracking_uri(config),
        folder=folder,
    )


def leave_sweep(mirror: Mirror, courier: Courier) -> None:
    """Let MLflow know that the driver ends, where nothing can be written to the sweep's folder any more."""
    courier.drain(_HURRIED_SECONDS)
    _close_parent(mirror, SweepEnd.INTERRUPTED, files={}, metrics={})


def _deliver(courier: Courier, stop: StopSignal) -> Backlog:
    """Wait for what is on its way to MLflow, for a shorter time as soon as a signal asks for the end."""
    started = time.monotonic()
    while True:
        backlog = courier.drain(1.0)
        patience = _HURRIED_SECONDS if stop.hurried else _PATIENCE_SECONDS
        if not backlog or time.monotonic() - started > patience:
            return backlog


def _close_parent(
    mirror: Mirror,
    end: SweepEnd,
    *,
    files: Mapping[str, Path],
    metrics: Mapping[str, float],
) -> None:
    """End the parent run; a server that is away is asked again by the next resume or doctor."""
    try:
        if not mirror.store.is_reachable():
            raise TrackingError(f"MLflow at {mirror.store.uri} is away.")
        status = "finished" if end.is_success else "interrupted"
        mirror.close_sweep(status, end=end.value, files=files, metrics=metrics)
    except TrackingError as error:
        logger.warning(
            "the sweep's run in MLflow still shows it as running; `neurosweep resume` or `doctor` ends it: %s",
            error.problem,
        )
