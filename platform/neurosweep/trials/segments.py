"""One generation of one member of a population, on a worker."""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from neurosweep.errors import NeurosweepError
from neurosweep.experiments import Experiment
from neurosweep.layout import TrialFolder
from neurosweep.search.population.segment import Segment
from neurosweep.trials.adoption import FreshSettings, Rates, adopt_settings, fresh_settings
from neurosweep.trials.reporting import EpochReport, EpochReporter
from neurosweep.trials.setup import Pace


class UnfinishedGenerationError(NeurosweepError):
    """A member stopped, or was not validated, before the end of its generation."""


class SegmentReporter(EpochReporter):
    """Report the epochs of one generation, and end the fit after the last of them.

    The Trainer keeps the member's full `max_epochs`, which a module's learning-rate schedule may depend on.

    Args:
        folder: The member's folder.
        experiment: First of its objectives decides which checkpoint is best.
        report: Takes the reports of one or several epochs.
        seed: The member's seed.
        pace: When to write and to report, besides the generation's last epoch.
        segment: The generation.
        start: State that the generation begins with; None for fresh weights.
    """

    def __init__(
        self,
        *,
        folder: TrialFolder,
        experiment: Experiment,
        report: Callable[[Sequence[EpochReport]], None],
        seed: int,
        pace: Pace,
        segment: Segment,
        start: Path | None,
    ) -> None:
        super().__init__(
            folder=folder,
            experiment=experiment,
            report=report,
            seed=seed,
            pace=replace(pace, decisions=(segment.until_epoch,)),
        )
        self._folder = folder
        self._segment = segment
        self._start = start
        self._fresh: FreshSettings | None = None
        self._loaded_rates: Rates = []
        own = _state_of(folder.last_checkpoint)
        mine = {} if own is None else own["callbacks"].get(self.state_key, {})
        self._underway = mine if mine and mine["epoch"] >= segment.first_epoch else {}
        self._own_best = (mine["best_epoch"], tuple(mine["best_objectives"])) if mine else None

    @property
    def checkpoint(self) -> Path | None:
        """State to begin with: where this generation was interrupted, or else its start."""
        return self._folder.last_checkpoint if self._underway else self._start

    @property
    def has_trained_all(self) -> bool:
        """Whether an earlier attempt trained every epoch of the generation, and was only not heard."""
        return bool(self._underway) and self._underway["epoch"] + 1 >= self._segment.until_epoch

    def take_up(self) -> None:
        """Repeat the last report of an attempt that trained every epoch."""
        self.load_state_dict(self._underway)
        self.repeat_last()

    def state_dict(self) -> dict[str, Any]:
        """Return the last report, and the learning rates that this member's optimizers began with."""
        state = super().state_dict()
        return {**state, "rates": self._fresh.rates} if state and self._fresh is not None else state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what the start tells: this member's own state, or that of the member that it copies."""
        super().load_state_dict(state_dict)
        self._loaded_rates = state_dict.get("rates", [])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the options of the optimizers before copied ones are loaded."""
        self._fresh = fresh_settings(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adopt what was copied; only an interrupted generation has a report to repeat."""
        if self._segment.adopts and not self._underway:
            assert self._fresh is not None
            adopt_settings(trainer, self._fresh, rates=self._loaded_rates)
        if self.last is not None and not self._underway:
            self._reported = True
            self._unsent = []  # they were its source's, or are told
            self.last = self._with_own_best(self.last)
        super().on_train_start(trainer, pl_module)

    def _with_own_best(self, report: EpochReport) -> EpochReport:
        """The kept checkpoint is the best of the member's own curve, wherever its weights come from."""
        if self._own_best is not None:
            epoch, values = self._own_best
            return replace(report, best_epoch=epoch, best_objectives=values)
        worst = tuple(-math.inf if one.direction == "maximize" else math.inf for one in self._objectives)
        return replace(report, best_epoch=-1, best_objectives=worst)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Checkpoint and report the epoch, and stop after the generation's last one."""
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.current_epoch + 1 >= self._segment.until_epoch:
            trainer.should_stop = True

    def close_generation(self) -> None:
        """Keep the state for copies, and delete states that no copy can need any more.

        When a member begins generation g, all have ended g - 1, so nobody begins from g - 2 again.

        Raises:
            UnfinishedGenerationError: If the last epoch of the generation was not trained and validated.
        """
        segment = self._segment
        if self.last is None or self.last.epoch + 1 != segment.until_epoch:
            reached = "no epoch" if self.last is None else f"epoch {self.last.epoch}"
            raise UnfinishedGenerationError(
                f"The generation ends with epoch {segment.until_epoch - 1}, but {reached} was validated last.",
                "Take early stopping out of the module, and validate after every epoch: members of a population are "
                "compared after the same number of epochs.",
            )
        _link(self._folder.last_checkpoint, self._folder.generation_checkpoint(segment.generation))
        for generation in range(segment.generation - 1):
            self._folder.generation_checkpoint(generation).unlink(missing_ok=True)


def _state_of(checkpoint: Path) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    return torch.load(checkpoint, map_location="cpu", weights_only=True)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name; checkpoints are replaced by renaming, never changed. A copy where links fail."""
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    scratch.unlink(missing_ok=True)
    try:
        try:
            os.link(source, scratch)
        except OSError:
            shutil.copyfile(source, scratch)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
