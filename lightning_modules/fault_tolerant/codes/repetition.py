"""Repetition: values on many wires, averaged or put to the vote. One copy is the uncoded network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron, Values
from lightning_modules.fault_tolerant.codes.chunks import in_chunks
from lightning_modules.fault_tolerant.codes.grid_faults import Chance, fault_positions
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources
from lightning_modules.parts.errors import DataError

Rule = Literal["average", "majority"]
SYNAPSES_PER_CHUNK = 2**24
"""Most synapses of one input of one logical neuron at a time; memory grows with p of them, and with the neurons."""


@dataclass(frozen=True)
class RepetitionCode:
    """Every logical value on n wires.

    `average`: a logical neuron is n neurons, each of which averages all wires of its inputs through synapses of its
    own and takes the table's output for the nearest level of the expected sum, thresholds 1.5(1 - p) and so on. A
    value that is only passed on and is no bit stays analog, gain 1/(1 - p): no ReLU rounds 16 values.
    `majority`: von Neumann's organs; n executive neurons read one wire of each input, n restoring neurons the votes
    of all of these through synapses of their own, and a lost synapse votes 0. Bits only.

    Bits are activities 0 and 1; value k of S others is k/S, as a phase in cycles is. The first encoding and the last
    read-out, of the mean or the majority of the wires, are ideal.

    Args:
        n_copies: n; odd for the majority.
        rule: `average` or `majority`.
        assumed_failure: p that the thresholds were set for; None for the true one, which has to be said with results.

    Raises:
        ValueError: If these do not go together; all problems at once.

    Source:
        fault_tolerant.md section 5.5 [verified there]; organs of the majority and the activities k/S are inferred.
    """

    n_copies: int
    rule: Rule = "average"
    assumed_failure: float | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.n_copies < 1:
            problems.append(f"`n_copies` is {self.n_copies}, but must be at least 1.")
        if self.rule not in get_args(Rule):
            problems.append(f"`rule` is {self.rule!r}, but must be one of {', '.join(get_args(Rule))}.")
        if self.rule == "majority" and self.n_copies % 2 == 0:
            problems.append(f"`n_copies` is {self.n_copies}, but a majority needs an odd number.")
        if self.assumed_failure is not None and not 0 <= self.assumed_failure < 1:
            problems.append(f"`assumed_failure` is {self.assumed_failure}, but must be from 0 to below 1.")
        if problems:
            raise ValueError("No repetition code is built like this:\n  " + "\n  ".join(problems))

    @classmethod
    def of_size(cls, neurons: int, circuit: Circuit, rule: Rule = "average") -> "RepetitionCode":
        """Return the largest code of at most so many neurons; beside a grid code of M modules n is 7M for NANDs.

        Raises:
            DataError: If there are not enough for one copy.
        """
        per_copy = len(circuit.neurons) * (1 if rule == "average" else 2)
        copies = neurons // per_copy
        if rule == "majority" and copies % 2 == 0:
            copies -= 1
        if copies < 1:
            raise DataError(
                f"One copy of `{circuit.name}` takes {per_copy} neurons, but there are {neurons}.",
                "Allow more neurons.",
            )
        return cls(copies, rule)

    def resources(self, circuit: Circuit) -> Resources:
        """Count n neurons of m n synapses for a logical neuron of m inputs, or 2n of m and of n.

        Raises:
            DataError: If the majority is to carry more than bits.
        """
        self._check(circuit)
        n, n_inputs = self.n_copies, sum(len(one.inputs) for one in circuit.neurons)
        n_gates = len(circuit.neurons)
        if self.rule == "average":
            return Resources(n * n_gates, n * n * n_inputs, circuit.depth)
        return Resources(2 * n * n_gates, n * n_inputs + n * n * n_gates, 2 * circuit.depth)

    def simulate(
        self, circuit: Circuit, noise: NoiseSpec, rows: Values, n_trials: int, generator: torch.Generator
    ) -> Values:
        """Compute every row several times with fresh noise; only encoding and read-out are ideal.

        Args:
            circuit: What is computed.
            noise: How unreliable the neurons are. Frozen failures are the same in all evaluations of a call.
            rows: Inputs, (R, n_inputs).
            n_trials: T, evaluations of each.
            generator: The only source of chance; its device computes.

        Returns:
            Decoded outputs, (T, R, n_outputs).

        Raises:
            DataError: If the majority is to carry more than bits, or votes or whole neurons are to fail in blocks.
        """
        self._check(circuit)
        if noise.block != 1 and (self.rule == "majority" or noise.site == "neuron"):
            raise DataError(
                f"Only synapses of averaging neurons fail in blocks, here of {noise.block}; not those of majorities, "
                "nor whole neurons.",
                "Set `block` to 1, or take the rule `average` and the site `synapse`.",
            )
        inputs = torch.as_tensor(rows.T, device=generator.device)
        n_rows = len(rows)
        found = [
            self._compute(circuit, inputs[:, numbers % n_rows], chance)
            for numbers, chance in self._chunks(noise, n_rows * n_trials, generator)
        ]
        return torch.cat(found, dim=1).T.reshape(n_trials, n_rows, -1).numpy()

    def _check(self, circuit: Circuit) -> None:
        n_wires = len(circuit.input_sizes) + len(circuit.neurons)
        most = max(circuit.size_of(wire) for wire in range(n_wires))
        if self.rule == "majority" and most > 2:
            raise DataError(
                f"Wires of `{circuit.name}` carry up to {most} values, but a majority votes on bits.",
                "Take the rule `average`, or a circuit of bits.",
            )

    def _chunks(
        self, noise: NoiseSpec, n_evaluations: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Chance]]:
        """Yield numbers of the evaluations of each chunk, and its chance."""
        size = max(1, SYNAPSES_PER_CHUNK // self.n_copies**2)
        for numbers, masks in in_chunks(noise, n_evaluations, size, generator):
            yield numbers, Chance(noise, generator, masks)

    def _compute(self, circuit: Circuit, inputs: Tensor, chance: Chance) -> Tensor:
        """Return decoded outputs, int64 (n_outputs, B), of inputs (n_inputs, B)."""
        sizes = [circuit.size_of(wire) for wire in range(len(inputs) + len(circuit.neurons))]
        organ = self._average if self.rule == "average" else self._vote
        wires = [
            (one * _unit(size)).expand(self.n_copies, -1).contiguous()
            for one, size in zip(inputs, sizes, strict=False)
        ]
        for neuron in circuit.neurons:
            terms = [
                (weight / _unit(sizes[one]), wires[one])
                for one, weight in zip(neuron.inputs, neuron.weights, strict=True)
            ]
            wires.append(organ(neuron, terms, sizes[len(wires)], chance))
        read = [self._read(wires[one], sizes[one], one >= len(inputs), chance) for one in circuit.outputs]
        return torch.stack(read).cpu()

    def _average(
        self, neuron: LogicalNeuron, terms: list[tuple[float, Tensor]], size: int, chance: Chance
    ) -> Tensor:
        """Return the activities (n, B) of a logical neuron of inputs (n, B)."""
        total = torch.zeros_like(terms[0][1])
        for weight, wires in terms:
            total += (wires.sum(dim=0) - _lost(wires, chance)) * (weight / self.n_copies)
        total *= self._gain(chance)
        if size > 2 and neuron.weights == (1,) and neuron.table == tuple(range(size)):
            return sent(total * _unit(size), chance)
        return sent(_looked_up(neuron, total) * _unit(size), chance)

    def _vote(
        self, neuron: LogicalNeuron, terms: list[tuple[float, Tensor]], size: int, chance: Chance
    ) -> Tensor:
        del size
        total = torch.zeros_like(terms[0][1])
        for weight, wires in terms:
            total += weight * (chance.failed(wires) if chance.noise.site == "synapse" else wires)
        votes = sent(_looked_up(neuron, total).float(), chance)
        return sent((votes.sum(dim=0) - _lost(votes, chance) > self.n_copies / 2).float(), chance)

    def _gain(self, chance: Chance) -> float:
        """Return what makes the expected sum that of unfailing synapses."""
        failure = chance.noise.failure if self.assumed_failure is None else self.assumed_failure
        return 1 / (1 - failure) if failure < 1 else 1.0

    def _read(self, wires: Tensor, size: int, is_computed: bool, chance: Chance) -> Tensor:
        """Read a bundle (n, B) without noise: the value nearest to the mean, or the majority, (B,)."""
        if self.rule == "majority":
            return ((wires > 0.5).sum(dim=0) > self.n_copies / 2).long()
        mean = wires.mean(dim=0) / _unit(size)
        if is_computed and chance.noise.site == "neuron":
            mean *= self._gain(chance)
        return (mean + 0.5).floor().clamp(0, size - 1).long()


def _unit(size: int) -> float:
    """Return the activity that stands for 1."""
    return 1.0 if size <= 2 else 1 / size


def _looked_up(neuron: LogicalNeuron, total: Tensor) -> Tensor:
    """Return the table's output for the nearest sum."""
    table = torch.tensor(neuron.table, device=total.device)
    return table[(total + 0.5).floor().clamp(0, neuron.n_symbols - 1).long()]


