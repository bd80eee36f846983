"""What SABLE's constructor accepts, checked before any weight is made."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from lightning_modules.parts.arguments import is_whole, outside, problems_of_statistics
from lightning_modules.parts.inputs import CountTransform
from lightning_modules.parts.schedules import Ramp

Variant = Literal["sable", "no_reversal", "stop_gradient", "behaviour_only", "session_classifier"]

ORIGIN: Mapping[Variant, str] = {
    "sable": "SABLE: networks, reversal, losses [paper-2nd]; place of the reversal, λ, activations [inferred]",
    "no_reversal": "SABLE-noREV: name, networks, losses [paper-2nd]; definition [inferred]",
    "stop_gradient": "Stop-gradient control [inferred]: not in the paper; networks and losses [paper-2nd]",
    "behaviour_only": "Behaviour-only control [inferred]: not in the paper; networks and losses [paper-2nd]",
    "session_classifier": "SABLE-DANN [inferred]: not in the paper; networks and losses [paper-2nd]",
}
"""Of each variant: whose it is, in the tags of `lightning_modules/sable/README.md`."""

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
_POSITIVE = (
    "bin_width_s",
    "prior_variance",
    "learning_rate",
    "classifier_learning_rate",
    "neural_learning_rate_ratio",
)
_NOT_NEGATIVE = (
    "reversal_strength",
    "neural_weight",
    "behaviour_weight",
    "kl_weight",
    "weight_decay",
    "gain_jitter",
)
_PROBABILITIES = ("encoder_dropout", "input_dropout", "latent_dropout", "unit_dropout")
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
        *outside(given, _POSITIVE_WHOLE, "a whole number of at least 1", lambda one: is_whole(one, 1)),
        *outside(given, _WHOLE, "a whole number of at least 0", lambda one: is_whole(one, 0)),
        *outside(given, _POSITIVE, "above 0", lambda one: math.isfinite(one) and one > 0),
        *outside(given, _NOT_NEGATIVE, "0 or more", lambda one: math.isfinite(one) and one >= 0),
        *outside(given, _PROBABILITIES, "from 0 to below 1", lambda one: 0 <= one < 1),
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
    problems += problems_of_statistics(given)
    if problems:
        raise ValueError("Sable cannot be built:\n" + "\n".join(f"  {one}" for one in problems))
