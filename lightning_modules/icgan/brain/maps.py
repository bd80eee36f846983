"""Values of voxels as NIfTI volumes, which every viewer of brains opens."""

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError

SUFFIX = ".nii.gz"
LARGEST_OFFSET = 0.25
"""How far a voxel may be from the centre of its cell, cells: half a cell off is another grid."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of a volume that V voxels lie in.

    Args:
        cells: Index of each voxel's cell along the three axes, int64 (V, 3).
        shape: Cells along each axis.
        affine: From indices to mm, (4, 4).
    """

    cells: NDArray[np.int64]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def volume(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Put a value of each voxel (V,) into its cell, with NaN in the others, float32 of the grid's shape.

        Raises:
            DataError: If there is not one value for each voxel.
        """
        if values.shape != (len(self.cells),):
            raise DataError(
                f"Values of shape {values.shape} do not fit {len(self.cells)} voxels.",
                "Give one for each voxel.",
            )
        volume = np.full(self.shape, np.nan, dtype=np.float32)
        volume[tuple(self.cells.T)] = values
        return volume


def grid_of_template(voxel_xyz: NDArray[Any], affine: NDArray[Any], shape: tuple[int, int, int]) -> Grid:
    """Find the cells of voxels in the volume of a template, by its inverse affine.

    Args:
        voxel_xyz: Places, mm, (V, 3).
        affine: Of the template, such as `SubjectN_SpaceTemplate.nii`, (4, 4).
        shape: Of the template; 64 x 64 x 50 for Generic Object Decoding.

    Raises:
        DataError: If voxels are off the grid or outside of the volume, or two share a cell.

    Source:
        Specification 6.6.
    """
    if voxel_xyz.ndim != 2 or voxel_xyz.shape[1] != 3:
        raise DataError(f"Places have shape {voxel_xyz.shape}, not (voxels, 3).", "Give x, y and z in mm.")
    exact = apply_affine(np.linalg.inv(affine), voxel_xyz.astype(np.float64))
    cells = np.rint(exact)
    problems = []
    offset = float(np.abs(exact - cells).max(initial=0))
    if not offset <= LARGEST_OFFSET:
        problems.append(f"voxels are up to {offset:.2f} cells off the centres of the grid.")
    elif ((cells < 0) | (cells >= shape)).any():
        outside = np.count_nonzero(((cells < 0) | (cells >= shape)).any(axis=1))
        problems.append(f"{outside} voxels lie outside of {' x '.join(map(str, shape))} cells.")
    elif len(np.unique(cells, axis=0)) < len(cells):
        problems.append(f"{len(cells)} voxels lie in {len(np.unique(cells, axis=0))} cells.")
    if problems:
        raise DataError(
            f"Voxels cannot be put into the volume: {' '.join(problems)}",
            "Give places in mm and the affine and shape of the same subject's template.",
        )
    return Grid(cells.astype(np.int64), shape, np.asarray(affine, dtype=np.float64))


def grid_around(voxel_xyz: NDArray[Any], voxel_mm: float = 3.0) -> Grid:
    """Make the smallest volume with axes along x, y and z that holds voxels, where there is no template.

    Args:
        voxel_xyz: Places, mm, (V, 3).
        voxel_mm: Side of a cell.
    """
    low, high = voxel_xyz.min(axis=0).astype(np.float64), voxel_xyz.max(axis=0)
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = low
    along_x, along_y, along_z = (int(n) + 1 for n in np.rint((high - low) / voxel_mm))
    return grid_of_template(voxel_xyz, affine, (along_x, along_y, along_z))


def map_file(grid: Grid, values: NDArray[Any]) -> bytes:
    """Return the content of a file `.nii.gz` of a value of each voxel, (V,); the same bytes for the same values."""
    image = Nifti1Image(grid.volume(values), grid.affine)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), mtime=0)
