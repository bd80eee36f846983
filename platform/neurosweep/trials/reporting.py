"""The one Lightning callback of a trial: checkpoint an epoch, then report it."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, RandomSampler

from neurosweep.experiments import Objective
from neurosweep.layout import TrialFolder
from neurosweep.naming import EPOCH_SECONDS, WORKER_MEMORY
from neurosweep.search.seeds import derive_seed
from neurosweep.trials.failures import DivergedError, MissingObjectiveError

Point = tuple[str, float, int, int]
"""Key, value, epoch and timestamp in ms: a `MetricPoint` in transit."""


@dataclass(frozen=True)
class EpochReport:
    """What the driver is told after an epoch.

    Args:
        epoch: Finished epoch, from 0.
        objectives: Value of each objective after it.
        best_epoch: Epoch of the best first objective so far; its weights are kept.
        best_objectives: The objectives at that epoch: what the trial is worth if it ends here.
        points: Every metric of the epoch.
    """

    epoch: int
    objectives: tuple[float, ...]
    best_epoch: int
    best_objectives: tuple[float, ...]
    points: tuple[Point, ...]


class EpochReporter(Checkpoint):
    """Checkpoint each validated epoch, then report it.

    The order matters. What has been reported is in a checkpoint that holds it too, so a trial that is killed
    in between tells the driver once more when it resumes, and no epoch is trained twice after being reported.
    Lightning runs a `Checkpoint` after every other callback, when the epoch's metrics are complete.

    Args:
        folder: The trial's folder.
        objectives: First of them decides which checkpoint is best.
        report: Takes each report; may raise SystemExit to end the trial.
        seed: Randomness of an epoch depends on this and the epoch alone, so that a resumed trial repeats what
            an undisturbed one would have drawn.
    """

    def __init__(
        self,
        *,
        folder: TrialFolder,
        objectives: tuple[Objective, ...],
        report: Callable[[EpochReport], None],
        seed: int,
    ) -> None:
        self._folder = folder
        self._objectives = objectives
        self._report = report
        self._seed = seed
        self._validated = False
        self._epoch_started = time.monotonic()
        self._shuffled: set[RandomSampler] = set()
        self._reported = False
        self._monitored: dict[str, float] = {}
        self.last: EpochReport | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the last report, and what plateau schedulers have yet to hear of it, in plain types."""
        return {} if self.last is None else {**asdict(self.last), "monitored": dict(self._monitored)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the last report of the attempt before."""
        if state_dict:
            self._monitored = dict(state_dict["monitored"])
            points = tuple((str(key), value, step, stamp) for key, value, step, stamp in state_dict["points"])
            self.last = EpochReport(
                epoch=state_dict["epoch"],
                objectives=tuple(state_dict["objectives"]),
                best_epoch=state_dict["best_epoch"],
                best_objectives=tuple(state_dict["best_objectives"]),
                points=points,
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Repeat the last report of the attempt before: its driver may have died without hearing it."""
        if self.last is not None:
            _step_plateaus(trainer, self._monitored, epoch=self.last.epoch)
        self.repeat_last()

    def repeat_last(self) -> None:
        """Report the last epoch of the attempt before, once."""
        if self.last is not None and not self._reported:
            self._send(self.last)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock and randomness."""
        self._epoch_started = time.monotonic()
        self._reseed(trainer.current_epoch)
        for sampler in _random_samplers(trainer):
            # How often torch's own generator is drawn from before a loader shuffles differs between a fresh
            # process and one that is under way, so shuffling gets a generator of its own.
            if sampler.generator is None or sampler in self._shuffled:
                self._shuffled.add(sampler)
                sampler.generator = torch.Generator()
                sampler.generator.manual_seed(derive_seed("shuffle", self._seed, trainer.current_epoch))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed again at the first batch: making the loader's iterator draws from torch's generator."""
        if batch_idx == 0:
            self._reseed(trainer.current_epoch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch has fresh validation metrics."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Checkpoint and report the epoch.

        Raises:
            DivergedError: If an objective is NaN or infinite; it is not a bad score.
            MissingObjectiveError: If the module did not log an objective.
        """
        if not self._validated:
            return
        self._validated = False
        seconds = time.monotonic() - self._epoch_started
        epoch = trainer.current_epoch
        objectives = self._objective_values(trainer)
        points = _points(trainer, epoch=epoch, seconds=seconds)
        report = EpochReport(epoch, objectives, epoch, objectives, points)
        if not all(math.isfinite(value) for value in objectives):
            self._send(report)  # the curve up to here, NaN included, belongs in MLflow
            shown = ", ".join(
                f"{objective.metric} = {value}"
                for objective, value in zip(self._objectives, objectives, strict=True)
            )
            raise DivergedError(
                f"{shown} after epoch {epoch}.",
                "Narrow the ranges of the learning rate or the loss weights, or clip the gradient.",
            )
        if not self._improves(objectives):
            assert self.last is not None
            report = replace(
                report, best_epoch=self.last.best_epoch, best_objectives=self.last.best_objectives
            )
        self.last = report
        self._monitored = {
            config.monitor: float(trainer.callback_metrics[config.monitor])
            for config in trainer.lr_scheduler_configs
            if config.monitor in trainer.callback_metrics
        }
        self._checkpoint(trainer, report)
        self._send(report)

    def _send(self, report: EpochReport) -> None:
        self._reported = True
        self._report(report)

    def _improves(self, objectives: tuple[float, ...]) -> bool:
        return self.last is None or self._objectives[0].better(objectives[0], self.last.best_objectives[0])

    def _objective_values(self, trainer: pl.Trainer) -> tuple[float, ...]:
        logged = trainer.callback_metrics
        missing = [one.metric for one in self._objectives if one.metric not in logged]
        if missing:
            raise MissingObjectiveError(
                f"The module does not log {', '.join(missing)}; it logs {', '.join(sorted(logged))}.",
                "Log it once an epoch in `validation_step` or `on_validation_epoch_end`.",
            )
        return tuple(float(logged[one.metric]) for one in self._objectives)

    def _checkpoint(self, trainer: pl.Trainer, report: EpochReport) -> None:
        """Write the best weights first, then the state that names them, and only then drop older weights."""
        best = self._folder.best_checkpoint_of(report.best_epoch)
        if report.best_epoch == report.epoch:
            _save(trainer, best, weights_only=True)
        _save(trainer, self._folder.last_checkpoint, weights_only=False)
        for older in self._folder.root.glob("best-*.ckpt"):
            if older != best:
                older.unlink()

    def _reseed(self, epoch: int) -> None:
        pl.seed_everything(derive_seed("epoch", self._seed, epoch), workers=True, verbose=False)


def _save(trainer: pl.Trainer, path: Path, *, weights_only: bool) -> None:
    """Write, then rename: a kill leaves the old file or the new one."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        trainer.save_checkpoint(scratch, weights_only=weights_only)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _step_plateaus(trainer: pl.Trainer, monitored: dict[str, float], *, epoch: int) -> None:
    """Lightning steps ReduceLROnPlateau after the checkpoint of its epoch, and a resumed run skips that step."""
    for config in trainer.lr_scheduler_configs:
        due = config.interval == "epoch" and (epoch + 1) % config.frequency == 0
        if config.reduce_on_plateau and due and config.monitor in monitored:
            trainer.lightning_module.lr_scheduler_step(config.scheduler, monitored[config.monitor])


def _random_samplers(trainer: pl.Trainer) -> list[RandomSampler]:
    loaders = [one for one in tree_leaves(trainer.train_dataloader) if isinstance(one, DataLoader)]
    return [loader.sampler for loader in loaders if isinstance(loader.sampler, RandomSampler)]


def _points(trainer: pl.Trainer, *, epoch: int, seconds: float) -> tuple[Point, ...]:
    """Collect the epoch's metrics; names without a split, such as step-wise doubles, are left out."""
    now = time.time_ns() // 1_000_000
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if "/" in key}
    metrics = {key: value for key, value in metrics.items() if not key.endswith(("_step", "_epoch"))}
    metrics[EPOCH_SECONDS] = seconds
    metrics[WORKER_MEMORY] = psutil.Process().memory_info().rss / 1e6
    return tuple((key, value, epoch, now) for key, value in metrics.items())
