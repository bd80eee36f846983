"""Volumes of OpenNeuro ds001246: masks of the visual areas, and a run made one response a block."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray
from scipy.signal import detrend

from lightning_modules.icgan.recordings.bids_events import Block
from lightning_modules.icgan.recordings.pointers import POINTER_BYTES, is_pointer
from lightning_modules.parts.errors import DataError

Mask: TypeAlias = NDArray[np.bool_]

TR_S = 3.0
"""Time from volume to volume."""
SHIFT = 1
"""Volumes by which the response is taken to follow the picture."""
MASKS = ("V1d", "V1v", "V2d", "V2v", "V3d", "V3v", "hV4", "LOC", "FFA", "PPA", "HVC")
"""Masks that the data set holds for each hemisphere."""
UNIONS: Mapping[str, tuple[str, ...]] = {
    "V1": ("V1d", "V1v"),
    "V2": ("V2d", "V2v"),
    "V3": ("V3d", "V3v"),
    "V4": ("hV4",),
    "LOC": ("LOC",),
    "FFA": ("FFA",),
    "PPA": ("PPA",),
    "LVC": ("V1d", "V1v", "V2d", "V2v", "V3d", "V3v"),
    "HVC": ("HVC",),
    "VC": MASKS,
}
"""Which masks, of both hemispheres, make an area (icgan.md section 1.7, inferred there for the composite areas)."""


class Volume(NamedTuple):
    """Values of a NIfTI file, (x, y, z[, time]), and the affine of voxel indices to mm, (4, 4)."""

    values: NDArray[np.float32]
    affine: NDArray[np.float64]


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file.

    Raises:
        DataError: If its content was not fetched, or it cannot be read.
    """
    if is_pointer(path) or _is_stub(path):
        raise DataError(f"{path}: annexed file not fetched: run `datalad get`.", f"datalad get {path}")
    try:
        image = nibabel.load(path)
        if not isinstance(image, SpatialImage):
            raise DataError(f"{path} holds no volume.", "Give a NIfTI file.")
        return Volume(np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64))
    except (OSError, EOFError, ImageFileError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as NIfTI: {error}", "Fetch it again.") from error


def read_areas(anatomy: Path, subject: str) -> tuple[dict[str, Mask], NDArray[np.float64]]:
    """Read the masks of one subject and unite them to areas.

    Args:
        anatomy: Folder `sourcedata/sub-0N/anat`.
        subject: `sub-0N`.

    Returns:
        Each area's mask, (x, y, z), and the affine of voxel indices to mm, (4, 4).

    Raises:
        DataError: If masks are missing, or are not of one grid.
    """
    names = [(side, mask) for side in ("LH", "RH") for mask in MASKS]
    paths = {name: anatomy / f"{subject}_mask_{name[0]}_{name[1]}.nii.gz" for name in names}
    missing = [path.name for path in paths.values() if not (path.exists() or path.is_symlink())]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} masks are missing in {anatomy}: {', '.join(missing[:5])}.",
            "Get `sourcedata` of ds001246 too.",
        )
    volumes = {name: read_volume(path) for name, path in paths.items()}
    shapes = {volume.values.shape for volume in volumes.values()}
    if len(shapes) > 1:
        raise DataError(
            f"{anatomy}: masks are of several grids: {', '.join(map(str, sorted(shapes)))}.",
            "Take all masks of one subject from one version of ds001246.",
        )
    masks = {name: volume.values > 0 for name, volume in volumes.items()}
    areas = {
        area: np.any([masks[side, part] for side in ("LH", "RH") for part in parts], axis=0)
        for area, parts in UNIONS.items()
    }
    return areas, volumes[names[0]].affine


def read_run(path: Path, mask: Mask) -> NDArray[np.float64]:
    """Read the time course of the voxels in a mask, (T, V), in the order of `mask`'s True values.

    Raises:
        DataError: If the volume cannot be read, or is not of the mask's grid.
    """
    values = read_volume(path).values
    if values.ndim != 4 or values.shape[:3] != mask.shape:
        raise DataError(
            f"{path} has shape {values.shape}, but the masks are {mask.shape}.",
            "Give the preprocessed runs of derivatives/preproc-spm, which are on the masks' grid.",
        )
    return values[mask].T.astype(np.float64)


def block_responses(series: NDArray[Any], blocks: Sequence[Block], source: str) -> NDArray[np.float64]:
    """Turn a run into one response a block.

    Each voxel is detrended linearly, keeping its mean, and expressed in percent of that mean. The series is moved
    one volume ahead of the events, and volumes whose start lies in a block are averaged.

    Args:
        series: Preprocessed run, (T, V), one volume every 3 s.
        blocks: K blocks.
        source: File, for messages.

    Returns:
        Percent signal change, (K, V). NaN in voxels whose mean is 0.

    Raises:
        DataError: If a block lies outside the run.

    Source:
        icgan.md section 1.7, inferred there from Horikawa & Kamitani 2017 and bdpy's preprocessing.
    """
    mean = series.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 100 * detrend(series, axis=0, type="linear") / np.where(mean == 0, np.nan, mean)
    shifted = change[SHIFT:]
    starts = TR_S * np.arange(len(shifted))
    of_block = [
        np.flatnonzero((starts >= block.onset) & (starts < block.onset + block.duration)) for block in blocks
    ]
    expected = [max(1, round(block.duration / TR_S)) for block in blocks]
    outside = [index for index, (at, n) in enumerate(zip(of_block, expected, strict=True)) if len(at) < n]
    if outside:
        last = blocks[outside[0]]
        raise DataError(
            f"{source} has {len(series)} volumes of {TR_S:g} s, too few for {len(outside)} of {len(blocks)} blocks, "
            f"the first at {last.onset:g} s for {last.duration:g} s.",
            "The run is cut off, or its events are another run's.",
        )
    return (
        np.stack([shifted[at].mean(axis=0) for at in of_block]) if blocks else np.empty((0, series.shape[1]))
    )


def _is_stub(path: Path) -> bool:
    """Whether a file is too small to be a volume: below 1 kB, but not a small mask that gzip pressed there."""
    if path.stat().st_size >= POINTER_BYTES:
        return False
    return not path.read_bytes().startswith(b"\x1f\x8b")
