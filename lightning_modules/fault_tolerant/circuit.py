"""What is to be computed: a circuit of logical neurons, each a table over a weighted sum of whole numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.int64]


@dataclass(frozen=True)
class LogicalNeuron:
    """A table over the weighted sum of its inputs.

    Args:
        inputs: Wires that it reads: inputs of the circuit from 0, then neurons in their order.
        weights: Whole number of each input.
        table: Output for each sum from 0; as many as there are sums.

    Source:
        fault_tolerant.md sections 2.3 and 2.5.
    """

    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    table: tuple[int, ...]

    @property
    def n_symbols(self) -> int:
        """Values of the sum, S."""
        return len(self.table)


@dataclass(frozen=True)
class Circuit:
    """Logical neurons in an order in which each reads only wires before it.

    Args:
        name: For messages and tables.
        input_sizes: How many values each input takes, from 0.
        neurons: The neurons.
        outputs: Wires that are the result.

    Raises:
        ValueError: If a neuron reads a wire that is not there yet, weights are no whole numbers, or a table does not
            cover the sums that can occur; all problems at once.
    """

    name: str
    input_sizes: tuple[int, ...]
    neurons: tuple[LogicalNeuron, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        problems = []
        for at, neuron in enumerate(self.neurons):
            problems += [f"neuron {at} {problem}" for problem in self._problems_of(at, neuron)]
        n_wires = len(self.input_sizes) + len(self.neurons)
        problems += [f"output {one} is no wire." for one in self.outputs if not 0 <= one < n_wires]
        if problems:
            raise ValueError(f"The circuit `{self.name}` cannot be built:\n  " + "\n  ".join(problems))

    def _problems_of(self, at: int, neuron: LogicalNeuron) -> list[str]:
        known = len(self.input_sizes) + at
        if not all(0 <= one < known for one in neuron.inputs) or not neuron.inputs:
            return [f"reads wires {neuron.inputs}, but there are {known} before it."]
        if len(neuron.weights) != len(neuron.inputs):
            return [f"has {len(neuron.weights)} weights for {len(neuron.inputs)} inputs."]
        if not all(isinstance(weight, int) for weight in neuron.weights):
            return [f"has weights {neuron.weights}; phases can only be added by whole numbers."]
        if any(value < 0 for value in neuron.table):
            return [f"has the table {neuron.table}; values are counted from 0."]
        sizes = [self.size_of(one) for one in neuron.inputs]
        ends = [weight * (size - 1) for weight, size in zip(neuron.weights, sizes, strict=True)]
        low, high = sum(min(end, 0) for end in ends), sum(max(end, 0) for end in ends)
        if low < 0 or high >= neuron.n_symbols:
            return [f"has sums from {low} to {high}, but a table of {neuron.n_symbols}."]
        return []

    def size_of(self, wire: int) -> int:
        """Return how many values a wire may carry, from 0."""
        n_inputs = len(self.input_sizes)
        return self.input_sizes[wire] if wire < n_inputs else max(self.neurons[wire - n_inputs].table) + 1

    @property
    def depth(self) -> int:
        """Logical neurons on the longest way from an input to an output."""
        depths = [0] * len(self.input_sizes)
        for neuron in self.neurons:
            depths.append(1 + max(depths[one] for one in neuron.inputs))
        return max(depths[one] for one in self.outputs)

    def rows(self) -> Values:
        """Return every input, (R, n_inputs), the last input varying fastest."""
        return np.array(list(product(*(range(size) for size in self.input_sizes))), dtype=np.int64)

    def evaluate(self, rows: Values | Sequence[Sequence[int]]) -> Values:
        """Compute the outputs (R, n_outputs) of inputs (R, n_inputs) without any noise."""
        wires = list(np.asarray(rows, dtype=np.int64).T)
        for neuron in self.neurons:
            total = sum(
                weight * wires[one] for one, weight in zip(neuron.inputs, neuron.weights, strict=True)
            )
            wires.append(np.array(neuron.table)[total])
        return np.stack([wires[one] for one in self.outputs], axis=1)
