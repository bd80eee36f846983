"""Areas' best pictures in numbers: what they show, whether they show it by chance, whether subjects agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.areas import Masks
from lightning_modules.icgan.brain.roi_images import (
    Decoders,
    SizeNorm,
    optimal_latents,
    random_masks,
    stack_masks,
)
from lightning_modules.icgan.scoring.latents import Generate, Latents
from lightning_modules.icgan.scoring.nearest import Nearest, nearest, unit_rows
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

N_NEAREST = 10


@dataclass(frozen=True)
class Judges:
    """What looks at pictures.

    Args:
        embed: Takes RGB in [0, 1], (m, height, width, 3), to instance features, (m, H): the decoded network.
        classify: Takes them to a score of each class, such as its probability, (m, C).
        classes: Names of the classes, such as `face` and `scene`.
    """

    embed: Callable[[Images], NDArray[Any]]
    classify: Callable[[Images], NDArray[Any]]
    classes: Sequence[str]


@dataclass(frozen=True, eq=False)
class PictureScores:
    """Scores of R pictures that were made of latents.

    Args:
        classes: Names of the classes.
        class_scores: (R, C).
        self_consistency: Cosine of each picture's features with the h that it was made of, (R,).
        nearest: The ten training pictures nearest to that h.
    """

    classes: tuple[str, ...]
    class_scores: NDArray[np.float64]
    self_consistency: NDArray[np.float64]
    nearest: Nearest


def score_pictures(
    images: Images, latents: Latents, judges: Judges, training_h: NDArray[Any], n_nearest: int = N_NEAREST
) -> PictureScores:
    """Score pictures and the latents that they were made of.

    Args:
        images: RGB in [0, 1], (R, height, width, 3).
        latents: What they were made of.
        judges: What looks at them.
        training_h: Instance features of the training pictures, (N, H).
        n_nearest: Training pictures to name.

    Raises:
        DataError: If there is not one score for each class and picture.

    Source:
        Specification 6.4.
    """
    return PictureScores(
        tuple(judges.classes),
        _class_scores(images, judges),
        self_consistency(judges.embed(images), latents.h),
        nearest(latents.h, training_h, n_nearest),
    )


def self_consistency(features: NDArray[Any], h: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine of pictures' features (R, H) with the h that each was made of, (R,)."""
    return (unit_rows(features) * unit_rows(h)).sum(axis=1)


def class_alignment(
    directions: NDArray[Any], features: NDArray[Any], label: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Return the cosine of directions of h with those of classes, which asks no generator to draw anything.

    Args:
        directions: m·Wᵀ of areas' masks, (R, H).
        features: h of pictures, (N, H).
        label: Class of each picture, (N,).
        n_classes: C.

    Returns:
        (R, C): with the mean h of the class's pictures less that of all; NaN for a class without pictures.
    """
    centre = features.mean(axis=0, dtype=np.float64)
    found = np.full((len(directions), n_classes), np.nan)
    for one in np.unique(label):
        towards = features[label == one].mean(axis=0, dtype=np.float64) - centre
        found[:, one] = unit_rows(directions) @ unit_rows(towards)
    return found


@dataclass(frozen=True, eq=False)
class AgainstRandomMasks:
    """Class scores of R areas' pictures beside those of random masks of as many voxels.

    Args:
        areas: Names.
        classes: Names.
        observed: (R, C).
        null: (R, N, C).
    """

    areas: tuple[str, ...]
    classes: tuple[str, ...]
    observed: NDArray[np.float64]
    null: NDArray[np.float64]

    @property
    def p(self) -> NDArray[np.float64]:
        """One-sided: how often random masks score as high, the area itself counted in, (R, C)."""
        as_high = (self.null >= self.observed[:, None]).sum(axis=1)
        return (1 + as_high) / (1 + self.null.shape[1])


def compare_with_random_masks(
    decoders: Decoders,
    masks: Masks,
    generate: Generate,
    judges: Judges,
    *,
    size_norm: SizeNorm = "none",
    n_masks: int = 100,
    seed: int = 0,
) -> AgainstRandomMasks:
    """Make pictures of areas and of random masks of their sizes, and score them all.

    Args:
        decoders: Of one subject.
        masks: Areas, such as `area_masks(roi, overlap_removed=True)`.
        generate: The generator.
        judges: What looks at pictures; only its classifier is used.
        size_norm: See `optimal_latents`.
        n_masks: For each area, N.
        seed: Of the draws; every area has draws of its own.

    Source:
        Specification 6.4 and 10.17.
    """

    def score(patterns: NDArray[Any]) -> NDArray[np.float64]:
        return _class_scores(generate(optimal_latents(decoders, patterns, size_norm=size_norm)), judges)

    null = [
        score(random_masks(mask, n_masks=n_masks, seed=seed + at)) for at, mask in enumerate(masks.values())
    ]
    return AgainstRandomMasks(tuple(masks), tuple(judges.classes), score(stack_masks(masks)), np.stack(null))


def subject_agreement(h: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean cosine over pairs of subjects of each area's h, (R,).

    Args:
        h: Of all S subjects, at least 2, (S, R, H).

    Raises:
        DataError: If there are fewer than 2 subjects.
    """
    if h.ndim != 3 or len(h) < 2:
        raise DataError(
            f"Features of shape {h.shape} are not of two subjects.", "Give (subjects, areas, dimensions)."
        )
    directions = unit_rows(h)
    pairs = [
        (directions[one] * directions[other]).sum(axis=1) for one, other in combinations(range(len(h)), 2)
    ]
    return np.mean(pairs, axis=0)


def _class_scores(images: Images, judges: Judges) -> NDArray[np.float64]:
    scores = np.asarray(judges.classify(images), dtype=np.float64)
    if scores.shape != (len(images), len(judges.classes)):
        raise DataError(
            f"The classifier gave scores of shape {scores.shape} for {len(images)} pictures and "
            f"{len(judges.classes)} classes.",
            "Return one score for each picture and class, in the order of `classes`.",
        )
    return scores
