"""Drawing the kept checkpoints of trials that have ended, in a process beside the search.

A worker could not do it. When a trial is pruned, Tune lets its worker go on to the next trial, or ends the process
without waiting for what the trial still has in hand; and a worker that draws does not train. The driver would be slowed
by it. So the driver has one process of Ray's do it, which takes no slot and gives way to the trials.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from neurosweep.layout import SweepFolder, TrialFolder
from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.sweeps.preparation import PreparedSweep

logger = logging.getLogger(__name__)

_POLITE = 10
"""Niceness: beside busy trials the process gets a tenth of a core."""
_MOST_DEATHS = 3
_PATIENCE_SECONDS = 120.0
"""How long the end of a sweep waits for a single trial's pictures."""
_LOOK_SECONDS = 0.05


class Draughtsman:
    """What the drawing process does; an actor of Ray.

    Args:
        figures: Import path of the experiment's function.
        data: What the experiment's `load` returned.
    """

    def __init__(self, figures: str, data: Any) -> None:
        os.nice(_POLITE)
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves every GPU visible
        import torch

        torch.set_num_threads(1)
        self._figures = figures
        self._data = data

    def draw(self, root: Path) -> str | None:
        """Draw a trial; return what went wrong, in a line, if anything did."""
        from neurosweep.trials.build import quiet_lightning
        from neurosweep.trials.drawing import draw_trial

        quiet_lightning()
        try:
            draw_trial(TrialFolder(root), figures=self._figures, data=self._data)
        except Exception as error:  # a lab's function may fail in any way
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
        return None


@dataclass(frozen=True)
class _Commission:
    """A trial that is being drawn.

    Args:
        record: The trial.
        outcome: Reference to what `Draughtsman.draw` returns.
        since: Monotonic time at which it was asked for.
    """

    record: TrialRecord
    outcome: Any
    since: float


class FigureDrawer:
    """Has each completed or pruned trial drawn, one after another. Nothing that happens to it reaches the sweep.

    What is drawn is known by the trials' folders: a resume draws what is missing.

    Args:
        prepared: The sweep with its data.
        publish: Is told of each trial whose pictures are there.
    """

    def __init__(self, prepared: PreparedSweep, publish: Callable[[TrialRecord], None]) -> None:
        wanted = prepared.config.tracking.figures
        self._figures = prepared.experiment.figures if wanted else None
        self._folder: SweepFolder = prepared.folder
        self._data = prepared.data
        self._publish = publish
        self._queue: deque[TrialRecord] = deque()
        self._known: set[int] = set()
        self._actor: Any = None
        self._current: _Commission | None = None
        self._deaths = 0

    def consider(self, record: TrialRecord) -> None:
        """Put a trial in the queue if it is to be drawn; returns at once."""
        if self._figures is None or record.number in self._known or record.duplicate_of is not None:
            return
        if record.status not in (Status.COMPLETED, Status.PRUNED):
            return
        folder = self._folder.trial(record.number)
        if folder.best_checkpoint is not None and not folder.figures.is_dir():
            self._known.add(record.number)
            self._queue.append(record)

    def look(self) -> None:
        """Take what is finished and ask for the next; returns at once."""
        if self._current is not None:
            done, _ = ray.wait([self._current.outcome], timeout=0)
            if not done:
                return
            self._take(self._current)
            self._current = None
        if self._queue and self._deaths < _MOST_DEATHS:
            if self._actor is None:
                self._actor = ray.remote(num_cpus=0, max_restarts=0)(Draughtsman).remote(
                    self._figures, ray.put(self._data)
                )
            record = self._queue.popleft()
            outcome = self._actor.draw.remote(self._folder.trial(record.number).root)
            self._current = _Commission(record, outcome, time.monotonic())

    def finish(self, give_up: Callable[[], bool]) -> None:
        """Draw what is left.

        Args:
            give_up: Says whether the sweep has to end at once; a resume draws the rest then.
        """
        self.look()
        while self._current is not None and not give_up():
            if time.monotonic() - self._current.since > _PATIENCE_SECONDS:
                number, waiting = self._current.record.number, len(self._queue)
                logger.warning("trial %d takes too long to draw; %d others are left", number, waiting)
                break
            time.sleep(_LOOK_SECONDS)
            self.look()
        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None

    def _take(self, commission: _Commission) -> None:
        number = commission.record.number
        try:
            problem = ray.get(commission.outcome)
        except RayError as error:
            self._actor = None
            self._deaths += 1
            problem = f"the process that draws died: {' '.join(str(error).split())[:200]}"
        if problem is None:
            self._publish(commission.record)
        else:
            logger.warning("trial %d was not drawn: %s", number, problem)
