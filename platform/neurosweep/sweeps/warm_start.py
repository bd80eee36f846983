"""Starting a sweep from earlier ones in the same storage."""

import logging

from optuna.trial import FrozenTrial, TrialState

from neurosweep.comparison.ranking import ranked_trials
from neurosweep.config import SweepConfig
from neurosweep.config_files import load_config
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, did_you_mean, import_callable
from neurosweep.layout import SweepFolder, sweeps_in
from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.search.earlier import EarlierTrials, as_evidence, fit_space
from neurosweep.search.study import open_study
from neurosweep.search.trial_records import own_trials, to_record
from neurosweep.sweeps.comparability import is_comparable
from neurosweep.sweeps.preparation import PreparedSweep, experiment_of, storage_root

logger = logging.getLogger(__name__)

OPENINGS = 5
"""Configurations of an earlier sweep that are evaluated anew where its values are not comparable."""


def refuse_unknown(config: SweepConfig) -> None:
    """Refuse names of earlier sweeps that do not exist.

    Raises:
        ConfigError: With every such name, and what there is.
    """
    root = storage_root(config.storage)
    there = [folder.name for folder in sweeps_in(root) if folder.name != config.name]
    problems = [
        f"There is no earlier sweep `{name}` in {root}.{did_you_mean(name, there)}"
        for name in config.search.warm_start
        if name not in there
    ]
    if problems:
        raise ConfigError.collect(problems, f"`--warm-start` takes one of: {', '.join(there) or 'none yet'}.")


def read_earlier(prepared: PreparedSweep) -> EarlierTrials:
    """Read the earlier sweeps that the configuration names, as far as they are still there."""
    found = EarlierTrials()
    for name in dict.fromkeys(prepared.config.search.warm_start):
        folder = SweepFolder(storage_root(prepared.config.storage) / name)
        if not folder.config.is_file():
            logger.warning("the earlier sweep %s is no longer there", name)
            continue
        one = _read_one(prepared, folder)
        found = EarlierTrials(
            found.evidence + one.evidence, found.openings + one.openings, found.notes + one.notes
        )
    for note in found.notes:
        logger.info("warm start from %s", note)
    return found


def _read_one(prepared: PreparedSweep, folder: SweepFolder) -> EarlierTrials:
    config = load_config(folder)
    experiment = experiment_of(config)
    study = open_study(config, folder, experiment.objectives)
    pairs = [(trial, to_record(trial, config.pins, alive=False)) for trial in own_trials(study)]
    if is_comparable(prepared, config, folder):
        return _as_evidence(prepared, folder.name, pairs)
    return _as_openings(prepared, config, pairs, experiment)


def _as_evidence(
    prepared: PreparedSweep, name: str, pairs: list[tuple[FrozenTrial, TrialRecord]]
) -> EarlierTrials:
    space = import_callable(prepared.experiment.space)
    evidence, misfits = [], 0
    for trial, record in pairs:
        if record.status not in (Status.COMPLETED, Status.PRUNED) or record.duplicate_of is not None:
            continue
        distributions = fit_space(space, prepared.config.pins, trial.params)
        if distributions is None:
            misfits += 1
            continue
        evidence.append(as_evidence(trial, origin=f"{name}/{record.number}", distributions=distributions))
    completed = sum(trial.state == TrialState.COMPLETE for trial in evidence)
    text = f"{name}: {completed} completed and {len(evidence) - completed} pruned trials as evidence"
    return EarlierTrials(evidence=tuple(evidence), notes=(text + _left_out(misfits),))


def _as_openings(
    prepared: PreparedSweep,
    earlier: SweepConfig,
    pairs: list[tuple[FrozenTrial, TrialRecord]],
    experiment: Experiment,
) -> EarlierTrials:
    space, pins = import_callable(prepared.experiment.space), prepared.config.pins
    searched = {trial.number: trial.params for trial, _ in pairs}
    openings, misfits = [], 0
    for ranked in ranked_trials([record for _, record in pairs], experiment.objectives):
        record = ranked.record
        if ranked.rank is None or not record.feasible or record.duplicate_of is not None:
            continue
        if len(openings) == OPENINGS:
            break
        distributions = fit_space(space, pins, searched[record.number], fixed=earlier.pins)
        if distributions is None:
            misfits += 1
            continue
        values = {name: record.parameters[name] for name in distributions}
        openings.append((f"warm start {earlier.name}/{record.number}", values))
    text = (
        f"{earlier.name}: other data or settings, so its {len(openings)} best configurations are tried first"
    )
    return EarlierTrials(openings=tuple(openings), notes=(text + _left_out(misfits),))


def _left_out(misfits: int) -> str:
    return f"; {misfits} left out that do not fit the space" if misfits else ""
