"""What a trained picture decoder must remember of its subject, so that a later session can be decoded and judged."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.pictures import PictureData, pixel_rows, pixel_shape
from lightning_modules.icgan.decoder.pixels import PIXELS
from lightning_modules.icgan.decoder.settings import ALL_VOXELS
from lightning_modules.icgan.decoder.targets import PICTURE, TargetData
from lightning_modules.icgan.recordings.session import Scaling
from lightning_modules.parts.errors import DataError

DECIMALS = 2
"""Of the places of voxels, mm."""


@dataclass(frozen=True, eq=False)
class PictureInput:
    """The subject and the pictures that a decoder was trained on.

    Args:
        subject: Who looked.
        n_voxels: V.
        areas: Voxels of each area, by its name.
        layout: Digest of which voxels those are, by the area's name.
        voxel_xyz: Place of each voxel, mm, (V, 3); None if not known.
        scaling: How responses were normalised.
        picture_shape: Height, width and colours of decoded pictures.
        picture_mean: Mean over training rows of the picture that was seen, averaged down by `pixel_shape`, (D,).
        training_stimuli: Name of each picture that was trained on.
        training_pictures: Its digest.
        sealed_stimuli: Names of the pictures that no search saw.
        generator: Folder of the generator; empty where there is none.
    """

    subject: str
    n_voxels: int
    areas: Mapping[str, int]
    layout: Mapping[str, str]
    voxel_xyz: NDArray[np.float64] | None
    scaling: Scaling
    picture_shape: tuple[int, ...]
    picture_mean: NDArray[np.float64]
    training_stimuli: tuple[str, ...]
    training_pictures: tuple[str, ...]
    sealed_stimuli: tuple[str, ...]
    generator: str

    @classmethod
    def of(cls, data: PictureData) -> "PictureInput":
        """Describe what a decoder was trained on."""
        of_generator = isinstance(data, TargetData)
        rows = data.tables[PICTURE if of_generator else PIXELS]
        mean = rows[data.stimulus].mean(axis=0, dtype=np.float64).reshape(1, *data.picture_shape)
        return cls(
            subject=data.subject,
            n_voxels=data.voxels.shape[1],
            areas={name: int(mask.sum()) for name, mask in data.roi.items()},
            layout=layout_of(data.roi),
            voxel_xyz=None if data.voxel_xyz is None else data.voxel_xyz.astype(np.float64).round(DECIMALS),
            scaling=data.scaling,
            picture_shape=tuple(data.picture_shape),
            picture_mean=pixel_rows(mean, pixel_shape(data.picture_shape))[0].astype(np.float64),
            training_stimuli=data.stimulus_names,
            training_pictures=tuple(digest_of_picture(row) for row in rows),
            sealed_stimuli=data.sealed_stimuli,
            generator=data.generator_path if of_generator else "",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; about 60 bytes for each voxel, 40 for each training picture."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        scaling = {name: _plain(part) for name, part in asdict(self.scaling).items()}
        return {name: _plain(part) for name, part in plain.items()} | {"scaling": scaling}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "PictureInput":
        """Take up what `as_dict` gave.

        Raises:
            DataError: If it is of an earlier version or another model.
        """
        missing = [one.name for one in fields(cls) if one.name not in stored]
        if missing:
            raise DataError(
                f"The description of the model's input lacks {', '.join(missing)}.",
                "An earlier version of neurosweep trained the model: train it again.",
            )
        given: dict[str, Any] = {one.name: stored[one.name] for one in fields(cls)}
        scaling = dict(stored["scaling"])
        for name in ("mean", "std"):
            scaling[name] = np.array(scaling[name], dtype=np.float64)
        for name in ("picture_shape", "training_stimuli", "training_pictures", "sealed_stimuli"):
            given[name] = tuple(given[name])
        for name in ("picture_mean", "voxel_xyz"):
            given[name] = None if stored[name] is None else np.array(stored[name], dtype=np.float64)
        return cls(**{**given, "scaling": Scaling(**scaling)})


def layout_of(areas: Mapping[str, NDArray[np.bool_]]) -> dict[str, str]:
    """Return a digest of the voxels of each area."""
    return {name: _digest(mask) for name, mask in areas.items() if name != ALL_VOXELS}


def digest_of_picture(row: NDArray[np.float32]) -> str:
    """Return a digest of a picture's pixels, as bytes."""
    return _digest(np.rint(row * 255).astype(np.uint8))


def _digest(values: NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=8).hexdigest()


def _plain(part: Any) -> Any:
    if isinstance(part, np.ndarray):
        return part.tolist()
    return list(part) if isinstance(part, tuple) else part
