"""Every metric, parameter, tag and file name that crosses a room's border, spelled once."""

from enum import StrEnum


class Status(StrEnum):
    """Where a trial stands. The same word in the study, in MLflow's tag, on the leaderboard and on screen."""

    WAITING = "waiting"
    """Enqueued, not started."""
    RUNNING = "running"
    """Handed to a worker by a living driver."""
    INTERRUPTED = "interrupted"
    """Started, then left unfinished by a driver that stopped; `neurosweep resume` continues it."""
    COMPLETED = "completed"
    """Ran to its last epoch, or stopped by its own early stopping."""
    PRUNED = "pruned"
    """Stopped early by the pruner; its curve is kept and modelled."""
    FAILED = "failed"
    """Ended without a usable objective; the reason is a `Failure`."""

    @property
    def is_final(self) -> bool:
        """Whether the trial will never run again."""
        return self in (Status.COMPLETED, Status.PRUNED, Status.FAILED)


class Failure(StrEnum):
    """Why a trial failed."""

    DIVERGED = "diverged"
    """The objective or the loss became NaN or infinite."""
    OUT_OF_MEMORY = "out_of_memory"
    """The worker's or the GPU's memory did not suffice: a property of the configuration."""
    RAISED = "raised"
    """The module or the data module raised an exception."""
    WORKER_LOST = "worker_lost"
    """The worker's process died more often than a trial is retried."""


class Tag:
    """Tags of MLflow runs, experiments and logged models."""

    KIND = "neurosweep.kind"
    """`sweep` for the parent run, `trial` for its children, `study` for a run of `neurosweep study`."""
    SWEEP = "neurosweep.sweep"
    TRIAL = "neurosweep.trial"
    """The trial's number in the study, the same in every attempt."""
    STATUS = "neurosweep.status"
    """A `Status`: MLflow's own states cannot tell pruned from interrupted."""
    FAILURE = "neurosweep.failure"
    """A `Failure`."""
    FAILURE_MESSAGE = "neurosweep.failure_message"
    ATTEMPT = "neurosweep.attempt"
    """How often a worker has started this trial."""
    ORIGIN = "neurosweep.origin"
    """`published` for the paper's values, `sampled` for the sampler's, `duplicate of N` for a trial that took over
    the results of trial N, `warm start NAME/N` for the values of an earlier sweep's trial."""
    FEASIBLE = "neurosweep.feasible"
    """`true` or `false`, where the experiment has constraints."""
    END = "neurosweep.end"
    """Why the sweep's last driver stopped, such as `finished`, `time_budget` or `target`."""
    EXPERIMENT = "neurosweep.experiment"
    STUDY = "neurosweep.study"
    """Name of the family's study; nothing to do with Optuna's."""
    SEED = "neurosweep.seed"
    CONFIG_HASH = "neurosweep.config_hash"
    DATA_HASH = "neurosweep.data_hash"
    COMMIT = "neurosweep.commit"
    VERSIONS = "neurosweep.versions"
    PARENT = "mlflow.parentRunId"
    NOTE = "mlflow.note.content"


class Split(StrEnum):
    """First part of a metric's name, before the slash."""

    TRAIN = "train"
    VALIDATION = "val"
    TEST = "test"
    TEST_ADAPTED = "test_adapted"
    """Of what looked at the test data before it was scored on them, though not at their labels."""
    COST = "cost"
    """Seconds and megabytes."""
    BEST = "best"
    """The value of a validation metric at the epoch of the kept checkpoint; one point a trial."""
    HYPERPARAMETER = "hp"
    """A hyperparameter that a population changes; one point a generation, at its first epoch."""


def best_metric(metric: str) -> str:
    """Name the value of a validation metric at the kept checkpoint: `val/mse` becomes `best/mse`."""
    return f"{Split.BEST}/{metric.partition('/')[2]}"


def run_name(sweep: str, number: int) -> str:
    """Name a trial's MLflow run, sortable and unique over sweeps: `sable-first/0007`."""
    return f"{sweep}/{number:04d}"


HYPERVOLUME = f"{Split.BEST}/hypervolume"
"""What a sweep's Pareto front dominates, up to the reference point of its objectives; one point a sweep."""
EPOCH_SECONDS = f"{Split.COST}/epoch_seconds"
"""Wall time of one epoch with its validation, s."""
WORKER_MEMORY = f"{Split.COST}/worker_memory_mb"
"""Resident memory of the worker's process after the epoch, MB."""
