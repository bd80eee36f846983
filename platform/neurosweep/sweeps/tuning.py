"""Ray Tune as the sweep's muscle: a searcher, a scheduler and a callback that all ask the same memory.

Tune ends the whole sweep on any exception in a callback, so what only observes is guarded here.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray.exceptions
from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from neurosweep.naming import Failure
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.search.memory import SweepMemory
from neurosweep.trials.failures import is_full_disk
from neurosweep.trials.run import ENDING, EPOCH, Ending

logger = logging.getLogger(__name__)

NUMBER = "number"
"""Key of a trial's number in Tune's trial configuration."""


class _Unsaved:
    """Left out of Tune's snapshots, which nobody restores: locks and open files cannot be pickled."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Unsaved":
        return self


class StudySearcher(_Unsaved, Searcher):
    """Tune's searcher: hands out what the memory gives.

    Args:
        memory: The sweep's memory.
        events: Is told of each trial handed out.
    """

    def __init__(self, memory: SweepMemory, events: "SweepEvents") -> None:
        super().__init__()
        self._memory = memory
        self._events = events

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's number, parameters and seed."""
        with self._events.watching_disk():
            assignment = self._memory.next()
        if self._events.full_disk is not None:
            return None
        if assignment is None:
            return Searcher.FINISHED
        self._events.assigned(assignment.number)
        return {
            NUMBER: assignment.number,
            "parameters": dict(assignment.parameters),
            "seed": assignment.seed,
        }

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Do nothing: the scheduler and the callback tell the memory, with more than Tune says here."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study is persistent."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a resume opens the study."""


class StudyScheduler(_Unsaved, FIFOScheduler):
    """Tune's scheduler: keeps each report in the memory and ends a trial when the memory says so.

    Args:
        events: Takes reports and endings.
    """

    def __init__(self, events: "SweepEvents") -> None:
        super().__init__()
        self._events = events

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Return STOP for a trial that is pruned or has ended.

        A result marked `done` would not come here: Tune ends its trial without asking.
        """
        number = trial.config[NUMBER]
        with self._events.watching_disk():
            if ENDING in result:
                self._events.ended(number, json.loads(result[ENDING]))
                return TrialScheduler.STOP
            if EPOCH in result and self._events.reported(number, json.loads(result[EPOCH])):
                return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


class SweepEvents:
    """What happens to trials, written into the memory and the outboxes, and passed on to the courier.

    Args:
        memory: The sweep's memory.
        keep_points: Appends the metric points of a trial to its outbox.
        publish: Is told of each change of a trial's record.
    """

    def __init__(
        self,
        memory: SweepMemory,
        *,
        keep_points: Callable[[int, Iterable[MetricPoint]], None],
        publish: Callable[[TrialRecord], None],
    ) -> None:
        self._memory = memory
        self._keep_points = keep_points
        self._publish = publish
        self.full_disk: str | None = None
        """Message of the trial that met a full disk; the sweep stops then, and a resume continues it."""

    def assigned(self, number: int) -> None:
        """Announce a trial that is about to start."""
        self._announce(number)

    def reported(self, number: int, report: dict[str, Any]) -> bool:
        """Keep an epoch's report; return whether the trial was pruned."""
        self._keep_points(number, [MetricPoint(*point) for point in report["points"]])
        value = float(report["objectives"][0])
        finite = value - value == 0.0
        pruned = finite and self._memory.report(number, epoch=report["epoch"], value=value)
        if pruned:
            self._memory.prune(number)
        self._announce(number)
        return pruned

    def ended(self, number: int, content: dict[str, Any]) -> None:
        """Keep how a trial ended on its worker."""
        ending = Ending(**content)
        if ending.storage_full:
            self.full_disk = ending.message
            return
        if ending.failure is not None:
            self._memory.fail(number, Failure(ending.failure), ending.message)
        elif ending.values is not None:
            self._memory.complete(number, tuple(ending.values))
        self._announce(number)

    def lost(self, number: int, error: BaseException | None) -> None:
        """Keep that a trial's workers died more often than it is retried."""
        killed_for_memory = isinstance(error, ray.exceptions.OutOfMemoryError)
        failure = Failure.OUT_OF_MEMORY if killed_for_memory else Failure.WORKER_LOST
        text = " ".join(str(error).split())[:300] if error else "Ray names no reason"
        self._memory.fail(number, failure, f"The worker's process died and was not started again: {text}")
        self._announce(number)

    def restarted(self, number: int) -> None:
        """Count another attempt after a lost worker."""
        self._memory.count_attempt(number)
        self._announce(number)

    def _announce(self, number: int) -> None:
        self._publish(self._memory.record(number))

    @contextmanager
    def watching_disk(self) -> Iterator[None]:
        """Take a full disk, met while the block writes, as the end of this driver rather than of a trial."""
        try:
            yield
        except OSError as error:
            if not is_full_disk(error):
                raise
            self.full_disk = f"The disk of the sweep is full: {error}"


class TuneWatcher(_Unsaved, Callback):
    """Tune's callback: lost workers, and a heartbeat for the progress display. It never raises.

    Args:
        events: Takes lost and restarted trials.
        heartbeat: Called about twice a second.
    """

    def __init__(self, events: SweepEvents, heartbeat: Callable[[], None]) -> None:
        self._events = events
        self._heartbeat = heartbeat
        self._beat = 0.0

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Keep a trial whose worker was lost for good."""
        self._guarded(lambda: self._events.lost(trial.config[NUMBER], _error_of(trial)))

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count the new attempt of a trial whose worker was lost."""
        self._guarded(lambda: self._events.restarted(trial.config[NUMBER]))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Beat."""
        if time.monotonic() - self._beat >= 0.5:
            self._beat = time.monotonic()
            self._guarded(self._heartbeat)

    @staticmethod
    def _guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # see the module's docstring
            logger.exception("a callback of the sweep failed; the sweep goes on")


def _error_of(trial: Trial) -> BaseException | None:
    error = trial.get_pickled_error()
    return error if isinstance(error, BaseException) else None


@dataclass
class StopSignal(_Unsaved, Stopper):
    """Tells Tune to stop everything: a signal came, or the time is spent, or the disk is full.

    Args:
        deadline: Monotonic time after which the sweep stops; None for no limit.
        events: Knows of a full disk.
    """

    deadline: float | None
    events: SweepEvents

    def __post_init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Stop at the next opportunity."""
        self._asked.set()

    @property
    def out_of_time(self) -> bool:
        """Whether the time budget is spent."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stop a single trial."""
        return False

    def stop_all(self) -> bool:
        """Return whether the sweep should stop now; unfinished trials stay unfinished in the study."""
        return self._asked.is_set() or self.out_of_time or self.events.full_disk is not None
