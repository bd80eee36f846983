"""The experiment of the published figure: how often a coded ReLU of input 1 is not read as 1."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.codes.median_chunks import MEMORY, Chunks
from lightning_modules.fault_tolerant.codes.median_circuits import CircuitName, MedianCircuit, Neuron, decode
from lightning_modules.fault_tolerant.codes.median_faults import GivenLosses, ReluNeurons
from lightning_modules.fault_tolerant.noise import NoiseSpec, Site


@dataclass(frozen=True)
class CodedRelu:
    """A ReLU of one input, coded; the input is an ideal bundle of ones, the read-out ideal medians of medians.

    An output is wrong if it is nearer to another whole number than to 1.

    Args:
        level: 0 is the bare neuron, which errs with p exactly.
        circuit: Of the median, `N4` or `L3`.
        memory: Most bytes that a simulation may take.

    Source:
        fault_tolerant.md sections 3.1.5 and 5.2; the input 1 is inferred.
    """

    level: int
    circuit: CircuitName = "N4"
    memory: int = MEMORY

    def n_sites(self, site: Site) -> int:
        """Count what can fail by itself: 45 synapses of N4 at level 1, 1161 at level 2."""
        return MedianCircuit(self.circuit, site).sites(self.level, n_terms=1)

    def count_errors(self, noise: NoiseSpec, n_trials: int, generator: torch.Generator) -> int:
        """Count wrong outputs among so many evaluations with fresh noise, or with the same failures if frozen.

        Raises:
            DataError: If one evaluation takes more memory than there may be, or the noise fails in blocks.
        """
        chunks = Chunks(self.level, 1, self.memory).neurons(noise, n_trials, generator)
        return sum(int(self._is_wrong(numbers, neurons, noise.site).sum()) for numbers, neurons in chunks)

    def harmful(self, site: Site) -> Callable[[Tensor], Tensor]:
        """Return the function from failed sites, bool (B, N), to whether the output is wrong, bool (B,).

        Raises:
            DataError: If one evaluation takes more memory than there may be.
        """
        Chunks(self.level, 1, self.memory).check()

        def is_wrong(failed: Tensor) -> Tensor:
            neurons = ReluNeurons(GivenLosses(failed.T.contiguous()), site)
            return self._is_wrong(failed[:, 0], neurons, site)

        return is_wrong

    def _is_wrong(self, columns: Tensor, neurons: Neuron, site: Site) -> Tensor:
        ones = torch.ones(1, 3**self.level, len(columns), device=columns.device)
        first = torch.zeros(1, dtype=torch.int64, device=columns.device)
        output = MedianCircuit(self.circuit, site).relu(self.level, [(1, ones)], first, neurons)
        return (decode(output).squeeze(0) - 1).abs() >= 0.5
