"""Evaluation of a circuit in grid code, gate by gate, for many trials at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.codes.grid_gates import GridGate, cosines_and_sines
from lightning_modules.fault_tolerant.codes.grid_modules import Representation, add, emit, heard, n_components
from lightning_modules.fault_tolerant.codes.grid_scores import decoder_scores
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.parts.errors import DataError

MASKS_PER_CHUNK = {"cpu": 2**22, "cuda": 2**26}
"""Most synapses of one logical neuron drawn at a time: what stays in a core's cache, and what fills a GPU."""

MOST_MASKS = 2**26
BYTES_PER_MASK = 40
"""Of the places of a synapse's weight, input and score, its weight, and its own draw."""
TIE = 1e-5
"""Scores closer than this are equal, and the first candidate wins: rounding depends on the size of a chunk.

Equal moduli have such ties where synapses fail and nothing is Gaussian.
"""


Choice = Callable[[Tensor, Tensor], Tensor]
"""From scores (S, D, B) and the phases that each candidate encodes (S, M) to the phases that are encoded (M, B)."""


@dataclass(frozen=True)
class Wiring:
    """How logical neurons are built, the same for all of a circuit.

    Args:
        n_decoders: D: 1 shared by all output modules, or M.
        representation: Of the modules.
        n_tuned: K, neurons of a population.
        trig_fails: Whether the trig neurons' input synapses fail too.
        noisy_wta: Whether winner-take-all neurons have noise and failures.
        noisy_encoders: Whether the circuit's inputs are encoded by unreliable neurons.
        noisy_reading: Whether phases have noise where they are read, besides that where they are said.
        correlated: Whether failures strike all modules together.
    """

    n_decoders: int
    representation: Representation
    n_tuned: int
    trig_fails: bool
    noisy_wta: bool
    noisy_encoders: bool
    noisy_reading: bool
    correlated: bool


