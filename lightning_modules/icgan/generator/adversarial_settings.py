"""What the constructor of `AdversarialIcgan` accepts, checked before any weight is made."""

import math
from collections.abc import Mapping
from typing import Any

from lightning_modules.icgan.generator.presets import PRESETS
from lightning_modules.parts.arguments import is_whole, outside

_POSITIVE = ("generator_rate", "discriminator_rate", "noise_sd")


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check the arguments of `AdversarialIcgan`, by name.

    Raises:
        ValueError: With every problem at once.
    """
    presets = ", ".join(PRESETS)
    problems = [
        *outside(given, ("preset",), f"one of {presets}", lambda one: one in PRESETS),
        *outside(given, ("h_dim",), "a whole number of at least 1", lambda one: is_whole(one, 1)),
        *outside(
            given, ("head_start", "ema_start"), "a whole number of at least 0", lambda one: is_whole(one, 0)
        ),
        *outside(
            given, ("samples_per_instance",), "a whole number of at least 2", lambda one: is_whole(one, 2)
        ),
        *outside(given, _POSITIVE, "above 0", lambda one: math.isfinite(one) and one > 0),
        *outside(given, ("ema_decay",), "from 0 to below 1", lambda one: 0 <= one < 1),
        *outside(given, ("translation",), "from 0 to below 1", lambda one: 0 <= one < 1),
    ]
    if problems:
        raise ValueError("AdversarialIcgan cannot be built:\n" + "\n".join(f"  {one}" for one in problems))
