"""Checks of the arguments of a decoder's constructor: each returns its problems, in sentences."""

import math
from collections.abc import Callable, Mapping
from typing import Any


def outside(
    given: Mapping[str, Any], names: tuple[str, ...], wanted: str, holds: Callable[[Any], bool]
) -> list[str]:
    """Name the arguments for which `holds` is false.

    Args:
        given: Arguments by name.
        names: Which of them to check.
        wanted: What they must be, such as `above 0`.
        holds: Whether a value is that.
    """
    return [f"`{name}` is {given[name]!r}, but must be {wanted}." for name in names if not holds(given[name])]


def is_whole(value: Any, lowest: int) -> bool:
    """Whether a value is a whole number of at least `lowest`."""
    return isinstance(value, int) and value >= lowest


def problems_of_statistics(given: Mapping[str, Any]) -> list[str]:
    """Check what the data module measured on the training days; see `SpikeDataModule.model_arguments`."""
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
