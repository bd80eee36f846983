"""The sweep's memory: one Optuna study that hands out, judges and remembers every trial.

Ray may be killed at any moment: whatever is known of a trial is in the study, so that a fresh driver goes on
from it. Ray's own restore is not used (`shared/design.md`, sections 4 and 9).
"""

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from neurosweep.config import SweepConfig
from neurosweep.experiments import Experiment, import_callable
from neurosweep.naming import Failure, Status
from neurosweep.records import TrialRecord
from neurosweep.search.pinned import PinnedTrial, Space
from neurosweep.search.samplers import build_pruner, build_sampler
from neurosweep.search.seeds import derive_seed

logger = logging.getLogger(__name__)

_FINAL_STATES = {
    TrialState.COMPLETE: Status.COMPLETED,
    TrialState.PRUNED: Status.PRUNED,
    TrialState.FAIL: Status.FAILED,
}
_ATTEMPTS, _SEED, _ORIGIN, _FAILURE, _MESSAGE = "attempts", "seed", "origin", "failure", "failure_message"


@dataclass(frozen=True)
class Assignment:
    """A trial to run.

    Args:
        number: The trial's number in the study.
        parameters: Searched values by dotted name.
        seed: Seed of the trial.
    """

    number: int
    parameters: Mapping[str, Any]
    seed: int


class SweepMemory:
    """Hands out trials and keeps what becomes of them.

    Args:
        study: The sweep's study.
        experiment: Gives the space and the objectives.
        config: Gives the number of trials, the sampler, the pruner, the pinned values and the seed.
    """

    def __init__(self, study: optuna.Study, experiment: Experiment, config: SweepConfig) -> None:
        self.study = study
        self.objectives = experiment.objectives
        self.max_epochs = int(config.trainer.get("max_epochs", 1))
        self._config = config
        self._space: Space = import_callable(experiment.space)
        self._live: dict[int, optuna.Trial] = {}
        study.pruner = build_pruner(config.search, max_epochs=self.max_epochs)
        self._unfinished = deque(
            trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING
        )
        if config.search.try_published and not study.get_trials(deepcopy=False):
            self._enqueue(experiment.published_values()[: config.search.trials])

    def _enqueue(self, published: list[dict[str, Any]]) -> None:
        for values in published:
            searched = {name: value for name, value in values.items() if name not in self._config.pins}
            self.study.enqueue_trial(searched, user_attrs={_ORIGIN: "published"})

    def next(self) -> Assignment | None:
        """Return the next trial to run, or None when the sweep has all its trials.

        Trials that an earlier driver left unfinished come first: same number, same parameters, same seed.
        """
        if self._unfinished:
            frozen = self._unfinished.popleft()
            self._seed_sampler(frozen.number)
            trial = optuna.Trial(self.study, frozen._trial_id)
        else:
            started = [
                one for one in self.study.get_trials(deepcopy=False) if one.state != TrialState.WAITING
            ]
            if len(started) >= self._config.search.trials:
                return None
            self._seed_sampler(len(started))
            trial = self.study.ask()
        # A kill between `ask` and here leaves a trial with some of its parameters: asking again adds the rest.
        self._space(PinnedTrial(trial, self._config.pins))
        if _SEED not in trial.user_attrs:
            trial.set_user_attr(_SEED, derive_seed("trial", self._config.seed, trial.number))
        self._live[trial.number] = trial
        self.count_attempt(trial.number)
        return Assignment(trial.number, dict(trial.params), trial.user_attrs[_SEED])

    def _seed_sampler(self, number: int) -> None:
        self.study.sampler = build_sampler(self._config.search, seed=self._config.seed, number=number)

    def count_attempt(self, number: int) -> None:
        """Note that a worker is about to start the trial, once more."""
        trial = self._live[number]
        trial.set_user_attr(_ATTEMPTS, trial.user_attrs.get(_ATTEMPTS, 0) + 1)

    def report(self, number: int, *, epoch: int, value: float) -> bool:
        """Keep the first objective after an epoch and ask the pruner.

        Args:
            number: The trial.
            epoch: Finished epoch, from 0.
            value: First objective after it.

        Returns:
            Whether the trial should end here. Never after the last epoch, so that a full trial ends by itself.
        """
        if len(self.objectives) > 1:
            return False  # Optuna has no pruning for several objectives
        trial = self._live[number]
        trial.report(value, step=epoch + 1)
        return epoch + 1 < self.max_epochs and trial.should_prune()

    def complete(self, number: int, values: tuple[float, ...]) -> None:
        """Remember a full trial with the objectives of its kept checkpoint."""
        self._tell(number, TrialState.COMPLETE, list(values))

    def prune(self, number: int) -> None:
        """Remember a trial that was stopped early; its curve stays."""
        self._tell(number, TrialState.PRUNED, None)

    def fail(self, number: int, failure: Failure, message: str) -> None:
        """Remember a trial without a usable objective, and why.

        Failed trials have no value: the sampler ignores them rather than taking a penalty for data.
        """
        if number in self._live:
            self._live[number].set_user_attr(_FAILURE, failure.value)
            self._live[number].set_user_attr(_MESSAGE, message)
        self._tell(number, TrialState.FAIL, None)

    def _tell(self, number: int, state: TrialState, values: list[float] | None) -> None:
        trial = self._live.pop(number, None)
        if trial is None:
            return  # told already
        self.study.tell(trial, values=values, state=state, skip_if_finished=True)
        logger.info("trial %d: %s %s", number, _FINAL_STATES[state], "" if values is None else values)

    @property
    def live(self) -> frozenset[int]:
        """Numbers of the trials handed out and not yet finished."""
        return frozenset(self._live)

    def release_live(self) -> None:
        """Give up the trials that are under way; they stay unfinished in the study, for a resume."""
        self._live.clear()

    def record(self, number: int) -> TrialRecord:
        """Return what is known of one trial; unfinished ones count as running."""
        frozen = self.study.get_trials(deepcopy=False)[number]
        return to_record(frozen, self._config.pins, alive=True)

    def records(self) -> list[TrialRecord]:
        """Return what is known of all trials, by number; unfinished ones not handed out are interrupted."""
        return list(records_of(self.study, self._config.pins, live=self.live))


