"""What is searched for, checked and chosen, and samplers that cannot search it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, Objective, did_you_mean, import_callable
from neurosweep.search.pinned import sample_space


def with_objectives(experiment: Experiment, metrics: Sequence[str]) -> Experiment:
    """Return the experiment with these of its objectives alone, in this order; as it is where none is named.

    An objective that is left out is not pruned on either.

    Raises:
        ConfigError: If the experiment has no such objective, or one is named twice.
    """
    if not metrics:
        return experiment
    offered = {one.metric: one for one in experiment.objectives}
    problems = [
        f"`{name}` is no objective of `{experiment.name}`.{did_you_mean(name, offered)}"
        for name in metrics
        if name not in offered
    ]
    problems += [
        f"The objective `{name}` is named twice." for name in sorted(set(metrics)) if metrics.count(name) > 1
    ]
    if problems:
        raise ConfigError.collect(problems, f"`--objectives` takes one or several of: {', '.join(offered)}.")
    chosen = tuple(offered[name] for name in metrics)
    judged = experiment.prune_on
    left_out = judged in experiment.objectives and judged not in chosen
    return replace(experiment, objectives=chosen, prune_on=None if left_out else judged)


def problems_of_search(config: SweepConfig, experiment: Experiment) -> list[str]:
    """Return what stands against the objectives, the constraints and the sampler, each with its cure."""
    return [
        *(text for one in experiment.objectives for text in _problems_of_metric(one.metric, "objective")),
        *_problems_of_constraints(experiment),
        *_problems_of_judged(experiment.prune_on),
        *(_problems_of_cmaes(config, experiment) if config.search.sampler == "cmaes" else ()),
    ]


def _problems_of_constraints(experiment: Experiment) -> Iterator[str]:
    metrics = [constraint.metric for constraint in experiment.constraints]
    for constraint in experiment.constraints:
        metric, low, high = constraint.metric, constraint.at_least, constraint.at_most
        if low is None and high is None:
            yield f"The constraint on `{metric}` has no bound: give it `at_most` or `at_least`."
        elif low is not None and high is not None and low > high:
            yield f"The constraint on `{metric}` cannot be kept: at least {low:g} and at most {high:g}."
        if metrics.count(metric) > 1:
            yield f"There are {metrics.count(metric)} constraints on `{metric}`: make them one with both bounds."
        yield from _problems_of_metric(metric, "constraint")


def _problems_of_judged(judged: Objective | None) -> Iterator[str]:
    if judged is not None:
        yield from _problems_of_metric(judged.metric, "`prune_on`")


def _problems_of_metric(metric: str, what: str) -> Iterator[str]:
    if "/" not in metric:
        yield f"The {what} names `{metric}`, which has no split: log and name it as `val/{metric}`."


def _problems_of_cmaes(config: SweepConfig, experiment: Experiment) -> Iterator[str]:
    """CMA-ES models a fixed set of numbers and one objective; the rest it would pass over in silence."""
    if len(experiment.objectives) > 1:
        yield (
            "The sampler `cmaes` has one objective: choose `nsga2`, `tpe` or `gp` for several, or name one with "
            "`--objectives`."
        )
    if experiment.constraints:
        yield "The sampler `cmaes` does not look at constraints: choose `tpe`, `gp` or `nsga2`."
    try:
        points = sample_space(import_callable(experiment.space), config.pins)
    except Exception:  # another check says so
        return
    conditional = sorted(
        {name for point in points for name in point if any(name not in one for one in points)}
    )
    if conditional:
        yield (
            f"The sampler `cmaes` becomes a random search where parameters are conditional, as "
            f"{', '.join(f'`{name}`' for name in conditional)} are: choose `tpe`, or pin what decides on them."
        )
