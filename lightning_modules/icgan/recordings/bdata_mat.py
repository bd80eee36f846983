"""BData in MATLAB version 5 files, as the older figshare downloads are."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from lightning_modules.icgan.recordings.bdata import METADATA, PARTS, TABLES, BData, as_table
from lightning_modules.parts.errors import DataError


def read_bdata_mat(path: Path) -> BData:
    """Read a `.mat` file with a matrix `dataSet` and a struct `metaData`; both may be in lower case.

    Raises:
        DataError: If the file cannot be read, or lacks a part.
    """
    variables = _load(path)
    table = next((name for name in TABLES if name in variables), None)
    metadata = next((variables[name] for name in METADATA if isinstance(variables.get(name), dict)), None)
    if table is None or metadata is None or not set(PARTS) <= set(metadata):
        found = [name for name in variables if not name.startswith("__")]
        raise DataError(
            f"{path} is no BData: it needs `{'` or `'.join(TABLES)}`, and a struct `{'` or `'.join(METADATA)}` "
            f"with {', '.join(PARTS)}. It holds {', '.join(found) or 'nothing'}.",
            "Give a subject's file of figshare article 7387130.",
        )
    keys = _texts(metadata["key"])
    # scipy squeezes: a single key, or a single row, comes as a vector.
    values = np.asarray(metadata["value"], dtype=np.float64).reshape(len(keys), -1)
    dataset = as_table(np.asarray(variables[table]), path.name)
    return BData(
        dataset=dataset.reshape(-1, values.shape[1]) if dataset.ndim < 2 else dataset,
        keys=keys,
        descriptions=_texts(metadata["description"]),
        values=values,
        source=path.name,
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        return scipy.io.loadmat(path, simplify_cells=True)
    except NotImplementedError as error:  # scipy's answer to version 7.3
        raise DataError(
            f"{path} is a MATLAB 7.3 file, not version 5.",
            "Take the subject's .h5 file, or save this one with `save(file, '-v7', ...)`.",
        ) from error
    except (OSError, EOFError, KeyError, TypeError, ValueError, scipy.io.matlab.MatReadError) as error:
        raise DataError(
            f"{path} cannot be read as .mat: {type(error).__name__}: {error}",
            "The file may be empty, cut off or corrupt: download it again.",
        ) from error


def _texts(cells: Any) -> tuple[str, ...]:
    """Strings of a cell; MATLAB pads them with blanks, and scipy reads an empty one as an empty array."""
    each = (
        [cells]
        if isinstance(cells, str) or not np.size(cells)
        else list(np.atleast_1d(np.asarray(cells, dtype=object)))
    )
    return tuple(str(cell).strip() if np.size(cell) else "" for cell in each)
