"""What SABLE's constructor accepts, checked before any weight is made."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from lightning_modules.parts.inputs import CountTransform
from lightning_modules.parts.schedules import Ramp

Variant = Literal["sable", "no_reversal", "stop_gradient", "behaviour_only", "session_classifier"]

_POSITIVE_WHOLE = (
    "n_units",
    "n_bins",
    "latent_dim",
    "encoder_hidden",
    "encoder_layers",
    "encoder_width",
    "generator_hidden",
    "factor_dim",
    "behaviour_hidden",
    "behaviour_layers",
    "behaviour_width",
    "classifier_hidden",
)
_WHOLE = ("reversal_warmup_steps", "kl_warmup_steps")
_POSITIVE = ("bin_width_s", "prior_variance", "learning_rate", "classifier_learning_rate")
_NOT_NEGATIVE = (
    "reversal_strength",
    "neural_weight",
    "behaviour_weight",
    "kl_weight",
    "weight_decay",
    "gain_jitter",
)
_PROBABILITIES = ("input_dropout", "latent_dropout", "unit_dropout")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "variant": get_args(Variant),
    "reversal_schedule": get_args(Ramp),
    "encoder_input": get_args(CountTransform),
}


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check the arguments of `Sable`, by name.

    Raises:
        ValueError: With every problem at once.
    """
    problems = [
        *_outside(given, _POSITIVE_WHOLE, "a whole number of at least 1", lambda one: _is_whole(one, 1)),
        *_outside(given, _WHOLE, "a whole number of at least 0", lambda one: _is_whole(one, 0)),
        *_outside(given, _POSITIVE, "above 0", lambda one: math.isfinite(one) and one > 0),
        *_outside(given, _NOT_NEGATIVE, "0 or more", lambda one: math.isfinite(one) and one >= 0),
        *_outside(given, _PROBABILITIES, "from 0 to below 1", lambda one: 0 <= one < 1),
    ]
    problems += [
        f"`{name}` is {given[name]!r}, but must be one of {', '.join(choices)}."
        for name, choices in _CHOICES.items()
        if given[name] not in choices
    ]
    if given["variant"] == "session_classifier" and given["n_sessions"] < 2:
        problems.append(
            f"`n_sessions` is {given['n_sessions']}, but a session classifier needs at least 2 training sessions; "
            "launch `sable-dann`, whose batches say which session a trial is from."
        )
    problems += _problems_of_statistics(given)
    if problems:
        raise ValueError("Sable cannot be built:\n" + "\n".join(f"  {one}" for one in problems))


def _outside(given: Mapping[str, Any], names: tuple[str, ...], wanted: str, holds: Any) -> list[str]:
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
