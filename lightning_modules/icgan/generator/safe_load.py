"""Reading other people's weight files without running what is in them."""

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.icgan.recordings.pointers import refuse_pointer
from lightning_modules.parts.errors import DataError

_OF_DISTRIBUTED_TRAINING = "module."
_SHOWN = 5
"""Names and shapes of a list that a message shows."""


def read_weights(path: Path, *, allowed: Sequence[Any] = (), sha256: str | None = None) -> Any:
    """Read what `torch.save` wrote, tensors and plain Python only.

    Args:
        path: The file.
        allowed: Further classes that may be rebuilt, as `torch.serialization.safe_globals` takes them.
        sha256: Hash that the file must have, hexadecimal; None where it is not known.

    Raises:
        DataError: If the file is missing, a pointer to content elsewhere, other than its hash says, damaged, or
            holds anything that unpickling would have to run.
    """
    refuse_pointer(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist, or is no file.", "Check the path.")
    if sha256 is not None:
        _check_hash(path, sha256)
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+) (?:was not an allowed global|whose module)", str(error))
        what = f"it would run `{found[1]}`" if found else "it holds more than tensors"
        raise DataError(
            f"{path} is not safe to load: {what}. Nothing of it was run.",
            "Save the weights alone, as a state dict of tensors, where you trust the file; it is never unpickled here.",
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as PyTorch weights: {error}",
            "The file is empty, cut off or of another kind: copy or download it again.",
        ) from error


def as_state_dict(value: Any, path: Path) -> dict[str, Tensor]:
    """Return named tensors with the prefix of distributed training taken off.

    Raises:
        DataError: If `value` is anything else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(one, Tensor) for one in value.values()):
        kind = type(value).__name__
        held = f" of {_some(value)}" if isinstance(value, Mapping) else ""
        raise DataError(
            f"{path} holds a {kind}{held}, not the tensors of a network by name.",
            "Give the file of the network's weights.",
        )
    return {str(name).removeprefix(_OF_DISTRIBUTED_TRAINING): one for name, one in value.items()}


def fit_problems(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], spare: set[str]) -> list[str]:
    """Say in sentences why tensors are not those of a network.

    Args:
        expected: Of the network, by name; may be on the `meta` device.
        given: Of the file, by name.
        spare: Names that the file may have beyond the network's.
    """
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected and name not in spare]
    wrong = [
        f"`{name}` is {tuple(given[name].shape)}, not {tuple(one.shape)}"
        for name, one in expected.items()
        if name in given and given[name].shape != one.shape
    ]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(expected)} entries are missing: {_some(missing)}.")
    if unexpected:
        problems.append(f"{len(unexpected)} entries are none of the network's: {_some(unexpected)}.")
    if wrong:
        problems.append(f"{len(wrong)} entries have other shapes: {'; '.join(wrong[:_SHOWN])}.")
    return problems


def fill(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network on the `meta` device the tensors that `fit_problems` has found to be its own."""
    names = network.state_dict().keys()
    network.load_state_dict({name: state[name] for name in names}, assign=True)


def _check_hash(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise DataError(
            f"{path} has the SHA-256 {found}, but {sha256.lower()} is configured.",
            "The file was changed or is another one: download it again, or configure the hash of the file you mean.",
        )


def _some(names: Sequence[Any] | Mapping[Any, Any]) -> str:
    shown = ", ".join(f"`{one}`" for one in list(names)[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown
