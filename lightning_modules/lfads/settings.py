"""What LFADS's constructor accepts, checked before any weight is made."""

import math
from collections.abc import Mapping
from typing import Any

from lightning_modules.parts.arguments import is_whole, outside, problems_of_statistics

_POSITIVE_WHOLE = (
    "n_units",
    "n_bins",
    "latent_dim",
    "encoder_hidden",
    "generator_hidden",
    "factor_dim",
    "input_encoder_hidden",
    "controller_hidden",
)
_WHOLE = ("controller_dim", "warmup_steps")
_POSITIVE = (
    "bin_width_s",
    "prior_variance",
    "input_prior_tau_bins",
    "input_prior_noise_variance",
    "ridge_penalty",
    "learning_rate",
    "adam_epsilon",
)
_NOT_NEGATIVE = ("kl_weight", "input_kl_weight", "generator_l2", "controller_l2")
_PROBABILITIES = ("dropout", "coordinated_dropout")


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check the arguments of `Lfads`, by name.

    Raises:
        ValueError: With every problem at once.
    """
    problems = [
        *outside(given, _POSITIVE_WHOLE, "a whole number of at least 1", lambda one: is_whole(one, 1)),
        *outside(given, _WHOLE, "a whole number of at least 0", lambda one: is_whole(one, 0)),
        *outside(given, _POSITIVE, "above 0", lambda one: math.isfinite(one) and one > 0),
        *outside(given, _NOT_NEGATIVE, "0 or more", lambda one: math.isfinite(one) and one >= 0),
        *outside(given, _PROBABILITIES, "from 0 to below 1", lambda one: 0 <= one < 1),
        *problems_of_statistics(given),
    ]
    if problems:
        raise ValueError("Lfads cannot be built:\n" + "\n".join(f"  {one}" for one in problems))
