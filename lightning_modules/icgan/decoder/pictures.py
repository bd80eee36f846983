"""What a search of picture decoders may see: training rows, pictures and areas. Test pictures are named, not held."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize_local_mean

from lightning_modules.icgan.decoder.settings import ALL_VOXELS
from lightning_modules.icgan.recordings.images import is_grey
from lightning_modules.icgan.recordings.normalise import scaling_of, training_rows
from lightning_modules.icgan.recordings.session import ImageSession, Scaling
from lightning_modules.icgan.regression.folds import grouped_folds
from lightning_modules.icgan.synthetic.subject import GENERATED
from lightning_modules.parts.errors import DataError

FEW_CATEGORIES = 24
"""Up to so many, every category is held out by itself."""
N_FOLDS = 6
LARGEST_SIDE = 32
"""Pixels of a decoded picture."""


@dataclass(frozen=True, eq=False)
class PictureData:
    """Training rows of one subject, with the features of each picture.

    Shapes:
        n rows, V voxels, S training stimuli.

    Args:
        voxels: Normalised responses, float32 (n, V).
        stimulus: Which stimulus each row is of, int64 (n,).
        shown_stimuli: Index of each of the S stimuli among all of the session's, int64 (S,).
        stimulus_names: (S,).
        category: Of each stimulus, int64 (S,).
        fold: Fold of each row, whole categories together, int64 (n,).
        tables: Features of each stimulus by name, float32 (S, D).
        picture_shape: Height, width and colours of the pictures.
        roi: Whether each voxel belongs to an area, bool (V,), by the area's name; `all` is among them.
        subject: Who looked.
        sealed_stimuli: Names of the pictures that no search sees.
        scaling: How the responses were normalised.
        voxel_xyz: Place of each voxel, mm, float32 (V, 3); None if not known.
        notes: What to know, in sentences for the user.
    """

    voxels: NDArray[np.float32]
    stimulus: NDArray[np.int64]
    shown_stimuli: NDArray[np.int64]
    stimulus_names: tuple[str, ...]
    category: NDArray[np.int64]
    fold: NDArray[np.int64]
    tables: Mapping[str, NDArray[np.float32]]
    picture_shape: tuple[int, ...]
    roi: Mapping[str, NDArray[np.bool_]]
    subject: str
    sealed_stimuli: tuple[str, ...]
    scaling: Scaling
    voxel_xyz: NDArray[np.float32] | None
    notes: tuple[str, ...] = ()

    def check(self, fixed: Mapping[str, Any]) -> None:
        """Hold what is fixed for all trials of a sweep against the recording.

        Args:
            fixed: Values by dotted name, such as `model.area`.

        Raises:
            DataError: If an area is named that the recording does not have.
        """
        known = {name: int(mask.sum()) for name, mask in self.roi.items()}
        wrong = [
            f"`--{name} {value}`"
            for name, value in fixed.items()
            if name.startswith("model.") and name.endswith("area") and not known.get(value)
        ]
        if wrong:
            there = ", ".join(f"{name} ({count})" for name, count in known.items() if count)
            raise DataError(
                f"The recording of {self.subject} has no voxels for {', '.join(wrong)}.",
                f"Name an area that it has: {there}.",
            )


def signature(origin: str, data: PictureData) -> str:
    """Return what a figure is signed with: whose the decoder is, and that data are synthetic where they are."""
    return f"{origin}; synthetic data" if GENERATED in data.notes else origin


def training_pictures(
    session: ImageSession, *, sealed: NDArray[np.int64], n_folds: int | None, fold_seed: int
) -> PictureData:
    """Cut the training rows out of a normalised session, without features of the pictures yet.

    Args:
        session: Normalised, with its sealed stimuli.
        sealed: Stimuli that no search sees.
        n_folds: Folds that hold out whole categories. Default: 6, or every category by itself where there are few.
        fold_seed: Of the folds.

    Raises:
        DataError: If fewer than two categories are left.
    """
    rows = training_rows(session)
    rows = rows[~np.isin(session.stimulus[rows], sealed)]
    kept, stimulus = np.unique(session.stimulus[rows], return_inverse=True)
    category = session.category[kept]
    n_categories = len(np.unique(category))
    if n_categories < 2:
        raise DataError(
            f"{session.source} leaves {n_categories} categories to train on, but cross-validation needs 2.",
            "Seal fewer categories, or give a session with more pictures.",
        )
    if n_folds is None:
        n_folds = n_categories if n_categories <= FEW_CATEGORIES else N_FOLDS
    return PictureData(
        voxels=session.voxels[rows],
        stimulus=stimulus.reshape(-1).astype(np.int64),
        shown_stimuli=kept,
        stimulus_names=tuple(session.stimulus_names[one] for one in kept),
        category=category,
        fold=grouped_folds(category[stimulus.reshape(-1)], n_folds, fold_seed),
        tables={},
        picture_shape=(),
        roi={ALL_VOXELS: np.ones(session.n_voxels, dtype=np.bool_), **session.roi},
        subject=session.subject,
        sealed_stimuli=tuple(session.stimulus_names[one] for one in sealed),
        scaling=scaling_of(session),
        voxel_xyz=session.voxel_xyz,
        notes=session.notes,
    )


def pixel_table(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """Return pictures as rows of pixels, and the shape of a picture.

    Pictures without colour keep one channel; those larger than 32 by 32 are averaged down to it, since what voxels
    of 3 mm tell is coarse.

    Args:
        images: (S, H, W, 3) in [0, 1].
    """
    if is_grey(images):
        images = images[..., :1]
    shape = pixel_shape(images.shape[1:])
    return pixel_rows(images, shape), shape


def pixel_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape that pictures of a shape (H, W, C) are averaged down to."""
    height, width, colours = shape
    return min(height, LARGEST_SIDE), min(width, LARGEST_SIDE), colours


def pixel_rows(images: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return pictures (S, H, W, C) averaged, where their size differs, to a shape with as many colours, (S, D)."""
    if images.shape[1:3] != shape[:2]:
        images = np.stack([resize_local_mean(one, shape[:2]) for one in images]).astype(np.float32)
    return images.reshape(len(images), -1)
