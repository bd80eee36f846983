"""The sizes of a generator in the words of the IC-GAN release's configurations, or read off its tensors."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.icgan.generator.network import UNUSED_CLASSES, Generator
from lightning_modules.icgan.generator.presets import PRESETS, GeneratorPreset
from lightning_modules.icgan.generator.safe_load import fit_problems
from lightning_modules.parts.errors import DataError

_NEEDS_CONFIG = ("resolution", "G_ch", "dim_z", "shared_dim_feat")


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


def as_config(preset: GeneratorPreset) -> dict[str, Any]:
    """Return the configuration from which `preset_of_config` reads these sizes."""
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


def same_sizes(one: GeneratorPreset, other: GeneratorPreset) -> bool:
    """Whether generators have the same tensors, but for the unused embedding of classes."""
    return one == dataclasses.replace(other, name=one.name, class_embedding=one.class_embedding)


def _named(found: GeneratorPreset) -> GeneratorPreset:
    """The same sizes under the name of the preset that has them, whatever the features."""
    for preset in PRESETS.values():
        if same_sizes(dataclasses.replace(preset, h_dim=found.h_dim), found):
            return dataclasses.replace(found, name=preset.name)
    return found
