"""Generic Object Decoding subjects as MinD-Vis packs them: `sbj_N.npz`.

Source: `zjc062/mind-vis`, `code/dataset.py`: arr_0 training rows, arr_1 single test trials, arr_2 averaged test rows,
arr_3 which training image each row is of, and an array of booleans for each area.
"""

from pathlib import Path

import numpy as np

from lightning_modules.icgan.recordings.god_rows import GodRows, god_subject
from lightning_modules.icgan.recordings.images import opened_npz
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.recordings.stimulus_ids import StimulusOrder
from lightning_modules.parts.errors import DataError

MINDVIS_ARRAYS = ("arr_0", "arr_2", "arr_3")
"""What is read. Which image each row of arr_1 is of is written nowhere, so that it is left out."""
MINDVIS_ROWS = {Shown.TRAINING: 1200, Shown.TEST: 50}


def read_mindvis_rows(path: Path, order: StimulusOrder) -> GodRows:
    """Read one subject: training rows, and test rows that are already averaged.

    Args:
        path: The file.
        order: The stimuli, to whose training images arr_3 refers and whose test images arr_2 follows.

    Raises:
        DataError: If an array is missing or does not fit.
    """
    with opened_npz(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "arr_1"}
    missing = [name for name in MINDVIS_ARRAYS if name not in arrays]
    if missing:
        raise DataError(
            f"{path} lacks {', '.join(missing)}. It holds {', '.join(arrays)}.",
            "Give a subject as MinD-Vis packs it, or an image session with `voxels`, `roi`, `stimulus`, `images`.",
        )
    training, test, image = (arrays[name] for name in MINDVIS_ARRAYS)
    if training.ndim != 2 or test.ndim != 2 or training.shape[1] != test.shape[1]:
        raise DataError(
            f"{path}: arr_0 {training.shape} and arr_2 {test.shape} are no rows of the same voxels.",
            "Download it again.",
        )
    if image.shape != training.shape[:1] or not np.isin(image, np.arange(len(order.training))).all():
        raise DataError(
            f"{path}: arr_3 {image.shape} must tell for each of {len(training)} training rows which of "
            f"{len(order.training)} images it is of.",
            "Use the order files that belong to this data set.",
        )
    if len(test) != len(order.test):
        raise DataError(
            f"{path}: arr_2 has {len(test)} rows for {len(order.test)} test images.", "Download it again."
        )
    return GodRows(
        voxels=np.concatenate([training, test]),
        ids=np.concatenate([order.training[image.astype(np.int64)], order.test]),
        shown=np.repeat(np.array([Shown.TRAINING, Shown.TEST]), [len(training), len(test)]),
        run=np.zeros(len(training) + len(test), dtype=np.int64),
        roi={name: mask for name, mask in arrays.items() if mask.dtype == np.bool_ and mask.ndim == 1},
        voxel_xyz=None,
        subject=god_subject(path),
        source=path.name,
        notes=("runs are not known, test rows are averages, and there are no imagery rows.",),
    )
