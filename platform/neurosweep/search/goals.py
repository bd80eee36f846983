"""When a sweep has found enough: pure functions of what is known of its trials."""

from collections.abc import Sequence

from neurosweep.experiments import Objective
from neurosweep.naming import Status
from neurosweep.records import TrialRecord


def reached(records: Sequence[TrialRecord], objective: Objective, target: float) -> bool:
    """Whether the kept checkpoint of a completed trial is at least as good as the target.

    Args:
        records: The trials.
        objective: The first objective.
        target: Value asked for.
    """
    return any(not objective.better(target, record.values[0]) for record in records if record.values)


def trials_since_best(records: Sequence[TrialRecord], objective: Objective) -> int:
    """Count the trials that have ended, one after another, without a better value than before.

    A pruned trial brings no better value. A failed one says nothing and is not counted, and before the first
    completed trial there is nothing to compare with.

    Args:
        records: The trials, in any order.
        objective: The first objective.
    """
    ended = [record for record in records if record.status in (Status.COMPLETED, Status.PRUNED)]
    best: float | None = None
    count = 0
    for record in sorted(ended, key=lambda one: (one.ended is None, one.ended, one.number)):
        if record.values and (best is None or objective.better(record.values[0], best)):
            best, count = record.values[0], 0
        elif best is not None:
            count += 1
    return count
