"""BData, the format of the Generic Object Decoding files: a table, and what each of its columns is.

A metadata row has a key and a number for each column. It marks columns (1 where a column belongs to the key, else 0
or NaN), or holds a number for each column, such as its place in the brain. Columns are found by key, never by
position.

Source: BrainDecoderToolbox2; layout of the files as in bdpy 0.26, `bdpy/bdata/bdata.py`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError

TABLES = ("dataset", "dataSet")
METADATA = ("metadata", "metaData")
PARTS = ("key", "description", "value")


@dataclass(frozen=True, eq=False)
class BData:
    """A table of rows (blocks) and columns (voxels, labels) with metadata.

    Args:
        dataset: The table, float64 (rows, columns).
        keys: Key of each metadata row.
        descriptions: What each key means.
        values: Number of each key for each column, float64 (keys, columns).
        source: File, for messages.

    Raises:
        DataError: If the parts do not fit together.
    """

    dataset: NDArray[np.float64]
    keys: tuple[str, ...]
    descriptions: tuple[str, ...]
    values: NDArray[np.float64]
    source: str = "BData"

    def __post_init__(self) -> None:
        n_columns = self.dataset.shape[1] if self.dataset.ndim == 2 else -1
        if self.values.shape != (len(self.keys), n_columns) or len(self.descriptions) != len(self.keys):
            raise DataError(
                f"{self.source}: dataset {self.dataset.shape}, {len(self.keys)} keys, {len(self.descriptions)} "
                f"descriptions and metadata values {self.values.shape} do not fit together.",
                "Values must be (keys, columns). The file may be cut off: download it again.",
            )

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def columns(self, key: str) -> NDArray[np.int64]:
        """Columns that belong to a key.

        Raises:
            DataError: If there is no such key.
        """
        return np.flatnonzero(self._row(key) == 1)

    def select(self, key: str) -> NDArray[np.float64]:
        """The table's columns that belong to a key, (rows, n).

        Raises:
            DataError: If there is no such key.
        """
        return self.dataset[:, self.columns(key)]

    def numbers(self, key: str, *, of: str) -> NDArray[np.float64]:
        """What a key says of each column that belongs to the key `of`, (n,).

        Raises:
            DataError: If there is no such key.
        """
        return self._row(key)[self.columns(of)]

    def _row(self, key: str) -> NDArray[np.float64]:
        if key not in self.keys:
            raise DataError(
                f"{self.source} has no key `{key}`. Available keys: {', '.join(self.keys)}.",
                "Check that this is a subject's brain data, and of which version.",
            )
        return self.values[self.keys.index(key)]


def as_table(values: NDArray[Any], source: str) -> NDArray[np.float64]:
    """Take a stored table as float64.

    Raises:
        DataError: If it was stored with fewer digits, which destroys stimulus ids.
    """
    if values.dtype.kind == "f" and values.dtype.itemsize < 8:
        raise DataError(
            f"{source}: the dataset is {values.dtype}, in which stimulus ids lose their image number.",
            "Export it again as float64, or take the original file.",
        )
    return values.astype(np.float64, copy=False)
