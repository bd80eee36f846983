"""Writing subjects as the Generic Object Decoding files are, so that generated ones are read by the same code."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.bdata import BData
from lightning_modules.icgan.recordings.bdata_files import write_bdata
from lightning_modules.icgan.recordings.god import COORDINATES, FORMS, ROI_PREFIX, STIMULUS_KEYS
from lightning_modules.icgan.recordings.images import ARRAY_FILE, load_images, write_image_arrays
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.stimulus_ids import (
    TEST_ORDER,
    TRAINING_ORDER,
    StimulusOrder,
    encode_ids,
    order_text,
    parse_name,
    write_order,
)
from lightning_modules.parts.errors import DataError


def write_god(session: ImageSession, folder: Path) -> Path:
    """Write `SubjectN.h5`, both order files and `images_256.npz`; the same session gives the same bytes.

    Args:
        session: Its subject ends in a number, its stimuli have names such as `n03626115_19498` whose synset is
            their category, and each was shown either in training or as a test.
        folder: Made if need be. Subjects who saw the same images may share one.

    Returns:
        The subject's file.

    Raises:
        DataError: If the session cannot be written so, or the folder holds other images.
    """
    order, places = _order_of(session)
    folder.mkdir(parents=True, exist_ok=True)
    _write_shared(session, order, places, folder)
    path = folder / FORMS[0].format(_number(session))
    write_bdata(bdata_of(session), path)
    return path


def bdata_of(session: ImageSession) -> BData:
    """The table of a session: `DataType`, `Run`, the voxels, `stimulus_id`.

    Where the session has no area `VC`, all its voxels belong to it.
    """
    n_voxels = session.n_voxels
    pairs = np.array([parse_name(name) for name in session.stimulus_names], dtype=np.int64)[session.stimulus]
    # An imagined category has no picture.
    pairs[session.shown == Shown.IMAGERY, 1] = 0
    table = np.column_stack([session.shown, session.run, session.voxels, encode_ids(pairs)]).astype(
        np.float64
    )
    voxels = np.arange(2, 2 + n_voxels)
    roi = {"VC": np.ones(n_voxels, dtype=np.bool_), **session.roi}
    entries: list[tuple[str, str, NDArray[np.float64]]] = [
        ("DataType", "1 = training, 2 = test, 3 = imagery", _mark(table, [0])),
        ("Run", "Run number", _mark(table, [1])),
        ("VoxelData", "1 = voxel", _mark(table, voxels)),
        (STIMULUS_KEYS[0], "1 = stimulus id, synset + image / 1e6", _mark(table, [table.shape[1] - 1])),
        *((ROI_PREFIX + name, f"1 = {name}", _spread(table, voxels, mask)) for name, mask in roi.items()),
    ]
    if session.voxel_xyz is not None:
        entries += [
            (key, f"{key[-1]} of each voxel, mm", _spread(table, voxels, session.voxel_xyz[:, axis]))
            for axis, key in enumerate(COORDINATES)
        ]
    keys, descriptions, values = zip(*entries, strict=True)
    return BData(table, keys, descriptions, np.stack(values), source=session.source)


def _order_of(session: ImageSession) -> tuple[StimulusOrder, NDArray[np.int64]]:
    """Training and test images, and where each lies among the session's stimuli."""
    in_training, in_test = (
        np.isin(np.arange(session.n_stimuli), session.stimulus[session.shown == kind])
        for kind in (Shown.TRAINING, Shown.TEST)
    )
    if not np.array_equal(in_training, ~in_test):
        raise DataError(
            f"{session.source}: {int((in_training & in_test).sum())} stimuli were shown in training and as a test, "
            f"{int((~in_training & ~in_test).sum())} neither.",
            "The files tell training from test images by stimulus; leave the others out.",
        )
    pairs = np.array([parse_name(name) for name in session.stimulus_names], dtype=np.int64).reshape(-1, 2)
    if not np.array_equal(pairs[:, 0], session.category):
        raise DataError(
            f"{session.source}: the categories are not the synsets in the stimuli's names.",
            "Name stimuli after their category: n, the category in eight digits, _ and a number.",
        )
    places = np.concatenate([np.flatnonzero(in_training), np.flatnonzero(in_test)])
    return StimulusOrder(pairs[in_training], pairs[in_test]), places


def _write_shared(
    session: ImageSession, order: StimulusOrder, places: NDArray[np.int64], folder: Path
) -> None:
    """Write what subjects share, or check that it is already there and the same."""
    images = None if session.images is None else session.images[places]
    for name, pairs in ((TRAINING_ORDER, order.training), (TEST_ORDER, order.test)):
        if not (folder / name).exists():
            write_order(pairs, folder / name)
        elif (folder / name).read_text(encoding="utf-8") != order_text(pairs):
            raise _other_images(folder / name, session)
    if images is None:
        return
    if not (folder / ARRAY_FILE).exists():
        write_image_arrays(images, order, folder)
    elif not np.array_equal(load_images((folder,), order), images):
        raise _other_images(folder / ARRAY_FILE, session)


def _other_images(path: Path, session: ImageSession) -> DataError:
    return DataError(
        f"{path} is there and holds other images than those of {session.subject}.",
        "Subjects in one folder share their images: write this one to another folder.",
    )


def _number(session: ImageSession) -> int:
    match = re.search(r"(\d+)$", session.subject)
    if match is None:
        raise DataError(f"Subject {session.subject!r} has no number.", "Call it Subject1, Subject2, ...")
    return int(match[1])


def _mark(table: NDArray[np.float64], columns: NDArray[np.int64] | list[int]) -> NDArray[np.float64]:
    values = np.full(table.shape[1], np.nan)
    values[columns] = 1
    return values


def _spread(
    table: NDArray[np.float64], voxels: NDArray[np.int64], of_voxels: NDArray[np.generic]
) -> NDArray[np.float64]:
    values = np.full(table.shape[1], np.nan)
    values[voxels] = of_voxels.astype(np.float64)
    return values
