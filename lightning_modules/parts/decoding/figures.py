"""What a trained model has learned, as pictures: pure functions of its predictions, drawn without pyplot.

Sealed sessions are not read: a `SpikeData` does not hold them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from lightning_modules.parts.decoding.figures_latents import draw_latents
from lightning_modules.parts.decoding.figures_scores import draw_r2_by_day
from lightning_modules.parts.decoding.figures_spikes import draw_spikes
from lightning_modules.parts.decoding.figures_style import HeldOut, ShownDay, sign
from lightning_modules.parts.decoding.figures_training import draw_training
from lightning_modules.parts.decoding.figures_trajectories import draw_trajectories
from lightning_modules.parts.decoding.inference import Inference, infer
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData
from lightning_modules.parts.spikes.windows import SpikeTrials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TRIALS = 200
"""Trials of a session that are looked at, in training and in validation each; a picture shows no more."""


def draw(
    module: nn.Module, data_module: SpikeDataModule, curves: Mapping[str, Sequence[tuple[int, float]]]
) -> "dict[str, Figure]":
    """Draw a trained model on the trials that it was trained on and validated with.

    Args:
        module: See `infer`.
        data_module: Its data: training and validation trials.
        curves: Points (epoch, value) of each logged metric, by name.

    Returns:
        Figures by name, each signed with the model's `origin` where it has one: `latents`, `trajectories`,
        `r2_by_day`; `spikes` of a model that predicts them; `training` where there are curves.
    """
    data = sample_trials(as_models_see(data_module.data))
    training, validation = infer(module, data.training.spikes), infer_held_out(module, data)
    day = last_validation_day(data)
    # A copy that was trained without a day has latents of its own, which have no place among the model's.
    comparable = np.arange(0 if day.held_out == "left out in turn" else len(data.validation))
    of_day = np.flatnonzero(data.validation.session == day.session)
    figures = {
        "latents": draw_latents(
            training.latents,
            validation.latents[comparable],
            data.training,
            data.validation.select(comparable),
            data.session_names,
        ),
        "trajectories": draw_trajectories(
            validation.behaviour[of_day],
            data.validation.select(of_day),
            behaviour_names=data.behaviour_names,
            bin_width_s=data.bin_width_s,
            day=day,
        ),
        "r2_by_day": draw_r2_by_day(training.behaviour, validation.behaviour, data, day.held_out),
    }
    if validation.log_rates is not None:
        figures["spikes"] = draw_spikes(
            validation.log_rates[of_day], data.validation.select(of_day).spikes, data.bin_width_s, day
        )
    learning = draw_training(curves)
    if learning is not None:
        figures["training"] = learning
    for figure in figures.values():
        sign(figure, getattr(module, "origin", ""))
    return figures


def infer_held_out(module: Any, data: SpikeData) -> Inference:
    """Infer the validation trials: where one day is left out at a time, each by the copy that was trained without it.

    Args:
        module: A model, or a `DayFolds` with its `copies`.
        data: What was trained on.
    """
    if not data.leave_one_day_out:
        return infer(module, data.validation.spikes)
    order, parts = [], []
    for session in np.unique(data.validation.session).tolist():
        ours = np.flatnonzero(data.validation.session == session)
        parts.append(infer(module.copies[session], data.validation.spikes[ours]))
        order.append(ours)
    back = np.argsort(np.concatenate(order))
    behaviour, latents, rates = zip(*parts, strict=True)
    return Inference(
        np.concatenate(behaviour)[back],
        np.concatenate(latents)[back],
        None if rates[0] is None else np.concatenate(rates)[back],
    )


def as_models_see(data: SpikeData) -> SpikeData:
    """The data with its sessions matched, where the models see them so; before trials are left out of any."""
    training, validation = data.as_seen(data.training), data.as_seen(data.validation)
    return replace(data, training=training, validation=validation, matching=None)


def sample_trials(data: SpikeData, *, most: int = MOST_TRIALS, seed: int = 0) -> SpikeData:
    """Keep at most so many trials of each session in training and in validation, in their order."""
    rng = np.random.default_rng(seed)

    def sample(trials: SpikeTrials) -> SpikeTrials:
        kept = []
        for session in np.unique(trials.session):
            ours = np.flatnonzero(trials.session == session)
            kept.append(ours if len(ours) <= most else np.sort(rng.choice(ours, most, replace=False)))
        return trials.select(np.concatenate(kept))

    return replace(data, training=sample(data.training), validation=sample(data.validation))


def last_validation_day(data: SpikeData) -> ShownDay:
    """Return the last day that validates."""
    session = int(data.validation.session.max())
    held_out: HeldOut = "days" if not (data.training.session == session).any() else "trials"
    return ShownDay(
        session=session,
        name=data.session_names[session],
        last_training_day=data.session_names[int(data.training.session.max())],
        held_out="left out in turn" if data.leave_one_day_out else held_out,
    )
