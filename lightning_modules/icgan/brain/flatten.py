"""Unfolding the sheet that voxels lie on, where no cortical surface was reconstructed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path
from scipy.spatial import KDTree

NEIGHBOURS = 1.8
"""Farthest neighbour of a voxel, voxels: those that share a side, an edge or a corner."""
GAP = 3.0
"""Between pieces that are not connected, voxels."""


def unfold(voxel_xyz: NDArray[Any], voxel_mm: float = 3.0) -> NDArray[np.float64]:
    """Lay voxels out in a plane so that distances along the sheet are kept as well as they can be.

    Distances go from neighbour to neighbour. Pieces without a connection, such as those of both hemispheres, are
    laid beside each other, the largest first.

    Args:
        voxel_xyz: Places, mm, (V, 3).
        voxel_mm: Distance of neighbouring voxels.

    Returns:
        Places in the plane, mm, (V, 2).

    Source:
        Isomap: Tenenbaum, de Silva, Langford 2000, Science 290.
    """
    # In float64, since a k-d tree of float32 would find neighbours by rounded distances.
    places = voxel_xyz.astype(np.float64)
    pairs = KDTree(places).query_pairs(NEIGHBOURS * voxel_mm, output_type="ndarray")
    lengths = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
    graph = csr_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    _, piece = connected_components(graph, directed=False)
    flat = np.empty((len(places), 2))
    edge = 0.0
    for one in np.argsort(-np.bincount(piece), kind="stable"):
        own = np.flatnonzero(piece == one)
        laid = _scale(np.asarray(shortest_path(graph[own][:, own], directed=False)))
        laid -= [laid[:, 0].min(), (laid[:, 1].min() + laid[:, 1].max()) / 2]
        flat[own] = laid + [edge, 0.0]
        edge += laid[:, 0].max() + GAP * voxel_mm
    return flat


def _scale(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Classical multidimensional scaling of distances (n, n) to points in the plane, (n, 2)."""
    n = len(distances)
    if n < 3:
        return np.stack([distances[0], np.zeros(n)], axis=1)
    squared = np.square(distances)
    means = squared.mean(axis=0)
    values, vectors = eigh(
        -0.5 * (squared - means - means[:, None] + means.mean()), subset_by_index=[n - 2, n - 1]
    )
    return vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0))
