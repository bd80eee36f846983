"""What the generator of a generated subject's pictures needs, found once a sweep: its weights, noise, dense vectors."""

import hashlib
import os
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.painting import GeneratorWeights, as_arrays
from lightning_modules.icgan.features.small_net import embed, one_thread
from lightning_modules.icgan.features.z_scores import fit_z_scores
from lightning_modules.icgan.generator.presets import PRESETS, GeneratorPreset
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.icgan.generator.warm_start import WarmStartSettings, warm_start
from lightning_modules.icgan.synthetic.world import SynthWorld
from lightning_modules.parts.errors import DataError

_STATE = "generator."
"""Before the names of the generator's weights in a kept file."""
GENERATORS = {32: "s32", 64: "s64"}
"""Generator preset by the side of the pictures."""


class GeneratorTargets(NamedTuple):
    """A generator, and what it makes the training pictures of.

    Args:
        generator: Its weights.
        noise: Of each training picture, float32 (S, dim_z).
        dense: Output of the first layer for that noise, float32 (S, dense_dim).
    """

    generator: GeneratorWeights
    noise: NDArray[np.float32]
    dense: NDArray[np.float32]


def find_generator_targets(world: SynthWorld, *, n_steps: int, cache: Path | None) -> GeneratorTargets:
    """Learn a small generator and the noise of every training picture together.

    No test picture takes part. The dense vectors are those of the noise (`from_z`).

    Args:
        world: Whose training pictures are learnt.
        n_steps: Batches of the warm start.
        cache: Folder that keeps the result, so that it is found once; None finds it anew.

    Source:
        icgan.md section 8.3 A: the noise is a by-product that fits the generator.
    """
    n_training = world.preset.n_training
    images, features = world.images[:n_training], world.features[:n_training]
    preset = replace(PRESETS[GENERATORS[world.preset.image_size]], h_dim=features.shape[1])
    settings = WarmStartSettings(n_steps=n_steps, seed=world.seed)
    key = hashlib.blake2b(repr((torch.__version__, preset, settings)).encode())
    for content in (images, features):
        key.update(np.ascontiguousarray(content).data)
    file = None if cache is None else cache / f"generator_{key.hexdigest()[:16]}.npz"
    if file is not None and file.exists():
        return _load(file, preset)
    found = _learn(preset, images, features, extractor_of(world), settings)
    if file is not None:
        _save(found, file)
    return found


def extractor_of(world: SynthWorld) -> SmallNetExtractor:
    """Return the network whose features the instance features are, without the dimensions that are dead in training."""
    features = fit_z_scores(embed(world.net, world.images[: world.preset.n_training]))
    return SmallNetExtractor(world.net, torch.from_numpy(np.flatnonzero(features.varies)))


def _learn(
    preset: GeneratorPreset,
    images: NDArray[np.float32],
    features: NDArray[np.float32],
    extractor: SmallNetExtractor,
    settings: WarmStartSettings,
) -> GeneratorTargets:
    pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    with one_thread():
        started = warm_start(preset, pictures, torch.from_numpy(features), extractor, settings)
        with torch.no_grad():
            dense = started.generator.dense(started.z)
    weights = GeneratorWeights(preset, as_arrays(started.generator))
    return GeneratorTargets(weights, started.z.numpy(), dense.numpy())


def _save(found: GeneratorTargets, file: Path) -> None:
    """Write, then rename: a killed process leaves no half a file, and of two writers either is right."""
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {f"{_STATE}{name}": values for name, values in found.generator.weights.items()}
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".npz", delete=False) as unfinished:
        np.savez(unfinished, allow_pickle=False, noise=found.noise, dense=found.dense, **state)
    os.replace(unfinished.name, file)


def _load(file: Path, preset: GeneratorPreset) -> GeneratorTargets:
    """Read a kept file.

    Raises:
        DataError: If it is damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        noise, dense = arrays.pop("noise"), arrays.pop("dense")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"The kept generator {file} cannot be read: {error}.", "Delete the file; it is made again."
        ) from error
    weights = {name.removeprefix(_STATE): values for name, values in arrays.items()}
    return GeneratorTargets(GeneratorWeights(preset, weights), noise, dense)
