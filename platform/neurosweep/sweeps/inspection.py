"""Looking at sweeps from outside, while they run or afterwards, without owning them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neurosweep.comparison import best_record
from neurosweep.config import SweepConfig
from neurosweep.config_files import load_config
from neurosweep.errors import NeurosweepError
from neurosweep.experiments import Experiment
from neurosweep.layout import SweepFolder, read_json, sweeps_in
from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.search.study import open_study
from neurosweep.search.trial_records import records_of
from neurosweep.sweeps.launch import find_sweep
from neurosweep.sweeps.lease import describe_driver, is_owned
from neurosweep.sweeps.preparation import experiment_of, storage_root
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

    def checkpoint_of(self, record: TrialRecord) -> Path | None:
        """Kept checkpoint of a trial, or of the one whose results it took over; None if there is none."""
        number = record.number if record.duplicate_of is None else record.duplicate_of
        return self.folder.trial(number).best_checkpoint

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
        NeurosweepError: If it cannot be read.
    """
    folder = find_sweep(name, storage)
    return read_sweep(folder, owned=is_owned(folder))


def describe_sweeps(storage: str, name: str | None) -> Iterator[tuple[str, ...]]:
    """Yield name, state, counts and the best trial of one sweep or of all, as text.

    Of all sweeps, one that cannot be read has a line that says so.
    """
    if name is not None:
        yield _described(inspect_sweep(name, storage))
        return
    for folder in sweeps_in(storage_root(storage)):
        try:
            yield _described(read_sweep(folder, owned=is_owned(folder)))
        except NeurosweepError as error:
            yield (folder.name, f"cannot be read: {error.problem}", "", "", "", "", "")


def _described(sweep: InspectedSweep) -> tuple[str, ...]:
    counts = Counter(record.status for record in sweep.records)
    best = best_record(sweep.records, sweep.experiment.objectives)
    value = "" if best is None or best.values is None else f"{best.values[0]:.4g} (trial {best.number})"
    return (
        sweep.folder.name,
        sweep.state,
        f"{sum(record.status.is_final for record in sweep.records)}/{sweep.config.search.trials}",
        str(counts[Status.RUNNING]),
        str(counts[Status.PRUNED]),
        str(counts[Status.FAILED]),
        value,
    )


def read_sweep(folder: SweepFolder, *, owned: bool) -> InspectedSweep:
    """Read a sweep that exists.

    Args:
        folder: Its files.
        owned: Whether a living driver runs it.

    Raises:
        NeurosweepError: If its configuration, its experiment or its study cannot be read.
    """
    config = load_config(folder)
    experiment = experiment_of(config)
    study = open_study(config, folder, experiment.objectives)
    live = {trial.number for trial in study.get_trials(deepcopy=False)} if owned else set()
    return InspectedSweep(
        folder=folder,
        config=config,
        experiment=experiment,
        records=list(records_of(study, config.pins, live=frozenset(live))),
        owned=owned,
    )
