"""Circuits that are computed by unreliable neurons, each small enough for its whole truth table."""

import random
from collections.abc import Mapping
from types import MappingProxyType

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron

TABLES: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"nand": (1, 1, 0), "and": (0, 0, 1), "or": (0, 1, 1), "xor": (0, 1, 0)}
)
"""Output of a gate for 0, 1 and 2 inputs that are 1. Source: fault_tolerant.md section 3.2.1."""


def gate(kind: str, a: int, b: int) -> LogicalNeuron:
    """Return a gate of `TABLES` that reads wires a and b."""
    return LogicalNeuron((a, b), (1, 1), TABLES[kind])


class Builder:
    """Gates collected one after the other; each addition returns the new wire.

    Args:
        n_inputs: Bits that the circuit reads, wires from 0.
    """

    def __init__(self, n_inputs: int) -> None:
        self.n_inputs = n_inputs
        self.neurons: list[LogicalNeuron] = []

    def add(self, kind: str, a: int, b: int) -> int:
        """Add a gate and return its wire."""
        self.neurons.append(gate(kind, a, b))
        return self.n_inputs + len(self.neurons) - 1

    def nand(self, a: int, b: int) -> int:
        """Add a NAND gate and return its wire."""
        return self.add("nand", a, b)

    def circuit(self, name: str, outputs: tuple[int, ...]) -> Circuit:
        """Return the finished circuit."""
        return Circuit(name, (2,) * self.n_inputs, tuple(self.neurons), outputs)


def single_gate(kind: str) -> Circuit:
    """Return a gate of `TABLES` as a circuit of one logical neuron."""
    return Circuit(kind, (2, 2), (gate(kind, 0, 1),), (2,))


def multiplier_of_nands() -> Circuit:
    """Return the product of two 2-bit numbers from 14 NAND gates; inputs a1 a0 b1 b0, outputs from bit 3 to bit 0.

    Source:
        fault_tolerant.md section 4.1 [verified there]; whether 14 is the fewest is not known.
    """
    build = Builder(4)
    a1, a0, b1, b0 = range(4)
    n0 = build.nand(a0, b0)
    bit0 = build.nand(n0, n0)
    n3 = build.nand(a1, b1)
    t3 = build.nand(n3, n3)
    q = build.nand(t3, n0)
    bit2 = build.nand(q, q)
    r = build.nand(t3, bit0)
    bit3 = build.nand(r, r)
    n1, n2 = build.nand(a1, b0), build.nand(a0, b1)
    x = build.nand(n1, n2)
    bit1 = build.nand(build.nand(n1, x), build.nand(n2, x))
    return build.circuit("multiplier_nand", (bit3, bit2, bit1, bit0))


def multiplier_of_gates() -> Circuit:
    """Return the same product from 6 AND and 2 XOR gates.

    Source:
        fault_tolerant.md section 4.1 [from source: re-implementation].
    """
    build = Builder(4)
    a1, a0, b1, b0 = range(4)
    bit0, low, high, top = (build.add("and", a, b) for a, b in ((a0, b0), (a1, b0), (a0, b1), (a1, b1)))
    bit1, carry = build.add("xor", low, high), build.add("and", low, high)
    bit2, bit3 = build.add("xor", top, carry), build.add("and", top, carry)
    return build.circuit("multiplier_gates", (bit3, bit2, bit1, bit0))


