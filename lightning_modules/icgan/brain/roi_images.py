"""The picture that an area would see if it alone were active, by the decoder's weights."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.areas import Masks
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.nearest import unit_rows
from lightning_modules.parts.errors import DataError

SizeNorm = Literal["none", "sqrt", "unit"]

GAINS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


class LinearDecoder(Protocol):
    """What `fit_ridge` returns."""

    @property
    def intercept(self) -> NDArray[Any]:
        """Prediction of voxels that are all zero, (D,)."""
        ...

    def project(self, directions: NDArray[Any]) -> NDArray[Any]:
        """Return m·Wᵀ of patterns m, (R, V), without the intercept, (R, D)."""
        ...


@dataclass(frozen=True, eq=False)
class Decoders:
    """Decoders of one subject, fitted to the same voxels.

    Args:
        h: Of instance features.
        z: Of noise; None if the generator is to have none.
        d: Of dense vectors; None if the generator is to make its own.
    """

    h: LinearDecoder
    z: LinearDecoder | None = None
    d: LinearDecoder | None = None


def optimal_latents(
    decoders: Decoders, patterns: NDArray[Any], *, size_norm: SizeNorm = "none", gain: float = 1.0
) -> Latents:
    """Map patterns such as the mask of an area through the decoders.

    h is normalised to length 1, before the intercept is added and again after it: the size of an area makes no
    difference to it. z and d are as the paper has them only with `size_norm="none"`, where a larger area takes them
    further from the intercept.

    Args:
        decoders: Of one subject.
        patterns: m, (R, V): masks, differences of masks, or mixtures of them.
        size_norm: Of z and d: `sqrt` divides m·Wᵀ by the root of the number of voxels (of Σ|m|), `unit` by its own
            length.
        gain: Factor of m·Wᵀ after all normalising. (As a factor of m it would not change h at all, but for its sign.)

    Returns:
        Latents of R pictures.

    Raises:
        DataError: If a pattern is all zero, or is mapped to zero.
        ValueError: If `size_norm` is unknown.

    Source:
        Specification 6.3: `explore_roi_semantics.py` of the paper's code, with gain 1.
    """
    if size_norm not in get_args(SizeNorm):
        raise ValueError(f"`size_norm` is {size_norm!r}, but must be one of {', '.join(get_args(SizeNorm))}.")
    patterns = np.asarray(patterns, dtype=np.float64)
    sizes = np.abs(patterns).sum(axis=1)
    if not sizes.all():
        raise DataError(
            f"Patterns {np.flatnonzero(sizes == 0).tolist()} are zero in all voxels.",
            "Give masks that hold a voxel, and differences of masks that differ.",
        )

    def map_sized(decoder: LinearDecoder) -> NDArray[np.float64]:
        mapped = decoder.project(patterns)
        if size_norm == "sqrt":
            mapped = mapped / np.sqrt(sizes)[:, None]
        elif size_norm == "unit":
            mapped = unit_rows(mapped)
        return gain * mapped + decoder.intercept

    return Latents(
        h=unit_rows(gain * unit_rows(decoders.h.project(patterns)) + decoders.h.intercept),
        z=None if decoders.z is None else map_sized(decoders.z),
        d=None if decoders.d is None else map_sized(decoders.d),
    )


def stack_masks(masks: Masks) -> NDArray[np.float64]:
    """Return the masks of areas as patterns, (R, V), in their order.

    Those of the paper are `area_masks(roi, overlap_removed=True)`.
    """
    return np.stack([mask.astype(np.float64) for mask in masks.values()])


def contrast_pattern(plus: NDArray[np.bool_], minus: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return 1 in the voxels of one area and -1 in those of another, 0 where they overlap, (V,)."""
    return plus.astype(np.float64) - minus.astype(np.float64)


def gain_sweep(
    decoders: Decoders,
    patterns: NDArray[Any],
    *,
    gains: tuple[float, ...] = GAINS,
    size_norm: SizeNorm = "none",
) -> dict[float, Latents]:
    """Return the latents of patterns at each gain; see `optimal_latents`. At gain 0 all are the intercepts'."""
    return {gain: optimal_latents(decoders, patterns, size_norm=size_norm, gain=gain) for gain in gains}


def random_masks(mask: NDArray[np.bool_], *, n_masks: int = 100, seed: int = 0) -> NDArray[np.bool_]:
    """Draw masks of as many voxels from all voxels, as a null for the mask of an area.

    Args:
        mask: Of the area, (V,).
        n_masks: How many.
        seed: Of the draws.

    Returns:
        (n_masks, V).
    """
    return np.random.default_rng(seed).permuted(np.tile(mask, (n_masks, 1)), axis=1)
