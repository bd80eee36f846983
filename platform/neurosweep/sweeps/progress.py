"""What a sweep shows while it runs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neurosweep.experiments import Objective
from neurosweep.naming import Status
from neurosweep.records import TrialRecord


@dataclass(frozen=True)
class Progress:
    """A snapshot of a running sweep.

    Args:
        trials: Trials that the sweep will have.
        counts: Trials by status.
        best: Best first objective of a completed or running trial so far, with the trial's number.
        objective: The first objective.
        elapsed: Wall time of this driver, s.
        remaining: Estimated wall time left, s; None before the first epoch.
        waiting_points: Metric points that have not reached MLflow.
        draining: Whether no further trial starts.
    """

    trials: int
    counts: Counter[Status]
    best: tuple[float, int] | None
    objective: Objective
    elapsed: float
    remaining: float | None
    waiting_points: int = 0
    draining: bool = False

    @property
    def finished(self) -> int:
        """Trials that will not run again."""
        return sum(count for status, count in self.counts.items() if status.is_final)


Observer = Callable[[Progress], None]


def take_snapshot(
    records: Sequence[TrialRecord],
    *,
    objective: Objective,
    trials: int,
    elapsed: float,
    max_epochs: int,
    waiting_points: int,
    epochs_before: int,
    draining: bool,
) -> Progress:
    """Summarise the sweep.

    The time left is the work left over the speed of this driver: epochs that trials like the finished ones
    would still run, times its seconds per epoch so far.

    Args:
        records: All trials so far.
        objective: The first objective.
        trials: Trials that the sweep will have.
        elapsed: Wall time of this driver, s.
        max_epochs: Epochs of a full trial.
        waiting_points: Metric points that have not reached MLflow.
        epochs_before: Epochs that earlier drivers had run.
        draining: Whether no further trial starts.
    """
    counts = Counter(record.status for record in records)
    done = [len(record.curve) for record in records if record.status.is_final]
    running = [len(record.curve) for record in records if record.status is Status.RUNNING]
    epochs_here = count_epochs(records) - epochs_before
    remaining = None
    if epochs_here > 0:
        typical = sum(done) / len(done) if done else float(max_epochs)
        unstarted = 0 if draining else trials - len(done) - len(running)
        left = sum(max(typical - epochs, 1.0) for epochs in running) + unstarted * typical
        remaining = left * elapsed / epochs_here
    return Progress(
        trials=trials,
        counts=counts,
        best=_best_so_far(records, objective),
        objective=objective,
        elapsed=elapsed,
        remaining=remaining,
        waiting_points=waiting_points,
        draining=draining,
    )


def count_epochs(records: Sequence[TrialRecord]) -> int:
    """Count the epochs that were trained; a duplicate has those of its original without a run."""
    return sum(len(record.curve) for record in records if record.duplicate_of is None)


def _best_so_far(records: Sequence[TrialRecord], objective: Objective) -> tuple[float, int] | None:
    best: tuple[float, int] | None = None
    for record in (one for one in records if one.feasible):
        values = list(record.curve.values()) + ([record.values[0]] if record.values else [])
        for value in values:
            if best is None or objective.better(value, best[0]):
                best = (value, record.number)
    return best
