"""Folders that keep what takes minutes to find, by a hash of all that it depends on."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def kept_folder(cache: Path, name: str, depends_on: Sequence[Any], fill: Callable[[Path], None]) -> Path:
    """Return the folder that `fill` wrote into for the same arguments, now or before.

    It is filled under another name and then renamed: a killed process leaves no half a folder, and of two writers
    either is right.

    Args:
        cache: Folder of all kept folders; made if it is not there.
        name: Begins the folder's name.
        depends_on: Tensors, by their content, and everything else by its `repr`; torch's version is added.
        fill: Writes the files.
    """
    key = hashlib.blake2b(torch.__version__.encode())
    for part in depends_on:
        key.update(part.contiguous().numpy().data if isinstance(part, Tensor) else repr(part).encode())
    folder = cache / f"{name}_{key.hexdigest()[:16]}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=cache, prefix=f".{name}_"))
    try:
        fill(unfinished)
        with suppress(OSError):  # another process was faster
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
