"""Which trial is better: by the final values where there are some, else by the best value seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurosweep.experiments import Objective
from neurosweep.naming import Status
from neurosweep.records import TrialRecord

_GROUPS = {
    Status.COMPLETED: 0,
    Status.PRUNED: 1,
    Status.INTERRUPTED: 2,
    Status.RUNNING: 2,
    Status.WAITING: 3,
    Status.FAILED: 4,
}


@dataclass(frozen=True)
class RankedTrial:
    """A trial with its place.

    Args:
        record: The trial.
        rank: Place among the completed trials from 1, equal values sharing one; with several objectives the
            Pareto front it lies on, 1 being the front that no trial dominates. Trials that violate a constraint
            come after all that keep them. None unless completed.
        scores: One per objective. Final values of a completed trial. Of a trial that was pruned or is not
            finished: the best value of the first objective seen so far, and None for the others. Of a failed
            one: None, because what it reported before it failed is not to be trusted.
    """

    record: TrialRecord
    rank: int | None
    scores: tuple[float | None, ...]


def ranked_trials(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[RankedTrial]:
    """Order trials best first: completed, pruned, unfinished, waiting, failed; in each by score, then number.

    With several objectives the completed trials are ordered by Pareto front, then by the first objective. Those
    that violate a constraint follow those that keep them all; a duplicate follows its original.

    Raises:
        ValueError: If a completed trial does not have one number per objective.
    """
    several = len(objectives) > 1
    final: dict[int, RankedTrial] = {}
    for feasible in (True, False):
        group = [one for one in records if one.status is Status.COMPLETED and one.feasible is feasible]
        values = [_final_values(record, objectives) for record in group]
        places = pareto_ranks(values, objectives) if several else _shared_ranks(values, objectives[0])
        before = max((trial.rank or 0 for trial in final.values()), default=0) if several else len(final)
        for record, place, scores in zip(group, places, values, strict=True):
            final[record.number] = RankedTrial(record=record, rank=before + place, scores=scores)
    ranked = [final.get(record.number) or _without_rank(record, objectives) for record in records]
    return sorted(ranked, key=lambda trial: _position(trial, objectives[0]))


def best_record(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> TrialRecord | None:
    """Return the best completed trial that violates no constraint, or None if there is none.

    With several objectives it is the one of the Pareto front that is best in the first objective.
    """
    first = next(iter(ranked_trials(records, objectives)), None)
    return first.record if first is not None and first.rank is not None and first.record.feasible else None


def best_seen(record: TrialRecord, objective: Objective) -> tuple[int, float] | None:
    """Return epoch and value of the best point of the curve, the earliest one if several are equal.

    Args:
        record: A trial; NaN in its curve is passed over.
        objective: The first objective, of which the curve is.
    """
    best: tuple[int, float] | None = None
    for epoch, value in sorted(record.curve.items()):
        if not math.isnan(value) and (best is None or objective.better(value, best[1])):
            best = (epoch, value)
    return best


def epochs_run(record: TrialRecord) -> int:
    """Return how many epochs the trial has reported; the curve counts them from 0."""
    return max(record.curve) + 1 if record.curve else 0


def pareto_ranks(values: Sequence[Sequence[float]], objectives: Sequence[Objective]) -> list[int]:
    """Number the Pareto fronts: 1 for points that no other dominates, 2 once these are taken away, and so on.

    Args:
        values: (n, m), a row for each trial.
        objectives: m.
    """
    if not values:
        return []
    signs = [-1.0 if objective.direction == "maximize" else 1.0 for objective in objectives]
    losses = np.asarray(values, dtype=float) * signs  # (n, m)
    here, there = losses[:, None], losses[None, :]
    dominates = np.logical_and((here <= there).all(axis=-1), (here < there).any(axis=-1))  # (n, n)
    ranks = np.zeros(len(values), dtype=int)
    front = 0
    remaining = np.ones(len(values), dtype=bool)
    while remaining.any():
        front += 1
        undominated = remaining & ~dominates[remaining].any(axis=0)
        ranks[undominated] = front
        remaining &= ~undominated
    return ranks.tolist()


def _shared_ranks(values: Sequence[Sequence[float]], objective: Objective) -> list[int]:
    return [1 + sum(objective.better(other[0], one[0]) for other in values) for one in values]


def _final_values(record: TrialRecord, objectives: Sequence[Objective]) -> tuple[float, ...]:
    values = record.values or ()
    if len(values) != len(objectives) or any(math.isnan(value) for value in values):
        names = ", ".join(objective.metric for objective in objectives)
        raise ValueError(
            f"Trial {record.number} is completed with the values {record.values}, but a completed trial has "
            f"one number for each of: {names}. Tell the study that a trial without them has failed."
        )
    return values


def _without_rank(record: TrialRecord, objectives: Sequence[Objective]) -> RankedTrial:
    seen = None if record.status is Status.FAILED else best_seen(record, objectives[0])
    first = None if seen is None else seen[1]
    return RankedTrial(record=record, rank=None, scores=(first, *[None] * (len(objectives) - 1)))


def _position(trial: RankedTrial, objective: Objective) -> tuple[int, int, float, bool, int]:
    score = trial.scores[0]
    if score is None:
        loss = math.inf
    else:
        loss = -score if objective.direction == "maximize" else score
    # With one objective the rank agrees with the loss; with several the front comes first.
    duplicate = trial.record.duplicate_of is not None
    return (_GROUPS[trial.record.status], trial.rank or 0, loss, duplicate, trial.record.number)
