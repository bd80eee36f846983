"""Physical ReLU neurons that lose synapses, or themselves, and are noisy; and where the losses come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.codes.grid_faults import fault_positions
from lightning_modules.fault_tolerant.codes.median_circuits import Terms
from lightning_modules.fault_tolerant.noise import NoiseSpec, Site


class Losses(Protocol):
    """What fails."""

    def at(self, sites: Tensor, n_columns: int) -> Tensor:
        """Return which of (G, B) evaluations of G sites fail, as positions in the flattened array."""
        ...


@dataclass(frozen=True)
class DrawnLosses:
    """Independent failures.

    Args:
        failure: Probability p.
        generator: Source of chance.
        frozen: Whether a site fails in all evaluations or in none. The generator then has to start alike in every
            chunk of evaluations.
    """

    failure: float
    generator: torch.Generator
    frozen: bool = False

    def at(self, sites: Tensor, n_columns: int) -> Tensor:
        """Draw positions."""
        if not self.frozen:
            return fault_positions(len(sites) * n_columns, self.failure, self.generator)
        failed = fault_positions(len(sites), self.failure, self.generator)
        columns = torch.arange(n_columns, device=failed.device)
        return (failed.unsqueeze(1) * n_columns + columns).flatten()


@dataclass(frozen=True, eq=False)
class GivenLosses:
    """Failures that are known.

    Args:
        failed: Sites that fail, bool (N sites, B).
    """

    failed: Tensor

    def at(self, sites: Tensor, n_columns: int) -> Tensor:
        """Look positions up."""
        del n_columns
        return self.failed.index_select(0, sites).flatten().nonzero().squeeze(1)


@dataclass(frozen=True)
class ReluNeurons:
    """ReLU neurons whose activities are numbers.

    Args:
        losses: What fails.
        site: Whether that is a synapse or a whole neuron.
        output_sd: Of the Gaussian added after the activation.
        gaussian: Its source; None without it.
    """

    losses: Losses
    site: Site
    output_sd: float = 0.0
    gaussian: torch.Generator | None = None

    def relu(self, terms: Terms, sites: Tensor) -> Tensor:
        """Return max(0, sum of weights times what arrives) and noise, (G, 1, B)."""
        total = self.sum(terms)
        flat, n_columns = total.view(-1), total.shape[-1]
        if self.site == "synapse":
            # Losses are rare: taking them off the sum costs less than a mask for every synapse.
            for at, (weight, wires) in enumerate(terms):
                lost = self.losses.at(sites + at, n_columns)
                flat.index_add_(0, lost, wires.reshape(-1).index_select(0, lost), alpha=-weight)
        total.relu_()
        if self.output_sd:
            total += torch.empty_like(total).normal_(0, self.output_sd, generator=self.gaussian)
        if self.site == "neuron":
            flat.index_fill_(0, self.losses.at(sites, n_columns), 0)
        return total

    def sum(self, terms: Terms) -> Tensor:
        """Return the weighted sum, a tensor of its own."""
        return weighted_sum(terms)


def weighted_sum(terms: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Return the sum of bundles times their weights, contiguous."""
    (weight, wires), *others = terms
    total = (wires * weight).contiguous()
    for weight, wires in others:
        total.add_(wires, alpha=weight)
    return total


def neurons_of(noise: NoiseSpec, generator: torch.Generator, masks: torch.Generator) -> ReluNeurons:
    """Return neurons with the noise of a specification; `masks` is the source of failures."""
    losses = DrawnLosses(noise.failure, masks, noise.persistence == "frozen")
    return ReluNeurons(losses, noise.site, noise.output_sd, generator)
