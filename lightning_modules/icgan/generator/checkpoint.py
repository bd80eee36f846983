"""Folders of generator weights, public and our own, in the one format of the IC-GAN release."""

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
from lightning_modules.icgan.generator.release_config import (
    as_config,
    fitting_preset,
    preset_of_config,
    same_sizes,
)
from lightning_modules.icgan.generator.safe_load import as_state_dict, fill, fit_problems, read_weights
from lightning_modules.icgan.generator.trained_checkpoint import SUFFIX, read_trained
from lightning_modules.parts.errors import DataError

logger = logging.getLogger(__name__)

_WEIGHTS, _TRAINING = "G_ema_best", "state_dict_best"
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
    path: Path, *, preset: GeneratorPreset | None = None, sha256: str | None = None
) -> Generator:
    """Load an averaged generator of the IC-GAN release, of `save_generator`, or of a trial that trained one.

    Args:
        path: Folder with `state_dict_best*.pth` and `G_ema_best*.pth`, of which the lowest FID counts; or the kept
            checkpoint, `.ckpt`, of a trial of `neurosweep launch icgan-generator`.
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
    if path.suffix == SUFFIX:
        state, held = read_trained(path, sha256=sha256)
        return _built(state, held, preset, path)
    weights_file, config = _choose(path)
    state = as_state_dict(read_weights(weights_file, sha256=sha256), weights_file)
    held = fitting_preset(state) if config is None else preset_of_config(config, path)
    return _built(state, held, preset, weights_file)


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
    training = {"itr": iteration, "best_FID": float(best_fid), "config": as_config(generator.preset)}
    _write(generator.state_dict(), folder / f"{_WEIGHTS}{slot}.pth")
    _write(training, folder / f"{_TRAINING}{slot}.pth")


def _built(
    state: Mapping[str, Tensor], held: GeneratorPreset | None, asked: GeneratorPreset | None, source: Path
) -> Generator:
    """The generator of a file's tensors, which are of the preset `held`, or of `asked` where that is not known."""
    wanted = asked or held
    if wanted is None:
        raise DataError(
            f"{source} fits no preset of the generator ({', '.join(PRESETS)}), and no training state beside it "
            "says its sizes.",
            f"Put the `{_TRAINING}*.pth` of the release beside it, or give the preset.",
        )
    if held is not None and not same_sizes(held, wanted):
        raise DataError(
            f"{source} holds a generator of the preset {held}, but {wanted} was asked for.",
            "Give the checkpoint's own preset, or another checkpoint.",
        )
    with torch.device("meta"):
        generator = Generator(wanted)
    problems = fit_problems(generator.state_dict(), state, {UNUSED_CLASSES})
    if problems:
        raise DataError(
            f"{source} is no generator of the preset {wanted}: {' '.join(problems)}",
            "Give a checkpoint of this preset, whole.",
        )
    fill(generator, state)
    return generator.eval()


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
            "Give the unpacked folder of an `icgan_biggan_*.tar.gz`, or a `.ckpt` that `icgan-generator` kept.",
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


def _write(value: Any, path: Path) -> None:
    partial = path.with_name(path.name + ".part")
    torch.save(value, partial)
    os.replace(partial, path)
