"""One configuration of a sweep: frozen, typed, with every default of the platform in this file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Sampler = Literal["tpe", "random", "gp", "cmaes", "qmc"]
Pruner = Literal["successive_halving", "hyperband", "median", "none"]


@dataclass(frozen=True)
class SearchConfig:
    """How the next trial is chosen and when a poor one ends."""

    trials: int = 16
    """Number of trials, the published ones included."""
    sampler: Sampler = "tpe"
    """Optuna sampler that proposes parameters."""
    pruner: Pruner = "successive_halving"
    """Optuna pruner that ends poor trials early."""
    startup_trials: int = 5
    """Trials with random parameters before `tpe`, `gp` or `cmaes` begins to model, and before `median` prunes."""
    min_epochs: int = 4
    """Epochs that every trial runs before the pruner may end it."""
    reduction_factor: int = 3
    """Of this many trials at a rung, successive halving and Hyperband keep one."""
    time_budget: float | None = None
    """Wall time after which the sweep stops, s. Trials under way are left unfinished; `resume` continues them."""
    try_published: bool = True
    """Whether the sweep begins with the published values."""


@dataclass(frozen=True)
class ResourceConfig:
    """What a trial may use, and where."""

    concurrency: int | None = None
    """Trials at the same time. Default: as many as the cluster's CPUs and GPUs hold."""
    cpus_per_trial: float = 1.0
    """CPU cores for each trial; also its number of threads."""
    gpus_per_trial: float = 0.0
    """GPUs for each trial; a fraction such as 0.25 lets four trials share one."""
    address: str = "local"
    """Ray cluster: `local` starts one on this machine, `auto` or `host:port` joins one."""
    retries: int = 3
    """How often a trial is started again after its worker's process or node was lost."""


@dataclass(frozen=True)
class TrackingConfig:
    """Where the runs are compared."""

    uri: str | None = None
    """MLflow tracking URI. Default: SQLite in the storage folder."""
    experiment: str | None = None
    """MLflow experiment. Default: the experiment's name."""
    keep_checkpoints: bool = True
    """Whether the best checkpoint of each trial is uploaded as artifact and LoggedModel."""


UI_HOST, UI_PORT = "127.0.0.1", 5000
"""Where `neurosweep ui` listens: reached from this machine only."""

DEFAULT_TRAINER: Mapping[str, Any] = {"max_epochs": 20}
"""What every trial's Trainer gets unless the experiment or the user says otherwise."""


@dataclass(frozen=True)
class SweepConfig:
    """A sweep as it was asked for, complete: the same file starts it again anywhere.

    `model`, `data` and `trainer` hold arguments of the experiment's module, of its `load` function and data
    module, and of Lightning's Trainer. A value here is fixed: a parameter of the space of the same name is then
    not searched.
    """

    experiment: str
    """Registered name or import path of an `Experiment`."""
    name: str
    """Name of the sweep: its folder, its Optuna study, its parent run."""
    seed: int = 0
    """Seed of the sampler; the trials' seeds are derived from it."""
    storage: str = "neurosweep-runs"
    """Folder of the sweeps; on a cluster, one that every node sees at the same path."""
    study_storage: str | None = None
    """Database URL of the Optuna studies. Default: a journal file in the sweep's folder."""
    search: SearchConfig = field(default_factory=SearchConfig)
    resources: ResourceConfig = field(default_factory=ResourceConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    model: Mapping[str, Any] = field(default_factory=dict)
    """Fixed arguments of the module."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Fixed arguments of `load` and of the data module."""
    trainer: Mapping[str, Any] = field(default_factory=dict)
    """Fixed arguments of `pytorch_lightning.Trainer`; `max_epochs` is the budget of a full trial."""

    @property
    def pins(self) -> dict[str, Any]:
        """Fixed values by dotted name."""
        sections = {"model": self.model, "data": self.data, "trainer": self.trainer}
        return {
            f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()
        }
