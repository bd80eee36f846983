"""What SynthGOD pictures show: classes of shape, texture and hue, and how exemplars of a class differ."""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Shape(IntEnum):
    """Silhouettes. A face stands for what is animate, a house for scenes."""

    DISC = 0
    RING = 1
    SQUARE = 2
    TRIANGLE = 3
    STAR = 4
    CROSS = 5
    CRESCENT = 6
    BAR = 7
    FACE = 8
    HOUSE = 9


class Texture(IntEnum):
    """What covers the silhouette."""

    PLAIN = 0
    HORIZONTAL = 1
    VERTICAL = 2
    CHECKER = 3
    DOTS = 4


HUES = np.array([(0.9, 0.35, 0.15), (0.2, 0.75, 0.25), (0.2, 0.35, 0.9), (0.7, 0.2, 0.75)])
"""RGB of the four hues, (4, 3)."""
FACTORS = (len(Shape), len(Texture), len(HUES))
"""Levels of shape, texture and hue."""
N_CLASSES = len(Shape) * len(Texture) * len(HUES)

HUE_SD = 0.06
CENTRE = 0.25
"""Largest distance of a centre from the picture's along each axis, in coordinates of -1 to 1."""
SIZE = (0.45, 0.75)
"""Half of the silhouette's extent, in coordinates of -1 to 1."""
ROTATION_DEGREES = 36.0
LUMINANCE, LUMINANCE_SPREAD = 0.45, 0.2
TINT_SD = 0.12
FREQUENCY = (3.0, 4.5)
"""Cycles of a texture across the picture."""


class ClassSplit(NamedTuple):
    """Which classes are for training and which for the test; a class is an index of `class_factors`.

    Args:
        training: (C,).
        test: (C',).
    """

    training: Integers
    test: Integers


@dataclass(frozen=True, eq=False)
class PictureAttributes:
    """Ground truth of n pictures: every argument has a row for each.

    Args:
        category: Class, (n,).
        shape: `Shape`, (n,).
        texture: `Texture`, (n,).
        hue: Index of `HUES`, (n,).
        colour: RGB of the silhouette: its hue with N(0, .06), (n, 3).
        centre: Place of the silhouette (x, y), x to the right and y down in coordinates of -1 to 1, (n, 2).
        size: Half of the silhouette's extent in the same coordinates, (n,).
        rotation: Clockwise, radians, (n,).
        frequency: Cycles of the texture across the picture, (n,).
        phase: Of the texture along x and y, radians, (n, 2).
        luminance: Of the background's centre, (n,).
        gradient: Direction in which the background gets lighter, radians, (n,).
        tint: Factor of the background's RGB, (n, 3).
    """

    category: Integers
    shape: Integers
    texture: Integers
    hue: Integers
    colour: Array
    centre: Array
    size: Array
    rotation: Array
    frequency: Array
    phase: Array
    luminance: Array
    gradient: Array
    tint: Array

    def __len__(self) -> int:
        return len(self.category)

    def rows(self, index: slice | Integers) -> "PictureAttributes":
        """Return the attributes of some pictures."""
        return PictureAttributes(**{one.name: getattr(self, one.name)[index] for one in fields(self)})

    @property
    def factors(self) -> Integers:
        """Shape, texture and hue, (n, 3)."""
        return np.stack([self.shape, self.texture, self.hue], axis=1)

    @property
    def one_hots(self) -> Array:
        """Indicators of every shape, texture and hue, (n, 19)."""
        of_factors = (np.eye(n)[level] for n, level in zip(FACTORS, self.factors.T, strict=True))
        return np.concatenate(list(of_factors), axis=1)


def class_factors(category: Integers) -> Integers:
    """Shape, texture and hue of classes (n,): (n, 3)."""
    return np.stack(np.unravel_index(category, FACTORS), axis=1).astype(np.int64)


def split_classes(generator: np.random.Generator, n_training: int, n_test: int) -> ClassSplit:
    """Draw classes for training and others for the test, each list in ascending order.

    Raises:
        ValueError: If there are not as many classes.
    """
    if n_training + n_test > N_CLASSES:
        raise ValueError(f"{n_training} training and {n_test} test classes are more than {N_CLASSES}.")
    order = generator.permutation(N_CLASSES)
    return ClassSplit(np.sort(order[:n_training]), np.sort(order[n_training : n_training + n_test]))


def draw_attributes(generator: np.random.Generator, category: Integers) -> PictureAttributes:
    """Draw one exemplar of each class of `category`, (n,).

    Source:
        icgan.md section 8.2, "Images".
    """
    n = len(category)
    shape, texture, hue = class_factors(category).T
    return PictureAttributes(
        category=category,
        shape=shape,
        texture=texture,
        hue=hue,
        colour=HUES[hue] + generator.normal(0, HUE_SD, (n, 3)),
        centre=generator.uniform(-CENTRE, CENTRE, (n, 2)),
        size=generator.uniform(*SIZE, n),
        rotation=np.deg2rad(generator.uniform(-ROTATION_DEGREES, ROTATION_DEGREES, n)),
        frequency=generator.uniform(*FREQUENCY, n),
        phase=generator.uniform(0, 2 * np.pi, (n, 2)),
        luminance=LUMINANCE + generator.uniform(-LUMINANCE_SPREAD, LUMINANCE_SPREAD, n),
        gradient=generator.uniform(0, 2 * np.pi, n),
        tint=generator.normal(1, TINT_SD, (n, 3)),
    )
