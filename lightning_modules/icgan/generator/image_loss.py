"""How far a picture is from another: in pixels, in the maps of a network, and in the direction of its features."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

COARSENESS = 4
"""Side of the squares whose means the coarse term compares, pixels: 256 become 64."""

_NO_SPREAD = 1e-12
"""Variance of a layer below which it says nothing."""


class ImageFeatures(NamedTuple):
    """What a network makes of B pictures.

    Args:
        h: Features of unit length, (B, H).
        maps: Its intermediate maps, (B, C, H', W') each.
    """

    h: Tensor
    maps: tuple[Tensor, ...]


class Extractor(Protocol):
    """A network that is not trained here, from pictures in [0, 1], (B, 3, H, W)."""

    def __call__(self, images: Tensor, /) -> ImageFeatures: ...


@dataclass(frozen=True)
class ImageWeights:
    """Weights of the terms of `ImageLoss`; those of the specified inversion.

    Args:
        pixel: Of the mean absolute difference of pixels in [0, 1].
        coarse: Of the same between means of squares of `COARSENESS` pixels.
        perceptual: Of the mean squared difference of each map over the map's variance, summed over maps.
        semantic: Of 1 - cos between the picture's features and the wanted ones.
    """

    pixel: float = 1.0
    coarse: float = 1.0
    perceptual: float = 1.0
    semantic: float = 0.3


class Wanted(NamedTuple):
    """The pictures that others are compared with.

    Args:
        images: In [0, 1], (B, 3, H, W).
        h: Their features, (B, H).
        maps: Their maps.
    """

    images: Tensor
    h: Tensor
    maps: tuple[Tensor, ...]

    @classmethod
    def of(cls, images: Tensor, h: Tensor, extractor: Extractor) -> "Wanted":
        """Put pictures (B, 3, H, W) together with given features (B, H) and the maps that the extractor sees."""
        with torch.no_grad():
            return cls(images, h, extractor(images).maps)


@dataclass(frozen=True, eq=False)
class ImageLoss:
    """The loss of pictures against wanted ones.

    Args:
        extractor: Whose maps and features are compared.
        weights: Of the terms.
        variances: Of each map over the wanted pictures, places and channels together; see `map_variances`.

    Source:
        L_img of icgan.md section 2.4, which is [inferred] there.
    """

    extractor: Extractor
    weights: ImageWeights
    variances: tuple[float, ...]

    def __call__(self, images: Tensor, wanted: Wanted) -> Tensor:
        """Return the loss of each picture, (B,), of pictures in [0, 1], (B, 3, H, W)."""
        weights = self.weights
        difference = images - wanted.images
        loss = weights.pixel * difference.abs().mean(dim=(1, 2, 3))
        if weights.coarse:
            coarse = functional.avg_pool2d(difference, COARSENESS)
            loss = loss + weights.coarse * coarse.abs().mean(dim=(1, 2, 3))
        if weights.perceptual or weights.semantic:
            found = self.extractor(images)
            loss = loss + weights.semantic * (1 - functional.cosine_similarity(found.h, wanted.h))
            for one, other, variance in zip(found.maps, wanted.maps, self.variances, strict=True):
                squared = (one - other).square().flatten(1).mean(dim=1)
                loss = loss + weights.perceptual * squared / variance
        return loss


def map_variances(images: Tensor, extractor: Extractor, *, batch_size: int) -> tuple[float, ...]:
    """Return the variance of each of an extractor's maps over pictures in [0, 1], (N, 3, H, W).

    A map that is the same everywhere gets an infinite one, so that it has no part in the loss.
    """
    sums: list[Tensor] = []
    with torch.no_grad():
        for batch in images.split(batch_size):
            moments = [
                torch.stack([one.new_tensor(one.numel()), one.sum(), one.square().sum()]).double()
                for one in (entry.double() for entry in extractor(batch).maps)
            ]
            sums = [one + other for one, other in zip(sums, moments, strict=True)] if sums else moments
    variances = [float(squares / count - (total / count) ** 2) for count, total, squares in sums]
    return tuple(one if one > _NO_SPREAD else float("inf") for one in variances)


def as_unit_range(pictures: Tensor) -> Tensor:
    """Return in [0, 1] what the generator gives in [-1, 1]."""
    return (pictures + 1) / 2


def pixel_correlations(images: Tensor, others: Tensor) -> Tensor:
    """Return Pearson's r over all pixels and colours of each pair of pictures, (B,); 0 where one is uniform.

    Args:
        images: (B, 3, H, W).
        others: Same shape.
    """
    one, other = images.flatten(1).double(), others.flatten(1).double()
    return functional.cosine_similarity(
        one - one.mean(dim=1, keepdim=True), other - other.mean(dim=1, keepdim=True)
    )
