"""The training pictures that are nearest to a feature vector, by cosine."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError


class Nearest(NamedTuple):
    """The n nearest rows to each of m others, nearest first.

    Args:
        row: Which of them, int64 (m, n).
        cosine: How near they are, float64 (m, n).
    """

    row: NDArray[np.int64]
    cosine: NDArray[np.float64]


def nearest(rows: NDArray[Any], among: NDArray[Any], n: int = 1) -> Nearest:
    """Find the rows with the highest cosine to each row.

    Args:
        rows: (m, D).
        among: (N, D), such as features of the training pictures.
        n: How many, at most N.

    Raises:
        DataError: If dimensions differ, or a row has no direction.
        ValueError: If there are fewer than n rows to be found.
    """
    if rows.ndim != 2 or among.ndim != 2 or rows.shape[1] != among.shape[1]:
        raise DataError(
            f"Rows {rows.shape} cannot be compared with {among.shape}.",
            "Give (rows, dimensions) of the same dimensions.",
        )
    if not 1 <= n <= len(among):
        raise ValueError(f"`n` is {n}, but must be from 1 to the {len(among)} rows that can be found.")
    cosine = unit_rows(rows) @ unit_rows(among).T
    row = np.argsort(-cosine, axis=1, kind="stable")[:, :n]
    return Nearest(row, np.take_along_axis(cosine, row, axis=1))


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Divide vectors by their length, (..., D).

    Raises:
        DataError: If one is zero or not finite, and so has no direction.
    """
    rows = rows.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        unusable = np.count_nonzero(~(np.isfinite(lengths) & (lengths > 0)))
        raise DataError(
            f"{unusable} of {lengths.size} vectors are zero or not finite.",
            "A zero vector has no direction: leave those rows out, and look where they come from.",
        )
    return rows / lengths
