"""Who copies whom after a generation: pure functions of scores, hyperparameters and a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Any

import numpy as np

from neurosweep.config import PopulationConfig
from neurosweep.experiments import Objective
from neurosweep.search.population.bandit import Observation, propose
from neurosweep.search.population.explore import (
    Distributions,
    explored,
    perturbed_by_factors,
    perturbed_by_weight,
)
from neurosweep.search.seeds import derive_seed


@dataclass(frozen=True)
class Standing:
    """A member at the end of a generation.

    Args:
        member: Its number.
        score: First objective after the generation's last epoch; None if the member failed.
        parameters: Hyperparameters that it was trained with, by dotted name.
    """

    member: int
    score: float | None
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """How a member begins the next generation.

    Args:
        member: Its number.
        source: Member whose weights it starts from: itself, or a better one; None for fresh weights.
        parameters: Hyperparameters of the next generation.
    """

    member: int
    source: int | None
    parameters: Mapping[str, Any]


def decide(
    standings: Sequence[Standing],
    *,
    objective: Objective,
    population: PopulationConfig,
    distributions: Distributions,
    history: Sequence[Observation],
    generation: int,
    seed: int,
) -> tuple[Step, ...]:
    """Let members copy better ones and explore from there.

    Args:
        standings: All members, at least one of them with a score.
        objective: Says which score is better.
        population: The method and its settings.
        distributions: Ranges of the hyperparameters that may change.
        history: Score changes of all generations so far; used by `pb2`.
        generation: The generation that begins.
        seed: The sweep's seed.

    Returns:
        One step a member, by number.
    """
    random = np.random.default_rng(derive_seed("population", seed, generation))
    if population.method == "bt_pbt":
        sources = binary_tournament(standings, objective, random)
    else:
        sources = truncation(standings, objective, random, quantile=population.quantile)
    by_number = {one.member: one for one in standings}
    steps, pending = [], []
    for member in sorted(by_number):
        source = sources.get(member, member)
        parameters = dict(by_number[source].parameters)
        if source != member:
            draws = np.random.default_rng(derive_seed("explore", seed, generation, member))
            parameters = _explore(parameters, population, distributions, history, pending, generation, draws)
        pending.append(parameters)
        steps.append(Step(member, source, parameters))
    return tuple(steps)


def truncation(
    standings: Sequence[Standing], objective: Objective, random: np.random.Generator, *, quantile: float
) -> dict[int, int]:
    """Let each of the worst members copy a random one of the best.

    Best and worst are the given part of the population, rounded up but never more than half of it. Failed
    members are among the worst however many there are.

    Returns:
        Source by member, for those that copy.

    Source:
        Jaderberg et al. 2017, arXiv:1711.09846, section 4.1: truncation selection.
    """
    ranked = _ranked(standings, objective)
    size = min(int(np.ceil(len(standings) * quantile)), len(standings) // 2)
    best = ranked[: max(size, 1)]
    failed = [one for one in standings if one.score is None]
    worst = ranked[max(len(best), len(standings) - size) :]
    losers = {one.member: one for one in [*worst, *failed]}
    sources = {}
    for member in sorted(losers):
        winner = best[int(random.integers(len(best)))]
        if _better(winner, losers[member], objective):
            sources[member] = winner.member
    return sources


def binary_tournament(
    standings: Sequence[Standing], objective: Objective, random: np.random.Generator
) -> dict[int, int]:
    """Let each member meet one random other and copy it if that one's score is better.

    A failed member meets a living one, so that it is always replaced.

    Returns:
        Source by member, for those that copy.

    Source:
        Jaderberg et al. 2017, arXiv:1711.09846, section 4.1: binary tournament; AutoLFADS (Keshtkaran et al. 2022,
        Nature Methods) uses it. lfads-torch pairs the members off instead, so that each meets exactly one other.
    """
    living = [one for one in standings if one.score is not None]
    sources = {}
    for one in sorted(standings, key=lambda standing: standing.member):
        others = [other for other in (standings if one.score is not None else living) if other is not one]
        if not others:
            continue
        rival = sorted(others, key=lambda standing: standing.member)[int(random.integers(len(others)))]
        if _better(rival, one, objective):
            sources[one.member] = rival.member
    return sources


def _ranked(standings: Sequence[Standing], objective: Objective) -> list[Standing]:
    """Living members, best first; equal ones by number."""

    def compare(one: Standing, other: Standing) -> int:
        if _better(one, other, objective):
            return -1
        return 1 if _better(other, one, objective) else one.member - other.member

    return sorted((one for one in standings if one.score is not None), key=cmp_to_key(compare))


def _better(one: Standing, other: Standing, objective: Objective) -> bool:
    if one.score is None or other.score is None:
        return one.score is not None and other.score is None
    return objective.better(one.score, other.score)


def _explore(
    parameters: Mapping[str, Any],
    population: PopulationConfig,
    distributions: Distributions,
    history: Sequence[Observation],
    pending: Sequence[Mapping[str, Any]],
    generation: int,
    random: np.random.Generator,
) -> dict[str, Any]:
    if population.method == "bt_pbt":
        weight = population.explore_weight
        return explored(parameters, distributions, partial(perturbed_by_weight, random=random, weight=weight))
    by_factors = partial(
        perturbed_by_factors,
        random=random,
        factors=population.perturbation_factors,
        resample_probability=population.resample_probability,
    )
    changed = explored(parameters, distributions, by_factors)
    if population.method == "pb2":
        changed |= propose(history, distributions, pending=pending, generation=generation, random=random)
    return changed