def sent(activity: Tensor, chance: Chance) -> Tensor:
    """Return what neurons send of their activities (n, B): with noise, and nothing of those that fail as a whole."""
    noisy = chance.noisy(activity.float(), chance.noise.output_sd)
    return chance.failed(noisy) if chance.noise.site == "neuron" else noisy


def _lost(wires: Tensor, chance: Chance) -> Tensor:
    """Return the sum of what each of n neurons, all of which read all wires (n, B), loses in its synapses, (n, B)."""
    n, n_columns = wires.shape
    lost = torch.zeros_like(wires)
    if chance.noise.site == "neuron" or chance.noise.failure == 0:
        return lost
    wires = _in_blocks(wires, chance.noise.block)
    n_blocks = len(wires)
    if chance.frozen:
        failed = torch.zeros(n * n_blocks, device=wires.device)
        failed[fault_positions(n * n_blocks, chance.noise.failure, chance.masks)] = 1
        return torch.mm(failed.view(n, n_blocks), wires)
    at = fault_positions(n * n_blocks * n_columns, chance.noise.failure, chance.masks)
    reader = at // (n_blocks * n_columns)
    at -= reader * (n_blocks * n_columns)
    return lost.view(-1).index_add_(0, reader * n_columns + at % n_columns, wires.view(-1)[at]).view(n, -1)


def _in_blocks(wires: Tensor, block: int) -> Tensor:
    """Return the sums of wires (n, B) that a failure takes together, (blocks, B); the last block may be smaller."""
    return wires if block == 1 else torch.stack([one.sum(dim=0) for one in wires.split(block)])
