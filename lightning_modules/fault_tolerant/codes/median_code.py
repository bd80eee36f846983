"""The concatenated median code: circuits of NAND gates, each from two coded ReLUs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.codes.median_chunks import MEMORY, Chunks
from lightning_modules.fault_tolerant.codes.median_circuits import CircuitName, MedianCircuit, Neuron, decode
from lightning_modules.fault_tolerant.codes.median_faults import GivenLosses, ReluNeurons
from lightning_modules.fault_tolerant.codes.nands import into_nands
from lightning_modules.fault_tolerant.noise import NoiseSpec, Site
from lightning_modules.fault_tolerant.resources import Resources

NAND_TERMS = (3, 2)
"""Bundles that the two ReLUs of a NAND read, the constant 1 among them."""


@dataclass(frozen=True)
class MedianCode:
    """A code whose values are bundles of 3^level wires, and whose every ReLU is nine copies and three medians.

    h = ReLU(a + b - 1), y = ReLU(1 - h); the bundle of the constant 1 is ideal, but synapses that read it fail as all
    others do. The first encoding of the inputs and the last read-out, medians of medians, are ideal. Gates other
    than NAND are rewritten with `into_nands`, and cost what NANDs cost.

    Args:
        level: Of concatenation; 0 is the bare neuron.
        circuit: Of the median, `N4` or `L3`.
        memory: Most bytes that a simulation may take.

    Raises:
        ValueError: If the level is negative, there is no such circuit, or no memory.

    Source:
        fault_tolerant.md section 3.1: wiring [paper: figure]; median circuits, NAND and counts [inferred].
    """

    level: int
    circuit: CircuitName = "N4"
    memory: int = MEMORY

    def __post_init__(self) -> None:
        MedianCircuit(self.circuit)
        problems = []
        if self.level < 0:
            problems.append(f"`level` is {self.level}, but must be 0 or more.")
        if self.memory < 1:
            problems.append(f"`memory` is {self.memory} bytes, but must be positive.")
        if problems:
            raise ValueError("No median code is built like this:\n  " + "\n  ".join(problems))

    def resources(self, circuit: Circuit) -> Resources:
        """Count neurons (21^level or 18^level a ReLU, two ReLUs a NAND), their input synapses, and layers.

        Source:
            fault_tolerant.md section 3.1.4 [inferred, verified].

        Raises:
            DataError: If the circuit cannot be made from NAND gates.
        """
        nands, median = into_nands(circuit), MedianCircuit(self.circuit)
        synapses = sum(median.synapses(self.level, n_terms) for n_terms in NAND_TERMS)
        n_gates = len(nands.neurons)
        return Resources(
            2 * median.neurons(self.level) * n_gates,
            synapses * n_gates,
            2 * median.depth(self.level) * nands.depth,
        )

    def sites(self, circuit: Circuit, site: Site) -> int:
        """Count what can fail by itself in the coded circuit."""
        return sum(nand_sites(MedianCircuit(self.circuit, site), self.level)) * len(
            into_nands(circuit).neurons
        )

    def simulate(
        self, circuit: Circuit, noise: NoiseSpec, rows: Values, n_trials: int, generator: torch.Generator
    ) -> Values:
        """Compute every row several times with fresh noise; only encoding and read-out are ideal.

        `output_sd` is added to every physical neuron, after its activation. Frozen failures are the same in all
        trials and rows of a call.

        Args:
            circuit: What is computed.
            noise: How unreliable the neurons are.
            rows: Inputs, (R, n_inputs).
            n_trials: T, evaluations of each.
            generator: The only source of chance; its device computes.

        Returns:
            Decoded outputs, (T, R, n_outputs).

        Raises:
            DataError: If the circuit cannot be made from NAND gates, the noise is not the code's, or one evaluation
                takes more memory than there may be; before anything is drawn.
        """
        nands = into_nands(circuit)
        inputs = torch.as_tensor(rows.T, dtype=torch.float32, device=generator.device)
        n_rows = len(rows)
        # Evaluations run over rows, and then over trials.
        found = [
            self._compute(nands, inputs[:, numbers % n_rows], neurons, noise.site)
            for numbers, neurons in self._chunks(nands).neurons(noise, n_rows * n_trials, generator)
        ]
        return torch.cat(found, dim=1).T.reshape(n_trials, n_rows, -1).numpy()

    def harmful(self, circuit: Circuit, site: Site, rows: Values) -> Callable[[Tensor], Tensor]:
        """Return the function from failed sites, bool (B, N), to which rows come out wrong, bool (B, R).

        Sites are numbered NAND by NAND, the first ReLU before the second, then as in `MedianCircuit`.

        Raises:
            DataError: As `simulate`.
        """
        nands = into_nands(circuit)
        self._chunks(nands).check()
        truth = torch.from_numpy(circuit.evaluate(rows))

        def are_wrong(failed: Tensor) -> Tensor:
            neurons = ReluNeurons(GivenLosses(failed.T.contiguous()), site)
            columns = torch.as_tensor(rows, dtype=torch.float32, device=failed.device)
            wrong = []
            for row, right in zip(columns, truth, strict=True):
                inputs = row.unsqueeze(1).expand(-1, len(failed))
                found = self._compute(nands, inputs, neurons, site)
                wrong.append((found != right.unsqueeze(1)).any(dim=0))
            return torch.stack(wrong, dim=1).to(failed.device)

        return are_wrong

    def _chunks(self, nands: Circuit) -> Chunks:
        return Chunks(self.level, len(nands.input_sizes) + len(nands.neurons) + 1, self.memory)

    def _compute(self, nands: Circuit, inputs: Tensor, neurons: Neuron, site: Site) -> Tensor:
        """Return the decoded outputs, int64 (n_outputs, B), of inputs (n_inputs, B)."""
        bundles = [one.expand(1, 3**self.level, -1) for one in inputs]
        ones = torch.ones_like(inputs[0]).expand(1, 3**self.level, -1)
        median = MedianCircuit(self.circuit, site)
        outputs = coded_outputs(median, self.level, nands, bundles, ones, neurons)
        return torch.stack([decode(one).squeeze(0) > 0.5 for one in outputs]).long().cpu()


def nand_sites(median: MedianCircuit, level: int) -> tuple[int, int]:
    """Count the sites of the two coded ReLUs of a NAND."""
    first, second = NAND_TERMS
    return median.sites(level, first), median.sites(level, second)


def coded_outputs(
    median: MedianCircuit,
    level: int,
    nands: Circuit,
    inputs: Sequence[Tensor],
    ones: Tensor,
    neurons: Neuron,
) -> list[Tensor]:
    """Compute a circuit of NAND gates on bundles.

    Args:
        median: Of the code.
        level: Of the code.
        nands: The circuit.
        inputs: Bundle of each input, (..., 1, 3^level, B).
        ones: Bundle of the constant 1.
        neurons: Physical neurons.

    Returns:
        Bundle of each output.
    """
    wires, first = list(inputs), torch.zeros(1, dtype=torch.int64, device=ones.device)
    n_first, n_second = nand_sites(median, level)
    for gate in nands.neurons:
        a, b = (wires[one] for one in gate.inputs)
        both = median.relu(level, [(1, a), (1, b), (-1, ones)], first, neurons)
        first = first + n_first
        wires.append(median.relu(level, [(1, ones), (-1, both)], first, neurons))
        first = first + n_second
    return [wires[one] for one in nands.outputs]
