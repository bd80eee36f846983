"""Subjects of the Generic Object Decoding experiment (Horikawa & Kamitani 2017), in each form they are given out."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.bdata import BData
from lightning_modules.icgan.recordings.bdata_files import read_bdata
from lightning_modules.icgan.recordings.bids import read_bids_rows
from lightning_modules.icgan.recordings.god_rows import (
    EXPECTED_ROWS,
    BadVoxels,
    GodRows,
    build_session,
    god_subject,
)
from lightning_modules.icgan.recordings.images import load_images
from lightning_modules.icgan.recordings.mindvis import MINDVIS_ROWS, read_mindvis_rows
from lightning_modules.icgan.recordings.pointers import is_there
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.icgan.recordings.stimulus_ids import (
    TEST_ORDER,
    TRAINING_ORDER,
    StimulusOrder,
    decode_ids,
    read_order,
)
from lightning_modules.parts.errors import DataError

FORMS = ("Subject{0}.h5", "Subject{0}.mat", "sub-{0:02d}", "sbj_{0}.npz")
"""Names of a subject, in the order in which they are looked for."""
SUBJECTS_FOLDER = "fmri_data"
"""Where the authors' scripts expect the subjects; the order files and images lie above it."""
ROI_PREFIX = "ROI_"
STIMULUS_KEYS = ("stimulus_id", "Label")
"""Key of the stimulus id: of `.h5` files, of `.mat` files."""
COORDINATES = ("voxel_x", "voxel_y", "voxel_z")
DOWNLOADS = (
    "Download figshare article 7387130: Subject1.h5 to Subject5.h5 are files 24080120, 24080123, 24080126, 24080129 "
    "and 24080132 (older .h5 15049646, 15049649, 15049652, 15049655, 15049658; .mat 13663487, 13663490, 13663493, "
    "13663496, 13663499); or use source=synthetic to run without data, which is what leaving out `--data.path` does."
)


def god_subjects(root: Path) -> list[int]:
    """Numbers of the subjects that a folder holds, in whatever form."""
    patterns = [
        re.compile(re.escape(form).replace(r"\{0\}", r"(\d+)").replace(r"\{0:02d\}", r"(\d+)"))
        for form in FORMS
    ]
    names = [entry.name for folder in _folders(root) if folder.is_dir() for entry in folder.iterdir()]
    matches = (pattern.fullmatch(name) for pattern in patterns for name in names)
    return sorted({int(match[1]) for match in matches if match})


def find_god(root: Path, subject: int) -> Path:
    """The file or folder of one subject.

    Raises:
        DataError: If there is none; names every name that was tried.
    """
    tried = [folder / form.format(subject) for form in FORMS for folder in _folders(root)]
    for path in tried:
        if is_there(path):
            return path
    raise DataError(
        f"There is no data of subject {subject} in {root}. Tried {', '.join(map(str, tried))}.", DOWNLOADS
    )


def read_god(
    root: Path,
    subject: int,
    *,
    with_images: bool = True,
    strict: bool = True,
    bad_voxels: BadVoxels = "refuse",
) -> ImageSession:
    """Read one subject of a folder: `SubjectN.h5`, `SubjectN.mat`, a BIDS tree with `sub-0N`, or `sbj_N.npz`.

    The order files `imageID_training.csv` and `imageID_test.csv`, and the images, lie beside the subject; if that is
    in a folder `fmri_data`, also above it.

    Args:
        root: The folder; `.h5` and `.mat` files may also be in its `fmri_data`.
        subject: Number of the subject.
        with_images: Whether to read the pictures.
        strict: Whether the rows must be exactly those of the experiment.
        bad_voxels: What is done about voxels that hold NaN or never change.

    Returns:
        The session as recorded: voxels are not z-scored, test repeats not averaged. Areas are called `V1` to
        `VC`, without their prefix. Stimuli are the training images, then the test images.

    Raises:
        DataError: If something is missing or not as it must be.

    Source:
        icgan.md sections 1.4, 1.5, 1.7 and 8.1.
    """
    return read_god_file(
        find_god(root, subject), with_images=with_images, strict=strict, bad_voxels=bad_voxels
    )


