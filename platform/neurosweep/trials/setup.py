"""What all trials of a sweep share, shipped to the workers once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosweep.config import ResourceConfig
from neurosweep.experiments import Experiment
from neurosweep.layout import SweepFolder, TrialFolder


@dataclass(frozen=True)
class Pace:
    """How often a trial writes its checkpoints and talks to the driver.

    Args:
        decisions: Numbers of finished epochs after which the driver may end the trial, in order.
        checkpoint_share: Largest share of the wall time that checkpoints may take between those. A kill costs a
            trial at most one epoch, or 20 times what a checkpoint takes at a share of 0.05.
        report_seconds: Epochs that are shorter are reported together. Tune takes about 5 ms of CPU for a report.
    """

    decisions: tuple[int, ...] = ()
    checkpoint_share: float = 0.05
    report_seconds: float = 0.25

    def in_step(self) -> "Pace":
        """Return the pace of several workers, which have to do the same and cannot go by their clocks: each epoch."""
        return Pace(self.decisions, checkpoint_share=math.inf, report_seconds=0.0)

    def decides(self, before: int, finished: int) -> bool:
        """Whether the driver decides at one of the epochs after `before` finished ones up to `finished` ones."""
        return any(before < one <= finished for one in self.decisions)


@dataclass(frozen=True)
class WorkerRank:
    """Which of a trial's workers this is.

    Args:
        rank: From 0; rank 0 writes the trial's files and talks to the driver.
        world_size: Workers of the trial.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether the trial has no other worker."""
        return self.world_size == 1


ALONE = WorkerRank()
"""The worker of a trial that has one."""


@dataclass(frozen=True)
class TrialSetup:
    """The fixed part of a sweep's trials.

    Args:
        experiment: Names module, data module and objectives.
        sweep_root: The sweep's folder, at the same path on every node.
        fixed: Sections `model`, `data` and `trainer` of the sweep's configuration.
        data_hash: Fingerprint of the loaded data.
        cpus: CPU cores of each worker; also its threads.
        gpus: GPUs of each worker, fractions too.
        workers: Workers of a trial.
        pace: How often a trial writes and reports.
        worker_growth_mb: Growth of a reused worker above which it takes no further trial, MB.
    """

    experiment: Experiment
    sweep_root: Path
    fixed: Mapping[str, Mapping[str, Any]]
    data_hash: str
    cpus: float
    gpus: float
    workers: int = 1
    pace: Pace = Pace()
    worker_growth_mb: float = ResourceConfig.worker_growth_mb

    def folder(self, number: int) -> TrialFolder:
        """Folder of a trial."""
        return SweepFolder(self.sweep_root).trial(number)
