"""What a population needs of its experiment, and what it would do."""

from collections.abc import Mapping
from typing import Any

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, did_you_mean
from neurosweep.layout import SweepFolder
from neurosweep.search.population.initial import InitialPopulation, initial_population
from neurosweep.search.population.log import read_population

_STOPS_EARLY = ("max_steps", "max_time", "min_epochs", "min_steps", "check_val_every_n_epoch", "fast_dev_run")


def problems_of_population(
    config: SweepConfig, experiment: Experiment, accepted: Mapping[str, Any]
) -> list[str]:
    """Return what stands against the experiment's `mutable` and, if one is asked for, against a population."""
    problems = [
        f"`{name}` in the experiment's `mutable` is not a parameter.{did_you_mean(name, accepted)}"
        for name in experiment.mutable
        if name not in accepted
    ]
    problems += [
        f"`{name}` in the experiment's `mutable` is a setting of the data, which all members of a population share."
        for name in experiment.mutable
        if name.startswith("data.")
    ]
    if config.population.method is None or problems:
        return problems
    problems = [*_problems_of_search(config), *_problems_of_epochs(config)]
    if experiment.judged != experiment.objectives[0]:
        problems.append(
            "Members of a population are compared by the first objective, but the experiment has several objectives "
            f"or prunes on something else: give it `prune_on={experiment.objectives[0]!r}`, or name one with "
            "`--objectives`."
        )
    if experiment.constraints:
        problems.append("The experiment has constraints, which a population does not know.")
    if not experiment.mutable:
        return [
            *problems,
            f"The experiment `{experiment.name}` does not say which parameters may change while a model trains: "
            'give it `mutable=("model.learning_rate", ...)`.',
        ]
    try:
        initial = initial_population(config, experiment)
    except ConfigError as error:
        return [*problems, f"{error.problem} {error.remedy}"]
    except Exception:  # a space that fails is told of by the check of the space
        return problems
    if not initial.distributions:
        problems.append(
            "Nothing is left for the population to change: every parameter in the experiment's `mutable` "
            f"({', '.join(experiment.mutable)}) is pinned."
        )
    return problems


def refuse_changed_size(config: SweepConfig, folder: SweepFolder) -> None:
    """Refuse to continue a population with other numbers than it was begun with.

    Raises:
        ConfigError: If members or epochs differ.
    """
    head, _ = read_population(folder.population)
    members, epochs = config.search.trials, config.trainer["max_epochs"]
    if head is not None and (len(head.seeds), head.max_epochs) != (members, epochs):
        raise ConfigError(
            f"The population `{folder.name}` has {len(head.seeds)} members of {head.max_epochs} epochs, "
            f"not {members} of {epochs}.",
            "Members and epochs of a population are fixed once it has begun: launch another one.",
        )


def _problems_of_search(config: SweepConfig) -> list[str]:
    search, problems = config.search, []
    if search.pruner != "none":
        problems.append(
            f"`search.pruner` is {search.pruner!r}, but the members of a population replace each other: leave it out."
        )
    if search.sampler != "random":
        problems.append(
            f"`search.sampler` is {search.sampler!r}, but a population begins at random and explores by itself: "
            "leave it out."
        )
    problems += [
        f"`search.{name}` is set, but the members of a population begin and end together: leave it out."
        for name in ("target", "plateau", "warm_start")
        if getattr(search, name)
    ]
    if config.resources.workers_per_trial > 1:
        problems.append(
            "`resources.workers_per_trial` is more than 1, but a population's members have one worker."
        )
    if search.trials < 2:
        problems.append(f"`search.trials` is {search.trials}, but a population has at least 2 members.")
    return problems


def _problems_of_epochs(config: SweepConfig) -> list[str]:
    epochs, generation = config.trainer.get("max_epochs"), config.population.generation_epochs
    problems = [
        f"`trainer.{name}` cannot be set in a population: its members are compared after the same number of epochs."
        for name in _STOPS_EARLY
        if name in config.trainer
    ]
    if isinstance(epochs, int) and generation >= epochs:
        problems.append(
            f"`population.generation_epochs` is {generation}, but must be below the {epochs} of "
            "`trainer.max_epochs`: else no member is ever replaced."
        )
    return problems


def population_lines(config: SweepConfig, experiment: Experiment) -> list[tuple[str, str]]:
    """Return what the plan tells of a population, as pairs of a heading and a text."""
    epochs, generation = config.trainer["max_epochs"], config.population.generation_epochs
    initial: InitialPopulation = initial_population(config, experiment)
    shared = ", ".join(f"{name}={value}" for name, value in initial.shared.items())
    return [
        (
            "population",
            f"{-(-epochs // generation)} generations of {generation} epochs; every member runs {epochs} epochs in all",
        ),
        ("changed", ", ".join(initial.distributions)),
        ("shared", shared or "nothing"),
    ]
