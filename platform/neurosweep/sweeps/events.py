"""What happens to trials while a sweep runs, written into the memory and the outboxes."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from neurosweep.errors import StorageError
from neurosweep.naming import EPOCH_SECONDS, Failure, Split
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.search.contract import TrialMemory
from neurosweep.sweeps.losses import Loss, judge_loss
from neurosweep.sweeps.node_watch import NodeWatch
from neurosweep.tracking.outbox import now_ms
from neurosweep.trials.failures import is_full_disk
from neurosweep.trials.run import Ending

logger = logging.getLogger(__name__)

DOUBT_SECONDS = 30.0
"""A machine's workers may die before its raylet does, and Ray takes 15 s by default to declare a node dead."""


@dataclass(frozen=True)
class _Doubt:
    """A worker that died on a node that may be dying too.

    Args:
        number: The trial.
        node: The node's id.
        until: Monotonic time after which the verdict stands.
        failure: What the trial fails of then; None if it has been handed out again already.
        message: One line for people.
    """

    number: int
    node: str
    until: float
    failure: Failure | None
    message: str


class SweepEvents:
    """What happens to trials, written into the memory and the outboxes, and passed on to the courier.

    Args:
        memory: The sweep's memory.
        keep_points: Appends the metric points of a trial to its outbox, and returns the new ones.
        publish: Is told of each change of a trial's record.
        retries: How often a trial whose worker died is handed out again.
        nodes: Knows which nodes are alive.
    """

    def __init__(
        self,
        memory: TrialMemory,
        *,
        keep_points: Callable[[int, Iterable[MetricPoint]], Sequence[MetricPoint]],
        publish: Callable[[TrialRecord], None],
        retries: int,
        nodes: NodeWatch,
    ) -> None:
        self._memory = memory
        self._keep_points = keep_points
        self._publish = publish
        self._retries = retries
        self._nodes = nodes
        self._doubts: list[_Doubt] = []
        self._declined: set[int] = set()
        self._gate = threading.RLock()
        self._closed = False
        self.training_seconds = 0.0
        """Training time of all trials, earlier drivers included, s."""
        self.endings = 0
        """How many trials have ended in this driver."""
        self.full_disk: str | None = None
        """Message of the trial that met a full disk; the sweep stops then, and a resume continues it."""

    def changed(self, number: int, epoch: int, parameters: Mapping[str, Any]) -> None:
        """Keep the hyperparameters with which a population's member begins a generation.

        Numbers only: what is a word stands in the member's lineage.
        """
        numbers = {name: value for name, value in parameters.items() if isinstance(value, int | float)}
        self._keep_points(
            number,
            [
                MetricPoint(f"{Split.HYPERPARAMETER}/{name}", float(value), epoch, now_ms())
                for name, value in numbers.items()
            ],
        )

    def reported(self, number: int, reports: Sequence[Mapping[str, Any]]) -> bool:
        """Keep the reports of one or several epochs; return whether the trial was pruned."""
        points = [MetricPoint(*point) for report in reports for point in report["points"]]
        new = self._keep_points(number, points)  # an epoch that is reported again counts once
        self.training_seconds += sum(point.value for point in new if point.key == EPOCH_SECONDS)
        pruned = any(self._judged(number, report) for report in reports)
        if pruned:
            self._memory.prune(number, constrained=tuple(reports[-1]["best_constrained"]))
        self.announce(number)
        return pruned

    def _judged(self, number: int, report: Mapping[str, Any]) -> bool:
        if not all(math.isfinite(value) for value in report["objectives"]):
            return False
        return self._memory.report(
            number, epoch=report["epoch"], value=report["objectives"][0], judged=report["judged"]
        )

    def ended(self, number: int, content: dict[str, Any]) -> None:
        """Keep how a trial ended on its worker."""
        ending = Ending(**content)
        if ending.storage_full:
            self.full_disk = ending.message
            return
        if ending.failure is not None:
            self._memory.fail(number, Failure(ending.failure), ending.message)
        elif ending.values is not None:
            self._memory.complete(number, tuple(ending.values), constrained=tuple(ending.constrained))
        self.announce(number)

    def declined(self, number: int, reason: str) -> None:
        """Note that a worker has not begun a trial; Tune will say that the trial is lost."""
        logger.warning("trial %d goes to a fresh worker: %s", number, reason)
        self._declined.add(number)

    def lost(self, number: int, error: BaseException | None) -> None:
        """Hand a trial whose worker died out once more, or fail it if that has happened too often.

        The loss of a node is not counted.
        """
        if number in self._declined:
            with self.at_work():
                self._declined.remove(number)
                self._memory.take_back(number)
                self.announce(number)
            return
        node = self._nodes.node_of(error)  # Ray is asked outside the gate: see `close`
        alive = None if node is None else self._nodes.is_alive(node)
        doubtful = node is not None and self._nodes.may_outlive(node)
        loss = judge_loss(error, node_alive=alive)
        text = " ".join(str(error).split())[:300] if error else "Ray names no reason"
        with self.at_work():
            if loss is Loss.NODE:
                logger.warning("trial %d lost its node and is handed out again: %s", number, text)
                self._memory.hand_back(number)
            else:
                self._count(number, loss, text, node if doubtful else None)
            self.announce(number)

    def _count(self, number: int, loss: Loss, text: str, doubtful: str | None) -> None:
        """Count a lost worker; a failure that would follow waits while its node is doubtful."""
        failure = None
        if self._memory.count_loss(number) > self._retries:
            failure = Failure.OUT_OF_MEMORY if loss is Loss.MEMORY else Failure.WORKER_LOST
        message = f"The worker's process died and was not started again: {text}"
        if doubtful is not None:
            until = time.monotonic() + DOUBT_SECONDS
            self._doubts.append(_Doubt(number, doubtful, until, failure, message))
        elif failure is not None:
            self._memory.fail(number, failure, message)
        if failure is None:
            self._memory.hand_back(number)

    def settle(self) -> None:
        """Take losses back whose node turned out to be dead, and let the others stand when their time is up."""
        verdicts = [(doubt, not self._nodes.is_alive(doubt.node)) for doubt in self._doubts]
        with self.at_work():
            for doubt, died in verdicts:
                if died or time.monotonic() >= doubt.until:
                    self._doubts.remove(doubt)
                    self._settle(doubt, died=died)

    def _settle(self, doubt: _Doubt, *, died: bool) -> None:
        number = doubt.number
        if died:
            logger.warning("trial %d lost its node: the loss is not counted", number)
            self._memory.forgive_loss(number)
        if doubt.failure is None:
            return  # handed out again already
        if died:
            self._memory.hand_back(number)
        else:
            self._memory.fail(number, doubt.failure, doubt.message)
        self.announce(number)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the gate while the block uses the memory; after `close`, end the thread that asks instead."""
        with self._gate:
            if self._closed:
                raise SystemExit
            yield

    def close(self) -> None:
        """Let nothing more happen: a thread that hangs in a dead Ray must not touch the memory when it wakes up."""
        with self._gate:
            self._closed = True

    def announce(self, number: int) -> None:
        """Pass on how a trial stands now."""
        record = self._memory.record(number)
        self.endings += record.status.is_final
        self._publish(record)

    @contextmanager
    def watching_disk(self) -> Iterator[None]:
        """Take a full disk, met while the block writes, as the end of this driver rather than of a trial."""
        try:
            yield
        except (OSError, StorageError) as error:
            if not is_full_disk(error):
                raise
            self.full_disk = f"The disk of the sweep is full: {getattr(error, 'problem', error)}"
