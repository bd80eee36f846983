"""Drawing the parameters of a trial again after a kill, with the same outcome as if there had been none."""

import optuna
from optuna.trial import FrozenTrial

from neurosweep.search.trial_records import Attribute

_SHARED_DRAW = "relative_params"
"""In the name of the system attributes in which TPE and GP note a draw for others to see."""


def is_drawn(frozen: FrozenTrial) -> bool:
    """Whether all parameters of a trial were drawn before its driver died."""
    return Attribute.SEED in frozen.user_attrs


def draw_again(trial: optuna.Trial) -> None:
    """Forget the parameters of a half-drawn trial, so that all are drawn again by the same random numbers.

    Optuna would keep the first ones and take the random numbers that were theirs for the rest. What was drawn
    is overwritten in the study with equal values: nothing else has changed in it since.
    """
    frozen = trial._cached_frozen_trial
    for key, value in frozen.system_attrs.items():
        if _SHARED_DRAW in key and value:  # GP would take the trial for another one under way
            trial.storage.set_trial_system_attr(trial._trial_id, key, "")
    frozen.params, frozen.distributions = {}, {}
