"""What a decoder in closed form is trained on: all training rows of a subject at once."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class DecodingBatch(NamedTuple):
    """All training rows.

    Shapes:
        n rows, V voxels, S stimuli.

    Args:
        voxels: Normalised responses, (n, V).
        stimulus: Which stimulus each row is of, int64 (n,).
        fold: Fold of each row; whole categories are held out together, int64 (n,).
        tables: Features of each stimulus by their name, such as `pixels`, (S, D).
        areas: Whether each voxel belongs to an area, bool (V,), by the area's name.
    """

    voxels: Tensor
    stimulus: Tensor
    fold: Tensor
    tables: dict[str, Tensor]
    areas: dict[str, Tensor]


class DecodingRows(NamedTuple):
    """The same rows for one kind of target as arrays: decoders are fitted on the CPU, in closed form.

    Args:
        voxels: (n, V').
        targets: Feature of the stimulus of each row, (n, D).
        stimulus: (n,).
        fold: (n,).
    """

    voxels: NDArray[np.floating]
    targets: NDArray[np.floating]
    stimulus: NDArray[np.int64]
    fold: NDArray[np.int64]


def rows_of(batch: DecodingBatch, kind: str, columns: NDArray[np.int64]) -> DecodingRows:
    """Return what a decoder of one kind of target sees.

    Args:
        batch: All rows.
        kind: Name of the target.
        columns: Voxels that are used, (V',).
    """
    stimulus = batch.stimulus.cpu().numpy()
    return DecodingRows(
        voxels=batch.voxels.cpu().numpy()[:, columns],
        targets=batch.tables[kind].cpu().numpy()[stimulus],
        stimulus=stimulus,
        fold=batch.fold.cpu().numpy(),
    )


def columns_of(areas: Mapping[str, Tensor], area: str) -> NDArray[np.int64]:
    """Return the voxels of an area.

    Raises:
        ValueError: If there is no such area, or it has no voxels; the message lists the areas.
    """
    known = {name: int(mask.sum()) for name, mask in areas.items()}
    if not known.get(area):
        raise ValueError(
            f"The area `{area}` has no voxels. There are: "
            f"{', '.join(f'{name} ({count})' for name, count in known.items())}."
        )
    return np.flatnonzero(areas[area].cpu().numpy())
