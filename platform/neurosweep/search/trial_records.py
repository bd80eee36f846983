"""Reading a study in the platform's words: what each trial's record is made of."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from neurosweep.naming import Failure, Status
from neurosweep.records import TrialRecord


class Attribute(StrEnum):
    """User attributes of a trial in the study."""

    ATTEMPTS = "attempts"
    LOSSES = "losses"
    SEED = "seed"
    """Set once all parameters are drawn."""
    ORIGIN = "origin"
    FAILURE = "failure"
    """The decision that a trial has failed; a driver that is killed before it tells so is made up for."""
    MESSAGE = "failure_message"
    DUPLICATE_OF = "duplicate_of"
    KEPT_PARAMETERS = "kept_parameters"
    """Of a population's member: hyperparameters in force at the epoch of its kept checkpoint."""
    EVIDENCE = "evidence"
    """Marks a trial of an earlier sweep, which informs sampler and pruner and is none of this sweep's."""
    EPOCH = "epoch"
    """`epoch:3`: first objective and judged metric after epoch 3, where Optuna cannot keep them as its own."""


MEMORY_CONSTRAINT = "memory"
"""Optuna's constraint that a trial which ran out of memory violates."""

_FINAL_STATES = {
    TrialState.COMPLETE: Status.COMPLETED,
    TrialState.PRUNED: Status.PRUNED,
    TrialState.FAIL: Status.FAILED,
}


def count(trial: optuna.Trial, attribute: Attribute, by: int = 1) -> int:
    """Add to a number that is kept with a trial, 0 at first, and return it."""
    total = trial.user_attrs.get(attribute, 0) + by
    trial.set_user_attr(attribute, total)
    return total


def is_evidence(frozen: FrozenTrial) -> bool:
    """Whether the trial was run by an earlier sweep."""
    return Attribute.EVIDENCE in frozen.user_attrs


def own_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials of the sweep itself, by number."""
    return [trial for trial in study.get_trials(deepcopy=False) if not is_evidence(trial)]


class OwnTrials(optuna.Study):
    """A study seen without the trials of earlier sweeps, for figures and importances."""

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """Return the sweep's own trials."""
        return [trial for trial in super().get_trials(deepcopy, states) if not is_evidence(trial)]


def records_of(
    study: optuna.Study, pins: Mapping[str, Any], *, live: frozenset[int] = frozenset()
) -> Iterator[TrialRecord]:
    """Yield the sweep's own trials, by number.

    Args:
        study: The study.
        pins: Fixed values by dotted name; they belong to every trial's parameters.
        live: Numbers of the trials that a living driver runs.
    """
    for frozen in own_trials(study):
        yield to_record(frozen, pins, alive=frozen.number in live)


def to_record(frozen: FrozenTrial, pins: Mapping[str, Any], *, alive: bool) -> TrialRecord:
    """Say in the platform's words what Optuna knows of a trial.

    Args:
        frozen: Optuna's trial.
        pins: Fixed values by dotted name.
        alive: Whether a living driver runs it, if it is not finished.
    """
    status = status_of(frozen, alive=alive)
    failed = status is Status.FAILED
    attributes = frozen.user_attrs
    constraints = frozen.constraints
    return TrialRecord(
        number=frozen.number,
        status=status,
        parameters={**pins, **frozen.params, **attributes.get(Attribute.KEPT_PARAMETERS, {})},
        values=tuple(frozen.values) if frozen.state == TrialState.COMPLETE and frozen.values else None,
        curve=objective_curve(frozen),
        seed=attributes.get(Attribute.SEED, 0),
        origin=attributes.get(Attribute.ORIGIN, "sampled"),
        attempts=attributes.get(Attribute.ATTEMPTS, 0),
        first_parameters={**pins, **frozen.params} if Attribute.KEPT_PARAMETERS in attributes else {},
        duplicate_of=attributes.get(Attribute.DUPLICATE_OF),
        violations={key: value for key, value in constraints.items() if key != MEMORY_CONSTRAINT},
        failure=Failure(attributes[Attribute.FAILURE])
        if failed and Attribute.FAILURE in attributes
        else None,
        failure_message=attributes.get(Attribute.MESSAGE) if failed else None,
        started=_as_utc(frozen.datetime_start),
        ended=_as_utc(frozen.datetime_complete),
    )


def status_of(frozen: FrozenTrial, *, alive: bool = False) -> Status:
    """Return where a trial stands.

    A trial that ran out of memory is PRUNED in the study, so that samplers learn of the constraint that it
    violates; for people it has failed.
    """
    if frozen.state == TrialState.RUNNING:
        if alive:
            return Status.RUNNING
        return Status.INTERRUPTED if frozen.user_attrs.get(Attribute.ATTEMPTS) else Status.WAITING
    if frozen.state == TrialState.PRUNED and Attribute.FAILURE in frozen.user_attrs:
        return Status.FAILED
    return _FINAL_STATES.get(frozen.state, Status.WAITING)


def objective_curve(frozen: FrozenTrial) -> dict[int, float]:
    """Return the first objective by epoch."""
    if frozen.intermediate_values:
        return {step - 1: value for step, value in sorted(frozen.intermediate_values.items())}
    return {epoch: values[0] for epoch, values in _epochs(frozen)}


def judged_curve(frozen: FrozenTrial) -> dict[int, float]:
    """Return what the pruner judges, by epoch."""
    return {epoch: values[1] for epoch, values in _epochs(frozen)} or objective_curve(frozen)


def epoch_attribute(epoch: int) -> str:
    """Name the attribute that holds an epoch's values."""
    return f"{Attribute.EPOCH}:{epoch}"


def _epochs(frozen: FrozenTrial) -> list[tuple[int, list[float]]]:
    prefix = f"{Attribute.EPOCH}:"
    return sorted(
        (int(key.removeprefix(prefix)), value)
        for key, value in frozen.user_attrs.items()
        if key.startswith(prefix)
    )


def _as_utc(moment: datetime | None) -> datetime | None:
    """Optuna stores local time without a zone."""
    return None if moment is None else moment.astimezone(UTC)
