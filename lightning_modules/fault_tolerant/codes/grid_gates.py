"""Weights of the decoders and encoders of a circuit's logical neurons."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook, candidates_of

Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridGate:
    """A logical neuron in code space, one decoder of which stands for all.

    Args:
        inputs: Wires that it reads.
        weights: Whole number of each input.
        decoder: Weights from cosines, then sines, to every candidate, (S, 2M).
        outputs: Phases that each candidate encodes, cycles, (S, M).
        bias: Of every candidate's score neuron, (S,); None for none.

    Source:
        fault_tolerant.md sections 2.4 and 2.5.
    """

    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    decoder: Tensor
    outputs: Tensor
    bias: Tensor | None = None

    @property
    def n_symbols(self) -> int:
        """Candidates, S."""
        return len(self.decoder)

    def to(self, device: torch.device) -> "GridGate":
        """Return the gate on a device."""
        return replace(
            self,
            decoder=self.decoder.to(device),
            outputs=self.outputs.to(device),
            bias=None if self.bias is None else self.bias.to(device),
        )


def cosines_and_sines(phases: Weights) -> Weights:
    """Return the decoder that correlates with phases (S, M): (S, 2M)."""
    angle = 2 * np.pi * phases
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def gates_of(circuit: Circuit, codebook: GridCodebook, scale: float) -> tuple[GridGate, ...]:
    """Return the gates of a circuit with the correlation decoder of section 2.4, scores times `scale`.

    Raises:
        DataError: If the codebook cannot carry the circuit.
    """
    codebook.check_carries(circuit)
    known: dict[object, GridGate] = {}
    gates = []
    for neuron in circuit.neurons:
        # Most gates of a circuit are alike, and share their weights in memory.
        key = neuron.weights, neuron.table, tuple(circuit.size_of(one) for one in neuron.inputs)
        if key not in known:
            candidates = candidates_of(codebook, circuit, neuron)
            known[key] = GridGate(
                neuron.inputs,
                neuron.weights,
                torch.from_numpy(scale * cosines_and_sines(candidates.phases)).float(),
                torch.from_numpy(codebook.phases[candidates.outputs]).float(),
            )
        gates.append(replace(known[key], inputs=neuron.inputs))
    return tuple(gates)


def masked_synapses(gates: tuple[GridGate, ...], n_decoders: int, n_components: int) -> int:
    """Count the synapses that can fail in one evaluation: of inputs, scores and the winner's outputs."""
    total = 0
    for gate in gates:
        n_modules = gate.outputs.shape[1]
        total += (len(gate.inputs) + 1) * n_components * n_modules + math.prod(
            gate.decoder.shape
        ) * n_decoders
    return total
