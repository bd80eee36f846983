"""BData files: HDF5 read and written, MATLAB files read."""

from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from lightning_modules.icgan.recordings.bdata import METADATA, PARTS, TABLES, BData, as_table
from lightning_modules.icgan.recordings.bdata_mat import read_bdata_mat
from lightning_modules.icgan.recordings.pointers import refuse_pointer
from lightning_modules.parts.errors import DataError

Member = TypeVar("Member", h5py.Dataset, h5py.Group)


def read_bdata(path: Path) -> BData:
    """Read a BData file: `.mat` of MATLAB version 5, anything else as HDF5.

    Raises:
        DataError: If the content was not fetched, cannot be read, or is no BData.
    """
    refuse_pointer(path)
    if path.suffix.lower() == ".mat":
        return read_bdata_mat(path)
    try:
        with h5py.File(path, "r") as file:
            return _from_hdf5(file, path)
    except DataError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as HDF5: {error}",
            "The file may be empty, cut off or something else: download it again.",
        ) from error


def write_bdata(data: BData, path: Path) -> None:
    """Write HDF5 as bdpy does, without its header; the same data give the same bytes."""
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset", data=data.dataset)
        metadata = file.create_group("metadata")
        for name, texts in (("key", data.keys), ("description", data.descriptions)):
            metadata.create_dataset(name, data=np.array([text.encode() for text in texts]))
        metadata.create_dataset("value", data=data.values)


def _from_hdf5(file: h5py.File, path: Path) -> BData:
    table = _member(file, TABLES, h5py.Dataset)
    metadata = _member(file, METADATA, h5py.Group)
    found_parts = {name: _member(metadata, (name,), h5py.Dataset) for name in PARTS} if metadata else {}
    parts = {name: part for name, part in found_parts.items() if part is not None}
    if table is None or len(parts) < len(PARTS):
        found: list[str] = []
        file.visit(found.append)
        raise DataError(
            f"{path} is no BData: it needs `{'` or `'.join(TABLES)}`, and `{'` or `'.join(METADATA)}` with "
            f"{', '.join(PARTS)}. It holds {', '.join(found[:20]) or 'nothing'}.",
            "Give a subject's file of figshare article 7387130, or write one with `write_bdata`.",
        )
    return BData(
        dataset=as_table(np.asarray(table[()]), path.name),
        keys=_texts(parts["key"]),
        descriptions=_texts(parts["description"]),
        values=np.asarray(parts["value"][()], dtype=np.float64),
        source=path.name,
    )


def _member(group: h5py.Group, names: tuple[str, ...], kind: type[Member]) -> Member | None:
    return next((part for name in names if isinstance(part := group.get(name), kind)), None)


def _texts(stored: h5py.Dataset) -> tuple[str, ...]:
    values = np.asarray(stored[()]).tolist()
    return tuple((value.decode() if isinstance(value, bytes) else str(value)).strip() for value in values)
