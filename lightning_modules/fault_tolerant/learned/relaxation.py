"""Winner-take-all with a slope, for training alone: what is evaluated takes the winner."""

from typing import Literal

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.codes.grid_simulator import Choice

Relaxation = Literal["softmax", "straight_through", "gumbel"]


def relaxed_choice(kind: Relaxation, temperature: float, generator: torch.Generator) -> Choice:
    """Return a way to choose phases by scores that lets gradients through.

    Phases are mixed by how far they are from the winner's, the short way round: there is no other mean of phases that
    is the winner's where all weight is on it, and has a slope everywhere.

    Args:
        kind: `softmax` sends the mixture; `straight_through` the winner's phase, with the mixture's slope; `gumbel`
            the same of a winner that is drawn in proportion to the mixture.
        temperature: T of the softmax, in units of scores.
        generator: Of `gumbel`.

    Source:
        fault_tolerant.md section 7.1; mixing of phases [inferred].
    """

    def choose(scores: Tensor, outputs: Tensor) -> Tensor:
        if kind == "gumbel":
            scores = scores + temperature * _gumbel(scores.shape, generator)
        n_modules, n = outputs.shape[1], scores.shape[2]
        best = scores.argmax(dim=0).expand(n_modules, n)
        winner = outputs.T.gather(1, best)  # (M, B)
        apart = outputs.unsqueeze(2) - winner
        apart = apart - apart.detach().round()
        weights = (scores / temperature).softmax(dim=0)  # (S, D, B): one decoder, or as many as modules
        mixed = winner + (weights * apart).sum(dim=0)
        return mixed if kind == "softmax" else mixed + (winner - mixed).detach()

    return choose


def _gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    exponential = torch.empty(shape, device=generator.device).exponential_(generator=generator)
    return -exponential.log()