def read_god_file(
    path: Path, *, with_images: bool = True, strict: bool = True, bad_voxels: BadVoxels = "refuse"
) -> ImageSession:
    """Read the subject of a file, or of a folder `sub-0N` in a BIDS tree; see `read_god`.

    Raises:
        DataError: If something is missing or not as it must be.
    """
    beside = path.parent
    folders = (beside, beside.parent) if beside.name == SUBJECTS_FOLDER else (beside,)
    order = read_stimulus_order(folders)
    if path.is_dir():
        rows = read_bids_rows(path)
    elif path.suffix.lower() == ".npz":
        rows = read_mindvis_rows(path, order)
    else:
        rows = rows_of_bdata(read_bdata(path), god_subject(path))
    images = load_images(folders, order) if with_images else None
    expected = MINDVIS_ROWS if path.suffix.lower() == ".npz" else EXPECTED_ROWS
    return build_session(rows, order, images, strict=strict, bad_voxels=bad_voxels, expected=expected)


def read_stimulus_order(folders: Sequence[Path]) -> StimulusOrder:
    """Read both order files from the first of the folders that holds each.

    Raises:
        DataError: If one is missing, cannot be read, or both hold one image.
    """
    found = []
    for name in (TRAINING_ORDER, TEST_ORDER):
        path = next((folder / name for folder in folders if is_there(folder / name)), None)
        if path is None:
            raise DataError(
                f"{name} is missing: it is not in {' or '.join(map(str, folders))}.",
                "Put it there; it ships in the data folder of KamitaniLab/GenericObjectDecoding.",
            )
        found.append(read_order(path))
    order = StimulusOrder(*found)
    both = set(map(tuple, order.training.tolist())) & set(map(tuple, order.test.tolist()))
    if both:
        raise DataError(
            f"{TRAINING_ORDER} and {TEST_ORDER} in {folders[0]} share {len(both)} images.",
            "Use the files as they ship: no test image was shown in training.",
        )
    return order


def rows_of_bdata(data: BData, subject: str) -> GodRows:
    """Take a subject's rows from its table, by key.

    Args:
        data: The table.
        subject: Name of the subject.

    Raises:
        DataError: If a key is missing (`VoxelData`, `DataType`, `Run`, the stimulus id or `ROI_VC`).
    """
    data.columns(ROI_PREFIX + "VC")
    stimulus_key = next((key for key in STIMULUS_KEYS if key in data), STIMULUS_KEYS[0])
    voxel_columns = data.columns("VoxelData")
    areas = [key for key in data.keys if key.startswith(ROI_PREFIX)]
    return GodRows(
        voxels=data.dataset[:, voxel_columns],
        # A `.mat` file may mark several label columns: the id is the first.
        ids=decode_ids(_first_column(data, stimulus_key), data.source),
        shown=_whole(data, "DataType"),
        run=_whole(data, "Run"),
        roi={
            key.removeprefix(ROI_PREFIX): np.isin(voxel_columns, data.columns(key), assume_unique=True)
            for key in areas
        },
        voxel_xyz=(
            np.stack([data.numbers(key, of="VoxelData") for key in COORDINATES], axis=1)
            if all(key in data for key in COORDINATES)
            else None
        ),
        subject=subject,
        source=data.source,
    )


def _folders(root: Path) -> tuple[Path, Path]:
    return root, root / SUBJECTS_FOLDER


def _first_column(data: BData, key: str) -> NDArray[np.float64]:
    columns = data.select(key)
    if not columns.shape[1]:
        raise DataError(
            f"{data.source}: `{key}` marks no column.", "Its metadata must be 1 at the column of the label."
        )
    return columns[:, 0]


def _whole(data: BData, key: str) -> NDArray[np.int64]:
    values = _first_column(data, key)
    if not np.all(np.isfinite(values)) or np.any(values % 1):
        raise DataError(f"{data.source}: `{key}` holds other than whole numbers.", "Download it again.")
    return values.astype(np.int64)
