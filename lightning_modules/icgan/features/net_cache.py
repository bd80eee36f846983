"""Trained small networks kept in a folder, so that a sweep trains each only once."""

import hashlib
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.features.small_net import NetSettings, SmallNet, train_small_net
from lightning_modules.parts.errors import DataError


def cached_small_net(
    images: NDArray[np.float32],
    factors: NDArray[np.int64],
    *,
    levels: tuple[int, ...],
    settings: NetSettings,
    seed: int,
    folder: Path | None,
) -> SmallNet:
    """Return the network that `train_small_net` makes of the same arguments; see there.

    Args:
        images: RGB in [0, 1], (n, S, S, 3).
        factors: Level of every factor, (n, F).
        levels: Number of levels of every factor, (F,).
        settings: Widths and training.
        seed: Of weights and order.
        folder: Where weights are kept, in a file named by a hash of all the above and of torch's version; made if
            it is not there. None trains anew.

    Raises:
        DataError: If a kept file cannot be read.
    """
    if folder is None:
        return train_small_net(images, factors, levels=levels, settings=settings, seed=seed)
    file = folder / f"small_net_{_key(images, factors, levels, settings, seed)}.pt"
    if file.exists():
        return _load(file, settings, levels)
    net = train_small_net(images, factors, levels=levels, settings=settings, seed=seed)
    _save(net, file)
    return net


def _key(
    images: NDArray[np.float32],
    factors: NDArray[np.int64],
    levels: tuple[int, ...],
    settings: NetSettings,
    seed: int,
) -> str:
    # The pictures themselves, not what they were drawn from: a changed renderer must not find old weights.
    digest = hashlib.blake2b(repr((torch.__version__, images.shape, levels, settings, seed)).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(factors).data)
    return digest.hexdigest()[:20]


def _save(net: SmallNet, file: Path) -> None:
    """Write, then rename: another process never meets half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=file.parent, prefix=file.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            torch.save(net.state_dict(), stream)
        os.replace(unfinished, file)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _load(file: Path, settings: NetSettings, levels: tuple[int, ...]) -> SmallNet:
    net = SmallNet(settings, levels)
    try:
        net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{file} holds no weights of a small network: {error}", "Delete it; it is trained again."
        ) from error
    return net.eval().requires_grad_(False)
