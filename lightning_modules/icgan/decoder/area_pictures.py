"""The picture that each area asks for, of every subject, and how it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.areas import Masks, area_masks
from lightning_modules.icgan.brain.roi_images import optimal_latents, stack_masks
from lightning_modules.icgan.brain.roi_scores import (
    AgainstRandomMasks,
    Judges,
    class_alignment,
    compare_with_random_masks,
    self_consistency,
    subject_agreement,
)
from lightning_modules.icgan.decoder.brain_decoders import LinearDecoders
from lightning_modules.icgan.decoder.painting import features_of
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, NOISE, SMALL_PICTURES, TargetData
from lightning_modules.icgan.scoring.latents import Generate, Latents
from lightning_modules.icgan.scoring.nearest import nearest
from lightning_modules.icgan.scoring.protocols import Images

MANY_MASKS, FEW_MASKS = 100, 20
"""Random masks for each area; few where pictures have more than 64 pixels and take seconds each."""
N_NEAREST = 10
MOST_OF_A_CLASS = 30
"""Training pictures by which it is judged whether the generator can draw a class."""


@dataclass(frozen=True, eq=False)
class AreaPictures:
    """Pictures of S subjects' seven areas, by the decoders' weights.

    Args:
        images: RGB in [0, 1], (S, 7, side, side, 3).
        agreement: Mean cosine of h over pairs of subjects, (7,); None for one subject.
        nearest: The training pictures whose h is nearest to that of each area of the searched subject, positions among
            all pictures, int64 (7, 10).
        self_consistency: Cosine of each picture's features with the h that it was made of, (S, 7); None where the
            network of the features is not at hand.
        classes: What a classifier tells apart, C of them; empty without one.
        class_scores: Probability of each class, (S, 7, C).
        alignment: Cosine of what an area adds to h with the direction of each class, (S, 7, C): as the class of a
            training picture counts what it is taken for. Does not depend on what the generator can draw.
        drawn: Mean probability of a class in what the generator makes of training pictures of that class, (C,); of
            a class that it cannot draw, near 0. NaN where there is no such picture.
        against: The searched subject's beside random masks of as many voxels; None without a classifier.
    """

    images: Images
    agreement: NDArray[np.float64] | None
    nearest: NDArray[np.int64]
    self_consistency: NDArray[np.float64] | None
    classes: tuple[str, ...]
    class_scores: NDArray[np.float64]
    alignment: NDArray[np.float64]
    drawn: NDArray[np.float64]
    against: AgainstRandomMasks | None


def picture_areas(linear: Sequence[LinearDecoders], pictures: PictureSet, generate: Generate) -> AreaPictures:
    """Make the picture of each area as published, and judge it.

    Args:
        linear: Decoders of each subject, the searched one first.
        pictures: That they saw.
        generate: The generator.

    Source:
        Specification 6.3 and 6.4.
    """
    masks = [area_masks(one.subject.data.roi, overlap_removed=True) for one in linear]
    latents = [
        optimal_latents(one.decoders, stack_masks(own)) for one, own in zip(linear, masks, strict=True)
    ]
    images = [generate(one) for one in latents]
    known = _Classes.of(pictures)
    against = None
    if pictures.classify is not None:
        judges = Judges(partial(features_of, pictures.extractor), pictures.classify, pictures.classes)
        n_masks = MANY_MASKS if images[0].shape[1] <= SMALL_PICTURES else FEW_MASKS
        against = compare_with_random_masks(linear[0].decoders, masks[0], generate, judges, n_masks=n_masks)
    found = nearest(latents[0].h, pictures.features[pictures.training], N_NEAREST)
    return AreaPictures(
        images=np.stack(images),
        agreement=subject_agreement(np.stack([one.h for one in latents])) if len(linear) > 1 else None,
        nearest=pictures.training[found.row],
        self_consistency=_consistency(pictures, images, latents),
        classes=pictures.classes,
        class_scores=np.stack([known.probabilities(one) for one in images]),
        alignment=np.stack([known.alignment(one, own) for one, own in zip(linear, masks, strict=True)]),
        drawn=known.drawn(linear[0].subject.data, generate),
        against=against,
    )


@dataclass(frozen=True, eq=False)
class _Classes:
    """What a set's classifier takes its pictures for.

    Args:
        pictures: The set.
        label: What each training picture is taken for, (T,); -1 without a classifier.
    """

    pictures: PictureSet
    label: NDArray[np.int64]

    @classmethod
    def of(cls, pictures: PictureSet) -> "_Classes":
        if pictures.classify is None:
            return cls(pictures, np.full(len(pictures.training), -1))
        return cls(pictures, pictures.classify(pictures.images[pictures.training]).argmax(axis=1))

    def probabilities(self, images: Images) -> NDArray[np.float64]:
        """Of each class, (m, C)."""
        if self.pictures.classify is None:
            return np.empty((len(images), 0))
        return self.pictures.classify(images).astype(np.float64)

    def alignment(self, one: LinearDecoders, masks: Masks) -> NDArray[np.float64]:
        """See `class_alignment`, (7, C)."""
        if self.pictures.classify is None:
            return np.empty((len(masks), 0))
        features = self.pictures.features[self.pictures.training]
        directions = one.decoders.h.project(stack_masks(masks))
        return class_alignment(directions, features, self.label, len(self.pictures.classes))

    def drawn(self, data: TargetData, generate: Generate) -> NDArray[np.float64]:
        """See `AreaPictures`, (C,)."""
        found = np.full(len(self.pictures.classes), np.nan)
        training = Latents(*(data.tables[kind] for kind in (INSTANCE, NOISE, DENSE)))
        label = self.label[self.pictures.training.searchsorted(data.shown_stimuli)]
        for one in range(len(found)):
            rows = np.flatnonzero(label == one)[:MOST_OF_A_CLASS]
            if len(rows):
                found[one] = self.probabilities(generate(training.rows(rows)))[:, one].mean()
        return found


def _consistency(
    pictures: PictureSet, images: Sequence[Images], latents: Sequence[Latents]
) -> NDArray[np.float64] | None:
    features = [features_of(pictures.extractor, one) for one in images]
    if not all(one.any() for one in features):
        return None
    return np.stack([self_consistency(one, made.h) for one, made in zip(features, latents, strict=True)])
