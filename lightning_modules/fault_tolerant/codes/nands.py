"""Circuits of bits rewritten with NAND gates alone, for codes that know no other gate."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron
from lightning_modules.parts.errors import DataError

NAND_TABLE = (1, 1, 0)
Nand = Callable[[int, int], int]
"""Adds a gate that reads two wires; returns its wire."""


def _and(nand: Nand, a: int, b: int) -> int:
    both = nand(a, b)
    return nand(both, both)


def _or(nand: Nand, a: int, b: int) -> int:
    return nand(nand(a, a), nand(b, b))


def _nor(nand: Nand, a: int, b: int) -> int:
    either = _or(nand, a, b)
    return nand(either, either)


def _xor(nand: Nand, a: int, b: int) -> int:
    both = nand(a, b)
    return nand(nand(a, both), nand(b, both))


def _xnor(nand: Nand, a: int, b: int) -> int:
    differ = _xor(nand, a, b)
    return nand(differ, differ)


_OF_TWO: Mapping[tuple[int, ...], Callable[[Nand, int, int], int]] = MappingProxyType(
    {
        NAND_TABLE: lambda nand, a, b: nand(a, b),
        (0, 0, 1): _and,
        (0, 1, 1): _or,
        (1, 0, 0): _nor,
        (0, 1, 0): _xor,
        (1, 0, 1): _xnor,
    }
)


def into_nands(circuit: Circuit) -> Circuit:
    """Return a circuit that computes the same with NAND gates; one that has no others is returned as it is.

    A gate that reads one bit becomes one NAND (not) or two (identity); AND and XOR become 2 and 4.

    Raises:
        DataError: If a wire carries more than a bit, or a neuron is no gate of one or two bits with weights 1.
    """
    if any(size != 2 for size in circuit.input_sizes):
        raise DataError(
            f"Inputs of `{circuit.name}` take {circuit.input_sizes} values, but NAND gates read bits.",
            "Take a circuit of bits, or the grid code or averaging repetition, which carry more.",
        )
    if all(one.table == NAND_TABLE and one.weights == (1, 1) for one in circuit.neurons):
        return circuit
    wires = list(range(len(circuit.input_sizes)))
    neurons: list[LogicalNeuron] = []

    def nand(a: int, b: int) -> int:
        neurons.append(LogicalNeuron((a, b), (1, 1), NAND_TABLE))
        return len(circuit.input_sizes) + len(neurons) - 1

    for at, neuron in enumerate(circuit.neurons):
        wires.append(_rewrite(circuit.name, at, neuron, [wires[one] for one in neuron.inputs], nand))
    return Circuit(
        circuit.name, circuit.input_sizes, tuple(neurons), tuple(wires[one] for one in circuit.outputs)
    )


def _rewrite(name: str, at: int, neuron: LogicalNeuron, inputs: list[int], nand: Nand) -> int:
    if neuron.weights == (1, 1) and neuron.table in _OF_TWO:
        return _OF_TWO[neuron.table](nand, *inputs)
    if neuron.weights == (1,) and neuron.table in {(0, 1), (1, 0)}:
        inverse = nand(inputs[0], inputs[0])
        return inverse if neuron.table == (1, 0) else nand(inverse, inverse)
    raise DataError(
        f"Neuron {at} of `{name}` has weights {neuron.weights} and the table {neuron.table}; only gates of one or two "
        "bits are made from NAND gates, with weights 1 and a table that is not constant.",
        "Take a circuit of such gates, or the grid code, whose tables are free.",
    )
