"""One configuration of a sweep: frozen, typed, with every default of the platform in this file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Sampler = Literal["tpe", "random", "gp", "cmaes", "qmc", "nsga2"]
Pruner = Literal["successive_halving", "hyperband", "median", "none"]
Population = Literal["pbt", "pb2", "bt_pbt"]


@dataclass(frozen=True)
class SearchConfig:
    """How the next trial is chosen and when a poor one ends."""

    trials: int = 16
    """Number of trials, the published ones included."""
    sampler: Sampler = "tpe"
    """Optuna sampler that proposes parameters."""
    pruner: Pruner = "successive_halving"
    """Optuna pruner that ends poor trials early."""
    ask_ahead: int | None = None
    """Proposals to have ready while trials run, so that a slow sampler keeps no worker waiting; each knows that much
    less of the trials before it. Default: 1 for `gp` where several trials run at once, else 0."""
    startup_trials: int = 5
    """Trials with random parameters before `tpe`, `gp` or `cmaes` begins to model, and before `median` prunes."""
    min_epochs: int = 4
    """Epochs that every trial runs before the pruner may end it."""
    generation_size: int = 20
    """Trials in a generation of `nsga2`; the first generation is random."""
    reduction_factor: int = 3
    """Of this many trials at a rung, successive halving and Hyperband keep one."""
    time_budget: float | None = None
    """Wall time after which the sweep stops, s. Trials under way are left unfinished; `resume` continues them."""
    gpu_hours: float | None = None
    """GPU hours of training, over all trials and drivers, after which the sweep stops in the same way."""
    objectives: tuple[str, ...] = ()
    """Metrics to search for, of those that the experiment offers; the first decides which checkpoint is kept.
    Default: all of them."""
    target: float | None = None
    """The sweep stops when a completed trial's first objective is at least this good."""
    plateau: int | None = None
    """The sweep stops when this many trials in a row have ended without a better first objective."""
    try_published: bool = True
    """Whether the sweep begins with the published values."""
    duplicates: Literal["reuse", "run"] = "reuse"
    """Whether a trial with the same parameters as a completed or pruned one takes over its results without being
    run. Where everything is pinned, trials differ in their seeds alone and are always run."""
    warm_start: tuple[str, ...] = ()
    """Earlier sweeps of the same storage. If experiment, data and settings are the same, their trials inform
    sampler and pruner; otherwise their five best configurations are tried first."""


@dataclass(frozen=True)
class PopulationConfig:
    """A population instead of a search: `search.trials` members train side by side, in generations.

    After each generation members copy better ones and change their hyperparameters. Sampler and pruner are not
    used. PBT's defaults are those of Ray and of its paper (Jaderberg et al. 2017, arXiv:1711.09846).
    """

    method: Population | None = None
    """`pbt`: the worst copy the best. `pb2`: as `pbt`, with values from a bandit model. `bt_pbt`: AutoLFADS's binary
    tournament. None: no population."""
    generation_epochs: int = 5
    """Epochs between two decisions. AutoLFADS takes 25, of several hundred."""
    quantile: float = 0.25
    """Part of the members that `pbt` and `pb2` replace by copies, and part that is copied."""
    resample_probability: float = 0.25
    """Probability that `pbt` draws a hyperparameter anew instead of multiplying it."""
    perturbation_factors: tuple[float, ...] = (0.8, 1.2)
    """What `pbt` multiplies by."""
    explore_weight: float = 0.2
    """Largest relative change by `bt_pbt`. The default of lfads-torch, whose runs of AutoLFADS take 0.3 for learning
    rate and dropout and 0.8 for loss weights."""


@dataclass(frozen=True)
class ResourceConfig:
    """What a trial may use, and where."""

    concurrency: int | None = None
    """Trials at the same time. Default: as many as the cluster's CPUs and GPUs hold, while nodes come and go."""
    workers_per_trial: int = 1
    """Workers that train a trial together by DDP, each on its slice of every batch; all the rest is per worker."""
    cpus_per_trial: float = 1.0
    """CPU cores for each worker of a trial; also its number of threads."""
    gpus_per_trial: float = 0.0
    """GPUs for each worker of a trial; a fraction such as 0.25 lets four of them share one."""
    address: str = "local"
    """Ray cluster: `local` starts one on this machine, `auto` or `host:port` joins one."""
    retries: int = 3
    """How often a trial is started again after its worker's process died. Lost nodes are not counted."""
    worker_growth_mb: float = 1024.0
    """Workers run one trial after another. One that holds so much more memory than before its second trial, on CPU
    and GPU together, is replaced by a fresh one, MB."""


@dataclass(frozen=True)
class TrackingConfig:
    """Where the runs are compared."""

    uri: str | None = None
    """MLflow tracking URI. Default: SQLite in the storage folder."""
    experiment: str | None = None
    """MLflow experiment. Default: the experiment's name."""
    keep_checkpoints: bool = True
    """Whether the best checkpoint of each trial is uploaded as artifact and LoggedModel."""
    figures: bool = True
    """Whether the best checkpoint of each trial is drawn, by experiments that can, in a process beside the search."""


UI_HOST, UI_PORT = "127.0.0.1", 5000
"""Where `neurosweep ui` listens: reached from this machine only."""

EVALUATION_SEEDS = 5
"""Models that `neurosweep evaluate` trains of the best configuration."""

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
    population: PopulationConfig = field(default_factory=PopulationConfig)
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
