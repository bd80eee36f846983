"""Evaluations in pieces that fit into memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.noise import NoiseSpec


def in_chunks(
    noise: NoiseSpec, n_evaluations: int, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, torch.Generator]]:
    """Yield numbers of the evaluations of each chunk, (B,), and the chance of its failures.

    Frozen failures are drawn from the same seed in every chunk.

    Args:
        noise: How failures persist.
        n_evaluations: In all.
        size: Of a chunk, at most.
        generator: The only source of chance.
    """
    device = generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    for start in range(0, n_evaluations, size):
        masks = generator
        if noise.persistence == "frozen":
            masks = torch.Generator(device).manual_seed(seed)
        yield torch.arange(start, min(start + size, n_evaluations), device=device), masks
