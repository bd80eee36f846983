"""Codes of bits simulated 64 trials at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron, Values
from lightning_modules.fault_tolerant.codes.median_circuits import MedianCircuit, Terms
from lightning_modules.fault_tolerant.codes.median_code import MedianCode, coded_outputs
from lightning_modules.fault_tolerant.codes.nands import into_nands
from lightning_modules.fault_tolerant.codes.packed_bits import (
    ALL,
    WORD,
    add,
    at_least,
    kept_words,
    lose,
    majority,
    relu_of_difference,
    unpack,
)
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources
from lightning_modules.parts.errors import DataError

WORDS_PER_CHUNK = 2**18
"""Most words of one synapse of all neurons that are computed together."""


@dataclass(frozen=True)
class PackedNeurons:
    """ReLU neurons with weights 1 and -1 whose activities are whole numbers in bit planes (P, G, 1, W).

    Exact: a fault can make 2 of a 1, or more after many; planes are added as they are needed and dropped when empty.

    Args:
        noise: Failures; there is no Gaussian noise.
        masks: Their source.
    """

    noise: NoiseSpec
    masks: torch.Generator

    def relu(self, terms: Terms, sites: Tensor) -> Tensor:
        """Return max(0, what arrives with weight 1, less what arrives with weight -1)."""
        del sites
        sides: dict[int, list[Tensor]] = {1: [], -1: []}
        for (weight, wires), kept in zip(terms, self._kept(terms), strict=True):
            arriving = wires if kept is None else wires & kept
            sides[weight] = add(sides[weight], arriving.unbind(0))
        planes = relu_of_difference(sides[1], sides[-1])
        if self.noise.site == "neuron":
            kept = self._draw(1, planes[0])[0]
            planes = [one & kept for one in planes]
        while len(planes) > 1 and not planes[-1].any():
            planes.pop()
        return torch.stack(planes) if len(planes) > 1 else planes[0].unsqueeze(0)

    def sum(self, terms: Terms) -> Tensor:
        """Refuse: a noiseless sum may be negative."""
        raise NotImplementedError(f"A sum of {len(terms)} bundles may be negative, but planes hold no sign.")

    def _kept(self, terms: Terms) -> Sequence[Tensor | None]:
        """Draw which synapses of each term work."""
        if self.noise.site == "neuron":
            return [None] * len(terms)
        return self._draw(len(terms), terms[0][1][0]).unbind(0)

    def _draw(self, n: int, plane: Tensor) -> Tensor:
        """Draw n words for each of a plane (G, 1, W)."""
        n_neurons, _, n_words = plane.shape
        frozen = self.noise.persistence == "frozen"
        return kept_words(n * n_neurons, n_words, self.noise.failure, self.masks, frozen).view(
            n, n_neurons, 1, n_words
        )


@dataclass(frozen=True)
class Packed:
    """A code of bits, its 64 trials in a word: the same network and the same distribution of results, faster.

    The median code with N4 is exact: activities are whole numbers in bit planes, those that faults raise to 2 and
    more included. Gaussian noise has no place in bits.

    Args:
        code: The median code with N4, or repetition with the majority.

    Raises:
        ValueError: If the code's activities are no whole numbers from 0.

    Source:
        fault_tolerant.md section 7.8.
    """

    code: MedianCode | RepetitionCode

    def __post_init__(self) -> None:
        if isinstance(self.code, MedianCode) and self.code.circuit != "N4":
            raise ValueError("The noiseless sum of L3 may be negative, and cannot be packed; take N4.")
        if isinstance(self.code, RepetitionCode) and self.code.rule != "majority":
            raise ValueError("Averages are no bits, and cannot be packed; take the majority.")

    def resources(self, circuit: Circuit) -> Resources:
        """Count what the code counts."""
        return self.code.resources(circuit)

    def simulate(
        self, circuit: Circuit, noise: NoiseSpec, rows: Values, n_trials: int, generator: torch.Generator
    ) -> Values:
        """Compute every row several times, as the code does; trials are drawn up to a multiple of 64.

        Returns:
            Decoded outputs, (T, R, n_outputs).

        Raises:
            DataError: If the noise is Gaussian or fails in blocks, or the code cannot carry the circuit.
        """
        if noise.output_sd or noise.block != 1:
            raise DataError(
                f"Packed bits neither carry Gaussian noise, here {noise.output_sd}, nor fail in blocks, here of "
                f"{noise.block}.",
                "Set `output_sd` to 0 and `block` to 1, or simulate the code unpacked.",
            )
        self.code.resources(circuit)
        inputs = -torch.as_tensor(rows.T, device=generator.device)
        found = []
        for n_words, masks in self._chunks(len(rows), -(-n_trials // WORD), noise, generator):
            words = inputs.unsqueeze(2).expand(-1, -1, n_words).flatten(1)
            outputs = self._compute(circuit, words, noise, masks)
            found.append(unpack(outputs.unflatten(1, (len(rows), n_words))))
        return np.concatenate(found, axis=2)[..., :n_trials].transpose(2, 1, 0).astype(np.int64)

    def _chunks(
        self, n_rows: int, n_words: int, noise: NoiseSpec, generator: torch.Generator
    ) -> Iterator[tuple[int, torch.Generator]]:
        """Yield words of each row, and the source of failures."""
        wide = 9**self.code.level if isinstance(self.code, MedianCode) else self.code.n_copies**2
        size = max(1, WORDS_PER_CHUNK // (wide * n_rows))
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        for start in range(0, n_words, size):
            masks = generator
            if noise.persistence == "frozen":
                masks = torch.Generator(generator.device).manual_seed(seed)
            yield min(size, n_words - start), masks

    def _compute(self, circuit: Circuit, inputs: Tensor, noise: NoiseSpec, masks: torch.Generator) -> Tensor:
        """Return decoded words (n_outputs, W) of inputs (n_inputs, W)."""
        if isinstance(self.code, RepetitionCode):
            return _majority_outputs(self.code.n_copies, circuit, inputs, noise, masks)
        level = self.code.level
        bundles = [one.expand(1, 1, 3**level, -1) for one in inputs]
        ones = torch.full_like(inputs[0], ALL).expand(1, 1, 3**level, -1)
        median = MedianCircuit("N4", noise.site)
        neurons = PackedNeurons(noise, masks)
        outputs = coded_outputs(median, level, into_nands(circuit), bundles, ones, neurons)
        return torch.stack([_decode(at_least(list(one), 1)).squeeze(0) for one in outputs])


def _decode(bits: Tensor) -> Tensor:
    """Read bundles (..., 3^level, W) by medians of medians, (..., W); whether a median reaches 1 is a vote on that."""
    while bits.shape[-2] > 1:
        bits = majority(bits.unflatten(-2, (-1, 3)).movedim(-2, 0))
    return bits.squeeze(-2)


def _majority_outputs(
    n: int, circuit: Circuit, inputs: Tensor, noise: NoiseSpec, masks: torch.Generator
) -> Tensor:
    """Compute a circuit by executive and restoring neurons; see `RepetitionCode`."""
    frozen, n_words = noise.persistence == "frozen", inputs.shape[1]

    def lost(words: Tensor) -> Tensor:
        return lose(words.contiguous(), noise.failure, masks, frozen)

    wires = list(inputs.unsqueeze(1).expand(-1, n, -1))
    for neuron in circuit.neurons:
        read = [wires[one] for one in neuron.inputs]
        if noise.site == "neuron":
            votes = lost(_looked_up(neuron, read))
            wires.append(lost(majority(votes).repeat(n, 1)))
            continue
        votes = _looked_up(neuron, [lost(one.clone()) for one in read])
        heard = lost(votes.repeat_interleave(n, dim=0))  # each vote as n neurons hear it
        wires.append(majority(heard.view(n, n, n_words)))
    return torch.stack([majority(wires[one]) for one in circuit.outputs])


def _looked_up(neuron: LogicalNeuron, read: list[Tensor]) -> Tensor:
    """Return the table's output for the sum of bits that arrive (n, W)."""
    total: list[Tensor] = [torch.zeros_like(read[0])]
    for weight, wires in zip(neuron.weights, read, strict=True):
        for _ in range(weight):
            total = add(total, [wires])
    output = torch.zeros_like(read[0])
    for least, value in enumerate(neuron.table):
        reached = at_least(total, least)
        output = output | reached if value else output & ~reached
    return output
