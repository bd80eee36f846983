"""Pictures of SynthGOD, rendered from their attributes."""

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.synthetic.attributes import PictureAttributes, Shape, Texture
from lightning_modules.icgan.synthetic.shapes import DETAILS, SILHOUETTES, Figure, Plane, ground

GRADIENT = 0.2
"""Change of the background's luminance from the picture's centre to its edge."""
PIXEL_NOISE_SD = 0.02
TEXTURE_DARK = 0.55
"""Brightness of a texture's dark parts relative to its light ones."""
DETAIL = 0.1
"""Brightness of eyes, mouth and windows relative to the silhouette's colour."""
GROUND = 0.45
"""Brightness of the ground relative to the background."""
_CHUNK = 250
"""Pictures rendered at once; bounds the memory."""


def render(attributes: PictureAttributes, size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Render pictures.

    Args:
        attributes: Of n pictures.
        size: S, pixels along each side.
        generator: Draws the pixel noise.

    Returns:
        RGB in [0, 1], (n, S, S, 3).

    Source:
        icgan.md section 8.2, "Images". Proportions of the silhouettes, contrast of the textures and brightness of
        details and ground are not given there and are ours; the contrast was chosen so that networks confuse shapes
        and textures about as often as those of the specification.
    """
    images = np.empty((len(attributes), size, size, 3), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part] = _without_noise(attributes.rows(part), size)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        part += PIXEL_NOISE_SD * generator.standard_normal(part.shape, dtype=np.float32)
    return np.clip(images, 0, 1, out=images)


def _without_noise(attributes: PictureAttributes, size: int) -> Plane:
    x, y = _pixel_centres(size)
    u, v = _own_coordinates(attributes, x, y)
    pixel = (2 / (size * attributes.size)).astype(np.float32)[:, None, None]
    painted = _background(attributes, x, y)
    scale = np.where(attributes.shape == Shape.HOUSE, 1 - GROUND, 0).astype(np.float32)
    painted *= 1 - (scale[:, None, None] * _cover(ground(u, v), pixel))[..., None]
    inside, detail = np.empty_like(u), np.zeros_like(u)
    for shape in np.unique(attributes.shape):
        which = attributes.shape == shape
        inside[which] = _drawn(SILHOUETTES[Shape(shape)], u[which], v[which], pixel[which])
        if shape in DETAILS:
            detail[which] = _drawn(DETAILS[Shape(shape)], u[which], v[which], pixel[which])
    brightness = _texture(attributes, x, y) * (1 - (1 - DETAIL) * detail)
    colour = attributes.colour.astype(np.float32)[:, None, None, :] * brightness[..., None]
    return painted + inside[..., None] * (colour - painted)


def _pixel_centres(size: int) -> tuple[Plane, Plane]:
    """x to the right and y down, (1, S, S) each, the picture's edges at -1 and 1."""
    axis = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x[None], y[None]


def _own_coordinates(attributes: PictureAttributes, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    centre = attributes.centre.astype(np.float32)[:, :, None, None]
    cos, sin, size = (
        values.astype(np.float32)[:, None, None]
        for values in (np.cos(attributes.rotation), np.sin(attributes.rotation), attributes.size)
    )
    right, down = x - centre[:, 0], y - centre[:, 1]
    return (cos * right + sin * down) / size, (cos * down - sin * right) / size


def _background(attributes: PictureAttributes, x: Plane, y: Plane) -> Plane:
    cos, sin, luminance = (
        values.astype(np.float32)[:, None, None]
        for values in (np.cos(attributes.gradient), np.sin(attributes.gradient), attributes.luminance)
    )
    grey = luminance + GRADIENT * (cos * x + sin * y)
    return grey[..., None] * attributes.tint.astype(np.float32)[:, None, None, :]


def _texture(attributes: PictureAttributes, x: Plane, y: Plane) -> Plane:
    """Brightness of the silhouette, `TEXTURE_DARK` to 1, (n, S, S)."""
    frequency = np.float32(np.pi) * attributes.frequency.astype(np.float32)[:, None, None]
    phase = attributes.phase.astype(np.float32)[:, :, None, None]
    along_x, along_y = np.sin(frequency * x + phase[:, 0]), np.sin(frequency * y + phase[:, 1])
    kind = attributes.texture[:, None, None]
    wave = np.select(
        [kind == Texture.HORIZONTAL, kind == Texture.VERTICAL, kind == Texture.CHECKER, kind == Texture.DOTS],
        # Dots are where both waves are high; a checker is where they agree.
        [along_y, along_x, 2 * along_x * along_y, along_x + along_y - 0.7],
        default=np.float32(1),
    )
    return TEXTURE_DARK + (1 - TEXTURE_DARK) * np.clip(0.5 + wave, 0, 1)


def _drawn(figure: Figure, u: Plane, v: Plane, pixel: Plane) -> Plane:
    return _cover(figure(u, v), pixel)


def _cover(distance: Plane, pixel: Plane) -> Plane:
    """How much of each pixel lies inside an edge that is `distance` away."""
    return np.clip(0.5 + distance / pixel, 0, 1)
