"""Bringing a new day's spikes into the first day's space, so that the first day's decoder applies.

Unlike a model that has to work on the new day as it is, alignments look at the new day: at its spikes, and that of
`cca.py` also at the targets of its trials. Report them as a group of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
from sklearn.model_selection import StratifiedKFold

from lightning_modules.parts.decoding.references import Decoder, Fit
from lightning_modules.parts.decoding.wiener import Array, CountFilter, Signals, Standardisation, check_units
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.windows import SpikeTrials


class Alignment(Protocol):
    """A space that two days share: the first day's."""

    def of_first_day(self, spikes: Signals) -> Array:
        """Bring the first day's spikes (K, T, N) into its space, (K, T, Z)."""
        ...

    def of_new_day(self, spikes: Signals) -> Array:
        """Bring the new day's spikes (K, T, N') into the first day's space, (K, T, Z)."""
        ...


Align: TypeAlias = Callable[[SpikeTrials, SpikeTrials], Alignment]
"""Aligns a new day, second, with the first day: `fit_cca`, or `partial(fit_cca, n_components=8)`."""


@dataclass(frozen=True, eq=False)
class AlignedDecoder:
    """The first day's decoder for spikes of the new day."""

    alignment: Alignment
    decoder: Decoder

    def predict(self, spikes: Signals) -> Array:
        """Decode the new day's spikes (K, T, N') to behaviour (K, T, D)."""
        return self.decoder.predict(self.alignment.of_new_day(spikes))


def fit_aligned(first_day: SpikeTrials, alignment: Alignment, fit: Fit) -> AlignedDecoder:
    """Fit a decoder to the first day in the shared space.

    Args:
        first_day: Trials of the day whose labels the decoder learns.
        alignment: Of a new day with it.
        fit: Fits a decoder to trials whose `spikes` are signals in the shared space. They are filtered already:
            `partial(fit_wiener, smoothing_bins=0)`.
    """
    signals = alignment.of_first_day(first_day.spikes)
    return AlignedDecoder(alignment, fit(replace(first_day, spikes=signals)))


def predict_cross_aligned(
    first_day: SpikeTrials, new_day: SpikeTrials, *, align: Align, fit: Fit, n_folds: int = 5, seed: int = 0
) -> Array:
    """Decode each trial of the new day through an alignment that was fitted to other trials of that day.

    An alignment that was shown the target of a trial may move that very trial towards it; this one was not.

    Args:
        first_day: Trials of the day whose labels the decoder learns.
        new_day: Trials to decode.
        align: Aligns the days; its second argument is the new day's trials of the other folds.
        fit: See `fit_aligned`.
        n_folds: Folds of whole trials, stratified by target.
        seed: Of the choice of folds.

    Returns:
        (K, T, D).
    """
    predicted = np.empty(new_day.behaviour.shape)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for kept, held_out in folds.split(new_day.target, new_day.target):
        decoder = fit_aligned(first_day, align(first_day, new_day.select(kept)), fit)
        predicted[held_out] = decoder.predict(new_day.spikes[held_out])
    return predicted


@dataclass(frozen=True, eq=False)
class SessionZScoring:
    """Each unit with mean 0 and standard deviation 1 on each day."""

    filter: CountFilter
    first_day: Standardisation
    new_day: Standardisation

    def of_first_day(self, spikes: Signals) -> Array:
        """Standardise the first day's counts, (K, T, N)."""
        return self.first_day(self.filter(spikes))

    def of_new_day(self, spikes: Signals) -> Array:
        """Standardise the new day's counts, (K, T, N)."""
        return self.new_day(self.filter(spikes))


def fit_session_zscoring(
    first_day: SpikeTrials, new_day: SpikeTrials, *, root: bool = False, smoothing_bins: float = 2.5
) -> SessionZScoring:
    """Z-score the units of each day. Needs matched units and unlabelled spikes of the new day.

    Args:
        first_day: Trials (K, T, N).
        new_day: Trials (K', T, N) on the same axis of units, of about the same mix of targets.
        root: See `CountFilter`.
        smoothing_bins: See `CountFilter`.

    Raises:
        DataError: If the days have different numbers of units.
    """
    check_units(new_day.spikes, first_day.spikes.shape[2])
    count_filter = CountFilter(root, smoothing_bins)
    return SessionZScoring(
        count_filter,
        Standardisation.of(count_filter(first_day.spikes)),
        Standardisation.of(count_filter(new_day.spikes)),
    )


@dataclass(frozen=True, eq=False)
class LatentMap:
    """From filtered counts to latents: (x - mean) weights + offset.

    Args:
        filter: Applied to the counts first.
        mean: Of the filtered counts, (N,).
        weights: (N, Z).
        offset: (Z,).
    """

    filter: CountFilter
    mean: Array
    weights: Array
    offset: Array

    def __call__(self, spikes: Signals) -> Array:
        """Map spikes (K, T, N) to latents (K, T, Z)."""
        check_units(spikes, len(self.mean))
        return (self.filter(spikes) - self.mean) @ self.weights + self.offset

    def then(self, matrix: Array, offset: Array) -> "LatentMap":
        """Return the map whose latents are z `matrix` + `offset`."""
        return replace(self, weights=self.weights @ matrix, offset=self.offset @ matrix + offset)


def check_components(n_components: int, points: Array) -> None:
    """Refuse more components than points (S, N) have.

    Raises:
        DataError: If they do.
    """
    if not 1 <= n_components <= min(points.shape):
        raise DataError(
            f"`n_components` is {n_components}, but {points.shape[0]} bins of {points.shape[1]} units have 1 to "
            f"{min(points.shape)}.",
            "Give another `n_components`.",
        )
