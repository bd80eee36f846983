"""What a sweep gives back."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

from neurosweep.config import SweepConfig
from neurosweep.layout import SweepFolder
from neurosweep.records import TrialRecord


class SweepEnd(StrEnum):
    """Why a driver stopped."""

    FINISHED = "finished"
    """All trials have ended."""
    TIME_BUDGET = "time_budget"
    """The time budget was spent; unfinished trials wait for `resume`."""
    GPU_HOURS = "gpu_hours"
    """The GPU hours were spent; unfinished trials wait for `resume`."""
    TARGET = "target"
    """A trial has reached the target."""
    PLATEAU = "plateau"
    """No trial has been better than the best for as many trials as were asked for."""
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM; unfinished trials wait for `resume`."""

    @property
    def explanation(self) -> str:
        """What happened, in a few words."""
        return _EXPLANATIONS[self]

    @property
    def is_success(self) -> bool:
        """Whether the sweep found what it was to find, rather than being cut short."""
        return self in (SweepEnd.FINISHED, SweepEnd.TARGET, SweepEnd.PLATEAU)


_EXPLANATIONS = {
    SweepEnd.FINISHED: "all trials have ended",
    SweepEnd.TIME_BUDGET: "the time budget is spent",
    SweepEnd.GPU_HOURS: "the GPU hours are spent",
    SweepEnd.TARGET: "a trial has reached the target",
    SweepEnd.PLATEAU: "the last trials brought no better value",
    SweepEnd.INTERRUPTED: "the driver was interrupted",
}


@dataclass(frozen=True)
class SweepResult:
    """A sweep after its driver has stopped.

    Args:
        config: The sweep's configuration.
        end: Why the driver stopped.
        signal: Number of the signal that stopped it, if one did.
        leaderboard: One row a trial, best first.
        best: The best completed trial, or None.
        best_checkpoint: Its kept checkpoint.
        run_id: MLflow parent run.
        trial_run_ids: MLflow run of each trial, by number.
        model_ids: MLflow LoggedModel of each kept checkpoint, by trial number.
        hypervolume: What the Pareto front dominates; None where the objectives have no reference point.
        undelivered_points: Metric points that have not reached MLflow; `neurosweep resume` or `doctor` sends them.
        tracking_uri: Where MLflow is.
        folder: The sweep's files.
    """

    config: SweepConfig
    end: SweepEnd
    signal: int | None
    leaderboard: pd.DataFrame
    best: TrialRecord | None
    best_checkpoint: Path | None
    run_id: str
    trial_run_ids: dict[int, str]
    model_ids: dict[int, str]
    hypervolume: float | None
    undelivered_points: int
    tracking_uri: str
    folder: SweepFolder

    @property
    def report(self) -> Path:
        """The report, HTML."""
        return self.folder.report
