"""Silhouettes of SynthGOD pictures as functions of the plane: positive inside, in units of the silhouette's size.

Coordinates u (right) and v (down) are the silhouette's own: centred, rotated with it, and about -1 to 1 on it. A
value is roughly the distance from the edge, so that edges can be drawn softly.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.synthetic.attributes import Shape

Plane: TypeAlias = NDArray[np.floating[Any]]
Figure: TypeAlias = Callable[[Plane, Plane], Plane]

_GROUND = 0.8
"""Where the ground of a house begins, below its centre."""


def _box(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    return np.minimum(half_width - np.abs(u), half_height - np.abs(v))


def _ellipse(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    return min(half_width, half_height) * (1 - np.hypot(u / half_width, v / half_height))


def _disc(u: Plane, v: Plane) -> Plane:
    return 0.85 - np.hypot(u, v)


def _ring(u: Plane, v: Plane) -> Plane:
    return 0.22 - np.abs(np.hypot(u, v) - 0.7)


def _square(u: Plane, v: Plane) -> Plane:
    return _box(u, v, 0.75, 0.75)


def _triangle(u: Plane, v: Plane) -> Plane:
    """Tip upwards, centroid at the origin."""
    slope = math.sqrt(3) / 2 * np.abs(u) - v / 2
    return 0.5 - np.maximum(v, slope)


def _star(u: Plane, v: Plane) -> Plane:
    return 0.65 + 0.33 * np.cos(5 * np.arctan2(u, -v)) - np.hypot(u, v)


def _cross(u: Plane, v: Plane) -> Plane:
    return np.maximum(_box(u, v, 0.28, 0.92), _box(u, v, 0.92, 0.28))


def _crescent(u: Plane, v: Plane) -> Plane:
    return np.minimum(0.9 - np.hypot(u, v), np.hypot(u - 0.45, v) - 0.7)


def _bar(u: Plane, v: Plane) -> Plane:
    return _box(u, v, 0.22, 1.0)


def _face(u: Plane, v: Plane) -> Plane:
    return _ellipse(u, v, 0.75, 0.95)


def _house(u: Plane, v: Plane) -> Plane:
    """A pentagon: walls and a roof."""
    roof = (v + 0.95 - 0.85 * np.abs(u)) / math.hypot(1, 0.85)
    return np.minimum(np.minimum(0.72 - np.abs(u), _GROUND - v), roof)


def _eyes_and_mouth(u: Plane, v: Plane) -> Plane:
    eyes = 0.17 - np.hypot(np.abs(u) - 0.3, v + 0.25)
    return np.maximum(eyes, _box(u, v - 0.45, 0.35, 0.1))


def _windows(u: Plane, v: Plane) -> Plane:
    return _box(np.abs(u) - 0.34, v - 0.2, 0.17, 0.2)


def ground(u: Plane, v: Plane) -> Plane:
    """The plane on which a house stands, as wide as the picture."""
    return v - _GROUND + 0 * u


SILHOUETTES: Mapping[Shape, Figure] = MappingProxyType(
    {
        Shape.DISC: _disc,
        Shape.RING: _ring,
        Shape.SQUARE: _square,
        Shape.TRIANGLE: _triangle,
        Shape.STAR: _star,
        Shape.CROSS: _cross,
        Shape.CRESCENT: _crescent,
        Shape.BAR: _bar,
        Shape.FACE: _face,
        Shape.HOUSE: _house,
    }
)
DETAILS: Mapping[Shape, Figure] = MappingProxyType(
    {Shape.FACE: _eyes_and_mouth, Shape.HOUSE: _windows},
)
"""What is drawn dark on top of a silhouette."""
