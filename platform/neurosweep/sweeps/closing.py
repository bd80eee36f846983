"""The end of a sweep's driver: deliver what waits, compare the trials, write the report."""

import logging
from dataclasses import asdict
from pathlib import Path

from neurosweep.comparison import (
    ReportContext,
    best_record,
    leaderboard,
    write_csv,
    write_figures,
    write_report,
)
from neurosweep.config import SweepConfig
from neurosweep.layout import read_json
from neurosweep.naming import best_metric
from neurosweep.search.memory import SweepMemory
from neurosweep.sweeps.preparation import PreparedSweep, storage_root, tracking_uri
from neurosweep.sweeps.result import SweepEnd, SweepResult
from neurosweep.tracking import Courier, Mirror

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 60.0
"""How long the end of a sweep waits for a tracking server that does not answer."""


def close_sweep(
    prepared: PreparedSweep,
    memory: SweepMemory,
    mirror: Mirror,
    courier: Courier,
    *,
    run_id: str,
    end: SweepEnd,
    signal: int | None,
    wall_seconds: float | None,
) -> SweepResult:
    """Deliver, compare, report.

    Args:
        prepared: The sweep.
        memory: Its trials.
        mirror: MLflow.
        courier: Holds what has not been delivered.
        run_id: The parent run.
        end: Why the driver stops.
        signal: Number of the signal that stopped it, if one did.
        wall_seconds: How long the sweep ran; None if earlier drivers had a part in it.
    """
    config, folder, objectives = prepared.config, prepared.folder, prepared.experiment.objectives
    records = memory.records()
    backlog = courier.drain(_PATIENCE_SECONDS)
    if backlog.trials:
        logger.warning("%d points of %d trials wait for the tracking server", backlog.points, backlog.trials)
    board = leaderboard(records, objectives)
    best = best_record(records, objectives)
    delivered = {record.number: read_json(folder.trial(record.number).delivery) for record in records}
    run_ids = {number: content["run_id"] for number, content in delivered.items() if content.get("run_id")}
    model_ids = {
        number: content["model_id"] for number, content in delivered.items() if content.get("model_id")
    }
    write_csv(folder, board)
    figures = write_figures(study=memory.study, folder=folder, objectives=objectives)
    report = write_report(
        folder=folder,
        records=records,
        objectives=objectives,
        study=memory.study,
        context=ReportContext(
            experiment=prepared.experiment.name,
            seed=config.seed,
            resume_command=resume_command(config),
            mlflow_command=ui_command(config),
            reload_command=None
            if best is None
            else _reload_call(config, model_ids.get(best.number), folder.trial(best.number).best_checkpoint),
            data_hash=prepared.data_hash,
            data_notes=prepared.notes,
            provenance=asdict(prepared.code),
            pinned=config.pins,
            wall_seconds=wall_seconds,
        ),
    )
    files = {"leaderboard.csv": folder.leaderboard, "report.html": report}
    files |= {f"figures/{path.name}": path for path in figures.values()}
    files |= {"study.journal": folder.journal} if folder.journal.exists() else {}
    mirror.close_sweep(
        "finished" if end is SweepEnd.FINISHED else "interrupted",
        files=files,
        metrics={best_metric(objectives[0].metric): best.values[0]} if best and best.values else {},
    )
    return SweepResult(
        config=config,
        end=end,
        signal=signal,
        leaderboard=board,
        best=best,
        best_checkpoint=None if best is None else folder.trial(best.number).best_checkpoint,
        run_id=run_id,
        trial_run_ids=run_ids,
        model_ids=model_ids,
        undelivered_points=backlog.points,
        tracking_uri=tracking_uri(config),
        folder=folder,
    )


def resume_command(config: SweepConfig) -> str:
    """Return the shell command that continues the sweep."""
    return f"neurosweep resume {config.name}{_storage_flag(config)}"


def ui_command(config: SweepConfig) -> str:
    """Return the shell command that opens MLflow, or the address of the server that runs already."""
    uri = tracking_uri(config)
    if uri.startswith(("http://", "https://")):
        return uri
    if config.tracking.uri is None:
        return f"neurosweep ui{_storage_flag(config)}"
    return f"neurosweep ui --tracking-uri {uri}"


def checkpoint_reference(result: SweepResult) -> str:
    """Return the Python call that loads the best checkpoint, without Ray."""
    assert result.best is not None
    return _reload_call(result.config, result.model_ids.get(result.best.number), result.best_checkpoint)


def _reload_call(config: SweepConfig, model_id: str | None, checkpoint: Path | None) -> str:
    """Name the logged model, or where there is none, or none yet, the checkpoint in the sweep's folder."""
    if model_id is None:
        return f'neurosweep.load_model("{checkpoint}")'
    return f'neurosweep.load_model("models:/{model_id}", tracking_uri="{tracking_uri(config)}")'


def _storage_flag(config: SweepConfig) -> str:
    """Name the storage only where it is not the default, seen from here."""
    if storage_root(config.storage) == storage_root(SweepConfig.storage):
        return ""
    return f" --storage {storage_root(config.storage)}"
