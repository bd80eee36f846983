"""Alignment by canonical correlation of trials with the same target; units need not be matched."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.decomposition import PCA

from lightning_modules.parts.decoding.alignment import LatentMap, check_components
from lightning_modules.parts.decoding.wiener import Array, CountFilter, Signals
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.windows import SpikeTrials

Matching = Literal["trials", "means"]


@dataclass(frozen=True, eq=False)
class CcaAlignment:
    """Latents of both days in the space of the first day's principal components.

    Args:
        first_day: Principal components of the first day.
        new_day: Principal components of the new day, turned into those of the first.
        correlations: Canonical correlations of the matched trials, (Z,).
    """

    first_day: LatentMap
    new_day: LatentMap
    correlations: Array

    def of_first_day(self, spikes: Signals) -> Array:
        """Return principal components of the first day's spikes, (K, T, Z)."""
        return self.first_day(spikes)

    def of_new_day(self, spikes: Signals) -> Array:
        """Return the new day's latents in the space of the first day's, (K, T, Z)."""
        return self.new_day(spikes)


def fit_cca(
    first_day: SpikeTrials,
    new_day: SpikeTrials,
    *,
    n_components: int = 10,
    matching: Matching = "trials",
    root: bool = True,
    smoothing_bins: float = 1.0,
) -> CcaAlignment:
    """Align latents by canonical correlation over trials of the same target. Units need not be matched.

    Supervised by the targets of the new day's trials, but by no behaviour: trials to be decoded should be others
    than those aligned with; see `predict_cross_aligned`.

    Args:
        first_day: Trials (K, T, N).
        new_day: Trials (K', T, N') with as many bins, aligned to the same event.
        n_components: Z, principal components of each day.
        matching: `trials` pairs the trials of each target in their order, as many as both days have; `means`
            pairs the mean trajectories of the targets, which are few: 8 targets of 4 bins are 32 points.
        root: See `CountFilter`.
        smoothing_bins: See `CountFilter`.

    Raises:
        DataError: If days have different numbers of bins, or the matched trials do not span Z dimensions.
        ValueError: If `matching` is unknown.

    Source:
        Gallego, Perich, Chowdhury, Solla, Miller 2020, Nature Neuroscience 23: canonical correlation by QR and
        singular value decomposition, new day turned into the first day's axes.
    """
    count_filter = CountFilter(root, smoothing_bins)
    first_map = _principal_components(count_filter(first_day.spikes), n_components, count_filter)
    new_map = _principal_components(count_filter(new_day.spikes), n_components, count_filter)
    matched = match_by_target(
        first_map(first_day.spikes), first_day.target, new_map(new_day.spikes), new_day.target, matching
    )
    matrix, offset, correlations = canonical_map(*matched)
    return CcaAlignment(first_map, new_map.then(matrix, offset), correlations)


def match_by_target(
    first: Array,
    first_target: NDArray[np.int64],
    new: Array,
    new_target: NDArray[np.int64],
    matching: Matching,
) -> tuple[Array, Array]:
    """Pair the points of two days' trials by target.

    Args:
        first: Latents (K, T, Z).
        first_target: (K,).
        new: Latents (K', T, Z).
        new_target: (K',).
        matching: See `fit_cca`.

    Returns:
        Points of the first and of the new day, (S, Z) each, row by row of one target and one time.

    Raises:
        DataError: If days have different numbers of bins, or share no target.
        ValueError: If `matching` is unknown.
    """
    if matching not in get_args(Matching):
        raise ValueError(f"`matching` is {matching!r}, but must be one of {', '.join(get_args(Matching))}.")
    shared = np.intersect1d(first_target, new_target)
    if first.shape[1] != new.shape[1] or not len(shared):
        raise DataError(
            f"Trials of {first.shape[1]} and {new.shape[1]} bins with {len(shared)} targets in common cannot be "
            "matched.",
            "Cut both days with the same `n_bins`, and give days with the same targets.",
        )
    pairs = []
    for target in shared:
        one, other = first[first_target == target], new[new_target == target]
        if matching == "means":
            pairs.append((one.mean(axis=0, keepdims=True), other.mean(axis=0, keepdims=True)))
        else:
            n_pairs = min(len(one), len(other))
            pairs.append((one[:n_pairs], other[:n_pairs]))
    first_points, new_points = (np.concatenate(day) for day in zip(*pairs, strict=True))
    return first_points.reshape(-1, first.shape[2]), new_points.reshape(-1, new.shape[2])


def canonical_map(first: Array, new: Array) -> tuple[Array, Array, Array]:
    """Return the map that takes the new day's points onto the first day's through their canonical variates.

    With the thin QR decompositions L = Q R of both days' centred points and Q₁ᵀQ₂ = U S Vᵀ, the map is
    R₂⁻¹ V Uᵀ R₁: it gives the new points the covariance of the first ones.

    Args:
        first: Points of the first day, (S, Z).
        new: Points of the new day, row by row matched with them, (S, Z).

    Returns:
        Matrix M (Z, Z) and offset (Z,) of z M + offset, and the canonical correlations S, (Z,), descending.

    Raises:
        DataError: If the points of a day do not span Z dimensions.
    """
    centres = first.mean(axis=0), new.mean(axis=0)
    (q_first, r_first), (q_new, r_new) = (
        np.linalg.qr(points - centre) for points, centre in zip((first, new), centres, strict=True)
    )
    for r in (r_first, r_new):
        sizes = np.abs(np.diag(r))
        if sizes.min() <= 1e-10 * sizes.max():
            raise DataError(
                f"{len(first)} matched points do not span {first.shape[1]} dimensions.",
                "Give more trials, or a lower `n_components`.",
            )
    overlap: Array = q_first.T @ q_new
    left, correlations, right = np.linalg.svd(overlap)
    matrix = solve_triangular(r_new, right.T @ left.T @ r_first)
    return matrix, centres[0] - centres[1] @ matrix, correlations


def _principal_components(filtered: Array, n_components: int, count_filter: CountFilter) -> LatentMap:
    points = filtered.reshape(-1, filtered.shape[2])
    check_components(n_components, points)
    found = PCA(n_components, svd_solver="full").fit(points)
    return LatentMap(count_filter, found.mean_, np.asarray(found.components_).T, np.zeros(n_components))
