"""Giving copied optimizers and learning-rate schedulers the hyperparameters of their new owner.

Loading a checkpoint brings back the options that its optimizer had. Where weights were copied from another member
of a population, those options must be the new ones, while moments and progress stay.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

_PROGRESS = frozenset(
    {
        "last_epoch",
        "_step_count",
        "_last_lr",
        "_is_initial",
        "best",
        "num_bad_epochs",
        "cooldown_counter",
        "T_cur",
        "T_i",
    }
)
"""What torch's schedulers count; everything else that they save is a setting."""


Rates = list[list[float]]


@dataclass(frozen=True)
class FreshSettings:
    """Options of optimizers and schedulers as the new hyperparameters make them, before anything is loaded.

    Args:
        groups: Options of each optimizer's parameter groups, without the parameters.
        schedulers: State of each scheduler.
    """

    groups: tuple[tuple[Mapping[str, Any], ...], ...]
    schedulers: tuple[Mapping[str, Any], ...]

    @property
    def rates(self) -> Rates:
        """Learning rate of each group of each optimizer."""
        return [[float(group["lr"]) for group in groups] for groups in self.groups]


def fresh_settings(trainer: pl.Trainer) -> FreshSettings:
    """Take note of the options of freshly built optimizers and schedulers."""
    return FreshSettings(
        groups=tuple(
            tuple(
                {key: deepcopy(value) for key, value in group.items() if key != "params"}
                for group in optimizer.param_groups
            )
            for optimizer in trainer.optimizers
        ),
        schedulers=tuple(deepcopy(_state(one.scheduler)) for one in trainer.lr_scheduler_configs),
    )


def adopt_settings(trainer: pl.Trainer, fresh: FreshSettings, *, rates: Rates) -> None:
    """Put new options into optimizers and schedulers whose state was loaded.

    Every option of a parameter group becomes the new one. Only the learning rate, which a schedule may move, keeps
    its place: it is the loaded one times the new fresh one over the old fresh one. Of torch's schedulers progress stays
    and the settings become the new ones; of other schedulers only the base learning rates do.

    Args:
        trainer: Its optimizers and schedulers were loaded from a checkpoint.
        fresh: Their options before that.
        rates: The learning rates that fresh optimizers had where the checkpoint was made.
    """
    scales = [
        [
            _adopt_group(group, new, rate)
            for group, new, rate in zip(one.param_groups, groups, old, strict=True)
        ]
        for one, groups, old in zip(trainer.optimizers, fresh.groups, rates, strict=True)
    ]
    by_optimizer = {id(optimizer): one for optimizer, one in zip(trainer.optimizers, scales, strict=True)}
    for config, state in zip(trainer.lr_scheduler_configs, fresh.schedulers, strict=True):
        scheduler: Any = config.scheduler
        of_optimizer = by_optimizer.get(id(getattr(scheduler, "optimizer", None)), [])
        scheduler.load_state_dict(_merged(scheduler, _state(scheduler), state, of_optimizer))


def _adopt_group(group: dict[str, Any], new: Mapping[str, Any], old_rate: float) -> float:
    """Return the factor by which the learning rate was scaled; an unscheduled one becomes the new one exactly."""
    rate = group["lr"]
    group.update(deepcopy(dict(new)))
    if not old_rate:
        return 1.0
    if rate != old_rate:
        group["lr"] = rate * (new["lr"] / old_rate)
    return float(new["lr"] / old_rate)


def _merged(
    scheduler: Any, loaded: Mapping[str, Any], fresh: Mapping[str, Any], scales: Sequence[float]
) -> dict[str, Any]:
    merged = dict(loaded)
    if type(scheduler).__module__ == "torch.optim.lr_scheduler":
        merged = {**fresh, **{key: value for key, value in loaded.items() if key in _PROGRESS}}
        if "_schedulers" in loaded:  # SequentialLR and ChainedScheduler hold others
            merged["_schedulers"] = [
                _merged(*parts, scales)
                for parts in zip(
                    scheduler._schedulers, loaded["_schedulers"], fresh["_schedulers"], strict=True
                )
            ]
    elif "base_lrs" in fresh:
        merged["base_lrs"] = fresh["base_lrs"]
    if merged.get("_last_lr") and len(merged["_last_lr"]) == len(scales):
        merged["_last_lr"] = [rate * scale for rate, scale in zip(merged["_last_lr"], scales, strict=True)]
    return merged


def _state(scheduler: Any) -> Mapping[str, Any]:
    return scheduler.state_dict()
