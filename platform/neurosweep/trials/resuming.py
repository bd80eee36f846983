"""What Lightning leaves out when it goes on from a checkpoint that was written at the end of an epoch."""

from collections.abc import Mapping

import pytorch_lightning as pl
from pytorch_lightning.loops.loop import _Loop


def count_the_finished_epoch(trainer: pl.Trainer) -> None:
    """Count the epoch of the checkpoint as done, in `on_train_start`.

    With `max_steps` set, Lightning would run it again without a batch, and the trial would end an epoch too early.
    """
    loop = trainer.fit_loop
    if loop._iteration_based_training() and loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        _Loop.restarting.fset(loop, False)  # type: ignore[misc]  # of this loop, not of those inside it


def draw_batches_anew(trainer: pl.Trainer) -> None:
    """Make the iterator of the training loader once more, after the epoch's randomness was set.

    That of a process's first epoch is older, and so are the batches and the noise that it has drawn.
    """
    fetcher = trainer.fit_loop._data_fetcher
    if fetcher is not None:
        iter(fetcher)


def step_plateaus(trainer: pl.Trainer, monitored: Mapping[str, float], *, epoch: int) -> None:
    """Step the plateau schedulers: Lightning does so after the checkpoint of an epoch, and a resume passes it over.

    Args:
        trainer: Has loaded a checkpoint.
        monitored: Metrics by name at the end of its epoch.
        epoch: That epoch.
    """
    for config in trainer.lr_scheduler_configs:
        due = config.interval == "epoch" and (epoch + 1) % config.frequency == 0
        value = None if config.monitor is None else monitored.get(config.monitor)
        if config.reduce_on_plateau and due and value is not None:
            trainer.lightning_module.lr_scheduler_step(config.scheduler, value)
