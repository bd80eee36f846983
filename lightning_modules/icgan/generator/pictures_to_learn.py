"""Where the pictures of a small generator come from: a generated data set, or a file of one's own."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.painting import NetWeights
from lightning_modules.icgan.features.net_cache import cached_small_net
from lightning_modules.icgan.generator.presets import SMALL_BY_SIDE
from lightning_modules.icgan.recordings.images import as_rgb, opened_npz
from lightning_modules.icgan.synthetic.attributes import FACTORS
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.icgan.synthetic.world import build_world
from lightning_modules.parts.errors import DataError

TEST = "test"
"""What `split` calls pictures that stay sealed."""
_NETS = {PRESETS[name].image_size: PRESETS[name].net for name in ("tiny", "full")}
"""Network of the features by the side of the pictures."""


class Pictures(NamedTuple):
    """Pictures without those of any test.

    Args:
        images: RGB in [0, 1], float32 (S, side, side, 3).
        category: int64 (S,).
        net: Network of their features; None where it is to be learnt from them.
        notes: What to know of them.
    """

    images: NDArray[np.float32]
    category: NDArray[np.int64]
    net: NetWeights | None
    notes: tuple[str, ...]


def rendered_pictures(preset: str, seed: int, cache: Path) -> Pictures:
    """Render the training pictures of a generated data set.

    Args:
        preset: See `lightning_modules.icgan.synthetic.presets`.
        seed: Of everything.
        cache: Folder for the network, which is trained once.
    """
    world = build_world(PRESETS[preset], seed=seed, cache=cache)
    training = slice(None, world.preset.n_training)
    net = NetWeights.of(world.net, world.preset.net, FACTORS)
    return Pictures(world.images[training], world.attributes.category[training], net, ())


def read_pictures(path: Path) -> Pictures:
    """Read the pictures of a file, but for those of its test.

    Args:
        path: `.npz` with `images` (S, side, side, 3), 8 bit or in [0, 1], and `category`, whole numbers (S,); optional
            `split`, text (S,). An image session is such a file.

    Raises:
        DataError: If it cannot be read, or pictures are not squares of a side that a small generator makes.
    """
    with opened_npz(path) as archive:
        entries = {name: archive[name] for name in ("images", "category", "split") if name in archive.files}
        held = ", ".join(archive.files)
    missing = [name for name in ("images", "category") if name not in entries]
    if missing:
        raise DataError(
            f"{path} lacks {' and '.join(f'`{name}`' for name in missing)}; it holds {held or 'nothing'}.",
            "Save `images` (pictures, side, side, 3) and `category` (pictures,): the network of their features is "
            "learnt by telling categories apart.",
        )
    images = as_rgb(entries["images"], str(path))
    _check(images, entries, path)
    shown = np.ones(len(images), np.bool_) if "split" not in entries else entries["split"] != TEST
    left_out = int((~shown).sum())
    notes = (f"{left_out} pictures of {path.name} are of its test and left out.",) if left_out else ()
    return Pictures(images[shown], entries["category"][shown].astype(np.int64), None, notes)


def learn_net(images: NDArray[np.float32], category: NDArray[np.int64], seed: int, cache: Path) -> NetWeights:
    """Learn features of pictures by telling their categories apart, for as many pictures as a generated set has.

    Args:
        images: (N, side, side, 3).
        category: (N,).
        seed: Of weights and order.
        cache: Folder for the network, which is trained once.
    """
    names, level = np.unique(category, return_inverse=True)
    settings = _NETS[images.shape[1]]
    epochs = math.ceil(settings.epochs * settings.n_pictures / len(images))
    settings = replace(settings, epochs=epochs, batch=min(settings.batch, len(images)))
    net = cached_small_net(
        images, level[:, None], levels=(len(names),), settings=settings, seed=seed, folder=cache
    )
    return NetWeights.of(net, settings, (len(names),))


def _check(images: NDArray[np.float32], entries: Mapping[str, NDArray[Any]], path: Path) -> None:
    category = entries["category"]
    problems = [
        f"`{name}` has shape {entries[name].shape} for {len(images)} pictures."
        for name in ("category", "split")
        if name in entries and entries[name].shape != (len(images),)
    ]
    if category.dtype.kind not in "iuf" or np.any(category % 1):
        problems.append(f"`category` is {category.dtype}, not whole numbers.")
    sides = " or ".join(str(side) for side in SMALL_BY_SIDE)
    if images.shape[1] != images.shape[2] or images.shape[1] not in SMALL_BY_SIDE:
        problems.append(f"pictures are {images.shape[1]} x {images.shape[2]}, not squares of {sides} pixels.")
    if problems:
        raise DataError(
            f"A generator cannot be trained on {path}: {' '.join(problems)}",
            f"Save square pictures of {sides} pixels, and a whole number for each one's category.",
        )
