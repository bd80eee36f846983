"""Which pictures look like which: nearest neighbours of instances in their features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from lightning_modules.parts.errors import DataError


class Neighbours(NamedTuple):
    """The nearest other instances of each of N instances.

    Args:
        nearest: Their places, nearest first, int64 (N, k).
        radius: Distance of the k-th one, (N,).
    """

    nearest: NDArray[np.int64]
    radius: NDArray[np.float64]


def find_neighbours(h: NDArray[np.floating], k: int) -> Neighbours:
    """Find the k nearest other instances of each by Euclidean distance.

    Args:
        h: Features of unit length, (N, H).
        k: Neighbours of each.

    Raises:
        DataError: If there are not k other instances, or features are not of unit length.
        ValueError: If `k` is not positive.

    Source:
        Casanova et al. 2021, arXiv:2109.05070, section 3: neighbours of the instance itself left out.
    """
    if k < 1:
        raise ValueError(f"`k` is {k}, but must be at least 1.")
    if len(h) <= k:
        raise DataError(
            f"{len(h)} instances have no {k} neighbours each.", "Give more pictures, or a lower `k`."
        )
    lengths = np.linalg.norm(h, axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        raise DataError(
            f"Features have lengths from {lengths.min():.3g} to {lengths.max():.3g}, but neighbours are sought among "
            "features of unit length.",
            "Divide each instance's features by their length.",
        )
    # Asked without points, sklearn leaves each instance itself out, also where others are exactly the same.
    distances, nearest = NearestNeighbors(n_neighbors=k).fit(h).kneighbors()
    return Neighbours(nearest.astype(np.int64), distances[:, -1].astype(np.float64))


def same_class_rate(neighbours: Neighbours, category: NDArray[np.int64]) -> float:
    """Return the share of all neighbours that are of their instance's category.

    Args:
        neighbours: Of N instances.
        category: Of each instance, (N,).
    """
    return float((category[neighbours.nearest] == category[:, None]).mean())
