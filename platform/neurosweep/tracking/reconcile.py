"""Bringing MLflow in line with a sweep whose driver has died, or whose server was away."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.tracking.backend import explained
from neurosweep.tracking.mirror import Mirror

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconciliation:
    """What a reconciliation did.

    Args:
        delivered: Trials that are complete in MLflow now.
        failed: Numbers of trials that could not be sent; the log says why.
        ended: Runs that MLflow showed as running without a living trial.
    """

    delivered: int
    failed: tuple[int, ...]
    ended: int


def reconcile(mirror: Mirror, records: Sequence[TrialRecord]) -> Reconciliation:
    """Send everything of every trial, then end runs without an owner.

    Args:
        mirror: An opened mirror.
        records: Every trial of the study.

    Raises:
        TrackingError: If the store is away.
    """
    failed = []
    for record in records:
        try:
            mirror.sync_trial(record)
        except Exception:  # one trial's trouble must not keep the others back
            if not mirror.store.is_reachable():
                with explained(mirror.store.uri):
                    raise
            logger.exception("trial %d could not be sent to MLflow", record.number)
            failed.append(record.number)
    alive = [record.number for record in records if record.status is Status.RUNNING]
    with explained(mirror.store.uri):
        ended = mirror.end_ownerless(alive)
    return Reconciliation(len(records) - len(failed), tuple(failed), ended)
