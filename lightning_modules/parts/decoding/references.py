"""Decoders that a model of many days is measured against: one day's, all days', the test day's own, the target's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from sklearn.model_selection import KFold

from lightning_modules.parts.decoding.wiener import Array, Signals
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import Indices
from lightning_modules.parts.spikes.windows import SpikeTrials, concatenate_trials


class Decoder(Protocol):
    """Anything that decodes trials, such as `WienerDecoder`."""

    def predict(self, spikes: Signals) -> Array:
        """Decode spikes (K, T, N) to behaviour (K, T, D)."""
        ...


Fit: TypeAlias = Callable[[SpikeTrials], Decoder]
"""Fits a decoder to trials: `fit_wiener`, or `partial(fit_wiener, lags=3)`."""


@dataclass(frozen=True, eq=False)
class TargetMeans:
    """The oracle that knows the target and nothing else.

    Args:
        targets: Targets of the training trials, (G,), ascending.
        trajectories: Mean behaviour of each, (G, T, D).
        overall: Mean behaviour of all training trials, (T, D).
    """

    targets: Indices
    trajectories: Array
    overall: Array

    def predict(self, target: Indices) -> Array:
        """Return the training mean of each trial's target, the overall mean for a new target.

        Args:
            target: (K,).

        Returns:
            (K, T, D).
        """
        position = np.minimum(np.searchsorted(self.targets, target), len(self.targets) - 1)
        known = self.targets[position] == target
        return np.where(known[:, None, None], self.trajectories[position], self.overall)


@dataclass(frozen=True, eq=False)
class References:
    """Decoders of the training days, for days after them.

    Args:
        first_day: Fitted to the first training day; how far it falls is how far the recording drifts.
        last_day: Fitted to the last training day.
        pooled: Fitted to the trials of all training days together.
        target_means: Oracle of the target over all training days.
    """

    first_day: Decoder
    last_day: Decoder
    pooled: Decoder
    target_means: TargetMeans

    def predict(self, trials: SpikeTrials) -> dict[str, Array]:
        """Decode trials of a later day with each reference, by its name; (K, T, D) each."""
        return {
            "first_day": self.first_day.predict(trials.spikes),
            "last_day": self.last_day.predict(trials.spikes),
            "pooled": self.pooled.predict(trials.spikes),
            "target_means": self.target_means.predict(trials.target),
        }


def fit_references(training_days: Sequence[SpikeTrials], fit: Fit) -> References:
    """Fit the references to the training days.

    Args:
        training_days: Trials of each training day, in the order of their dates.
        fit: Fits a decoder to trials.

    Raises:
        DataError: If there is no training day.
    """
    if not training_days:
        raise DataError("There is no training day to fit references to.", "Give the trials of at least one.")
    trials = concatenate_trials(training_days)
    first = fit(training_days[0])
    several = len(training_days) > 1
    return References(
        first_day=first,
        last_day=fit(training_days[-1]) if several else first,
        pooled=fit(trials) if several else first,
        target_means=fit_target_means(trials),
    )


def fit_target_means(trials: SpikeTrials) -> TargetMeans:
    """Average behaviour over the trials of each target."""
    behaviour = trials.behaviour.astype(np.float64)
    targets = np.unique(trials.target)
    means = np.stack([behaviour[trials.target == one].mean(axis=0) for one in targets])
    return TargetMeans(targets, means, behaviour.mean(axis=0))


def predict_by_day(trials: SpikeTrials, predict: Callable[[SpikeTrials], Signals]) -> Array:
    """Decode each day by itself.

    Args:
        trials: Of one or more days.
        predict: Decodes the trials of one day.

    Returns:
        (K, T, D).
    """
    predicted = np.empty(trials.behaviour.shape)
    for session, day in trials.by_session().items():
        predicted[trials.session == session] = predict(day)
    return predicted


def predict_same_day(trials: SpikeTrials, fit: Fit, *, n_folds: int = 5, seed: int = 0) -> Array:
    """Decode a day with decoders of its own labels, each trial with one that has not seen it.

    The oracle of recalibration: what this kind of decoder reaches on this day without drift.

    Args:
        trials: One day.
        fit: Fits a decoder to trials.
        n_folds: Folds of whole trials.
        seed: Of the choice of folds.

    Returns:
        (K, T, D).
    """
    predicted = np.empty(trials.behaviour.shape)
    for kept, held_out in KFold(n_folds, shuffle=True, random_state=seed).split(trials.target):
        predicted[held_out] = fit(trials.select(kept)).predict(trials.spikes[held_out])
    return predicted
