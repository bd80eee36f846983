"""Looking at sweeps from outside, while they run or afterwards, without owning them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from neurosweep.comparison import best_record
from neurosweep.config import SweepConfig
from neurosweep.config_files import load_config
from neurosweep.experiments import Experiment, find_experiment
from neurosweep.layout import SweepFolder, read_json, sweeps_in
from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.search.study import open_study
from neurosweep.search.trial_records import records_of
from neurosweep.sweeps.launch import find_sweep
from neurosweep.sweeps.lease import describe_driver, is_owned
from neurosweep.sweeps.preparation import storage_root
from neurosweep.sweeps.result import SweepEnd


@dataclass(frozen=True)
class InspectedSweep:
    """A sweep as its folder and study tell it.

    Args:
        folder: Its files.
        config: Its configuration.
        experiment: Its experiment.
        records: Its trials.
        owned: Whether a living driver runs it.
    """

    folder: SweepFolder
    config: SweepConfig
    experiment: Experiment
    records: list[TrialRecord]
    owned: bool

    @property
    def end(self) -> SweepEnd:
        """Why the last driver stopped; one that was killed left no word."""
        if sum(record.status.is_final for record in self.records) >= self.config.search.trials:
            return SweepEnd.FINISHED
        return SweepEnd(read_json(self.folder.end).get("end", SweepEnd.INTERRUPTED))

    @property
    def state(self) -> str:
        """One word, or a few, on how the sweep stands."""
        if self.owned:
            return f"running ({describe_driver(self.folder)})"
        if self.end is SweepEnd.FINISHED:
            return self.end.value
        return f"finished ({self.end})" if self.end.is_success else f"stopped ({self.end}); resume it"


def inspect_sweep(name: str, storage: str) -> InspectedSweep:
    """Read a sweep.

    Raises:
        SweepNotFoundError: If there is none of this name.
    """
    return _read(find_sweep(name, storage))


def inspect_all(storage: str) -> Iterator[InspectedSweep]:
    """Read every sweep of a storage folder, by name."""
    for folder in sweeps_in(storage_root(storage)):
        yield _read(folder)


def describe_sweeps(storage: str, name: str | None) -> Iterator[tuple[str, ...]]:
    """Yield name, state, counts and the best trial of one sweep or of all, as text."""
    for sweep in [inspect_sweep(name, storage)] if name else inspect_all(storage):
        counts = Counter(record.status for record in sweep.records)
        best = best_record(sweep.records, sweep.experiment.objectives)
        value = "" if best is None or best.values is None else f"{best.values[0]:.4g} (trial {best.number})"
        yield (
            sweep.folder.name,
            sweep.state,
            f"{sum(record.status.is_final for record in sweep.records)}/{sweep.config.search.trials}",
            str(counts[Status.RUNNING]),
            str(counts[Status.PRUNED]),
            str(counts[Status.FAILED]),
            value,
        )


def _read(folder: SweepFolder) -> InspectedSweep:
    config = load_config(folder.config)
    experiment = find_experiment(config.experiment)
    owned = is_owned(folder)
    study = open_study(config, folder, experiment.objectives)
    live = {trial.number for trial in study.get_trials(deepcopy=False)} if owned else set()
    return InspectedSweep(
        folder=folder,
        config=config,
        experiment=experiment,
        records=list(records_of(study, config.pins, live=frozenset(live))),
        owned=owned,
    )
