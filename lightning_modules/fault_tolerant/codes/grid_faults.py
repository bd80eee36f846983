"""Where synapses fail, and the noise that neurons add: exact draws that cost little when faults are rare."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.noise import NoiseSpec

DENSE_FROM = 0.2
"""Failure probability from which a byte is drawn for every synapse, not a gap for every fault."""
SINGLE_FROM = 2.0**-10
"""Failure probability from which the 24 bits of single precision are enough for a gap."""


def fault_positions(n: int, p: float, generator: torch.Generator) -> Tensor:
    """Draw which of n synapses fail, each by itself with probability p.

    The gaps between faults are geometric, so that only faults cost random numbers.

    Returns:
        Positions in ascending order, int64, on the generator's device.
    """
    if p <= 0 or n == 0:
        return torch.empty(0, dtype=torch.int64, device=generator.device)
    pieces, start = [], 0
    dtype = torch.float32 if p > SINGLE_FROM else torch.float64
    while start < n:
        left = n - start
        n_gaps = int(left * p + 6 * math.sqrt(left * p) + 16)
        uniform = torch.rand(n_gaps, generator=generator, device=generator.device, dtype=dtype)
        # 1 - u is never 0; a gap beyond the end would be no whole number if it were not cut.
        gaps = uniform.neg_().add_(1).log_().mul_(1 / math.log1p(-p) if p < 1 else -0.0).clamp_(max=n).long()
        pieces.append(gaps.add_(1).cumsum(0).add_(start - 1))
        start = int(pieces[-1][-1]) + 1
    found = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return found[: int(torch.searchsorted(found, n))]


def surviving_bytes(n: int, p: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Draw a byte for every synapse, and return which survive and the failure probability still to be drawn.

    A byte decides in steps of 1/256; the rest is so small that gaps are cheap. Both together fail with p exactly.
    """
    steps = min(int(p * 256), 255)
    words = torch.empty((n + 7) // 8, dtype=torch.int64, device=generator.device)
    # From the least number on, or the top bit of every eighth byte would always be 0.
    words.random_(torch.iinfo(torch.int64).min, None, generator=generator)
    rest = (p - steps / 256) / (1 - steps / 256)
    return words.view(torch.uint8)[:n] >= steps, rest


@dataclass(frozen=True)
class Chance:
    """Draws of one chunk of evaluations.

    Args:
        noise: How unreliable the neurons are.
        gaussian: Source of the noise that is added.
        masks: Source of the failures; if they are frozen it starts alike in every chunk.
        correlated: Whether a connection fails in all modules together.

    Shapes:
        Tensors are (..., M modules, B evaluations).
    """

    noise: NoiseSpec
    gaussian: torch.Generator
    masks: torch.Generator
    correlated: bool = False

    @property
    def frozen(self) -> bool:
        """Whether all evaluations meet the same failures."""
        return self.noise.persistence == "frozen"

    def failed(self, values: Tensor) -> Tensor:
        """Return values some of which are zero, as they arrive through failing connections."""
        if self.noise.failure == 0:
            return values
        if not (self.correlated or self.frozen):
            found = fault_positions(values.numel(), self.noise.failure, self.masks)
            return (
                values.clone(memory_format=torch.contiguous_format)
                .view(-1)
                .index_fill_(0, found, 0)
                .view_as(values)
            )
        shape = list(values.shape)
        if self.correlated:
            shape[-2] = 1
        if self.frozen:
            shape[-1] = 1
        keep = torch.ones(math.prod(shape), dtype=values.dtype, device=values.device)
        keep[fault_positions(len(keep), self.noise.failure, self.masks)] = 0
        return values * keep.view(shape)

    def noisy(self, values: Tensor, sd: float) -> Tensor:
        """Return values with Gaussian noise."""
        return self.normal(values.shape, sd).add_(values) if sd else values

    def normal(self, shape: torch.Size | tuple[int, ...], sd: float) -> Tensor:
        """Draw Gaussian noise."""
        return torch.empty(shape, device=self.gaussian.device).normal_(0, sd, generator=self.gaussian)
