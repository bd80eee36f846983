"""Places of SynthGOD's voxels: a folded sheet for every area, on the grid of a 3 mm volume."""

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.synthetic.attributes import Integers

VOXEL_MM = 3.0
ROWS = 20
"""Voxels of a sheet across its folds."""
DEPTH, WIDTH = 6, 2
"""Steps along a bank of a fold, and across to the next one."""
SPACING = DEPTH + 3
"""Voxels from one area's sheet to the next."""


def place_voxels(area_of_voxel: Integers) -> NDArray[np.float32]:
    """Place voxels on sheets, 3 mm apart along them.

    Args:
        area_of_voxel: Index of each voxel's area, (V,).

    Returns:
        x, y, z in mm, (V, 3), all multiples of 3 mm and no two the same; areas lie behind each other along y.
    """
    places = np.empty((len(area_of_voxel), 3), dtype=np.int64)
    n_areas = int(area_of_voxel.max(initial=0)) + 1
    for area in range(n_areas):
        voxels = np.flatnonzero(area_of_voxel == area)
        along, across = np.divmod(np.arange(len(voxels)), ROWS)
        x, y = _fold(along)
        places[voxels] = np.stack([x - int(x.mean() if len(x) else 0), y, across - ROWS // 2], axis=1)
        places[voxels, 1] += (area - n_areas // 2) * SPACING
    return (VOXEL_MM * places).astype(np.float32)


def _fold(steps: Integers) -> tuple[Integers, Integers]:
    """Grid point after a number of steps on a meander: up a bank, across, down, across."""
    fold, within = np.divmod(steps, DEPTH + WIDTH)
    height = np.minimum(within, DEPTH)
    x = fold * WIDTH + np.maximum(within - DEPTH, 0)
    return x, np.where(fold % 2 == 0, height, DEPTH - height)
