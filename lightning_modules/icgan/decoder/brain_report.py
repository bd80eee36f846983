"""What each area of the brain carries, over subjects: semantic index, pictures that areas ask for, decoding by area."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.areas import AREAS, Masks, area_masks
from lightning_modules.icgan.brain.encoding import (
    AreaDecoding,
    VariancePartition,
    decode_by_area,
    partition_variance,
)
from lightning_modules.icgan.brain.over_subjects import area_contrast
from lightning_modules.icgan.brain.semantic_index import Version, semantic_index, shuffled_index, two_sided_p
from lightning_modules.icgan.decoder.area_pictures import AreaPictures, picture_areas
from lightning_modules.icgan.decoder.brain_decoders import LinearDecoders
from lightning_modules.icgan.decoder.brain_maps import VoxelMaps, ceiling_of, voxel_maps
from lightning_modules.icgan.decoder.over_subjects import FittedSubject
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.features.low_level import luminance_colour_grid
from lightning_modules.icgan.regression.ridge import fit_ridge
from lightning_modules.icgan.scoring.latents import Generate
from lightning_modules.parts.errors import DataError

N_SHUFFLES = 1000
"""Of the voxels, for the null of the semantic index."""
CAN_DRAW = 0.1
"""Mean probability of a class below which the generator is said not to draw it: that of guessing among ten."""
FEATURES, LOW_LEVEL = "features h", "luminance and colour"
"""What is decoded from single areas, and what voxels are predicted from."""


@dataclass(frozen=True, eq=False)
class BrainReport:
    """What was found.

    Shapes:
        S subjects, the searched one first; 7 areas in the order of `AREAS`; V voxels of the searched subject.

    Args:
        subjects: Names, (S,).
        index: Semantic index of areas in each version that all subjects have, (S, 7).
        shuffled_p: Two-sided p of the published contrast, mean over subjects, among those of shuffled voxels.
        voxel_index: Of each voxel of the searched subject, percentile points, (V,).
        masks: The areas of the searched subject, overlap removed.
        voxel_xyz: Where its voxels lie, mm, (V, 3); None if not known.
        maps: Of each subject, by name.
        pictures: That areas ask for.
        decoding: What is decoded from single areas, by target and area, a value for each subject.
        variance: What the searched subject's voxels tell of features beside low-level content, and the reverse.
        notes: What to know, in sentences.
    """

    subjects: tuple[str, ...]
    index: dict[Version, NDArray[np.float64]]
    shuffled_p: float
    voxel_index: NDArray[np.float64]
    masks: Masks
    voxel_xyz: NDArray[np.float32] | None
    maps: dict[str, VoxelMaps]
    pictures: AreaPictures
    decoding: dict[str, dict[str, list[AreaDecoding]]]
    variance: VariancePartition
    notes: tuple[str, ...]


def report_brain(subjects: Sequence[FittedSubject], pictures: PictureSet, generate: Generate) -> BrainReport:
    """Look at the weights of fitted decoders and at what single areas decode.

    Args:
        subjects: Fitted, with linear methods; the searched one first.
        pictures: That they saw.
        generate: The generator.

    Raises:
        DataError: If an area is missing in a subject.
    """
    linear = [LinearDecoders(one) for one in subjects]
    first = linear[0]
    index, matched_notes = _index_over_subjects(linear)
    notes = [
        "The semantic index compares weights at the penalties in force, which are those of noise where penalties are "
        "low; `df_matched` has the penalty of features for both, and `patterns` what voxels respond to.",
        *matched_notes,
    ]
    if first.refitted:
        notes.append(
            f"The brain analyses use all voxels, though {' and '.join(first.refitted)} are decoded from an area's: "
            "fitted again, with the penalties in force."
        )
    masks = area_masks(subjects[0].data.roi, overlap_removed=True)
    asked_for = picture_areas(linear, pictures, generate)
    weak = [
        f"{name} ({value:.3f})"
        for name, value in zip(asked_for.classes, asked_for.drawn, strict=True)
        if value < CAN_DRAW
    ]
    if weak:
        notes.append(
            f"The generator hardly draws {', '.join(weak)}: mean probability of the class in what it makes of training "
            "pictures of it. Pictures of areas then say little about these; `h towards` does not need them."
        )
    return BrainReport(
        subjects=tuple(one.name for one in subjects),
        index=index,
        shuffled_p=_shuffled_p(linear),
        voxel_index=first.norms.index,
        masks=masks,
        voxel_xyz=subjects[0].data.voxel_xyz,
        maps={one.subject.name: voxel_maps(one) for one in linear},
        pictures=asked_for,
        decoding=_decode_areas(linear, pictures),
        variance=_partition(first, pictures),
        notes=tuple(notes),
    )


def _index_over_subjects(
    linear: Sequence[LinearDecoders],
) -> tuple[dict[Version, NDArray[np.float64]], list[str]]:
    """Return every version that all subjects have, (S, 7) each, and why others are missing."""
    found, notes = [], []
    for one in linear:
        norms, roi = one.norms, one.subject.data.roi
        versions = partial(semantic_index, norms, roi, df_matched=one.df_matched, patterns=one.patterns)
        try:
            found.append(versions(ceiling=ceiling_of(one.subject.responses)))
        except DataError as error:
            notes.append(f"Subject {one.subject.name} has no index at matched noise: {error.problem}")
            found.append(versions())
    shared = [name for name in found[0] if all(name in one for one in found)]
    return {name: np.stack([one[name] for one in found]) for name in shared}, notes


def _shuffled_p(linear: Sequence[LinearDecoders]) -> float:
    observed, null = [], []
    for position, one in enumerate(linear):
        masks = area_masks(one.subject.data.roi, overlap_removed=False)
        observed.append(semantic_index(one.norms, one.subject.data.roi)["published"])
        null.append(shuffled_index(one.norms, masks, n_shuffles=N_SHUFFLES, seed=position))
    own, shuffled = (area_contrast(np.stack(one)).mean(axis=0) for one in (observed, null))
    return float(two_sided_p(own, shuffled))


def _decode_areas(
    linear: Sequence[LinearDecoders], pictures: PictureSet
) -> dict[str, dict[str, list[AreaDecoding]]]:
    """Decode features and low-level content from each area alone, with the penalty of features for both."""
    tables: dict[str, NDArray[Any]] = {
        FEATURES: pictures.features,
        LOW_LEVEL: luminance_colour_grid(pictures.images),
    }
    found: dict[str, dict[str, list[AreaDecoding]]] = {name: {area: [] for area in AREAS} for name in tables}
    for one in linear:
        data, responses = one.subject.data, one.subject.responses
        masks = area_masks(data.roi, overlap_removed=True)
        sealed = np.setdiff1d(np.arange(len(pictures.names)), pictures.training)
        for name, table in tables.items():
            training = (data.voxels, table[data.shown_stimuli][data.stimulus])
            test = (responses.averaged, table[sealed])
            decoded = decode_by_area(
                lambda voxels, targets, alpha=one.alpha_of_features: fit_ridge(voxels, targets, alpha),
                training,
                test,
                masks,
            )
            for area, score in decoded.items():
                found[name][area].append(score)
    return found


def _partition(one: LinearDecoders, pictures: PictureSet) -> VariancePartition:
    data = one.subject.data
    low = luminance_colour_grid(pictures.images[data.shown_stimuli])
    h = pictures.features[data.shown_stimuli]
    return partition_variance(h[data.stimulus], low[data.stimulus], data.voxels, data.fold)
