"""How a module carries a phase: as one number, as cosine and sine, or as a population of tuned neurons."""

import math
from typing import Literal

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.codes.grid_faults import Chance

Representation = Literal["phase", "phasor", "population"]


def n_components(representation: Representation, n_tuned: int) -> int:
    """Return the neurons that carry one phase."""
    return {"phase": 1, "phasor": 2, "population": n_tuned}[representation]


def emit(phases: Tensor, representation: Representation, n_tuned: int, chance: Chance) -> Tensor:
    """Return what the output neurons of a logical neuron say.

    Each component arrives from the winner through one synapse. Phases and phasors have noise `phase_sd`, in cycles;
    tuned neurons, which carry no phase, `output_sd`.

    Args:
        phases: To be encoded, cycles, (M, B).
        representation: Of the modules.
        n_tuned: K, neurons of a population.
        chance: Draws of this chunk.

    Returns:
        Activity, (components, M, B).

    Source:
        fault_tolerant.md sections 2.6 and 2.10; phasor and population [inferred].
    """
    noise = chance.noise
    if representation == "phase":
        return _sent(phases.unsqueeze(0), noise.phase_sd, chance)
    if representation == "phasor":
        angle = 2 * math.pi * chance.noisy(phases, noise.phase_sd)
        return _sent(torch.stack([angle.cos(), angle.sin()]), 0.0, chance)
    preferred = torch.arange(n_tuned, device=phases.device).view(-1, 1, 1) / n_tuned
    rates = torch.cos(2 * math.pi * (phases - preferred)).relu_()
    return _sent(rates, noise.output_sd, chance)


def _sent(values: Tensor, sd: float, chance: Chance) -> Tensor:
    """Let a synapse fail before the neuron adds its noise, or the whole neuron after it."""
    if chance.noise.site == "neuron":
        return chance.failed(chance.noisy(values, sd))
    return chance.noisy(chance.failed(values), sd)


def add(
    inputs: list[Tensor],
    weights: tuple[int, ...],
    representation: Representation,
    chance: Chance,
    *,
    trig_fails: bool,
    noisy_reading: bool,
) -> Tensor:
    """Add phases, and return cosines and sines of the sum as the trig neurons say them, (2M, B).

    Phases are added by synapses that fail. Phasors are multiplied, powers for weights; a lost synapse takes a part of
    the vote, and never turns it into phase 0.

    Source:
        fault_tolerant.md sections 2.3, 2.4, 2.6; products of phasors stand for the shift layer of 2.10 [inferred].
    """
    by_synapse = chance.noise.site == "synapse"
    if noisy_reading:
        inputs = [chance.noisy(one, chance.noise.phase_sd) for one in inputs]
    arrived = [chance.failed(one) if by_synapse else one for one in inputs]
    if representation == "phase":
        total = torch.stack([weight * one[0] for weight, one in zip(weights, arrived, strict=True)]).sum(
            dim=0
        )
        total = chance.noisy(total, chance.noise.phase_sd)
        total = total if by_synapse else chance.failed(total)
        trig = trig_of_phases(total, chance if trig_fails and by_synapse else None)
    else:
        turned = [_rotated(phasor_of(one), weight) for one, weight in zip(arrived, weights, strict=True)]
        product = torch.stack(turned).prod(dim=0)
        trig = torch.stack([product.real, product.imag])
    trig = chance.noisy(trig, chance.noise.trig_sd)
    return (trig if by_synapse else chance.failed(trig)).flatten(0, 1)


def trig_of_phases(phases: Tensor, chance: Chance | None) -> Tensor:
    """Return cosine and sine, (2, M, B); their own synapses fail if chance is given."""
    angle = 2 * math.pi * phases
    if chance is None:
        if angle.requires_grad:
            return torch.stack([angle.cos(), angle.sin()])
        both = torch.empty((2, *angle.shape), device=angle.device)
        torch.cos(angle, out=both[0])
        torch.sin(angle, out=both[1])
        return both
    both = chance.failed(angle.repeat(2, 1, 1))
    return torch.stack([both[0].cos(), both[1].sin()])


def phasor_of(activity: Tensor) -> Tensor:
    """Return the complex phasor that cosine and sine, or tuned neurons, stand for, (M, B); length 1 without faults."""
    if len(activity) == 2:
        return torch.complex(activity[0], activity[1])
    n_tuned = len(activity)
    angle = 2 * math.pi * torch.arange(n_tuned, device=activity.device) / n_tuned
    real, imaginary = torch.stack([angle.cos(), angle.sin()]) @ activity.flatten(1) * (4 / n_tuned)
    return torch.complex(real, imaginary).view(activity.shape[1:])


def _rotated(phasor: Tensor, weight: int) -> Tensor:
    """Multiply the angle and keep the length, or a weight of 4 would let a lost vote count four times."""
    return phasor if weight == 1 else torch.polar(phasor.abs(), weight * phasor.angle())


def heard(activity: Tensor, representation: Representation) -> Tensor:
    """Return cosines and sines that an ideal listener reads, (2M, B)."""
    if representation == "phase":
        return trig_of_phases(activity[0], None).flatten(0, 1)
    phasor = phasor_of(activity)
    return torch.cat([phasor.real, phasor.imag])
