"""The courier: a thread that keeps MLflow up to date behind the driver's back."""

import logging
import threading
import time
from dataclasses import dataclass

from neurosweep.records import TrialRecord
from neurosweep.tracking.mirror import Mirror

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0
"""News of a running trial wait this long for company, s."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Pause after a failure, doubled with each further one, s."""
DRAIN_PAUSE_S = 1.0
"""Longest pause while somebody waits for the rest to arrive, s."""


@dataclass(frozen=True)
class Backlog:
    """What has not reached MLflow.

    Args:
        trials: Trials with something missing.
        points: Metric points of theirs.
    """

    trials: int
    points: int

    def __bool__(self) -> bool:
        return self.trials > 0


@dataclass
class _Letter:
    """The latest record of a trial, and how its delivery has gone."""

    record: TrialRecord
    failures: int = 0
    not_before: float = 0.0


class Courier:
    """Delivers trials to MLflow from a daemon thread.

    Nothing that happens to MLflow reaches the caller: a store that is away makes the courier wait, and a
    trial that cannot be delivered does not hold up the others.

    Args:
        mirror: An opened mirror.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._letters: dict[int, _Letter] = {}
        self._changed = threading.Condition()
        self._urgent = False
        self._drainers = 0
        self._stopped = False
        self._away_since: float | None = None
        self._absences = 0
        self._quiet_until = 0.0
        self._thread = threading.Thread(target=self._run, name="neurosweep-courier", daemon=True)
        self._thread.start()

    def notify(self, record: TrialRecord) -> None:
        """Say that a trial has news. Returns at once; the latest record of a trial wins."""
        with self._changed:
            letter = self._letters.get(record.number)
            failures = 0 if letter is None else letter.failures
            not_before = 0.0 if letter is None else letter.not_before
            self._letters[record.number] = _Letter(record, failures, not_before)
            if record.status.is_final:
                self._urgent = True
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> Backlog:
        """Wait until everything has arrived, at most so many seconds.

        Returns:
            What has not arrived; it stays in the sweep's folder and goes out with the next resume.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._drainers += 1
            self._quiet_until = 0.0
            for letter in self._letters.values():
                letter.not_before = 0.0
            self._changed.notify_all()
            try:
                while self._letters and self._thread.is_alive():
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        break
                    self._changed.wait(remaining)
            finally:
                self._drainers -= 1
        return self.backlog()

    def backlog(self) -> Backlog:
        """Count what has not arrived, from the files."""
        with self._changed:
            numbers = list(self._letters)
        return Backlog(len(numbers), sum(self._count(number) for number in numbers))

    def stop(self) -> None:
        """End the thread after the request that is under way; do not wait for a store that is away."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._await_work()
                if self._stopped:
                    return
                self._urgent = False
                now = time.monotonic()
                letters = [one for one in self._letters.values() if self._due(one) <= now]
            for letter in letters:
                if self._stopped or not self._deliver(letter):
                    break

    def _await_work(self) -> None:
        """Sleep until a letter is due; news gather for `INTERVAL_S` unless one of them is urgent."""
        gather_until: float | None = None
        while not self._stopped:
            now = time.monotonic()
            if not self._letters:
                gather_until = None
                self._changed.wait()
                continue
            gather_until = gather_until or now + INTERVAL_S
            hurry = self._urgent or self._drainers > 0
            due = min(self._due(letter) for letter in self._letters.values())
            wake = due if hurry else max(due, gather_until)
            if wake <= now:
                return
            self._changed.wait(wake - now)

    def _due(self, letter: _Letter) -> float:
        return max(letter.not_before, self._quiet_until)

    def _deliver(self, letter: _Letter) -> bool:
        """Deliver one trial.

        Returns:
            Whether to go on with the next; not if the store is away.
        """
        try:
            arrived = self._mirror.sync_trial(letter.record)
        except Exception as error:  # MLflow's troubles must never become the sweep's
            return self._note_failure(letter, error)
        self._note_return()
        with self._changed:
            current = self._letters.get(letter.record.number)
            if arrived and current is letter:
                del self._letters[letter.record.number]
            elif current is not None:
                current.failures, current.not_before = 0, 0.0
            self._changed.notify_all()
        return True

    def _note_failure(self, letter: _Letter, error: Exception) -> bool:
        if not self._mirror.store.is_reachable():
            self._note_absence(error)
            return False
        self._note_return()
        number = letter.record.number
        pause = self._pause(letter.failures)
        logger.warning(
            "trial %d could not be sent to MLflow (attempt %d); again in %.0f s: %s",
            number,
            letter.failures + 1,
            pause,
            error,
            exc_info=error if letter.failures == 0 and not _is_of_store(error) else None,
        )
        with self._changed:
            current = self._letters[number]
            current.failures = letter.failures + 1
            current.not_before = time.monotonic() + pause
        return True

    def _note_absence(self, error: Exception) -> None:
        self._quiet_until = time.monotonic() + self._pause(self._absences)
        self._absences += 1
        if self._away_since is None:
            self._away_since = time.monotonic()
            logger.warning(
                "MLflow at %s is away; trials go on, their metrics wait in the sweep's folder: %s",
                self._mirror.store.uri,
                str(error).partition("\n")[0],
            )

    def _note_return(self) -> None:
        if self._away_since is None:
            return
        seconds = time.monotonic() - self._away_since
        self._away_since, self._absences = None, 0
        backlog = self.backlog()
        logger.warning(
            "MLflow at %s is back after %.0f s; %d trials and %d metric points wait to be sent",
            self._mirror.store.uri,
            seconds,
            backlog.trials,
            backlog.points,
        )

    def _pause(self, failures: int) -> float:
        longest = DRAIN_PAUSE_S if self._drainers else LONGEST_PAUSE_S
        return min(SHORTEST_PAUSE_S * 2.0**failures, longest)

    def _count(self, number: int) -> int:
        try:
            return self._mirror.unsent_points(number)
        except OSError:
            logger.exception("the outbox of trial %d cannot be read", number)
            return 0


def _is_of_store(error: Exception) -> bool:
    """Whether the store complains, which its message explains, and not a mistake of ours, which a traceback does."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("mlflow", "sqlalchemy")
