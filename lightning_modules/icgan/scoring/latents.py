"""What a generator makes a picture of, as arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError


class Latents(NamedTuple):
    """Inputs of the generator for m pictures.

    Args:
        h: Instance features, (m, H).
        z: Noise, (m, Z); None for zeros.
        d: Dense vectors, (m, D); None for those that the generator itself makes of the noise.
    """

    h: NDArray[Any]
    z: NDArray[Any] | None = None
    d: NDArray[Any] | None = None

    def rows(self, index: NDArray[np.int64]) -> "Latents":
        """Select pictures."""
        return self.each(lambda part: part[index])

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "Latents":
        """Change every part that is there."""
        z, d = (None if part is None else change(part) for part in (self.z, self.d))
        return Latents(change(self.h), z, d)

    def check(self, name: str) -> None:
        """Refuse parts that are not of the same pictures.

        Raises:
            DataError: With the shapes that were found.
        """
        shapes = [None if part is None else part.shape for part in self]
        given = [shape for shape in shapes if shape is not None]
        if any(len(shape) != 2 for shape in given) or len({shape[0] for shape in given}) != 1:
            raise DataError(
                f"h, z and d of {name} have shapes {', '.join(map(str, shapes))}.",
                "Give (pictures, dimensions) with the same pictures in each; z or d may be None.",
            )


Generate: TypeAlias = Callable[[Latents], Images]
"""Makes RGB pictures in [0, 1], (m, height, width, 3)."""
