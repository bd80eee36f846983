"""The first generation: the published values, then random ones; what must not change is the same for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, import_callable
from neurosweep.search.pinned import PinnedTrial, Space
from neurosweep.search.seeds import derive_seed


@dataclass(frozen=True)
class InitialPopulation:
    """What the members begin with.

    Args:
        members: Searched values of each member, by dotted name; those that are shared are in every one.
        published: How many of the members, the first ones, have published values.
        distributions: Ranges of the hyperparameters that may change while members train.
        shared: Values that the whole population has in common, because a change would change the network.
    """

    members: tuple[Mapping[str, Any], ...]
    published: int
    distributions: Mapping[str, BaseDistribution]
    shared: Mapping[str, Any]


def initial_population(config: SweepConfig, experiment: Experiment) -> InitialPopulation:
    """Draw the first generation: a pure function of configuration, experiment and seed.

    Raises:
        ConfigError: If the space does not give all members the same hyperparameters to change.
    """
    space: Space = import_callable(experiment.space)
    published = experiment.published_values() if config.search.try_published else []
    published = published[: config.search.trials]
    first = _draw(space, config, number=0, fixed=published[0] if published else {})
    shared = {name: value for name, value in first.params.items() if name not in experiment.mutable}
    distributions = {name: one for name, one in first.distributions.items() if name in experiment.mutable}
    members = [dict(first.params)]
    for number in range(1, config.search.trials):
        wanted = published[number] if number < len(published) else {}
        fixed = {name: value for name, value in wanted.items() if name in experiment.mutable} | shared
        drawn = _draw(space, config, number=number, fixed=fixed)
        if drawn.params.keys() != first.params.keys():
            differing = sorted(drawn.params.keys() ^ first.params.keys())
            raise ConfigError(
                f"The space suggests {', '.join(f'`{one}`' for one in differing)} to some members of the "
                "population only.",
                "Take the parameter that decides it out of the experiment's `mutable`, or pin it.",
            )
        members.append(dict(drawn.params))
    return InitialPopulation(tuple(members), len(published), distributions, shared)


def _draw(
    space: Space, config: SweepConfig, *, number: int, fixed: Mapping[str, Any]
) -> optuna.trial.FrozenTrial:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = derive_seed("member", config.seed, number)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    study.enqueue_trial({name: value for name, value in fixed.items() if name not in config.pins})
    trial = study.ask()
    space(PinnedTrial(trial, config.pins))
    return study.get_trials(deepcopy=False)[trial.number]
