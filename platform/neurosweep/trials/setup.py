"""What all trials of a sweep share, shipped to the workers once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosweep.experiments import Experiment
from neurosweep.layout import SweepFolder, TrialFolder


@dataclass(frozen=True)
class TrialSetup:
    """The fixed part of a sweep's trials.

    Args:
        experiment: Names module, data module and objectives.
        sweep_root: The sweep's folder, at the same path on every node.
        fixed: Sections `model`, `data` and `trainer` of the sweep's configuration.
        data_hash: Fingerprint of the loaded data.
        cpus: CPU cores of a trial; also its threads.
        gpus: GPUs of a trial, fractions too.
    """

    experiment: Experiment
    sweep_root: Path
    fixed: Mapping[str, Mapping[str, Any]]
    data_hash: str
    cpus: float
    gpus: float

    def folder(self, number: int) -> TrialFolder:
        """Folder of a trial."""
        return SweepFolder(self.sweep_root).trial(number)
