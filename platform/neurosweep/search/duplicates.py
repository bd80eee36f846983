"""Recognising a configuration that the sweep has tried before."""

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from neurosweep.naming import Status
from neurosweep.search.trial_records import Attribute, own_trials, status_of


class TriedConfigurations:
    """The completed and pruned trials of a sweep by their parameters.

    Args:
        study: The sweep's study.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._numbers: dict[str, int] = {}
        for trial in own_trials(study):
            if status_of(trial) in (Status.COMPLETED, Status.PRUNED):
                self.add(trial.number, trial.params)

    def add(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Remember a trial; the first one with its parameters stays the original."""
        self._numbers.setdefault(_key(parameters), number)

    def original_of(self, parameters: Mapping[str, Any]) -> int | None:
        """Return the number of the trial with exactly these parameters, or None.

        Where everything is pinned there is nothing to tell trials apart but their seeds: such a sweep repeats
        on purpose.
        """
        return self._numbers.get(_key(parameters)) if parameters else None


def end_as(trial: optuna.Trial, original: FrozenTrial) -> None:
    """End a trial that was never run with the curve, the constraints, the values and the state of another.

    A driver that is killed in between does this once more; what is there already stays.
    """
    trial.set_user_attr(Attribute.ORIGIN, f"duplicate of {original.number}")
    trial.set_user_attr(Attribute.DUPLICATE_OF, original.number)
    for step, value in original.intermediate_values.items():
        trial.report(value, step)
    for key, value in original.user_attrs.items():
        if key.startswith(f"{Attribute.EPOCH}:"):
            trial.set_user_attr(key, value)
    for key, value in original.constraints.items():
        if key not in trial.constraints:
            trial.set_constraint(key, value)
    values = original.values if original.state == TrialState.COMPLETE else None
    trial.study.tell(trial, values, state=original.state, skip_if_finished=True)


def _key(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True, default=repr)
