"""How much memory a coded ReLU takes, and evaluations in chunks that respect it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.codes.chunks import in_chunks
from lightning_modules.fault_tolerant.codes.median_faults import ReluNeurons, neurons_of
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.parts.errors import DataError

MEMORY = 2 * 2**30
"""Bytes that a simulation may take unless said otherwise."""
LEAVES_PER_CHUNK = {"cpu": 2**20, "cuda": 2**25}
"""Most bare ReLUs computed at a time: smaller chunks spend their time on starting kernels."""
BYTES_PER_LEAF = 48
"""Of the 9^level bare ReLUs that a NAND computes together: 20 at p = .3 [measured], more if all fail."""
BYTES_PER_WIRE = 12
"""Of a bundle that waits: itself, its copy in a gadget and its read-out."""


@dataclass(frozen=True)
class Chunks:
    """Evaluations of a coded circuit, so many at a time that memory is bounded.

    Args:
        level: Of the code.
        n_bundles: Bundles that are kept while the circuit is computed.
        memory: Most bytes.
    """

    level: int
    n_bundles: int
    memory: int = MEMORY

    @property
    def bytes_per_evaluation(self) -> int:
        """Bytes that one evaluation takes at its widest place."""
        return BYTES_PER_LEAF * 9**self.level + BYTES_PER_WIRE * self.n_bundles * 3**self.level

    def check(self) -> None:
        """Refuse what does not fit.

        Raises:
            DataError: If one evaluation takes more than the memory.
        """
        if self.bytes_per_evaluation > self.memory:
            raise DataError(
                f"Level {self.level} takes {_in_words(self.bytes_per_evaluation)} for a single evaluation, more than "
                f"the {_in_words(self.memory)} there may be.",
                "Take a lower level, or give `memory` more bytes; `theory.concatenation` continues to any level.",
            )

    def neurons(
        self, noise: NoiseSpec, n_evaluations: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, ReluNeurons]]:
        """Yield numbers of the evaluations of each chunk, (B,), and its neurons.

        Raises:
            DataError: If one evaluation does not fit, or the noise is not this code's; before anything is drawn.
        """
        self.check()
        if noise.block != 1:
            raise DataError(
                f"Synapses of the median code fail one by one, not in blocks of {noise.block}.",
                "Set `block` to 1.",
            )
        leaves = LEAVES_PER_CHUNK.get(generator.device.type, LEAVES_PER_CHUNK["cpu"])
        size = max(1, min(leaves // 9**self.level, self.memory // self.bytes_per_evaluation))
        for numbers, masks in in_chunks(noise, n_evaluations, size, generator):
            yield numbers, neurons_of(noise, generator, masks)


def _in_words(n_bytes: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes:,} bytes"
