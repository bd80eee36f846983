"""Maps of the brain: how much each voxel weighs in what is decoded, as files for viewers of brains."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.maps import SUFFIX, grid_around, map_file
from lightning_modules.icgan.brain.semantic_index import percentiles
from lightning_modules.icgan.decoder.brain_decoders import LinearDecoders
from lightning_modules.icgan.decoder.sealed_pictures import SealedResponses
from lightning_modules.icgan.scoring.averaging import noise_ceiling
from lightning_modules.parts.errors import DataError


class VoxelMaps(NamedTuple):
    """Values of the V voxels of one subject.

    Args:
        voxel_xyz: Where voxels lie, mm, (V, 3); None if not known.
        values: `p_h` and `p_d`, percentiles of weights in the decoders of features and of the dense vector; `index`,
            their difference; and, where pictures were repeated, `noise_ceiling`, a correlation; (V,) each.
    """

    voxel_xyz: NDArray[np.float32] | None
    values: dict[str, NDArray[np.float64]]


def voxel_maps(one: LinearDecoders) -> VoxelMaps:
    """Return what is mapped of a subject.

    Source:
        icgan.md section 6.6.
    """
    values = {
        "p_h": percentiles(one.norms.semantic),
        "p_d": percentiles(one.norms.spatial),
        "index": one.norms.index,
    }
    with suppress(DataError):  # the report says that there is no index at matched noise, and why
        values["noise_ceiling"] = ceiling_of(one.subject.responses)
    return VoxelMaps(one.subject.data.voxel_xyz, values)


def ceiling_of(responses: SealedResponses) -> NDArray[np.float64]:
    """Return the noise ceiling of each voxel, (V,), from repeats of the sealed pictures: no others are repeated.

    Raises:
        DataError: If pictures were not shown twice, or there are fewer than three.
    """
    return noise_ceiling(responses.trials, responses.trial_stimulus).correlation


def map_files(maps: Mapping[str, VoxelMaps]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the maps of all subjects as NIfTI files.

    Args:
        maps: By subject.

    Returns:
        Contents by the name of the file, and what to know of them, in sentences.
    """
    files, written, notes = {}, [], []
    for subject, (voxel_xyz, values) in maps.items():
        if voxel_xyz is None:
            notes.append(
                f"No maps of subject {subject}: the recording has no places of voxels (`voxel_xyz`)."
            )
            continue
        try:
            grid = grid_around(voxel_xyz)
        except DataError as error:
            notes.append(f"No maps of subject {subject}: {error.problem}")
            continue
        written.append(subject)
        files |= {f"map_{name}_{subject}{SUFFIX}": map_file(grid, one) for name, one in values.items()}
    if written:
        shown = ", ".join(dict.fromkeys(name for subject in written for name in maps[subject].values))
        notes.insert(
            0,
            f"Maps of subject {', '.join(written)} ({shown}) are NIfTI files beside the figures, in mm of the "
            "recording; the volume is the smallest around the voxels, in cells of 3 mm.",
        )
    return files, tuple(notes)