def records_of(
    study: optuna.Study, pins: Mapping[str, Any], *, live: frozenset[int] = frozenset()
) -> Iterator[TrialRecord]:
    """Yield the trials of a study, by number.

    Args:
        study: The study.
        pins: Fixed values by dotted name; they belong to every trial's parameters.
        live: Numbers of the trials that a living driver runs.
    """
    for frozen in study.get_trials(deepcopy=False):
        yield to_record(frozen, pins, alive=frozen.number in live)


def to_record(frozen: FrozenTrial, pins: Mapping[str, Any], *, alive: bool) -> TrialRecord:
    """Say in the platform's words what Optuna knows of a trial.

    Args:
        frozen: Optuna's trial.
        pins: Fixed values by dotted name.
        alive: Whether a living driver runs it, if it is not finished.
    """
    if frozen.state == TrialState.RUNNING:
        status = Status.RUNNING if alive else Status.INTERRUPTED
    else:
        status = _FINAL_STATES.get(frozen.state, Status.WAITING)
    attributes = frozen.user_attrs
    return TrialRecord(
        number=frozen.number,
        status=status,
        parameters={**pins, **frozen.params},
        values=tuple(frozen.values) if frozen.state == TrialState.COMPLETE and frozen.values else None,
        curve={step - 1: value for step, value in sorted(frozen.intermediate_values.items())},
        seed=attributes.get(_SEED, 0),
        origin=attributes.get(_ORIGIN, "sampled"),
        attempts=attributes.get(_ATTEMPTS, 0),
        failure=Failure(attributes[_FAILURE]) if _FAILURE in attributes else None,
        failure_message=attributes.get(_MESSAGE),
        started=_as_utc(frozen.datetime_start),
        ended=_as_utc(frozen.datetime_complete),
    )


def _as_utc(moment: datetime | None) -> datetime | None:
    """Optuna stores local time without a zone."""
    return None if moment is None else moment.astimezone(UTC)
