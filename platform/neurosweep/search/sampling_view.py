"""A study as the GP sampler needs to see it, which looks at completed trials alone."""

import copy
from collections.abc import Container

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from neurosweep.search.trial_records import MEMORY_CONSTRAINT


class SamplingView(optuna.Study):
    """Shows trials that ran out of memory as completed ones that violate a constraint.

    TPE learns from pruned trials too, and sees the violation there. GP looks at completed trials alone, and these
    need values: here, and nowhere else, the worst that any trial has had.

    It is made as `optuna.Study` is.
    """

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        trials = super()._get_trials(deepcopy=False)
        worst = self._worst_values(trials)
        if worst and any(MEMORY_CONSTRAINT in trial.constraints for trial in trials):
            trials = [_with_memory(trial, worst) for trial in trials]
        chosen = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def _worst_values(self, trials: list[FrozenTrial]) -> list[float]:
        values = [trial.values for trial in trials if trial.state == TrialState.COMPLETE]
        return [
            (min if direction == StudyDirection.MAXIMIZE else max)(column)
            for direction, column in zip(self.directions, zip(*values, strict=True), strict=False)
        ]


def _with_memory(trial: FrozenTrial, worst: list[float]) -> FrozenTrial:
    """Return a copy of a finished trial with a constraint on memory, kept or violated."""
    violated = MEMORY_CONSTRAINT in trial.constraints
    if trial.state != TrialState.COMPLETE and not violated:
        return trial
    shown = copy.copy(trial)
    shown.system_attrs = dict(trial.system_attrs)
    if violated:
        shown.state, shown.values = TrialState.COMPLETE, worst
    else:
        shown.set_constraint(MEMORY_CONSTRAINT, -1.0)
    return shown
