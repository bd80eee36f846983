"""What LFADS's constructor accepts, checked before any weight is made."""

import math
from collections.abc import Callable, Mapping
from typing import Any

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
        *_outside(given, _POSITIVE_WHOLE, "a whole number of at least 1", lambda one: _is_whole(one, 1)),
        *_outside(given, _WHOLE, "a whole number of at least 0", lambda one: _is_whole(one, 0)),
        *_outside(given, _POSITIVE, "above 0", lambda one: math.isfinite(one) and one > 0),
        *_outside(given, _NOT_NEGATIVE, "0 or more", lambda one: math.isfinite(one) and one >= 0),
        *_outside(given, _PROBABILITIES, "from 0 to below 1", lambda one: 0 <= one < 1),
        *_problems_of_statistics(given),
    ]
    if problems:
        raise ValueError("Lfads cannot be built:\n" + "\n".join(f"  {one}" for one in problems))


def _outside(
    given: Mapping[str, Any], names: tuple[str, ...], wanted: str, holds: Callable[[Any], bool]
) -> list[str]:
    return [f"`{name}` is {given[name]!r}, but must be {wanted}." for name in names if not holds(given[name])]


def _is_whole(value: Any, lowest: int) -> bool:
    return isinstance(value, int) and value >= lowest


def _problems_of_statistics(given: Mapping[str, Any]) -> list[str]:
    """Check what the data module measured on the training days."""
    n_units, n_dimensions = given["n_units"], len(given["behaviour_names"])
    problems = []
    if n_dimensions == 0:
        problems.append("`behaviour_names` is empty, but at least one dimension must be decoded.")
    for name, wanted, of in (
        ("mean_counts", n_units, "n_units"),
        ("behaviour_mean", n_dimensions, "the number of `behaviour_names`"),
        ("behaviour_scale", n_dimensions, "the number of `behaviour_names`"),
    ):
        values = given[name]
        if len(values) != wanted:
            problems.append(f"`{name}` has {len(values)} entries, but {of} is {wanted}.")
        if not all(math.isfinite(value) for value in values):
            problems.append(f"`{name}` holds values that are not finite; mend the recordings.")
    if any(value < 0 for value in given["mean_counts"]):
        problems.append("`mean_counts` holds a negative count.")
    if any(value <= 0 for value in given["behaviour_scale"]):
        problems.append("`behaviour_scale` must be above 0; give 1.0 for a dimension that never moves.")
    return problems