def multiplier_of_one_neuron() -> Circuit:
    """Return the same product as one logical neuron: a + 4b, 16 sums; inputs a and b from 0 to 3, output the number.

    Source:
        fault_tolerant.md section 4.1 [inferred]. The weight 4 multiplies the phase noise of b by 4.
    """
    table = tuple((x % 4) * (x // 4) for x in range(16))
    return Circuit("multiplier_16way", (4, 4), (LogicalNeuron((0, 1), (1, 4), table),), (2,))


def adder(n_bits: int) -> Circuit:
    """Return the sum of two numbers from NAND gates, 5 for the lowest bit and 9 for each other.

    Inputs are the bits of a, then of b, both from the highest; outputs n_bits + 1 bits from the highest.

    Raises:
        ValueError: If there is no bit.
    """
    if n_bits < 1:
        raise ValueError(f"An adder has at least one bit, not {n_bits}.")
    build = Builder(2 * n_bits)

    def xor(a: int, b: int) -> tuple[int, int]:
        both = build.nand(a, b)
        return build.nand(build.nand(a, both), build.nand(b, both)), both

    total, both = xor(n_bits - 1, 2 * n_bits - 1)
    sums, carry = [total], build.nand(both, both)
    for at in range(n_bits - 2, -1, -1):
        half, both = xor(at, n_bits + at)
        total, passed_on = xor(half, carry)
        sums.append(total)
        carry = build.nand(both, passed_on)
    return build.circuit(f"adder_{n_bits}bit", (carry, *reversed(sums)))


def random_formula(depth: int, seed: int, n_inputs: int = 4) -> Circuit:
    """Return a random formula of NAND gates, in which every gate is read once.

    One child of a gate is as deep as it can be, the other's depth is drawn evenly; leaves are inputs drawn evenly.

    Args:
        depth: Gates on the longest way.
        seed: Of the drawing.
        n_inputs: Bits that the formula reads, most of them more than once.

    Raises:
        ValueError: If the depth or the number of inputs is below 1.
    """
    if depth < 1 or n_inputs < 1:
        raise ValueError(f"A formula has depth and inputs of at least 1, not {depth} and {n_inputs}.")
    chance, build = random.Random(f"formula {depth} {n_inputs} {seed}"), Builder(n_inputs)

    def grow(left: int) -> int:
        if left == 0:
            return chance.randrange(n_inputs)
        children = [grow(left - 1), grow(chance.randrange(left))]
        chance.shuffle(children)
        return build.nand(*children)

    return build.circuit(f"formula_{depth}_seed{seed}", (grow(depth),))


def identity_chain(n_values: int, n_layers: int) -> Circuit:
    """Return a value that is decoded and encoded again in every layer: the test of memory through depth.

    Source:
        fault_tolerant.md section 5.5.

    Raises:
        ValueError: If there are fewer than two values, or no layer.
    """
    if n_values < 2 or n_layers < 1:
        raise ValueError(f"A chain has 2 or more values and 1 or more layers, not {n_values} and {n_layers}.")
    table = tuple(range(n_values))
    layers = tuple(LogicalNeuron((at,), (1,), table) for at in range(n_layers))
    return Circuit(f"chain_{n_values}x{n_layers}", (n_values,), layers, (n_layers,))


def with_encoder_neurons(circuit: Circuit) -> Circuit:
    """Return the circuit with a logical neuron before every input that decodes and encodes it once.

    Source:
        fault_tolerant.md section 5.3: the re-implementation's bit encoders [inferred, verified: its errors come out].
    """
    n_inputs = len(circuit.input_sizes)
    encoders = tuple(
        LogicalNeuron((at,), (1,), tuple(range(size))) for at, size in enumerate(circuit.input_sizes)
    )
    moved = tuple(
        LogicalNeuron(tuple(one + n_inputs for one in neuron.inputs), neuron.weights, neuron.table)
        for neuron in circuit.neurons
    )
    outputs = tuple(one + n_inputs for one in circuit.outputs)
    return Circuit(f"{circuit.name}_encoded", circuit.input_sizes, encoders + moved, outputs)


def formula_size(circuit: Circuit) -> int:
    """Count the logical neurons if none may be read twice: every output a tree of its own."""
    sizes = [0] * len(circuit.input_sizes)
    for neuron in circuit.neurons:
        sizes.append(1 + sum(sizes[one] for one in neuron.inputs))
    return sum(sizes[one] for one in circuit.outputs)


def _by_name(*circuits: Circuit) -> Mapping[str, Circuit]:
    return MappingProxyType({one.name: one for one in circuits})


TASKS = _by_name(
    *(single_gate(kind) for kind in TABLES),
    multiplier_of_nands(),
    multiplier_of_gates(),
    multiplier_of_one_neuron(),
    adder(2),
    adder(3),
    *(random_formula(depth, seed=0) for depth in (4, 8, 12)),
    *(identity_chain(16, n_layers) for n_layers in (4, 16, 64, 256)),
)
"""Circuits of the experiment by name. Source: fault_tolerant.md section 7.5."""
