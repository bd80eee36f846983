"""What a module has logged in an epoch, and the points that are made of it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import pytorch_lightning as pl

from neurosweep.naming import EPOCH_SECONDS, WORKER_MEMORY
from neurosweep.trials.failures import MissingObjectiveError

Point = tuple[str, float, int, int]
"""Key, value, epoch and timestamp in ms: a `MetricPoint` in transit."""

_FORKS = ("_step", "_epoch")
"""What Lightning adds to the name of a metric that is logged both by step and by epoch."""


class EpochMetrics:
    """The metrics of one epoch at a time: Lightning keeps those of earlier epochs among them."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._old: Mapping[str, Any] = {}
        self._started: float | None = None

    def begin_epoch(self, trainer: pl.Trainer) -> None:
        """Start the clock, unless an epoch before this one has gone by without validation."""
        self._old = dict(trainer.callback_metrics)
        if self._started is None:
            self._started = time.monotonic()

    def logged(self, trainer: pl.Trainer) -> dict[str, float]:
        """Return what was logged since the epoch began; Lightning makes a new tensor for every value."""
        return {
            key: float(value)
            for key, value in trainer.callback_metrics.items()
            if value is not self._old.get(key)
        }

    def points(self, logged: Mapping[str, float], *, epoch: int) -> tuple[Point, ...]:
        """Make points of the metrics that have a split, such as `val/mse`, with time and memory; stop the clock.

        Args:
            logged: Metrics of the epoch.
            epoch: The epoch, from 0; its seconds include those of epochs before it without validation.
        """
        stopped = time.monotonic()
        now = time.time_ns() // 1_000_000
        metrics = {key: value for key, value in logged.items() if "/" in key and not _is_fork(key, logged)}
        metrics[EPOCH_SECONDS] = stopped - (self._started or stopped)
        metrics[WORKER_MEMORY] = self._process.memory_info().rss / 1e6
        self._started = None
        return tuple((key, value, epoch, now) for key, value in metrics.items())


def pick(names: Sequence[str], logged: Mapping[str, float]) -> tuple[float, ...]:
    """Return the values of metrics that an experiment names.

    Raises:
        MissingObjectiveError: If one of them was not logged in this epoch.
    """
    missing = [name for name in names if name not in logged]
    if missing:
        raise MissingObjectiveError(
            f"The module does not log {', '.join(missing)} in this epoch; it logs {', '.join(sorted(logged))}.",
            "Log it in every validation, in `validation_step` or `on_validation_epoch_end`.",
        )
    return tuple(logged[name] for name in names)


def _is_fork(key: str, logged: Mapping[str, float]) -> bool:
    return any(key.endswith(fork) and key.removesuffix(fork) in logged for fork in _FORKS)
