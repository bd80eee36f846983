"""What a sweep can take over from earlier ones: evidence for sampler and pruner, or points to try first."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from neurosweep.search.pinned import PinnedTrial, Space
from neurosweep.search.trial_records import Attribute


@dataclass(frozen=True)
class EarlierTrials:
    """Trials of earlier sweeps, held against the present space.

    Args:
        evidence: Finished trials whose values are comparable. They enter the study, marked, and are never run,
            counted or shown as trials of the sweep.
        openings: Origin and parameters of configurations to evaluate anew, best first.
        notes: A sentence on each earlier sweep.
    """

    evidence: tuple[FrozenTrial, ...] = ()
    openings: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    notes: tuple[str, ...] = ()


def fit_space(
    space: Space,
    pins: Mapping[str, Any],
    parameters: Mapping[str, Any],
    *,
    fixed: Mapping[str, Any] | None = None,
) -> dict[str, BaseDistribution] | None:
    """Replay parameters in a space.

    Args:
        space: The define-by-run function.
        pins: Fixed values by dotted name.
        parameters: What was searched in a trial, by dotted name; names that are pinned now may be among them.
        fixed: What was pinned then, for names that are searched now.

    Returns:
        The distributions by name, if the space asks for all of these parameters that are not pinned, knows a
        value for each that it asks for, and offers that value; else None.
    """
    trial = FixedTrial({**(fixed or {}), **parameters})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # a value out of range is a warning to Optuna
            space(PinnedTrial(trial, pins))
    except Exception:  # the space is the user's code, and may trip over what it does not know
        return None
    fits = set(parameters) - set(pins) <= set(trial.distributions)
    return dict(trial.distributions) if fits else None


def as_evidence(
    trial: FrozenTrial, *, origin: str, distributions: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    """Copy a finished trial for another study.

    Args:
        trial: A COMPLETE or PRUNED trial.
        origin: Where it comes from, `NAME/number`; two trials of one origin are one.
        distributions: Its parameters' distributions in the present space.
    """
    kept = {key: value for key, value in trial.user_attrs.items() if key.startswith(f"{Attribute.EPOCH}:")}
    return create_trial(
        state=trial.state,
        values=trial.values if trial.state == TrialState.COMPLETE else None,
        params={name: trial.params[name] for name in distributions},
        distributions=dict(distributions),
        intermediate_values=dict(trial.intermediate_values),
        constraints=dict(trial.constraints),
        user_attrs={**kept, Attribute.ORIGIN: origin, Attribute.EVIDENCE: True},
    )
