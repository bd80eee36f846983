"""What the rooms tell each other about a trial: frozen, plain, without Optuna, Ray or MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from neurosweep.naming import Failure, Status


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the study remembers it.

    Args:
        number: Position in the study; the trial's identity in every room.
        status: Where it stands.
        parameters: What was searched or pinned, by dotted name (`model.latent_dim`).
        values: One final value per objective; None until COMPLETED (the value of the kept checkpoint).
        curve: First objective by epoch.
        seed: Seed of the trial's process.
        origin: `published`, `sampled`, `duplicate of N` or `warm start NAME/N`.
        attempts: How often a worker has started it.
        first_parameters: Parameters as the trial began, where a population has changed them since; empty otherwise.
        duplicate_of: Number of the trial whose results it took over without being run.
        violations: By how much the kept checkpoint violates each constraint, by metric; 0 or less is within it.
        failure: Why it failed, if it did.
        failure_message: One line for people; the traceback is in the trial's folder.
        started: When it was first handed out (UTC).
        ended: When it reached a final status (UTC).
    """

    number: int
    status: Status
    parameters: Mapping[str, Any]
    values: tuple[float, ...] | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    seed: int = 0
    origin: str = "sampled"
    attempts: int = 0
    first_parameters: Mapping[str, Any] = field(default_factory=dict)
    duplicate_of: int | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None
    failure_message: str | None = None
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def feasible(self) -> bool:
        """Whether no constraint is known to be violated."""
        return all(violation <= 0 for violation in self.violations.values())

    @property
    def seconds(self) -> float | None:
        """Wall time from first hand-out to the end, s."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()


@dataclass(frozen=True)
class MetricPoint:
    """One point of a metric's history, as MLflow stores it.

    Args:
        key: Name with its split, such as `val/behaviour_r2`.
        value: Finite, NaN or infinite; MLflow keeps NaN apart.
        step: Epoch, from 0.
        timestamp: Milliseconds since 1970, fixed when the point was recorded. MLflow's primary key holds key,
            step, value and this, so that a second delivery of the same point changes nothing.
    """

    key: str
    value: float
    step: int
    timestamp: int
