"""Semantic index of one subject: do an area's voxels weigh more in what is seen, or in where and how it looks?"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lightning_modules.icgan.brain.areas import Masks, area_masks, area_means, matched_area_means
from lightning_modules.parts.errors import DataError

Version = Literal["published", "overlap_removed", "noise_matched", "df_matched", "patterns"]


@dataclass(frozen=True, eq=False)
class WeightNorms:
    """Sum of each voxel's absolute weights over all dimensions of a target, of two decoders of one subject.

    Args:
        semantic: Of the decoder of instance features, (V,); see `Ridge.weight_l1`.
        spatial: Of the decoder of dense vectors, (V,). The paper's function takes noise vectors by default; its
            figure takes dense vectors.
    """

    semantic: NDArray[np.float64]
    spatial: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.semantic.ndim != 1 or self.semantic.shape != self.spatial.shape:
            raise DataError(
                f"Weights of {self.semantic.shape} and {self.spatial.shape} voxels cannot be compared.",
                "Give norms (voxels,) of decoders that were fitted to the same voxels.",
            )
        for name, norms in (("semantic", self.semantic), ("spatial", self.spatial)):
            if not (np.isfinite(norms).all() and (norms >= 0).all()):
                raise DataError(f"Some {name} weights have no norm.", "Norms are finite and not negative.")

    @property
    def index(self) -> NDArray[np.float64]:
        """Percentile of semantic weights less that of spatial ones, (V,).

        Relative: its mean over all voxels is 0 where no norms tie, however much or little they carry.
        """
        return percentiles(self.semantic) - percentiles(self.spatial)


def percentiles(norms: NDArray[Any]) -> NDArray[np.float64]:
    """Return 100 times the fraction of voxels whose norm is at most as high, for each voxel, (V,).

    Source:
        Specification 6.1, step 2; `roi_based_analysis.py` of the paper's code.
    """
    return 100 * rankdata(norms, method="max") / len(norms)


def semantic_index(
    norms: WeightNorms,
    roi: Masks,
    *,
    ceiling: NDArray[np.float64] | None = None,
    df_matched: WeightNorms | None = None,
    patterns: WeightNorms | None = None,
) -> dict[Version, NDArray[np.float64]]:
    """Return the mean index of the seven areas in every version that can be computed.

    Args:
        norms: Of decoders with the penalties that were chosen.
        roi: Masks of the areas among the same voxels.
        ceiling: Noise ceiling of each voxel, (V,): weights are higher where there is less noise.
        df_matched: Norms of decoders with penalties at which both have the same effective degrees of freedom.
        patterns: Norms of activation patterns, which say what voxels respond to; weights also cancel noise.

    Returns:
        Means in the order of `AREAS`, (7,) each: `published`; `overlap_removed`, without voxels of both LOC and FFA,
        as are the versions after it; `noise_matched` if there are ceilings; `df_matched` and `patterns` if there are
        such norms.

    Source:
        Specification 6.1 and 6.2.
    """
    index = norms.index
    apart = area_masks(roi, overlap_removed=True)
    versions: dict[Version, NDArray[np.float64]] = {
        "published": area_means(index, area_masks(roi, overlap_removed=False)),
        "overlap_removed": area_means(index, apart),
    }
    if ceiling is not None:
        versions["noise_matched"] = matched_area_means(index, apart, ceiling)
    others: dict[Version, WeightNorms | None] = {"df_matched": df_matched, "patterns": patterns}
    for name, one in others.items():
        if one is not None:
            versions[name] = area_means(one.index, apart)
    return versions


def shuffled_index(norms: WeightNorms, masks: Masks, *, n_shuffles: int, seed: int) -> NDArray[np.float64]:
    """Return area means of the index with the norms of each target shuffled over all voxels.

    Args:
        norms: Of one subject.
        masks: Areas.
        n_shuffles: How often.
        seed: Of the shuffles.

    Returns:
        (n_shuffles, R), in the order of the masks.

    Source:
        Specification 6.1, step 7. Neighbouring voxels share their noise and are shuffled apart, so that this null is
        narrower than that of an area without a preference: test over subjects.
    """
    rng = np.random.default_rng(seed)
    # Ranks do not depend on the order, so that shuffled norms have shuffled percentiles.
    semantic, spatial = percentiles(norms.semantic), percentiles(norms.spatial)
    return np.stack(
        [area_means(rng.permutation(semantic) - rng.permutation(spatial), masks) for _ in range(n_shuffles)]
    )


def two_sided_p(observed: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often values of a null are as far from the null's mean as what was observed, itself counted in.

    Args:
        observed: (...).
        null: (N, ...).
    """
    centre = null.mean(axis=0)
    as_far = (np.abs(null - centre) >= np.abs(observed - centre)).sum(axis=0)
    return (1 + as_far) / (1 + len(null))
