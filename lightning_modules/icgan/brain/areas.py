"""The areas of visual cortex that results are reported for, and values averaged within them."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError

AREAS = ("V1", "V2", "V3", "V4", "LOC", "FFA", "PPA")
EARLY = ("V1", "V2", "V3")
HIGHER = ("LOC", "FFA", "PPA")

Masks: TypeAlias = Mapping[str, NDArray[np.bool_]]
"""Whether each voxel belongs to an area, bool (V,) by the area's name."""


def area_masks(roi: Masks, *, overlap_removed: bool) -> dict[str, NDArray[np.bool_]]:
    """Return the masks of the seven areas.

    Args:
        roi: Masks, which may hold other areas too.
        overlap_removed: Whether voxels of both LOC and FFA are taken out of both.

    Raises:
        DataError: If an area is missing, or has no voxel left.

    Source:
        `explore_roi_semantics.py` of the paper's code removes the overlap, `roi_based_analysis.py` does not.
    """
    missing = [name for name in AREAS if name not in roi]
    if missing:
        raise DataError(
            f"Areas {', '.join(missing)} are missing among {', '.join(roi) or 'none'}.",
            "Give a mask of each area, named as in the Generic Object Decoding files without `ROI_`.",
        )
    masks = {name: roi[name] for name in AREAS}
    if overlap_removed:
        both = masks["LOC"] & masks["FFA"]
        masks |= {"LOC": masks["LOC"] & ~both, "FFA": masks["FFA"] & ~both}
    empty = [name for name, mask in masks.items() if not mask.any()]
    if empty:
        raise DataError(
            f"No voxel is left in {', '.join(empty)}.", "Look at the masks and at what selects voxels."
        )
    return masks


def area_means(values: NDArray[Any], masks: Masks) -> NDArray[np.float64]:
    """Average a value of every voxel (V,) within each area, float64 (R,) in the order of the masks."""
    _check_length(values, masks)
    return np.array([values[mask].mean(dtype=np.float64) for mask in masks.values()])


def matched_area_means(
    values: NDArray[Any], masks: Masks, ceiling: NDArray[np.float64], *, n_bins: int = 10
) -> NDArray[np.float64]:
    """Average a value within each area over voxels with the same noise ceilings in all of them.

    Voxels are put into bins of equally many by their ceiling. Of each bin every area gives as many voxels as the area
    that has fewest there. The mean over all ways of drawing them is returned, which is the mean of the area's voxels
    in a bin, weighted by that number.

    Args:
        values: Of every voxel, (V,).
        masks: Areas.
        ceiling: Noise ceiling of every voxel, (V,).
        n_bins: Bins; more match more closely, and leave more voxels out.

    Returns:
        float64 (R,), in the order of the masks.

    Raises:
        DataError: If some area has no voxel in common with the others in any bin, or ceilings are not finite.

    Source:
        Specification 6.2 asks for voxels matched in signal-to-noise; the bins are ours.
    """
    _check_length(values, masks)
    _check_length(ceiling, masks)
    in_some_area = np.any(list(masks.values()), axis=0)
    if not np.isfinite(ceiling[in_some_area]).all():
        raise DataError(
            f"{np.count_nonzero(~np.isfinite(ceiling[in_some_area]))} voxels have no noise ceiling.",
            "Leave voxels that never vary out before they are matched.",
        )
    edges = np.quantile(ceiling[in_some_area], np.linspace(0, 1, n_bins + 1)[1:-1])
    bin_of = np.searchsorted(edges, ceiling, side="right")
    counts = np.stack([np.bincount(bin_of[mask], minlength=n_bins) for mask in masks.values()])
    sums = np.stack([np.bincount(bin_of[mask], values[mask], minlength=n_bins) for mask in masks.values()])
    fewest = counts.min(axis=0)
    if not fewest.any():
        raise DataError(
            f"No bin of noise ceilings out of {n_bins} holds voxels of every area.",
            "Ask for fewer bins; if one does not do either, the areas cannot be compared at matched noise.",
        )
    return (sums / np.maximum(counts, 1)) @ fewest / fewest.sum()


def _check_length(values: NDArray[Any], masks: Masks) -> None:
    lengths = {mask.shape for mask in masks.values()}
    if lengths != {values.shape} or values.ndim != 1:
        raise DataError(
            f"Values of shape {values.shape} do not fit masks of shape {', '.join(map(str, sorted(lengths)))}.",
            "Give one value and one entry of every mask for each voxel.",
        )
