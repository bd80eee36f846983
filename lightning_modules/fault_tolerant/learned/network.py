"""What both families of learned networks are to their training and their evaluation."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron, Values
from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.codes.protocol import Code

Kind = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Weights, table, and how many values each input takes: logical neurons of one kind share what is learned."""


class LearnedNetwork(Protocol):
    """A network that computes a circuit, or a part of it with the same kinds of logical neurons."""

    def logits(self, circuit: Circuit, values: Tensor, chance: Chance) -> list[Tensor]:
        """Compute inputs (n_inputs, B) under noise, relaxed where the network is not smooth.

        Returns:
            For each output of the circuit the logits of its values, (B, V).
        """
        ...

    def code(self) -> Code:
        """Return the network with the present weights, to be evaluated exactly as it is."""
        ...


def kind_of(circuit: Circuit, neuron: LogicalNeuron) -> Kind:
    """Return what two logical neurons must have in common to be the same."""
    return neuron.weights, neuron.table, tuple(circuit.size_of(one) for one in neuron.inputs)


def kinds_of(circuit: Circuit) -> list[Kind]:
    """Return the kinds of a circuit in the order in which they first occur."""
    return list(dict.fromkeys(kind_of(circuit, neuron) for neuron in circuit.neurons))


def fewest_of_all_kinds(circuit: Circuit) -> int:
    """Return how many logical neurons, from the first, it takes to have one of each kind."""
    return 1 + max(
        next(at for at, neuron in enumerate(circuit.neurons) if kind_of(circuit, neuron) == kind)
        for kind in kinds_of(circuit)
    )


@dataclass(frozen=True, eq=False)
class Exercise:
    """A circuit all of whose wires are outputs, with the truth of each, and which of them are the result.

    Args:
        circuit: The circuit, or its beginning.
        rows: All inputs, int64 (R, n_inputs).
        truth: Of every logical neuron, int64 (R, neurons).
        is_result: Whether each is an output of the circuit, (neurons,).
    """

    circuit: Circuit
    rows: Values
    truth: Values
    is_result: tuple[bool, ...]

    @classmethod
    def of(cls, circuit: Circuit, n_gates: int) -> "Exercise":
        """Return the exercise of the first so many logical neurons of a circuit.

        Of a beginning, what no logical neuron of it reads is a result too.
        """
        n_inputs = len(circuit.input_sizes)
        neurons = circuit.neurons[:n_gates]
        every = range(n_inputs, n_inputs + len(neurons))
        read = {wire for neuron in neurons for wire in neuron.inputs}
        part = replace(circuit, neurons=neurons, outputs=tuple(every))
        rows = part.rows()
        is_result = tuple(wire in circuit.outputs or wire not in read for wire in every)
        return cls(part, rows, part.evaluate(rows), is_result)

    def inputs(self, n_draws: int, device: torch.device) -> Tensor:
        """Return every input so many times, the rows varying fastest, (n_inputs, K R)."""
        return torch.as_tensor(np.tile(self.rows.T, n_draws), device=device)
