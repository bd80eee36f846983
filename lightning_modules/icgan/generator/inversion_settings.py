"""How pictures are inverted."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from lightning_modules.icgan.generator.image_loss import ImageWeights

DenseMode = Literal["from_z", "free"]

_LEAST = {"restarts": 1, "z_steps": 1, "cma_generations": 0, "d_steps": 1, "batch_size": 1}


@dataclass(frozen=True)
class InversionSettings:
    """How pictures are inverted; the defaults are the specified ones.

    Args:
        dense_mode: `from_z` takes the dense vector that the noise gives; `free` goes on from it to any other.
        restarts: Draws of the noise to start from, of which the best result counts.
        z_steps: Of Adam on the noise.
        z_rates: First and last learning rate on the noise, by a cosine.
        z_weight: Of the mean squared entry of the noise.
        cma_generations: Of CMA-ES, which finds the first restart's start; 0 draws that one too.
        d_steps: Of Adam on the dense vector.
        d_rate: Learning rate on the dense vector.
        d_weight: Of the squared distance from the dense vector that the noise gives, over its squared length.
        joint: Whether the noise but its first chunk moves with the dense vector, at a tenth of the rate.
        image_weights: Of the terms of the loss of pictures.
        batch_size: Pictures at once; decides memory, not the result.
        seed: Of the starts.

    Raises:
        ValueError: If a value is out of range; all problems at once.
    """

    dense_mode: DenseMode = "free"
    restarts: int = 4
    z_steps: int = 300
    z_rates: tuple[float, float] = (0.05, 0.005)
    z_weight: float = 1e-3
    cma_generations: int = 0
    d_steps: int = 200
    d_rate: float = 0.01
    d_weight: float = 0.1
    joint: bool = False
    image_weights: ImageWeights = field(default_factory=ImageWeights)
    batch_size: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` is {getattr(self, name)}, but must be at least {least}."
            for name, least in _LEAST.items()
            if getattr(self, name) < least
        ]
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be 0 or more."
            for name in ("z_weight", "d_weight", "d_rate")
            if not getattr(self, name) >= 0
        ]
        if not min(self.z_rates) > 0:
            problems.append(f"`z_rates` are {self.z_rates}, but must be above 0.")
        if self.dense_mode not in get_args(DenseMode):
            problems.append(
                f"`dense_mode` is {self.dense_mode!r}, not one of {', '.join(get_args(DenseMode))}."
            )
        if problems:
            raise ValueError("Pictures cannot be inverted so:\n  " + "\n  ".join(problems))
