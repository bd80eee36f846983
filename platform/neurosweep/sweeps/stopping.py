"""What ends a sweep before its last trial: a signal, a spent budget, a goal that is reached, a full disk."""

import logging
import signal
import time
from typing import Any

from ray.tune import Stopper

from neurosweep.config import SweepConfig
from neurosweep.experiments import Objective
from neurosweep.search.contract import TrialMemory
from neurosweep.search.goals import reached, trials_since_best
from neurosweep.sweeps.events import SweepEvents
from neurosweep.sweeps.result import SweepEnd
from neurosweep.sweeps.signals import Interruption
from neurosweep.sweeps.unsaved import Unsaved

logger = logging.getLogger(__name__)


class StopSignal(Unsaved, Stopper):
    """Tells Tune to stop everything. Trials under way stay unfinished in the study, for a resume.

    Ctrl-C once lets the trials under way finish and starts no others; twice stops at once, as SIGTERM does.

    Args:
        config: Holds the budgets and goals.
        objective: The first objective.
        memory: The sweep's trials.
        events: Counts training time, and knows of a full disk.
        started: Monotonic time at which the driver began.
    """

    def __init__(
        self,
        config: SweepConfig,
        *,
        objective: Objective,
        memory: TrialMemory,
        events: SweepEvents,
        started: float,
    ) -> None:
        self._search = config.search
        self._gpus = config.resources.gpus_per_trial * config.resources.workers_per_trial
        self._objective = objective
        self._memory = memory
        self._events = events
        self._started = started
        self._judged = -1
        self.draining = False
        """Whether no further trial is to start."""
        self.closing = False
        """Whether the trials are over and only the end of the driver is left."""
        self.hurried = False
        """Whether a signal asks for the end at once."""
        self.reason: SweepEnd | None = None
        """Why everything stops; None while nothing does."""

    def take_signal(self, number: int) -> None:
        """Drain, then stop, then raise; where the trials are over, or stopped by a budget, hurry, then raise.

        Raises:
            Interruption: If a signal has asked for the end before.
        """
        if self.hurried:
            raise Interruption(number)
        stopping = self.draining or self.closing or self.reason is not None
        if number == signal.SIGINT and not stopping:
            self.draining = True
            return
        self.hurried = True
        self.reason = self.reason or SweepEnd.INTERRUPTED

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stop a single trial."""
        return False

    def stop_all(self) -> bool:
        """Return whether the sweep should stop now."""
        if self.reason is None:
            self.reason = self._spent() or self._found()
            if self.reason is not None:
                logger.info("the sweep stops: %s", self.reason)
        return self.reason is not None or self._events.full_disk is not None

    def end(self) -> SweepEnd:
        """Say why the sweep has ended, once it has."""
        if all(record.status.is_final for record in self._memory.records()) and not self._memory.unstarted:
            return SweepEnd.FINISHED
        return self.reason or SweepEnd.INTERRUPTED

    def _spent(self) -> SweepEnd | None:
        budget, gpu_hours = self._search.time_budget, self._search.gpu_hours
        if budget is not None and time.monotonic() - self._started >= budget:
            return SweepEnd.TIME_BUDGET
        if gpu_hours is not None and self._events.training_seconds * self._gpus >= gpu_hours * 3600:
            return SweepEnd.GPU_HOURS
        return None

    def _found(self) -> SweepEnd | None:
        """Judge the goals, each time another trial has ended."""
        target, plateau = self._search.target, self._search.plateau
        if (target is None and plateau is None) or self._events.endings == self._judged:
            return None
        self._judged = self._events.endings
        records = self._memory.records()
        if target is not None and reached(records, self._objective, target):
            return SweepEnd.TARGET
        if plateau is not None and trials_since_best(records, self._objective) >= plateau:
            return SweepEnd.PLATEAU
        return None
