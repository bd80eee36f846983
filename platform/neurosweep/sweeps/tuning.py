"""Ray Tune as the sweep's muscle: a searcher, a scheduler and a callback that all ask the same memory.

Tune ends the whole sweep on any exception in a callback, so what only observes is guarded here.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray.exceptions
from ray import cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from neurosweep.search.contract import TrialMemory
from neurosweep.sweeps.events import SweepEvents
from neurosweep.sweeps.stopping import StopSignal
from neurosweep.sweeps.unsaved import Unsaved
from neurosweep.trials.run import DECLINED, ENDING, EPOCHS

logger = logging.getLogger(__name__)

_LOW_ON_MEMORY = "running low on memory"
"""From the message of Ray's memory monitor."""

NUMBER = "number"
"""Key of a trial's number in Tune's trial configuration."""


class StudySearcher(Unsaved, Searcher):
    """Tune's searcher: hands out what the memory gives.

    Args:
        memory: The sweep's memory.
        events: Is told of each trial handed out.
        stop: Knows when no further trial is to start.
        slots: Says how many trials run at the same time, as of now.
    """

    def __init__(
        self, memory: TrialMemory, events: SweepEvents, stop: StopSignal, slots: Callable[[], int]
    ) -> None:
        super().__init__()
        self._memory = memory
        self._events = events
        self._stop = stop
        self._slots = slots

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's number, parameters and seed, or None if there is none to run now."""
        # Not at the heartbeat: with no trial under way Tune waits here for one, and nothing else is called.
        self._events.settle()
        if len(self._memory.live) >= self._slots():
            return None
        with self._events.at_work():
            assignment = None
            if not self._stop.draining:
                with self._events.watching_disk():
                    assignment = self._memory.next()
                    for number in self._memory.take_settled():
                        self._events.announce(number)
            if self._events.full_disk is not None:
                return None
            if assignment is None:
                # A trial that is under way may lose its worker and be handed out once more; a population waits for
                # the last member of a generation.
                return None if self._memory.live else Searcher.FINISHED
            if assignment.segment is not None:
                explored = {name: assignment.parameters[name] for name in assignment.segment.explored}
                self._events.changed(assignment.number, assignment.segment.first_epoch, explored)
            self._events.announce(assignment.number)
        return {
            NUMBER: assignment.number,
            "parameters": dict(assignment.parameters),
            "seed": assignment.seed,
            "segment": None if assignment.segment is None else asdict(assignment.segment),
        }

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        """Do nothing: the scheduler and the callback tell the memory, with more than Tune says here."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the study is persistent."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a resume opens the study."""


class StudyScheduler(Unsaved, FIFOScheduler):
    """Tune's scheduler: keeps each report in the memory and ends a trial when the memory says so.

    Args:
        events: Takes reports and endings.
    """

    def __init__(self, events: SweepEvents) -> None:
        super().__init__()
        self._events = events

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Return STOP for a trial that is pruned or has ended.

        A result marked `done` would not come here: Tune ends its trial without asking.
        """
        number = trial.config[NUMBER]
        with self._events.at_work(), self._events.watching_disk():
            if DECLINED in result:
                self._events.declined(number, result[DECLINED])
                return TrialScheduler.CONTINUE  # its worker raises now, and Tune replaces it
            if ENDING in result:
                self._events.ended(number, json.loads(result[ENDING]))
                return TrialScheduler.STOP
            if EPOCHS in result and self._events.reported(number, json.loads(result[EPOCHS])):
                return TrialScheduler.STOP
        return TrialScheduler.CONTINUE


class TuneWatcher(Unsaved, Callback):
    """Tune's callback: lost workers, and a heartbeat for the progress display. It never raises.

    Args:
        events: Takes lost trials.
        heartbeat: Called about twice a second.
    """

    def __init__(self, events: SweepEvents, heartbeat: Callable[[], None]) -> None:
        self._events = events
        self._heartbeat = heartbeat
        self._beat = 0.0

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Judge the loss of a trial's worker."""
        self._guarded(lambda: self._events.lost(trial.config[NUMBER], _error_of(trial)))

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
    """Return what Tune was told; it keeps an error in files only.

    `Trial.get_pickled_error` would read them from the storage, where they are copied later.
    """
    if trial.pickled_error_file is not None:
        with Path(trial.pickled_error_file).open("rb") as file:
            error = cloudpickle.load(file)
        return error if isinstance(error, BaseException) else None
    # Of an error that is neither a task's nor an actor's, such as OutOfMemoryError, only the text is kept.
    text = "" if trial.error_file is None else Path(trial.error_file).read_text(encoding="utf-8")
    return ray.exceptions.OutOfMemoryError(text) if _LOW_ON_MEMORY in text else None
