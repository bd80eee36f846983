"""Training once more along a lineage: the weights of a population's member, from its log alone.

A population's winner was trained by several members, one after the other, with hyperparameters that changed. Its
schedule is in the log; following it with the seeds of those members gives the same weights again.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurosweep.comparison import best_record
from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError, DataError, NeurosweepError
from neurosweep.layout import SweepFolder
from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.search.population.lineage import Stage, trace_lineage
from neurosweep.search.population.log import read_population
from neurosweep.search.population.segment import Segment
from neurosweep.sweeps.inspection import InspectedSweep, inspect_sweep
from neurosweep.sweeps.next_steps import resume_command
from neurosweep.sweeps.preparation import PreparedSweep, prepare
from neurosweep.trials.run import EPOCHS, run_trial
from neurosweep.trials.setup import TrialSetup


@dataclass(frozen=True)
class Replay:
    """A member trained again.

    Args:
        member: Whose kept checkpoint it was.
        stages: The lineage: who trained it with which hyperparameters, generation by generation.
        curve: First objective by epoch, along the lineage.
        epoch: Epoch of the member's kept checkpoint.
        recorded: First objective of the member's kept checkpoint, as the sweep recorded it.
        folder: Where the checkpoints of the replay lie.
    """

    member: int
    stages: tuple[Stage, ...]
    curve: Mapping[int, float]
    epoch: int
    recorded: float
    folder: Path

    @property
    def value(self) -> float:
        """First objective at the epoch of the kept checkpoint, this time."""
        return self.curve[self.epoch]


def replay(name: str, *, storage: str = SweepConfig.storage, member: int | None = None) -> Replay:
    """Train a population's member again, in this process, along the lineage of its kept checkpoint.

    On the same machine it gives the recorded score again to the last digit.

    Args:
        name: The sweep.
        storage: Folder of the sweeps.
        member: Its number; None takes the best one.

    Raises:
        NeurosweepError: If the sweep is no finished population, or its training fails this time.
        DataError: If the recordings are not those that the population was trained on.
    """
    sweep = inspect_sweep(name, storage)
    record = _member(sweep, member)
    stages, data_seed, epoch = _lineage(sweep, record)
    prepared = prepare(sweep.config)
    _refuse_other_data(prepared, sweep.folder)
    folder = SweepFolder(sweep.folder.root / "replays" / f"{record.number:04d}")
    shutil.rmtree(folder.root, ignore_errors=True)
    curve = _train(stages, data_seed, prepared, folder)
    assert record.values is not None
    return Replay(record.number, stages, curve, epoch, record.values[0], folder.trial(0).root)


def _member(sweep: InspectedSweep, member: int | None) -> TrialRecord:
    if sweep.config.population.method is None:
        raise ConfigError(
            f"The sweep `{sweep.folder.name}` is no population: its trials kept their hyperparameters.",
            "Launch one with `--population bt_pbt`.",
        )
    completed = {one.number: one for one in sweep.records if one.status is Status.COMPLETED}
    found = (
        best_record(sweep.records, sweep.experiment.objectives) if member is None else completed.get(member)
    )
    if found is None:
        raise NeurosweepError(
            f"The population `{sweep.folder.name}` has no completed member{'' if member is None else f' {member}'}.",
            f"Continue it with `{resume_command(sweep.folder)}`; completed are: "
            f"{', '.join(map(str, completed)) or 'none'}.",
        )
    return found


def _lineage(sweep: InspectedSweep, record: TrialRecord) -> tuple[tuple[Stage, ...], int, int]:
    """Return the stages up to the kept checkpoint, the data's seed, and the checkpoint's epoch."""
    head, generations = read_population(sweep.folder.population)
    if head is None:
        raise NeurosweepError(
            f"There is no {sweep.folder.population}.", "Restore it from MLflow's parent run."
        )
    objective = sweep.experiment.objectives[0]
    epoch = min(record.curve)
    for other in sorted(record.curve):
        epoch = other if objective.better(record.curve[other], record.curve[epoch]) else epoch
    generation = epoch // head.generation_epochs
    return (
        trace_lineage(head, generations, member=record.number, generation=generation),
        head.data_seed,
        epoch,
    )


def _refuse_other_data(prepared: PreparedSweep, folder: SweepFolder) -> None:
    recorded = json.loads(folder.trial(0).config.read_text(encoding="utf-8"))["data_hash"]
    if prepared.data_hash != recorded:
        raise DataError(
            f"The data now has the hash {prepared.data_hash}, but the population was trained on {recorded}.",
            f"Bring back the recordings as they were: {dict(prepared.config.data)}.",
        )


def _train(
    stages: tuple[Stage, ...], data_seed: int, prepared: PreparedSweep, folder: SweepFolder
) -> dict[int, float]:
    config, curve = prepared.config, {}

    def send(result: dict[str, Any]) -> None:
        for report in result[EPOCHS]:
            curve[report["epoch"]] = report["objectives"][0]

    setup = TrialSetup(
        experiment=prepared.experiment,
        sweep_root=folder.root,
        fixed={"model": config.model, "data": config.data, "trainer": config.trainer},
        data_hash=prepared.data_hash,
        cpus=config.resources.cpus_per_trial,
        gpus=config.resources.gpus_per_trial,
    )
    for stage in stages:
        segment = Segment(
            generation=stage.generation,
            first_epoch=stage.first_epoch,
            until_epoch=stage.until_epoch,
            source=None if stage is stages[0] else 0,
            adopts=stage.copied,
            data_seed=data_seed,
            explored=(),
        )
        assignment = {
            "number": 0,
            "parameters": stage.parameters,
            "seed": stage.seed,
            "segment": asdict(segment),
        }
        ending = run_trial(assignment, setup=setup, data=prepared.data, send=send)
        if ending.values is None:
            raise NeurosweepError(
                f"The replay failed in generation {stage.generation}: {ending.message}",
                f"See {folder.trial(0).failure}.",
            )
    return curve
