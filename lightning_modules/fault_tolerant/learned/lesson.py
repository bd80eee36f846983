"""How networks learn under noise: draws, curriculum, loss and steps."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.learned.losses import (
    margins_of,
    noisy_cross_entropy,
    tail_surrogate,
    worst_share,
)
from lightning_modules.fault_tolerant.learned.network import Exercise, LearnedNetwork, fewest_of_all_kinds
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.parts.arguments import is_whole, outside
from lightning_modules.parts.schedules import ramp

LossName = Literal["cross_entropy", "tail"]


@dataclass(frozen=True)
class LessonSettings:
    """Training under noise.

    There is no penalty on neurons or synapses: their numbers are settings, of which no weight has a slope. The search's
    second objective is there for them.

    Args:
        learning_rate: Of AdamW at first; it falls to 0 with a cosine.
        weight_decay: Of AdamW.
        n_draws: K, draws of the noise for each row of the truth table in a step; two or more for `tail`.
        steps_per_epoch: Steps in an epoch.
        ramp_epochs: Epochs in which the noise of training rises from 0.
        noise_factor: Times the evaluation's noise, at the end of them.
        loss: `cross_entropy`, or `tail`, see `tail_surrogate`, which replaces cross-entropy when the noise has risen:
            without noise it has no bound.
        cvar_alpha: Worst share of rows that counts, see `worst_share`; 1 is their mean.
        wire_weight: Weight of what wires inside the circuit carry, each as much as the result's by itself at 1; at 0
            only the result counts.
        trained_gates: Train the circuit's first logical neurons only, see `Exercise.of`, or all if it has fewer; None
            for all.
        grows: Whether training starts with the fewest logical neurons that have all kinds among them, and adds the
            others while the noise rises: gradients of a deep chain say little before its first layers are learned.

    Raises:
        ValueError: If a setting is out of range; all problems at once.

    Source:
        fault_tolerant.md sections 7.3 and 7.4; losses inside the circuit, and training on its beginning, are not there.
    """

    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    n_draws: int = 8
    steps_per_epoch: int = 50
    ramp_epochs: int = 2
    noise_factor: float = 1.2
    loss: LossName = "cross_entropy"
    cvar_alpha: float = 0.5
    wire_weight: float = 1.0
    trained_gates: int | None = None
    grows: bool = False

    def __post_init__(self) -> None:
        given = vars(self)
        problems = outside(given, ("learning_rate",), "above 0", lambda one: 0 < one < math.inf)
        problems += outside(
            given,
            ("weight_decay", "noise_factor", "wire_weight"),
            "0 or more and finite",
            lambda one: 0 <= one < math.inf,
        )
        problems += outside(
            given, ("n_draws", "steps_per_epoch"), "1 or more, and whole", lambda one: is_whole(one, 1)
        )
        problems += outside(given, ("ramp_epochs",), "0 or more, and whole", lambda one: is_whole(one, 0))
        problems += outside(given, ("cvar_alpha",), "above 0 up to 1", lambda one: 0 < one <= 1)
        if self.trained_gates is not None:
            problems += outside(
                given, ("trained_gates",), "1 or more, and whole", lambda one: is_whole(one, 1)
            )
        problems += outside(
            given, ("loss",), f"one of {', '.join(get_args(LossName))}", lambda one: one in get_args(LossName)
        )
        if self.loss == "tail" and self.n_draws == 1:
            problems.append("`n_draws` is 1, but `tail` needs the spread of two draws or more.")
        if problems:
            raise ValueError("Nothing can be learned like this:\n  " + "\n  ".join(problems))

    def risen(self, step: int) -> float:
        """Return how far the curriculum has come at a step, from 0 to 1."""
        return ramp("linear", step, warmup_steps=self.ramp_epochs * self.steps_per_epoch)

    def gates_at(self, circuit: Circuit, step: int) -> int:
        """Return how many of a circuit's logical neurons are trained at a step."""
        most = min(self.trained_gates or len(circuit.neurons), len(circuit.neurons))
        share = self.risen(step) if self.grows else 1.0
        return max(fewest_of_all_kinds(circuit), math.ceil(most * share))

    def noise_at(self, noise: NoiseSpec, step: int) -> NoiseSpec:
        """Return the noise of training at a step: the evaluation's, times a factor that rises."""
        factor = self.noise_factor * self.risen(step)
        return replace(
            noise,
            failure=min(factor * noise.failure, 1.0),
            output_sd=factor * noise.output_sd,
            phase_sd=factor * noise.phase_sd,
            trig_sd=factor * noise.trig_sd,
            score_sd=factor * noise.score_sd,
        )

    def loss_at(self, step: int) -> LossName:
        """Return the loss of a step."""
        return self.loss if self.risen(step) == 1 else "cross_entropy"

    def rate_at(self, step: int, n_steps: int) -> float:
        """Return the learning rate at a step of so many in all."""
        return self.learning_rate * (1 + math.cos(math.pi * min(step / n_steps, 1.0))) / 2


class Lesson:
    """Losses of a network that learns to compute a circuit.

    Args:
        circuit: What it learns.
        noise: Of the evaluation.
        settings: How it learns.
    """

    def __init__(self, circuit: Circuit, noise: NoiseSpec, settings: LessonSettings) -> None:
        self.circuit, self.noise, self.settings = circuit, noise, settings
        self._exercises: dict[int, Exercise] = {}

    def loss(self, network: LearnedNetwork, step: int, generator: torch.Generator) -> Tensor:
        """Compute the whole truth table under fresh draws of the noise of a step, and return the loss, a scalar.

        Args:
            network: What learns.
            step: Steps taken so far.
            generator: Of all draws.
        """
        settings, device = self.settings, generator.device
        exercise = self._exercise(settings.gates_at(self.circuit, step))
        chance = Chance(settings.noise_at(self.noise, step), generator, generator)
        logits = network.logits(exercise.circuit, exercise.inputs(settings.n_draws, device), chance)
        weights = [1.0 if one else settings.wire_weight for one in exercise.is_result]
        truth = torch.as_tensor(exercise.truth, device=device)
        total = torch.zeros(len(truth), device=device)
        for one, values, weight in zip(logits, truth.T, weights, strict=True):
            if weight:
                drawn = one.view(settings.n_draws, len(truth), -1)
                total = total + weight * row_losses(drawn, values, settings.loss_at(step))
        return worst_share(total / sum(weights), settings.cvar_alpha)

    def _exercise(self, n_gates: int) -> Exercise:
        if n_gates not in self._exercises:
            self._exercises[n_gates] = Exercise.of(self.circuit, n_gates)
        return self._exercises[n_gates]


def row_losses(logits: Tensor, truth: Tensor, loss: LossName) -> Tensor:
    """Return the loss of a wire for each row, (R,), of logits (K, R, V)."""
    if loss == "tail":
        return tail_surrogate(margins_of(logits, truth))
    return noisy_cross_entropy(logits, truth)
