"""What a generator needs to make each training picture: weights, noise and dense vectors, found once a sweep."""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.icgan.decoder.painting import GeneratorWeights, as_batch
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.decoder.recorded_pictures import DENSE_FILE, NOISE_FILE, read_array
from lightning_modules.icgan.features.small_net import one_thread
from lightning_modules.icgan.generator.checkpoint import load_generator, save_generator
from lightning_modules.icgan.generator.inversion import invert
from lightning_modules.icgan.generator.inversion_settings import InversionSettings
from lightning_modules.icgan.generator.kept_folder import kept_folder
from lightning_modules.icgan.generator.presets import PRESETS, SMALL_BY_SIDE
from lightning_modules.icgan.generator.warm_start import WarmStartSettings, warm_start
from lightning_modules.parts.errors import DataError

NoiseFrom = Literal["auto", "arrays", "warm_start", "inversion"]

_TARGETS = "targets.npz"
"""Noise and dense vectors in a kept folder, beside the generator where it was learnt."""


class GeneratorTargets(NamedTuple):
    """A generator, and what it makes the T training pictures of.

    Args:
        generator: Its weights.
        noise: Of each training picture, float32 (T, dim_z).
        dense: Its dense vector, float32 (T, dense_dim).
        source: Folder of the generator, for `load_generator`.
    """

    generator: GeneratorWeights
    noise: NDArray[np.float32]
    dense: NDArray[np.float32]
    source: Path


def find_generator_targets(
    pictures: PictureSet, given: Mapping[str, Any], generator: GeneratorWeights | None
) -> GeneratorTargets:
    """Find the noise and the dense vector of every training picture. No sealed picture takes part.

    Args:
        pictures: The pictures and their features.
        given: Arguments of `load_targets`.
        generator: Trained before; None learns a small one of the training pictures, with their noise.

    Raises:
        DataError: If generator, features and arrays do not fit together.

    Source:
        icgan.md section 8.3 A: the noise is a by-product that fits the generator; section 2.4: inversion.
    """
    way = _way(given, generator)
    if generator is None:
        learnt = _learnt(pictures, given)
        return learnt if way == "warm_start" else _inverted(pictures, given, learnt.generator, learnt.source)
    source = Path(given["generator"]).expanduser()
    preset = generator.preset
    if preset.h_dim != pictures.features.shape[1]:
        raise DataError(
            f"The generator {source} takes {preset.h_dim} features, but pictures have {pictures.features.shape[1]}.",
            "Give the features that it was trained on; of a public one SwAV's: `--data.swav` or `--data.features`.",
        )
    if way == "inversion":
        return _inverted(pictures, given, generator, source)
    folder, n = Path(given["features"]).expanduser(), len(pictures.training)
    noise, dense = (
        read_array(folder / NOISE_FILE, n, preset.dim_z),
        read_array(folder / DENSE_FILE, n, preset.dense_dim),
    )
    return GeneratorTargets(generator, noise, dense, source)


def generator_of(given: Mapping[str, Any]) -> GeneratorWeights | None:
    """Load the generator that is named; None where one is to be learnt.

    Raises:
        DataError: If it cannot be loaded.
    """
    if given["generator"] is None:
        return None
    return GeneratorWeights.of(load_generator(Path(given["generator"]).expanduser()))


def _way(given: Mapping[str, Any], generator: GeneratorWeights | None) -> NoiseFrom:
    """Where noise and dense vectors come from."""
    asked: NoiseFrom = given["noise_from"]
    if asked not in get_args(NoiseFrom):
        raise DataError(f"`--data.noise_from` is {asked}.", f"Give one of {', '.join(get_args(NoiseFrom))}.")
    arrays = given["features"] is not None and (Path(given["features"]).expanduser() / NOISE_FILE).exists()
    if generator is None:
        if asked == "arrays":
            raise DataError(
                "Noise and dense vectors of arrays belong to a generator, but none is given.",
                "Give it with `--data.generator`.",
            )
        return "warm_start" if asked == "auto" else asked
    if asked == "warm_start":
        raise DataError(
            "A generator that is given was not learnt together with the noise of these pictures.",
            "Use `--data.noise_from inversion`, or leave out `--data.generator`.",
        )
    return ("arrays" if arrays else "inversion") if asked == "auto" else asked


def _learnt(pictures: PictureSet, given: Mapping[str, Any]) -> GeneratorTargets:
    """Learn a small generator and the noise of the training pictures together, or read what was learnt."""
    settings = WarmStartSettings(
        n_steps=given["generator_steps"],
        batch_size=min(WarmStartSettings.batch_size, len(pictures.training)),
        seed=pictures.seed,
    )
    images, features = _training(pictures)
    preset = replace(PRESETS[SMALL_BY_SIDE[pictures.images.shape[1]]], h_dim=features.shape[1])

    def learn(folder: Path) -> None:
        with one_thread():
            started = warm_start(preset, images, features, pictures.extractor, settings)
            with torch.no_grad():
                dense = started.generator.dense(started.z)
        save_generator(folder, started.generator, slot=0, iteration=settings.n_steps, best_fid=math.inf)
        np.savez(folder / _TARGETS, noise=started.z.numpy(), dense=dense.numpy())

    folder = kept_folder(
        Path(given["cache"]).expanduser(), "generator", (preset, settings, images, features), learn
    )
    return GeneratorTargets(GeneratorWeights.of(load_generator(folder)), *_read(folder), folder)


def _inverted(
    pictures: PictureSet, given: Mapping[str, Any], generator: GeneratorWeights, source: Path
) -> GeneratorTargets:
    """Invert the training pictures, or read what was found."""
    settings = InversionSettings(
        dense_mode=given["dense_mode"],
        restarts=1,
        z_steps=given["inversion_steps"],
        d_steps=max(1, given["inversion_steps"] * 2 // 3),
        seed=pictures.seed,
    )
    images, features = _training(pictures)

    def find(folder: Path) -> None:
        with one_thread():
            found = invert(generator.build(), images, features, pictures.extractor, settings)
        np.savez(folder / _TARGETS, noise=found.z.numpy(), dense=found.d.numpy())

    weights = (torch.from_numpy(np.asarray(one)) for one in generator.weights.values())
    folder = kept_folder(
        Path(given["cache"]).expanduser(), "inverted", (settings, *weights, images, features), find
    )
    return GeneratorTargets(generator, *_read(folder), source)


def _training(pictures: PictureSet) -> tuple[Tensor, Tensor]:
    return as_batch(pictures.images[pictures.training]), torch.from_numpy(
        pictures.features[pictures.training]
    )


def _read(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read kept noise and dense vectors.

    Raises:
        DataError: If they are damaged.
    """
    try:
        with np.load(folder / _TARGETS, allow_pickle=False) as archive:
            return archive["noise"], archive["dense"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"The kept folder {folder} cannot be read: {error}.", "Delete it; it is made again."
        ) from error
