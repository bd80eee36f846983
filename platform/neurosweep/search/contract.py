"""What a driver needs of a sweep's memory, whether it searches or trains a population."""

from collections.abc import Set
from typing import Protocol

import optuna

from neurosweep.experiments import Objective
from neurosweep.naming import Failure
from neurosweep.records import TrialRecord
from neurosweep.search.memory import Assignment


class TrialMemory(Protocol):
    """Hands out trials and keeps what becomes of them: `SweepMemory` or `PopulationMemory`."""

    study: optuna.Study
    objectives: tuple[Objective, ...]
    max_epochs: int

    def ask_ahead(self, *, slots: int) -> None:
        """Have proposals ready where making them takes long."""
        ...

    def next(self) -> Assignment | None:
        """Return what to run next, or None when there is nothing at the moment."""
        ...

    def count_loss(self, number: int) -> int:
        """Note that the trial's worker died, and return how often that has happened."""
        ...

    def forgive_loss(self, number: int) -> None:
        """Take a counted loss back."""
        ...

    def take_back(self, number: int) -> None:
        """Let `next` hand out again what has not begun."""
        ...

    def take_settled(self) -> list[int]:
        """Return the numbers of trials that have ended without a run since the last call."""
        ...

    @property
    def unstarted(self) -> int:
        """How many trials have not been handed out for the first time."""
        ...

    def hand_back(self, number: int) -> None:
        """Let `next` hand the trial out again."""
        ...

    def report(self, number: int, *, epoch: int, value: float, judged: float | None = None) -> bool:
        """Keep the first objective and the judged metric after an epoch; return whether the trial should end here."""
        ...

    def complete(
        self, number: int, values: tuple[float, ...], *, constrained: tuple[float, ...] = ()
    ) -> None:
        """Remember that what was handed out ran to its end, with the objectives of the kept checkpoint."""
        ...

    def prune(self, number: int, *, constrained: tuple[float, ...] = ()) -> None:
        """Remember a trial that was stopped early."""
        ...

    def fail(self, number: int, failure: Failure, message: str) -> None:
        """Remember that what was handed out ended without a usable objective."""
        ...

    @property
    def live(self) -> Set[int]:
        """Numbers of the trials handed out and not yet ended."""
        ...

    def release_live(self) -> None:
        """Give up the trials that are under way, for a resume."""
        ...

    def record(self, number: int) -> TrialRecord:
        """Return what is known of one trial."""
        ...

    def records(self) -> list[TrialRecord]:
        """Return what is known of all trials, by number."""
        ...
