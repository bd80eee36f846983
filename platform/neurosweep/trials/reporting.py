"""The one Lightning callback of a trial: checkpoints and reports of its epochs."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from neurosweep.experiments import Experiment
from neurosweep.layout import TrialFolder
from neurosweep.trials.checkpoints import CheckpointWriter
from neurosweep.trials.epoch_metrics import EpochMetrics, Point, pick
from neurosweep.trials.failures import DivergedError, MissingObjectiveError, is_full_disk
from neurosweep.trials.randomness import EpochRandomness
from neurosweep.trials.resuming import count_the_finished_epoch, draw_batches_anew, step_plateaus
from neurosweep.trials.setup import ALONE, Pace, WorkerRank


@dataclass(frozen=True)
class EpochReport:
    """What the driver is told after an epoch.

    Args:
        epoch: Finished epoch, from 0.
        objectives: Value of each objective after it.
        best_epoch: Epoch of the best first objective so far; its weights are kept.
        best_objectives: The objectives at that epoch: what the trial is worth if it ends here.
        points: Every metric of the epoch.
        judged: The metric that the experiment prunes on, if it names one.
        best_constrained: The metric of each constraint at the best epoch.
    """

    epoch: int
    objectives: tuple[float, ...]
    best_epoch: int
    best_objectives: tuple[float, ...]
    points: tuple[Point, ...]
    judged: float | None = None
    best_constrained: tuple[float, ...] = ()


class EpochReporter(Checkpoint):
    """Checkpoint and report validated epochs, as often as the pace says.

    Where the driver may end the trial, and after its last epoch, the checkpoints are written before the report.
    Elsewhere a trial that is killed may have reported more than its checkpoint holds: it trains those epochs
    again, with the same randomness, and reports them again, which the driver passes over.
    Lightning runs a `Checkpoint` after every other callback, when the epoch's metrics are complete.

    Args:
        folder: The trial's folder.
        experiment: First of its objectives decides which checkpoint is best.
        report: Takes the reports of one or several epochs; may raise SystemExit to end the trial.
        seed: Randomness of an epoch depends on this and the epoch alone, so that a resumed trial repeats what
            an undisturbed one would have drawn.
        pace: When to write and to report.
        worker: Which of the trial's workers this is. All report, and each draws noise of its own.
    """

    def __init__(
        self,
        *,
        folder: TrialFolder,
        experiment: Experiment,
        report: Callable[[Sequence[EpochReport]], None],
        seed: int,
        pace: Pace,
        worker: WorkerRank = ALONE,
    ) -> None:
        self._experiment = experiment
        self._objectives = experiment.objectives
        self._report = report
        self._pace = pace
        self._worker = worker
        self._checkpoints = CheckpointWriter(folder, share=pace.checkpoint_share)
        self._randomness = EpochRandomness(seed, worker)
        self._metrics = EpochMetrics()
        self._validated = False
        self._has_begun = False
        self._unsent: list[EpochReport] = []
        self._sent_at = -math.inf
        self._told = 0
        self._reported = False
        self._monitored: dict[str, float] = {}
        self._stopped = False
        self.last: EpochReport | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what driver and schedulers may not have heard, and whether the fit has ended, in plain types."""
        if self.last is None:
            return {}
        untold = [asdict(report) for report in self._unsent]
        return {
            **asdict(self.last),
            "untold": untold,
            "monitored": dict(self._monitored),
            "stopped": self._stopped,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the reports of the attempt before."""
        if state_dict:
            self._monitored = dict(state_dict["monitored"])
            self._stopped = state_dict["stopped"]
            self.last = _report_of(state_dict)
            self._unsent = [_report_of(report) for report in state_dict["untold"]]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on where the attempt before ended, and repeat what its driver may have died without hearing.

        Raises:
            MissingObjectiveError: If nothing is ever validated.
        """
        if not trainer.enable_validation:
            raise MissingObjectiveError(
                "Nothing is validated, so no epoch has a score.",
                "Give the data module a `val_dataloader`, the module a `validation_step`, and leave "
                "`trainer.limit_val_batches` above 0.",
            )
        count_the_finished_epoch(trainer)
        if self.last is not None:
            step_plateaus(trainer, self._monitored, epoch=self.last.epoch)
        trainer.should_stop = trainer.should_stop or self._stopped
        self.repeat_last()

    def repeat_last(self) -> None:
        """Report once what the attempt before has not told for certain, or else its last epoch."""
        if self.last is not None and not self._reported:
            self._checkpoints.keep_only(self.last.best_epoch)  # a kill may have left those of a later epoch
            self._unsent = self._unsent or [self.last]
            self._send()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock and randomness."""
        self._metrics.begin_epoch(trainer)
        self._randomness.seed_all(trainer.current_epoch)
        self._randomness.seed_shuffling(trainer)
        if not self._has_begun:
            draw_batches_anew(trainer)
            self._has_begun = True

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed again at the first batch: making the loader's iterator draws from torch's generator."""
        if batch_idx == 0:
            self._randomness.seed_all(trainer.current_epoch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch has fresh validation metrics."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch, then write and report what is due.

        Raises:
            DivergedError: If an objective is NaN or infinite; it is not a bad score.
            MissingObjectiveError: If the module did not log an objective.
        """
        if not self._validated:
            return
        self._validated = False
        epoch = trainer.current_epoch
        logged = self._metrics.logged(trainer)
        if not self._worker.alone:
            from neurosweep.trials.ranks import agree_on_metrics  # imports ray

            logged = agree_on_metrics(logged)
        objectives = pick([one.metric for one in self._objectives], logged)
        points = self._metrics.points(logged, epoch=epoch)
        judged, constrained = self._watched({**logged, **{key: value for key, value, _, _ in points}})
        report = EpochReport(epoch, objectives, epoch, objectives, points, judged, constrained)
        if not all(math.isfinite(value) for value in objectives):
            self._unsent.append(report)  # the curve up to here, NaN included, belongs in MLflow
            self._send()
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
                report,
                best_epoch=self.last.best_epoch,
                best_objectives=self.last.best_objectives,
                best_constrained=self.last.best_constrained,
            )
        self.last = report
        self._monitored = {
            config.monitor: float(trainer.callback_metrics[config.monitor])
            for config in trainer.lr_scheduler_configs
            if config.monitor in trainer.callback_metrics
        }
        self._checkpoints.behind = True
        self._unsent.append(report)
        self._keep_and_send(trainer, report)

    def _keep_and_send(self, trainer: pl.Trainer, report: EpochReport) -> None:
        finished = report.epoch + 1
        self._stopped = trainer.should_stop and trainer.fit_loop._can_stop_early
        ends_here = trainer.should_stop or finished == trainer.max_epochs
        must = ends_here or self._pace.decides(self._told, finished)
        if must or self._checkpoints.due:
            self._checkpoints.write(trainer, best_epoch=report.best_epoch)
        elif report.best_epoch == report.epoch:
            self._checkpoints.hold(trainer, epoch=report.epoch)
        if must or time.monotonic() - self._sent_at >= self._pace.report_seconds:
            try:
                self._send()
            except SystemExit:  # the sweep stops: a resume need not train these epochs again
                self._write_last(trainer)
                raise

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write and report what is left of a trial that a limit other than `max_epochs` has ended."""
        self._write_last(trainer)
        self._send()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Keep the best weights and the curve of a trial that fails."""
        if isinstance(exception, Exception) and not is_full_disk(exception):
            self._checkpoints.write_best(trainer)
            self._send()

    def _write_last(self, trainer: pl.Trainer) -> None:
        if self._checkpoints.behind and self.last is not None:
            self._checkpoints.write(trainer, best_epoch=self.last.best_epoch)

    def _send(self) -> None:
        """Send the epochs that the driver has not heard of."""
        if not self._unsent:
            return
        self._reported = True
        self._report(self._unsent)
        self._told = self._unsent[-1].epoch + 1
        self._unsent = []  # not before the driver has taken them: a checkpoint that is written meanwhile holds them
        self._sent_at = time.monotonic()

    def _improves(self, objectives: tuple[float, ...]) -> bool:
        return self.last is None or self._objectives[0].better(objectives[0], self.last.best_objectives[0])

    def _watched(self, metrics: Mapping[str, float]) -> tuple[float | None, tuple[float, ...]]:
        """Return the metric to prune on, if one is named, and those of the constraints."""
        judged = self._experiment.prune_on
        (value,) = (None,) if judged is None else pick([judged.metric], metrics)
        return value, pick([one.metric for one in self._experiment.constraints], metrics)


def _report_of(content: Mapping[str, Any]) -> EpochReport:
    return EpochReport(
        epoch=content["epoch"],
        objectives=tuple(content["objectives"]),
        best_epoch=content["best_epoch"],
        best_objectives=tuple(content["best_objectives"]),
        points=tuple((str(key), value, step, stamp) for key, value, step, stamp in content["points"]),
        judged=content["judged"],
        best_constrained=tuple(content["best_constrained"]),
    )
