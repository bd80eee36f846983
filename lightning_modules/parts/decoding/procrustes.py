"""Alignment by turning factors until the loadings of stable channels agree; needs unlabelled spikes only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import FactorAnalysis

from lightning_modules.parts.decoding.alignment import LatentMap, check_components
from lightning_modules.parts.decoding.wiener import Array, CountFilter, Signals, Standardisation, check_units
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.windows import SpikeTrials


@dataclass(frozen=True, eq=False)
class ProcrustesAlignment:
    """Latents of both days in the space of the first day's factors.

    Args:
        first_day: Factors of the first day given its counts.
        new_day: Factors of the new day, turned into those of the first.
        stable_channels: Channels whose loadings were taken to be the same on both days, ascending.
    """

    first_day: LatentMap
    new_day: LatentMap
    stable_channels: NDArray[np.int64]

    def of_first_day(self, spikes: Signals) -> Array:
        """Return factors of the first day's spikes, (K, T, Z)."""
        return self.first_day(spikes)

    def of_new_day(self, spikes: Signals) -> Array:
        """Return the new day's factors in the space of the first day's, (K, T, Z)."""
        return self.new_day(spikes)


def fit_procrustes(
    first_day: SpikeTrials,
    new_day: SpikeTrials,
    *,
    n_components: int = 10,
    stable_fraction: float = 0.6,
    root: bool = True,
    smoothing_bins: float = 2.5,
) -> ProcrustesAlignment:
    """Turn the factors of the new day so that the loadings of stable channels agree with the first day's.

    Needs unlabelled spikes of the new day, and channels of which many record on both days what they did.

    Args:
        first_day: Trials (K, T, N).
        new_day: Trials (K', T, N) on the same axis of channels.
        n_components: Z, factors of each day.
        stable_fraction: Part of the channels that fire on both days whose loadings are compared: those that
            change least.
        root: See `CountFilter`.
        smoothing_bins: See `CountFilter`.

    Raises:
        DataError: If days have different numbers of channels, or fewer than Z stable ones.
        ValueError: If `stable_fraction` is not above 0 and up to 1.

    Source:
        Degenhart, Bishop, Oby, Tyler-Kabara, Chase, Batista, Yu 2020, Nature Biomedical Engineering 4. Ours are
        the filter of the counts and the division by each channel's standard deviation on the first day.
    """
    if not 0 < stable_fraction <= 1:
        raise ValueError(f"`stable_fraction` is {stable_fraction}, but must be above 0 and up to 1.")
    check_units(new_day.spikes, first_day.spikes.shape[2])
    count_filter = CountFilter(root, smoothing_bins)
    counts = count_filter(first_day.spikes), count_filter(new_day.spikes)
    varies = [day.std(axis=(0, 1)) > 0 for day in counts]
    scale = Standardisation.of(counts[0]).scale
    (first_map, first_loadings), (new_map, new_loadings) = (
        _factors(day, scale, active, n_components, count_filter)
        for day, active in zip(counts, varies, strict=True)
    )
    overlapping = np.flatnonzero(varies[0] & varies[1])
    n_stable = round(stable_fraction * len(overlapping))
    if n_stable < n_components:
        raise DataError(
            f"{n_stable} stable channels do not fix the rotation of {n_components} factors.",
            "Give a higher `stable_fraction` or a lower `n_components`.",
        )
    kept, rotation = stable_rotation(first_loadings[overlapping], new_loadings[overlapping], n_stable)
    turned = new_map.then(rotation, np.zeros(n_components))
    return ProcrustesAlignment(first_map, turned, overlapping[kept])


def stable_rotation(first: Array, new: Array, n_stable: int) -> tuple[NDArray[np.int64], Array]:
    """Find the channels whose loadings agree best up to a rotation, and that rotation.

    From all channels on, the one whose turned loadings differ most is left out and the rotation found anew.

    Args:
        first: Loadings of the first day, (M, Z).
        new: Loadings of the new day, (M, Z).
        n_stable: Channels to keep.

    Returns:
        Positions of the kept channels, ascending, and the orthogonal matrix O (Z, Z) that minimises the
        Frobenius norm of `new` O - `first` over them. Factors z of the new day turn the same way, z O.
    """
    kept = np.arange(len(first))
    rotation, _ = orthogonal_procrustes(new, first)
    while len(kept) > n_stable:
        change = np.linalg.norm(new[kept] @ rotation - first[kept], axis=1)
        kept = np.delete(kept, change.argmax())
        rotation, _ = orthogonal_procrustes(new[kept], first[kept])
    return kept, rotation


def _factors(
    filtered: Array, scale: Array, active: NDArray[np.bool_], n_components: int, count_filter: CountFilter
) -> tuple[LatentMap, Array]:
    """Fit factor analysis to a day's scaled counts of active channels; the map and the loadings (N, Z)."""
    n_units = len(scale)
    points = (filtered / scale).reshape(-1, n_units)[:, active]
    check_components(n_components, points)
    found = FactorAnalysis(n_components, svd_method="lapack").fit(points)
    weights, loadings = np.zeros((2, n_units, n_components))
    # The posterior mean is linear: what it makes of unit steps from the mean are its weights.
    weights[active] = found.transform(found.mean_ + np.eye(len(found.mean_)))
    loadings[active] = found.components_.T
    mean = filtered.mean(axis=(0, 1))
    return LatentMap(count_filter, mean, weights / scale[:, None], np.zeros(n_components)), loadings
