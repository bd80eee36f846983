"""What a sweep begins with: evidence of earlier sweeps, then configurations that are tried first."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from neurosweep.search.trial_records import Attribute, own_trials


def lay_down(
    study: optuna.Study,
    *,
    evidence: Sequence[FrozenTrial],
    openings: Sequence[tuple[str, Mapping[str, Any]]],
) -> None:
    """Add evidence to a study and enqueue openings, unless its sweep has begun.

    Each call adds what a driver that was killed on the way did not, so that nothing is there twice. Evidence comes
    before the sweep's own trials: their numbers go on after it.

    Args:
        study: The sweep's study.
        evidence: Finished trials of earlier sweeps, made by `as_evidence`.
        openings: Origin and searched values of the first trials, in order.
    """
    own = own_trials(study)
    if any(trial.state != TrialState.WAITING for trial in own):
        return
    if not own:
        there = {trial.user_attrs[Attribute.ORIGIN] for trial in study.get_trials(deepcopy=False)}
        for trial in evidence:
            if trial.user_attrs[Attribute.ORIGIN] not in there:
                study.add_trial(trial)
    for origin, values in openings[len(own) :]:
        study.enqueue_trial(dict(values), user_attrs={Attribute.ORIGIN: origin})
