"""Folders of generator weights, public and our own, in the one format of the IC-GAN release."""

import dataclasses
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightning_modules.icgan.generator.network import UNUSED_CLASSES, Generator
from lightning_modules.icgan.generator.presets import PRESETS, GeneratorPreset
from lightning_modules.icgan.generator.safe_load import as_state_dict, fill, fit_problems, read_weights
from lightning_modules.parts.errors import DataError

logger = logging.getLogger(__name__)

_WEIGHTS, _TRAINING = "G_ema_best", "state_dict_best"
_NEEDS_CONFIG = ("resolution", "G_ch", "dim_z", "shared_dim_feat")
_OF_THE_CONFIG = (
    nn.ReLU,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
)
"""The training state holds its activations as live modules, and may hold the score as numpy's number."""


def load_generator(
    folder: Path, *, preset: GeneratorPreset | None = None, sha256: str | None = None
) -> Generator:
    """Load the averaged generator of the lowest FID from a folder of the IC-GAN release or of `save_generator`.

    Args:
        folder: With `state_dict_best*.pth` and `G_ema_best*.pth`.
        preset: Sizes that the generator must have; None takes those that the training state says, or, where it
            cannot be read, those of the preset that the tensors fit.
        sha256: Hash that the file of the generator's weights must have; None where it is not known.

    Returns:
        The generator in `eval` mode, on the CPU.

    Raises:
        DataError: If there are no such files, they are not safe to load or damaged, the hash is another, or the
            weights are those of another preset; the message names both.

    Source:
        icgan.md section 4.3.
    """
    weights_file, config = _choose(folder)
    state = as_state_dict(read_weights(weights_file, sha256=sha256), weights_file)
    held = fitting_preset(state) if config is None else preset_of_config(config, folder)
    wanted = preset or held
    if wanted is None:
        raise DataError(
            f"{weights_file} fits no preset of the generator ({', '.join(PRESETS)}), and no training state beside it "
            "says its sizes.",
            f"Put the `{_TRAINING}*.pth` of the release beside it, or give the preset.",
        )
    if held is not None and not _same_sizes(held, wanted):
        raise DataError(
            f"{weights_file} holds a generator of the preset {held}, but {wanted} was asked for.",
            "Give the checkpoint's own preset, or another checkpoint.",
        )
    with torch.device("meta"):
        generator = Generator(wanted)
    problems = fit_problems(generator.state_dict(), state, {UNUSED_CLASSES})
    if problems:
        raise DataError(
            f"{weights_file} is no generator of the preset {wanted}: {' '.join(problems)}",
            "Give a checkpoint of this preset, whole.",
        )
    fill(generator, state)
    return generator.eval()


def save_generator(folder: Path, generator: Generator, *, slot: int, iteration: int, best_fid: float) -> None:
    """Write a generator, as a rule the averaged one, so that `load_generator` and the public code's rules find it.

    Args:
        folder: Made if it is not there.
        generator: The weights.
        slot: Number in the files' names; alternate between two, so that a broken write leaves the other.
        iteration: Steps trained.
        best_fid: Score of these weights; the lowest of a folder is loaded.

    Raises:
        ValueError: If `best_fid` is not a number.
    """
    if math.isnan(best_fid):
        raise ValueError("`best_fid` is NaN, but decides which of a folder's generators is loaded.")
    folder.mkdir(parents=True, exist_ok=True)
    training = {"itr": iteration, "best_FID": float(best_fid), "config": _as_config(generator.preset)}
    _write(generator.state_dict(), folder / f"{_WEIGHTS}{slot}.pth")
    _write(training, folder / f"{_TRAINING}{slot}.pth")


def preset_of_config(config: Mapping[str, Any], source: Path) -> GeneratorPreset:
    """Return the sizes that a training state's configuration says.

    Args:
        config: As in the release, with an additional `h_dim` where features are not SwAV's.
        source: For messages.

    Raises:
        DataError: If entries are missing, or it is a generator of another kind.
    """
    missing = [name for name in _NEEDS_CONFIG if name not in config]
    if missing:
        raise DataError(
            f"The configuration in {source} lacks {', '.join(missing)}.",
            "Give a folder of the IC-GAN release, BigGAN backbone.",
        )
    wanted = {"class_cond": False, "instance_cond": True, "hier": True, "G_shared_feat": True}
    other = {name: config[name] for name, value in wanted.items() if config.get(name, value) != value}
    sides = str(config.get("G_attn", "0")).split("_")
    if other or len(sides) > 1:
        raise DataError(
            f"{source} holds another kind of generator: {other or {'G_attn': config['G_attn']}}.",
            "Give a model `icgan_biggan_*`, conditioned on instances alone.",
        )
    resolution, side = int(config["resolution"]), int(sides[0])
    embedding = None
    if config.get("G_shared", True):
        embedding = (int(config.get("n_classes", 1000)), int(config.get("shared_dim", 128)))
    try:
        found = GeneratorPreset(
            name=str(config.get("experiment_name", source.name)),
            resolution=resolution,
            channels=int(config["G_ch"]),
            h_dim=int(config.get("h_dim", PRESETS["256"].h_dim)),
            e_dim=int(config["shared_dim_feat"]),
            attention=side if 0 < side <= resolution else None,
            wanted_dim_z=int(config["dim_z"]),
            class_embedding=embedding,
        )
    except ValueError as error:
        raise DataError(f"The configuration in {source}: {error}", "Give one of the presets.") from error
    return _named(found)


