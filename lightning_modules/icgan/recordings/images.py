"""The pictures of the Generic Object Decoding experiment: as an array file, or as a folder of photographs."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from skimage.transform import resize

from lightning_modules.icgan.recordings.pointers import is_there, refuse_pointer
from lightning_modules.icgan.recordings.stimulus_ids import StimulusOrder, names_of
from lightning_modules.parts.errors import DataError

Images: TypeAlias = NDArray[np.float32]
"""RGB in [0, 1], (S, height, width, 3)."""

IMAGE_SIZE = 256
ARRAY_FILE = "images_256.npz"
ARRAYS = ("train_images", "test_images")
FOLDERS = ("images/training", "images/test")
DIVIDED_TWICE = 1 / 255
"""The largest value that images can have which were divided by 255 once too often."""
WITHOUT_IMAGES = "features can still be loaded from arrays: read the subject with `with_images=False`."


def load_images(folders: Sequence[Path], order: StimulusOrder) -> Images:
    """Load the pictures of all stimuli, from `images_256.npz` or else from `images/training` and `images/test`.

    Args:
        folders: Where they may be.
        order: Which pictures, and in which order.

    Returns:
        RGB in [0, 1], (S, height, width, 3): training before test.

    Raises:
        DataError: If they are missing, or are not what they should be.
    """
    for folder in folders:
        if is_there(folder / ARRAY_FILE):
            return _from_arrays(folder / ARRAY_FILE, order)
    root = next((folder for folder in folders if (folder / "images").is_dir()), folders[0])
    parts = (order.training, order.test)
    files = [
        root / where / f"{name}.JPEG"
        for where, pairs in zip(FOLDERS, parts, strict=True)
        for name in names_of(pairs)
    ]
    missing = [file.stem for file in files if not is_there(file)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} images are missing, the first ones: {', '.join(missing[:5])}. Looked "
            f"for {ARRAY_FILE} and for {FOLDERS[0]}/*.JPEG in {', '.join(map(str, folders))}.",
            "The photographs are given out by the data set's form, see KamitaniLab/GenericObjectDecoding; "
            + WITHOUT_IMAGES,
        )
    images = np.empty((len(files), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.float32)
    for index, file in enumerate(files):
        images[index] = prepare_photograph(_open_photograph(file))
    return images


def prepare_photograph(photograph: NDArray[np.uint8]) -> Images:
    """Crop a photograph to its centre and resize it to 256 x 256.

    Args:
        photograph: RGB in 0..255, (height, width, 3).

    Returns:
        RGB in [0, 1], (256, 256, 3).

    Source:
        `kamitani_image_prepare.py` of `ozcelikfu/IC-GAN_fMRI_Reconstruction`, whose crop keeps one pixel more of
        the longer side. Its second division by 255 is a bug and is not repeated (icgan.md section 1.5).
    """
    height, width = photograph.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = photograph[top : top + side + (height > width), left : left + side + (width > height)]
    return np.asarray(resize(square, (IMAGE_SIZE, IMAGE_SIZE), order=3), dtype=np.float32)


def write_image_arrays(images: Images, order: StimulusOrder, folder: Path) -> None:
    """Write pictures (S, H, W, 3), training before test, as `load_images` reads them; of any size."""
    n_training = len(order.training)
    np.savez(folder / ARRAY_FILE, train_images=images[:n_training], test_images=images[n_training:])


def as_rgb(images: NDArray[Any], source: str) -> Images:
    """Bring stored pictures to RGB in [0, 1].

    Args:
        images: (S, H, W) or (S, H, W, 1 or 3): integers in 0..255 or reals in [0, 1].
        source: File, for messages.

    Raises:
        DataError: If they are no pictures, or were divided by 255 too often or too seldom.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.dtype.kind not in "uifb":
        raise DataError(
            f"{source}: images are {images.dtype} of shape {images.shape}, not (images, height, width[, 3]).",
            "Store numbers, grey or RGB, one picture after the other.",
        )
    # Integers of 0 and 1 alone are black-and-white pictures, not nearly black ones.
    is_bytes = images.dtype.kind in "ui" and images.max(initial=0) > 1
    real = images.astype(np.float32)
    if is_bytes:
        real /= 255
    low, high = float(real.min(initial=0)), float(real.max(initial=0))
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{source}: images go from {low:.3g} to {high:.3g}, not in [0, 1].",
            "Divide 8-bit values by 255 once, and clip what interpolation left outside.",
        )
    if 0 < high <= DIVIDED_TWICE * (1 + 1e-6):
        raise DataError(
            f"{source}: the brightest value of all images is {high:.4g}: they were divided by 255 twice, as the "
            "public script does.",
            "Multiply them by 255 and save them again; features of such images are features of black.",
        )
    return np.repeat(real, 3, axis=3) if real.shape[3] == 1 else real


def is_grey(images: NDArray[np.float32]) -> bool:
    """Whether no pixel of any picture (S, H, W, 3) has a colour."""
    return all(bool((one == one[..., :1]).all()) for one in images)


@contextmanager
def opened_npz(path: Path) -> Iterator[NpzFile]:
    """Open an `.npz` file, whose arrays are read as they are asked for.

    Raises:
        DataError: If the content was not fetched, or it cannot be read; also while arrays are read.
    """
    refuse_pointer(path)
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise DataError(f"{path} holds a single array.", "Save several by name, with `numpy.savez`.")
        with archive:
            yield archive
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as .npz: {error}",
            "The file is empty, cut off or corrupt, or holds pickled objects: copy or save it again.",
        ) from error


def _from_arrays(path: Path, order: StimulusOrder) -> Images:
    with opened_npz(path) as archive:
        if not set(ARRAYS) <= set(archive.files):
            raise DataError(
                f"{path} holds {', '.join(archive.files) or 'nothing'}, not {' and '.join(ARRAYS)}.",
                "Write it with the public kamitani_image_prepare.py, or give the folder of photographs.",
            )
        found = [as_rgb(archive[name], f"{path.name}: {name}") for name in ARRAYS]
    for name, images, pairs in zip(ARRAYS, found, (order.training, order.test), strict=True):
        if len(images) != len(pairs):
            missing = names_of(pairs)[len(images) :][:5]
            raise DataError(
                f"{path}: `{name}` holds {len(images)} images for {len(pairs)} stimuli, "
                f"{max(0, len(pairs) - len(images))} are missing. First ones without: {', '.join(missing)}.",
                f"Images must follow the order file; {WITHOUT_IMAGES}",
            )
    if found[0].shape[1:] != found[1].shape[1:]:
        raise DataError(
            f"{path}: training images are {found[0].shape[1:]}, test images {found[1].shape[1:]}.",
            "Resize them to one size.",
        )
    return np.concatenate(found)


def _open_photograph(file: Path) -> NDArray[np.uint8]:
    refuse_pointer(file)
    try:
        with Image.open(file) as photograph:
            return np.asarray(photograph.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{file} cannot be read as a picture: {error}", "Download it again.") from error
