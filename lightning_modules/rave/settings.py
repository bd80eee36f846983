"""What RAVE's constructor accepts, checked before any weight is made."""

import math
from collections.abc import Mapping
from typing import Any

from lightning_modules.parts.arguments import is_whole, outside, problems_of_statistics

_POSITIVE_WHOLE = (
    "n_units",
    "n_bins",
    "latent_dim",
    "width",
    "layers",
    "behaviour_width",
    "classifier_width",
    "classifier_steps",
)
_WHOLE = ("behaviour_layers", "classifier_layers")
_POSITIVE = ("bin_width_s", "ridge_penalty", "learning_rate", "classifier_learning_rate", "gradient_clip")
_NOT_NEGATIVE = (
    "smoothing_bins",
    "reconstruction_weight",
    "behaviour_weight",
    "domain_weight",
    "weight_decay",
)
_PROBABILITIES = ("dropout", "behaviour_dropout", "classifier_dropout")


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check the arguments of `Rave`, by name.

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
    if not problems and given["width"] < 2 ** (given["layers"] - 1):
        problems.append(
            f"`width` is {given['width']}, but is halved from layer to layer and must be at least "
            f"{2 ** (given['layers'] - 1)} for {given['layers']} `layers`."
        )
    if given["n_sessions"] < 2:
        problems.append(
            f"`n_sessions` is {given['n_sessions']}, but a session classifier needs at least 2 training sessions; "
            "launch `rave-plus`, whose batches say which session a trial is from."
        )
    problems += problems_of_statistics(given)
    if problems:
        raise ValueError("Rave cannot be built:\n" + "\n".join(f"  {one}" for one in problems))
