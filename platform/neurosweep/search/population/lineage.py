"""Where a member's weights come from: its lineage, and the hyperparameter schedule along it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurosweep.search.population.log import Generation, PopulationHead


@dataclass(frozen=True)
class Stage:
    """One generation of a lineage.

    Args:
        generation: Counted from 0.
        member: Who trained it.
        seed: Seed of that member.
        first_epoch: First epoch, from 0.
        until_epoch: Epoch before which it ends.
        copied: Whether its start was copied from another member.
        parameters: Hyperparameters in force, by dotted name.
    """

    generation: int
    member: int
    seed: int
    first_epoch: int
    until_epoch: int
    copied: bool
    parameters: dict[str, Any]


def epochs_of(head: PopulationHead, generation: int) -> tuple[int, int]:
    """Return the first epoch of a generation and the one before which it ends."""
    first = generation * head.generation_epochs
    return first, min(first + head.generation_epochs, head.max_epochs)


def trace_lineage(
    head: PopulationHead, generations: Sequence[Generation], *, member: int, generation: int
) -> tuple[Stage, ...]:
    """Follow a member's weights back to their first generation.

    Args:
        head: The population.
        generations: Its generations.
        member: Whose weights.
        generation: At the end of which generation.

    Returns:
        The stages in order of training; they hold the hyperparameter schedule.
    """
    stages: list[Stage] = []
    follow: int | None = member
    for number in range(generation, -1, -1):
        if follow is None:
            break  # this member began anew with fresh weights
        step = generations[number].steps[follow]
        first, until = epochs_of(head, number)
        stages.append(
            Stage(
                generation=number,
                member=follow,
                seed=head.seeds[follow],
                first_epoch=first,
                until_epoch=until,
                copied=step.source is not None and step.source != follow,
                parameters=dict(step.parameters),
            )
        )
        follow = step.source
    return tuple(reversed(stages))
