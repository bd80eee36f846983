"""What a sweep cost, and what pruning saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from neurosweep.comparison.ranking import epochs_run
from neurosweep.naming import Status
from neurosweep.records import TrialRecord


@dataclass(frozen=True)
class SweepCost:
    """Time spent and saved.

    Args:
        trial_seconds: Sum of the wall times of all ended trials, s. A trial counts from its first start to
            its end, so a pause between an interruption and the resume is part of it.
        saved_seconds: Time that the pruned trials would have needed on top to run as long as a completed
            one, s; 0 without pruned trials, None if no trial completed to tell the length of a full one.
        full_epochs: Epochs of a full trial: the median over the completed ones; None without any.
    """

    trial_seconds: float
    saved_seconds: float | None
    full_epochs: float | None


def sweep_cost(records: Sequence[TrialRecord]) -> SweepCost:
    """Add up the trials' times and estimate what pruning saved.

    A pruned trial is assumed to have gone on at its own pace (its seconds divided by its epochs) up to the
    median number of epochs of the completed trials. One that is pruned before its first epoch, or later than
    that median, saves nothing.
    """
    completed = [epochs_run(record) for record in records if record.status is Status.COMPLETED]
    full_epochs = float(median(completed)) if completed else None
    pruned = [record for record in records if record.status is Status.PRUNED]
    if not pruned:
        saved = 0.0
    elif full_epochs is None:
        saved = None
    else:
        saved = sum(_seconds_saved(record, full_epochs) for record in pruned)
    return SweepCost(
        trial_seconds=sum(record.seconds or 0.0 for record in records),
        saved_seconds=saved,
        full_epochs=full_epochs,
    )


def _seconds_saved(record: TrialRecord, full_epochs: float) -> float:
    epochs = epochs_run(record)
    if record.seconds is None or epochs == 0:
        return 0.0
    return record.seconds / epochs * max(0.0, full_epochs - epochs)
