"""The report of a sweep: an HTML file on what was found, how, at what cost, and how far to trust it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.study import Study

from neurosweep.comparison import background, sections
from neurosweep.comparison.hypervolume import hypervolume
from neurosweep.comparison.pages import element, join, page
from neurosweep.comparison.population import population
from neurosweep.comparison.ranking import best_record
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder, write_atomically
from neurosweep.records import TrialRecord


@dataclass(frozen=True)
class ReportContext:
    """What the report tells but neither the trials nor the study know.

    Args:
        experiment: Name of the experiment.
        seed: Seed of the sweep.
        resume_command: Shell command that continues the sweep.
        mlflow_command: Shell command that shows its runs, or the address of the server that does.
        reload_command: Python or shell that loads the best model; None while there is none.
        data_hash: Hash of the data; empty if unknown.
        data_notes: What the experiment says of its data, a sentence each.
        provenance: Commit, versions, command line, by name; nested mappings are flattened.
        pinned: Fixed parameters by dotted name, which were not searched.
        wall_seconds: Time during which a driver ran the sweep, s; None takes the span from the first start
            of a trial to the last end.
    """

    experiment: str
    seed: int
    resume_command: str
    mlflow_command: str
    reload_command: str | None = None
    data_hash: str = ""
    data_notes: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    pinned: Mapping[str, Any] = field(default_factory=dict)
    wall_seconds: float | None = None


def write_report(
    *,
    folder: SweepFolder,
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    study: Study,
    context: ReportContext,
) -> Path:
    """Write `report.html` into the sweep's folder, for a sweep in any state, even one of failed trials only.

    Args:
        folder: The sweep's files; checkpoints and tracebacks are looked up here.
        records: Its trials in any order.
        objectives: Its objectives; the curves are those of the first one.
        study: Its study, for the ranges and the importances.
        context: What only the caller knows.

    Returns:
        The file: self-contained, without any request to the outside.
    """
    best = best_record(records, objectives)
    written = datetime.now(tz=UTC)
    body = join(
        element("h1", folder.name),
        sections.subtitle(experiment=context.experiment, records=records, written=written),
        sections.tiles(records=records, objectives=objectives, best=best),
        sections.headline(
            folder=folder,
            records=records,
            objectives=objectives,
            best=best,
            reload_command=context.reload_command,
            volume=hypervolume(study, objectives),
        ),
        sections.trust(records=records, objectives=objectives),
        sections.progress(records=records, objectives=objectives, best=best),
        population(folder, objectives, best),
        sections.parameter_importances(study, objectives),
        sections.standings(records=records, objectives=objectives, best=best),
        background.failures(folder, records),
        background.costs(records, context.wall_seconds),
        background.searched(study=study, pinned=context.pinned, best=best),
        background.origin(
            seed=context.seed,
            data_hash=context.data_hash,
            data_notes=context.data_notes,
            provenance=context.provenance,
        ),
        background.commands(resume_command=context.resume_command, mlflow_command=context.mlflow_command),
    )
    write_atomically(folder.report, page(title=f"{folder.name} · neurosweep", body=body, charts=True))
    return folder.report