def simulate_gates(
    circuit: Circuit,
    gates: Sequence[GridGate],
    codebook: GridCodebook,
    wiring: Wiring,
    noise: NoiseSpec,
    rows: Values,
    n_trials: int,
    generator: torch.Generator,
) -> Values:
    """Compute rows (R, n_inputs) in n_trials trials; return the values read out of the output wires, (T, R, outputs).

    Memory does not grow with the number of trials: they are taken in chunks.

    Raises:
        DataError: If one evaluation would not fit into memory.
    """
    device = generator.device
    per_evaluation = _masks_per_evaluation(circuit, gates, codebook, wiring)
    _check_size(circuit, per_evaluation)
    gates = [gate.to(device) for gate in gates]
    inputs = torch.as_tensor(rows, device=device)
    # A power of two lets positions be split by shifts.
    size = 2 ** (max(1, MASKS_PER_CHUNK.get(device.type, 2**22) // per_evaluation).bit_length() - 1)
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    phases = torch.from_numpy(codebook.phases).float().to(device)
    readers = torch.from_numpy(cosines_and_sines(codebook.phases)).float().to(device)
    run = GridRun(circuit, gates, phases, wiring, winners)
    found = []
    for chunk in torch.arange(n_trials * len(rows), device=device).split(size):
        masks = generator
        if noise.persistence == "frozen":
            masks = torch.Generator(device).manual_seed(seed)
        chance = Chance(noise, generator, masks, wiring.correlated)
        heard_of = run(inputs[chunk % len(rows)].T, chance)
        values = [
            (one.T @ readers[: circuit.size_of(wire)].T).argmax(dim=1)
            for wire, one in zip(circuit.outputs, heard_of, strict=True)
        ]
        found.append(torch.stack(values, dim=1).cpu())
    return torch.cat(found).view(n_trials, len(rows), -1).numpy()


def _check_size(circuit: Circuit, per_evaluation: int) -> None:
    if per_evaluation > MOST_MASKS:
        raise DataError(
            f"A logical neuron of `{circuit.name}` would have {per_evaluation:,} synapses, and one evaluation take "
            f"about {per_evaluation * BYTES_PER_MASK / 2**30:.0f} GiB.",
            "Take fewer modules or symbols, or a shared decoder.",
        )


def _masks_per_evaluation(
    circuit: Circuit, gates: Sequence[GridGate], codebook: GridCodebook, wiring: Wiring
) -> int:
    scores = max((wiring.n_decoders * gate.decoder.numel() for gate in gates), default=1)
    wires = n_components(wiring.representation, wiring.n_tuned) * codebook.n_modules
    return max(scores, wires * (len(circuit.input_sizes) + _most_alive(circuit)))


def last_reads(circuit: Circuit) -> dict[int, int]:
    """Return after which gate a wire is no longer needed; outputs are kept."""
    last = {wire: at for at, neuron in enumerate(circuit.neurons) for wire in neuron.inputs}
    return {wire: at for wire, at in last.items() if wire not in circuit.outputs}


def _most_alive(circuit: Circuit) -> int:
    ends = list(last_reads(circuit).values())
    alive, most = 0, 0
    for at in range(len(circuit.neurons)):
        alive += 1
        most = max(most, alive)
        alive -= ends.count(at)
    return most


class GridRun:
    """Gates of a circuit, ready to be evaluated chunk after chunk. Gradients pass where `choose` lets them.

    Args:
        circuit: What is computed.
        gates: Weights of each logical neuron.
        phases: Of the values that wires carry, cycles, (values, M).
        wiring: How logical neurons are built.
        choose: Winner-take-all.
    """

    def __init__(
        self,
        circuit: Circuit,
        gates: Sequence[GridGate],
        phases: Tensor,
        wiring: Wiring,
        choose: Choice,
    ) -> None:
        self.circuit, self.gates, self.phases = circuit, gates, phases
        self.wiring, self.choose = wiring, choose
        self.last_reads = last_reads(circuit)

    def __call__(self, values: Tensor, chance: Chance) -> list[Tensor]:
        """Compute inputs (n_inputs, B); return cosines and sines of each output, heard without noise, (2M, B)."""
        quiet = Chance(NoiseSpec(), chance.gaussian, chance.masks)
        encoders = chance if self.wiring.noisy_encoders else quiet
        wires = {at: self._emit(self.phases[one].T, encoders) for at, one in enumerate(values)}
        for at, gate in enumerate(self.gates):
            wires[len(values) + at] = self._emit(self._decide(gate, wires, chance), chance)
            for wire in set(gate.inputs):
                if self.last_reads.get(wire) == at:
                    del wires[wire]
        return [heard(wires[one], self.wiring.representation) for one in self.circuit.outputs]

    def _emit(self, phases: Tensor, chance: Chance) -> Tensor:
        return emit(phases.contiguous(), self.wiring.representation, self.wiring.n_tuned, chance)

    def _decide(self, gate: GridGate, wires: dict[int, Tensor], chance: Chance) -> Tensor:
        """Return the phases of the winners' outputs, (M, B)."""
        trig = add(
            [wires[one] for one in gate.inputs],
            gate.weights,
            self.wiring.representation,
            chance,
            trig_fails=self.wiring.trig_fails,
            noisy_reading=self.wiring.noisy_reading,
        )
        scores = decoder_scores(trig, gate.decoder, self.wiring.n_decoders, chance)
        if gate.bias is not None:
            scores += gate.bias.view(-1, 1, 1)
        scores = _noisy_scores(scores, self.wiring, chance)
        phases = self.choose(scores, gate.outputs)
        if self.wiring.noisy_wta and chance.noise.failure:
            # A winner that fails leaves its output modules without input.
            phases = phases * chance.failed(torch.ones_like(scores[0]))
        return phases


def _noisy_scores(scores: Tensor, wiring: Wiring, chance: Chance) -> Tensor:
    noise = chance.noise
    if noise.score_sd:
        scores += chance.normal(scores.shape, noise.score_sd)
    if noise.site == "neuron":
        scores = chance.failed(scores)
    if wiring.noisy_wta and noise.score_sd:
        scores += chance.normal(scores.shape, noise.score_sd)
    return scores


def winners(scores: Tensor, outputs: Tensor) -> Tensor:
    """Return the phases that the winners encode, (M, B): of each module's own decoder, or of the one for all.

    Args:
        scores: (S, D, B); the first of equal ones wins.
        outputs: Phases of each candidate, (S, M).
    """
    # Candidates are compared one by one: argmax over a short leading dimension is twenty times slower.
    best = scores[0]
    phases = outputs[0].unsqueeze(1).expand(-1, best.shape[1])
    for score, output in zip(scores[1:], outputs[1:], strict=True):
        phases = torch.where(score > best + TIE, output.unsqueeze(1), phases)
        best = torch.maximum(best, score)
    return phases
