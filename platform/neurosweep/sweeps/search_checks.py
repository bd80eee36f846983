"""Checks of what is searched for, and of samplers that cannot search it."""

from collections.abc import Iterator

from neurosweep.config import SweepConfig
from neurosweep.experiments import Experiment, Objective, import_callable
from neurosweep.search.pinned import sample_space


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
        yield "The sampler `cmaes` has one objective: choose `nsga2`, `tpe` or `gp` for several."
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