def fitting_preset(state: Mapping[str, Tensor]) -> GeneratorPreset | None:
    """Return the preset whose generator has tensors of these names and shapes, with the file's `h_dim`."""
    embedding = state.get("shared_feat.weight")
    if embedding is None or embedding.ndim != 2:
        return None
    for preset in PRESETS.values():
        candidate = dataclasses.replace(preset, h_dim=embedding.shape[1])
        with torch.device("meta"):
            expected = Generator(candidate).state_dict()
        if not fit_problems(expected, state, {UNUSED_CLASSES}):
            return candidate
    return None


def _choose(folder: Path) -> tuple[Path, Mapping[str, Any] | None]:
    """The file of the generator with the lowest FID, and the configuration if its training state can be read."""
    _refuse_other_kinds(folder)
    ranked: list[tuple[float, Path, Mapping[str, Any] | None]] = []
    for weights_file in sorted(folder.glob(f"{_WEIGHTS}*.pth")):
        training_file = weights_file.with_name(weights_file.name.replace(_WEIGHTS, _TRAINING))
        fid, config = math.inf, None
        if training_file.exists():
            try:
                fid, config = _training_state(training_file)
            except DataError as error:
                # Sizes follow from the tensors as well; the order of several generators does not.
                logger.warning("The training state is passed over. %s", error)
        ranked.append((fid, weights_file, config))
    if not ranked:
        held = ", ".join(sorted(one.name for one in folder.iterdir())) or "nothing"
        raise DataError(
            f"{folder} holds no `{_WEIGHTS}*.pth`; it holds {held}.",
            "Give the unpacked folder of an `icgan_biggan_*.tar.gz`, or one that `save_generator` wrote.",
        )
    if len(ranked) > 1 and not math.isfinite(min(fid for fid, _, _ in ranked)):
        raise DataError(
            f"{folder} holds {len(ranked)} generators, and no training state says which has the lowest FID.",
            f"Leave one `{_WEIGHTS}*.pth` in the folder.",
        )
    _, weights_file, config = min(ranked, key=lambda one: one[0])
    return weights_file, config


def _refuse_other_kinds(folder: Path) -> None:
    if "stylegan" in folder.name.lower() or folder.suffix in (".pkl", ".pickle"):
        raise DataError(
            f"{folder} is a StyleGAN2 pickle, which runs code when it is read.",
            "Give a model with the BigGAN backbone, `icgan_biggan_*`.",
        )
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder of generator weights.",
            "Give the unpacked folder of an `icgan_biggan_*.tar.gz`.",
        )
    if not list(folder.glob(f"{_WEIGHTS}*.pth")) and list(folder.glob("*.pkl")):
        raise DataError(
            f"{folder} holds pickles of StyleGAN2, which run code when they are read.",
            "Give a model with the BigGAN backbone, `icgan_biggan_*`.",
        )


def _training_state(path: Path) -> tuple[float, Mapping[str, Any]]:
    found = read_weights(path, allowed=_OF_THE_CONFIG)
    if (
        not isinstance(found, Mapping)
        or not isinstance(found.get("config"), Mapping)
        or "best_FID" not in found
    ):
        raise DataError(
            f"{path} holds no `config` and `best_FID`.", "Give the training state of the release."
        )
    return float(found["best_FID"]), found["config"]


def _as_config(preset: GeneratorPreset) -> dict[str, Any]:
    embedding = preset.class_embedding
    return {
        "experiment_name": preset.name,
        "resolution": preset.resolution,
        "G_ch": preset.channels,
        "D_ch": preset.channels,
        "G_attn": str(preset.attention or 0),
        "D_attn": str(preset.attention or 0),
        "dim_z": preset.wanted_dim_z,
        "h_dim": preset.h_dim,
        "shared_dim_feat": preset.e_dim,
        "hier": True,
        "class_cond": False,
        "instance_cond": True,
        "G_shared_feat": True,
        "G_shared": embedding is not None,
        **({} if embedding is None else {"n_classes": embedding[0], "shared_dim": embedding[1]}),
    }


def _same_sizes(one: GeneratorPreset, other: GeneratorPreset) -> bool:
    """Whether generators have the same tensors, but for the unused embedding of classes."""
    return one == dataclasses.replace(other, name=one.name, class_embedding=one.class_embedding)


def _named(found: GeneratorPreset) -> GeneratorPreset:
    """The same sizes under the name of the preset that has them, whatever the features."""
    for preset in PRESETS.values():
        if _same_sizes(dataclasses.replace(preset, h_dim=found.h_dim), found):
            return dataclasses.replace(found, name=preset.name)
    return found


def _write(value: Any, path: Path) -> None:
    partial = path.with_name(path.name + ".part")
    torch.save(value, partial)
    os.replace(partial, path)
