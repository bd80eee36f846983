"""Image sessions as `.npz` files, one a subject: the project's own format."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.images import as_rgb, opened_npz
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.parts.errors import DataError

REQUIRED = ("voxels", "roi", "stimulus", "images", "run", "subject")
OPTIONAL = ("split", "category", "stimulus_names", "imagery", "voxel_xyz")
SPLITS = {"training": Shown.TRAINING, "test": Shown.TEST}
UNNAMED = "stimulus_"
"""Before the number of a stimulus that the file does not name."""
BETWEEN_AREAS = "+"
"""Joins the names of the areas of a voxel that belongs to several."""


def read_session_npz(path: Path) -> ImageSession:
    """Read one session.

    Args:
        path: A file with `voxels` (K, V), `roi` str (V,) with `LOC+FFA` for a voxel of both and an empty string for
            one of none, `stimulus` int (K,) into `images` (S, H, W[, 3]) in [0, 1], `run` int (K,) and `subject`.
            Optional: `split` str (S,), training or test; without it all are training. `category` int (S,); without
            it each stimulus is its own. `stimulus_names` str (S,). `imagery` bool (K,), rows in which the stimulus
            was imagined. `voxel_xyz` float (V, 3), mm.

    Raises:
        DataError: If the file cannot be read, an entry is missing, or the entries do not fit together.
    """
    with opened_npz(path) as archive:
        entries = _entries(archive, path)
    source = path.name
    images = as_rgb(entries["images"], source)
    stimulus = _integers(entries, "stimulus", source)
    n_stimuli = len(images)
    names = entries.get("stimulus_names", np.array([f"{UNNAMED}{index}" for index in range(n_stimuli)]))
    entries.setdefault("category", np.arange(n_stimuli))
    if names.shape != (n_stimuli,):
        raise DataError(
            f"{source}: `stimulus_names` has shape {names.shape} for {n_stimuli} images.", "Name each image."
        )
    return ImageSession(
        voxels=_reals(entries, "voxels", source),
        stimulus=stimulus,
        stimulus_names=tuple(str(name) for name in names),
        category=_integers(entries, "category", source),
        shown=_shown(entries, stimulus, n_stimuli, source),
        run=_integers(entries, "run", source),
        roi=_areas(entries["roi"], source),
        subject=_subject(entries["subject"], path),
        images=images,
        voxel_xyz=_reals(entries, "voxel_xyz", source) if "voxel_xyz" in entries else None,
        source=source,
    )


def session_subject(path: Path) -> str:
    """Name of the subject in a file, without reading the rest of it.

    Raises:
        DataError: If the file cannot be read.
    """
    with opened_npz(path) as archive:
        return _subject(archive["subject"] if "subject" in archive.files else np.empty(0), path)


def write_session_npz(session: ImageSession, path: Path) -> None:
    """Write one session, compressed.

    Raises:
        DataError: If it has no images, or a stimulus was shown in training and as a test.
    """
    if session.images is None:
        raise DataError(f"{session.source} has no images.", "The format is one of pictures: read them too.")
    perceived = session.shown != Shown.IMAGERY
    is_test = np.isin(np.arange(session.n_stimuli), session.stimulus[session.shown == Shown.TEST])
    if np.any(is_test[session.stimulus[session.shown == Shown.TRAINING]]):
        raise DataError(
            f"{session.source}: stimuli were shown in training and as a test.",
            "The format tells training from test by stimulus; leave the others out.",
        )
    entries: dict[str, Any] = {
        "voxels": session.voxels,
        "roi": _labels(session),
        "stimulus": session.stimulus,
        "images": session.images,
        "run": session.run,
        "subject": np.array(session.subject),
        "split": np.where(is_test, "test", "training"),
        "category": session.category,
        "stimulus_names": np.array(session.stimulus_names),
    }
    if not perceived.all():
        entries["imagery"] = ~perceived
    if session.voxel_xyz is not None:
        entries["voxel_xyz"] = session.voxel_xyz
    np.savez_compressed(path, allow_pickle=False, **entries)


def _entries(archive: NpzFile, path: Path) -> dict[str, NDArray[Any]]:
    missing = [name for name in REQUIRED if name not in archive.files]
    if missing:
        raise DataError(
            f"{path} is not an image session: {', '.join(missing)} missing. It holds "
            f"{', '.join(archive.files) or 'nothing'}.",
            "Add the missing entries; `write_session_npz` writes a complete session.",
        )
    return {name: archive[name] for name in archive.files if name in REQUIRED + OPTIONAL}


def _subject(entry: NDArray[Any], path: Path) -> str:
    return str(entry.item()) if entry.size == 1 else path.stem


def _shown(
    entries: dict[str, NDArray[Any]], stimulus: NDArray[np.int64], n_stimuli: int, source: str
) -> NDArray[np.int64]:
    split = np.asarray(entries.get("split", np.full(n_stimuli, "training"))).astype(np.str_)
    unknown = sorted(set(split.tolist()) - set(SPLITS))
    if split.shape != (n_stimuli,) or unknown:
        raise DataError(
            f"{source}: `split` has shape {split.shape} for {n_stimuli} images and holds "
            f"{', '.join(unknown) or 'known values'}.",
            f"Give each image one of {', '.join(SPLITS)}.",
        )
    imagery = np.asarray(entries.get("imagery", np.zeros(len(stimulus), np.bool_)))
    inside = (stimulus >= 0) & (stimulus < n_stimuli)
    if imagery.shape != stimulus.shape or not inside.all():
        raise DataError(
            f"{source}: `stimulus` goes from {stimulus.min(initial=0)} to {stimulus.max(initial=0)} for {n_stimuli} "
            f"images, `imagery` has shape {imagery.shape} for {len(stimulus)} rows.",
            "Count images from 0; give `imagery` one value a row.",
        )
    kind = np.array([int(SPLITS[name]) for name in split.tolist()], dtype=np.int64)
    return np.where(imagery.astype(np.bool_), int(Shown.IMAGERY), kind[stimulus])


def _areas(labels: NDArray[Any], source: str) -> dict[str, NDArray[np.bool_]]:
    if labels.ndim != 1 or labels.dtype.kind != "U":
        raise DataError(
            f"{source}: `roi` is {labels.dtype} of shape {labels.shape}, not a name for each voxel.",
            f"Store area names as str (V,), several joined by {BETWEEN_AREAS}.",
        )
    of_voxel = [label.split(BETWEEN_AREAS) if label else [] for label in labels.tolist()]
    names = dict.fromkeys(name for each in of_voxel for name in each)
    return {name: np.array([name in each for each in of_voxel], dtype=np.bool_) for name in names}


def _labels(session: ImageSession) -> NDArray[np.str_]:
    marked = [(name, mask.tolist()) for name, mask in session.roi.items()]
    return np.array(
        [
            BETWEEN_AREAS.join(name for name, mask in marked if mask[voxel])
            for voxel in range(session.n_voxels)
        ],
        dtype=np.str_,
    )


def _reals(entries: dict[str, NDArray[Any]], name: str, source: str) -> NDArray[np.float32]:
    values = entries[name]
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise DataError(
            f"{source}: `{name}` is {values.dtype}, or holds NaN or infinity.", "Store finite float32 values."
        )
    return values.astype(np.float32)


def _integers(entries: dict[str, NDArray[Any]], name: str, source: str) -> NDArray[np.int64]:
    values = entries[name]
    if values.ndim != 1 or values.dtype.kind not in "iuf" or np.any(values % 1):
        raise DataError(
            f"{source}: `{name}` is {values.dtype} of shape {values.shape}, not a row of whole numbers.",
            f"Store `{name}` as int64.",
        )
    return values.astype(np.int64)
