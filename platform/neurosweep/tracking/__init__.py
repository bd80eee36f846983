"""MLflow as a mirror of the sweep: delivered in the background, repeatable, never in the way."""

from neurosweep.tracking.courier import Backlog, Courier
from neurosweep.tracking.mirror import DataNote, Mirror
from neurosweep.tracking.models import fetch_model
from neurosweep.tracking.outbox import Outbox, now_ms, training_seconds
from neurosweep.tracking.reconcile import Reconciliation, reconcile
from neurosweep.tracking.store import TrackingStore, connect

__all__ = [
    "Backlog",
    "Courier",
    "DataNote",
    "Mirror",
    "Outbox",
    "Reconciliation",
    "TrackingStore",
    "connect",
    "fetch_model",
    "now_ms",
    "reconcile",
    "training_seconds",
]
