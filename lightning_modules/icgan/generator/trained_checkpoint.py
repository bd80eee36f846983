"""The averaged generator of a kept checkpoint of the adversarial training."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lightning_modules.icgan.generator.presets import PRESETS, GeneratorPreset
from lightning_modules.icgan.generator.safe_load import read_weights
from lightning_modules.parts.errors import DataError

SUFFIX = ".ckpt"
"""Of the files that Lightning and neurosweep keep."""
AVERAGE = "average."
"""Before the names of the averaged generator's entries in the state of `AdversarialIcgan`."""


def read_trained(path: Path, *, sha256: str | None = None) -> tuple[dict[str, Tensor], GeneratorPreset]:
    """Read the averaged generator that a trial of `neurosweep launch icgan-generator` kept.

    Args:
        path: The checkpoint, such as `best-00012.ckpt` in a trial's folder or `model.ckpt` in MLflow.
        sha256: Hash that the file must have; None where it is not known.

    Returns:
        The state of the generator, and its preset.

    Raises:
        DataError: If the file is not safe to load, damaged, or of another model.
    """
    content = read_weights(path, sha256=sha256)
    held = content if isinstance(content, Mapping) else {}
    arguments, state = held.get("hyper_parameters", {}), held.get("state_dict", {})
    average = {
        name.removeprefix(AVERAGE): one for name, one in state.items() if str(name).startswith(AVERAGE)
    }
    if not average or arguments.get("preset") not in PRESETS or "h_dim" not in arguments:
        raise DataError(
            f"{path} is no checkpoint of an adversarial IC-GAN: it holds {len(average)} entries of an averaged "
            f"generator, and the preset `{arguments.get('preset')}`.",
            "Give a kept checkpoint of a trial of `neurosweep launch icgan-generator`.",
        )
    return average, dataclasses.replace(PRESETS[arguments["preset"]], h_dim=int(arguments["h_dim"]))
