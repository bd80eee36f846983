"""The unit of work of a population: one member, one generation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """Epochs of one member between two decisions.

    Args:
        generation: Counted from 0.
        first_epoch: First epoch of the generation, from 0.
        until_epoch: Epoch before which the generation ends; the member's last epoch is the one before it.
        source: Member whose checkpoint of the generation before is the start; None for fresh weights.
        adopts: Whether the start was another member's, whose optimizer must take the new hyperparameters.
        data_seed: Seed of the data module. All members share it, because a copy that met another split would be
            validated on what it was trained on.
        explored: Dotted names of the hyperparameters that may have changed.
    """

    generation: int
    first_epoch: int
    until_epoch: int
    source: int | None
    adopts: bool
    data_seed: int
    explored: tuple[str, ...]
