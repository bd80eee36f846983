"""One subject who looked at pictures: a row of voxels for every picture shown, checked when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError


class Shown(IntEnum):
    """Why a row was recorded; the numbers are those of `DataType` in the Generic Object Decoding files."""

    TRAINING = 1
    TEST = 2
    IMAGERY = 3


@dataclass(frozen=True, eq=False)
class Scaling:
    """How voxels were scaled, so that later rows of the same subject can be scaled alike.

    Args:
        by: See `normalise`; `none` leaves them as recorded.
        run_key: What makes two rows of one run, where it is `per_run`.
        mean: Of each voxel over the training rows, before scaling, float64 (V,).
        std: Its standard deviation (ddof 1), float64 (V,); NaN of fewer than two training rows.
    """

    by: Literal["per_run", "training_stats", "none"]
    run_key: Literal["kind_and_run", "run"]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImageSession:
    """One subject's voxels, what was shown, and which area each voxel belongs to.

    Shapes:
        K rows (one block of one picture each), V voxels, S stimuli, R areas.

    Args:
        voxels: Response of each voxel in each block, float32 (K, V); not z-scored unless `notes` says so.
        stimulus: Which stimulus each row is of, int64 (K,), an index into the stimuli.
        stimulus_names: Name of each of the S stimuli, such as `n01518878_10042`.
        category: Category of each stimulus, int64 (S,): the WordNet synset for natural pictures. Whole categories
            are held out in cross-validation.
        shown: `Shown` of each row, int64 (K,).
        run: Run of each row, int64 (K,). Numbers may start again with every kind of row.
        roi: Whether each voxel belongs to an area, bool (V,) by the area's name. Areas may overlap.
        subject: Who looked.
        images: The stimuli, RGB in [0, 1], float32 (S, H, W, 3); None where they were not given.
        voxel_xyz: Place of each voxel, mm, float32 (V, 3); None if not known.
        source: File or description, for messages.
        notes: What the reader noticed or left out, in sentences.
        scaling: What `normalise` did to the voxels; None if nothing.

    Raises:
        DataError: If the parts do not fit together.
    """

    voxels: NDArray[np.float32]
    stimulus: NDArray[np.int64]
    stimulus_names: tuple[str, ...]
    category: NDArray[np.int64]
    shown: NDArray[np.int64]
    run: NDArray[np.int64]
    roi: Mapping[str, NDArray[np.bool_]]
    subject: str
    images: NDArray[np.float32] | None = None
    voxel_xyz: NDArray[np.float32] | None = None
    source: str = "session"
    notes: tuple[str, ...] = field(default=())
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise DataError(
                f"{self.source} is no image session: {' '.join(problems)}", "Mend the file, or its export."
            )

    @property
    def n_voxels(self) -> int:
        """V."""
        return self.voxels.shape[1]

    @property
    def n_stimuli(self) -> int:
        """S."""
        return len(self.stimulus_names)

    def rows(self, shown: Shown) -> NDArray[np.int64]:
        """Indices of the rows of one kind, in the order of the file."""
        return np.flatnonzero(self.shown == shown)


def _problems(session: ImageSession) -> list[str]:
    n_rows, n_voxels = session.voxels.shape if session.voxels.ndim == 2 else (-1, -1)
    n_stimuli = session.n_stimuli
    expected: dict[str, tuple[int, ...]] = {
        "stimulus": (n_rows,),
        "shown": (n_rows,),
        "run": (n_rows,),
        "category": (n_stimuli,),
    }
    found = [] if n_rows >= 0 else [f"`voxels` has shape {session.voxels.shape}, not (rows, voxels)."]
    if n_rows >= 0:
        found += [
            f"`{name}` has shape {getattr(session, name).shape}, not {shape}."
            for name, shape in expected.items()
            if getattr(session, name).shape != shape
        ]
        found += [
            f"area `{name}` marks {len(mask)} voxels of {n_voxels}."
            for name, mask in session.roi.items()
            if mask.shape != (n_voxels,)
        ]
    if found:
        return found
    if n_rows and not (session.stimulus.min() >= 0 and session.stimulus.max() < n_stimuli):
        found.append(
            f"`stimulus` goes from {session.stimulus.min()} to {session.stimulus.max()}, but there are "
            f"{n_stimuli} stimuli."
        )
    unknown = sorted(set(session.shown.tolist()) - {one.value for one in Shown})
    if unknown:
        found.append(f"`shown` holds {unknown}, but only {[one.value for one in Shown]} have a meaning.")
    if session.images is not None:
        found += _problems_of_images(session.images, n_stimuli)
    if session.voxel_xyz is not None and session.voxel_xyz.shape != (n_voxels, 3):
        found.append(f"`voxel_xyz` has shape {session.voxel_xyz.shape}, not {(n_voxels, 3)}.")
    return found


def _problems_of_images(images: NDArray[np.float32], n_stimuli: int) -> list[str]:
    if images.ndim != 4 or images.shape[0] != n_stimuli or images.shape[3] != 3:
        return [f"`images` has shape {images.shape}, not ({n_stimuli}, height, width, 3)."]
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    if low < 0 or high > 1:
        return [f"`images` go from {low:.3g} to {high:.3g}, but must lie in [0, 1]."]
    return []
