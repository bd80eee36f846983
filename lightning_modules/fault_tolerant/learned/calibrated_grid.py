"""The grid code with phases, score weights and biases that are learned for the noise at hand."""

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron, Values
from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.codes.grid_gates import GridGate
from lightning_modules.fault_tolerant.codes.grid_simulator import GridRun
from lightning_modules.fault_tolerant.learned.network import Kind, kind_of, kinds_of
from lightning_modules.fault_tolerant.learned.relaxation import Relaxation, relaxed_choice
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources
from lightning_modules.parts.arguments import outside
from lightning_modules.parts.errors import DataError

DecoderWeights = Literal["fixed", "gain", "free"]
FIRST_SHARPNESS = 3.0
"""Of logits, which are correlations of phases, 1 at most."""
ROUNDING = 1e-6
"""Activity beyond what is allowed that is taken for rounding."""


@dataclass(frozen=True)
class CalibrationSettings:
    """What of a grid code is learned, and how its winner-take-all is softened meanwhile.

    Args:
        learn_phases: Whether phases of values are learned; decoders expect their sums.
        decoder_weights: `fixed` correlates with the expected phases; `gain` also learns a factor and a bias of every
            score neuron, `free` all its weights and a bias.
        relaxation: See `relaxed_choice`, as for what follows.
        wta_temperature: Of training.

    Raises:
        ValueError: If a setting is out of range, or nothing would be learned; all problems at once.

    Source:
        fault_tolerant.md sections 7.2 and 7.4 [inferred].
    """

    learn_phases: bool = True
    decoder_weights: DecoderWeights = "free"
    relaxation: Relaxation = "softmax"
    wta_temperature: float = 0.2

    def __post_init__(self) -> None:
        given = vars(self)
        problems = outside(given, ("wta_temperature",), "above 0", lambda one: 0 < one < math.inf)
        problems += [
            f"`{name}` is {given[name]!r}, but must be one of {', '.join(get_args(kinds))}."
            for name, kinds in (("decoder_weights", DecoderWeights), ("relaxation", Relaxation))
            if given[name] not in get_args(kinds)
        ]
        if not self.learn_phases and self.decoder_weights == "fixed":
            problems.append(
                "nothing is learned of fixed phases with `fixed` decoder weights: take family `analytic`."
            )
        if problems:
            raise ValueError("No grid code is calibrated like this:\n  " + "\n  ".join(problems))


@dataclass(frozen=True, eq=False)
class CalibratedCode:
    """A grid code with learned phases and gates, evaluated by the same simulator as any other.

    Args:
        grid: The code, with learned phases.
        gates: Learned weights of each logical neuron of the circuit.
        cost: What it costs: as much as before anything was learned.
    """

    grid: GridCode
    gates: tuple[GridGate, ...]
    cost: Resources

    def resources(self, circuit: Circuit) -> Resources:
        """Return what the code costs."""
        del circuit
        return self.cost

    def simulate(
        self, circuit: Circuit, noise: NoiseSpec, rows: Values, n_trials: int, generator: torch.Generator
    ) -> Values:
        """Compute every row several times with fresh noise, winners taking all; see `GridCode.simulate`."""
        return self.grid.simulate(circuit, noise, rows, n_trials, generator, self.gates)


class LearnedDecoder(nn.Module):
    """Score neurons of one kind of logical neuron.

    Args:
        kind: Weights, table and how many values each input takes.
        n_values: Rows of the codebook.
        n_modules: M.
        learned: See `CalibrationSettings`.
    """

    counts: Tensor
    values: Tensor

    def __init__(self, kind: Kind, n_values: int, n_modules: int, learned: DecoderWeights) -> None:
        super().__init__()
        counts, values = _candidates(kind, n_values)
        self.register_buffer("counts", torch.from_numpy(counts), persistent=False)
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        n_candidates = len(values)
        self.log_gain = nn.Parameter(torch.zeros(n_candidates), requires_grad=learned == "gain")
        self.change = nn.Parameter(torch.zeros(n_candidates, 2 * n_modules), requires_grad=learned == "free")
        self.bias = nn.Parameter(torch.zeros(n_candidates), requires_grad=learned != "fixed")

    def forward(self, phases: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Return weights (S, 2M) and biases (S,) of scores, of at most the activity of the code's own.

        Score neurons have noise of fixed size: without that bound it could be outgrown.

        Args:
            phases: Of values, cycles, float64 (values, M).
            scale: The code's norm of scores.
        """
        angle = 2 * math.pi * (self.counts @ phases)
        weights = torch.cat([angle.cos(), angle.sin()], dim=1) + self.change
        weights = weights * self.log_gain.exp().unsqueeze(1)
        cosines, sines = weights.chunk(2, dim=1)
        activity = torch.hypot(cosines, sines).sum(dim=1) + self.bias.abs()
        allowed = float(phases.shape[1])
        factor = torch.where(activity > allowed * (1 + ROUNDING), scale * allowed / activity, scale)
        return (weights * factor.unsqueeze(1)).float(), (self.bias * factor).float()


class CalibratedGrid(nn.Module):
    """A grid code in which phases of values, score weights and biases are learned; all else stays as it is.

    Phases are still added, so that a decoder meets sums of learned phases. A failed synapse means phase 0: shifting all
    phases decides which value that resembles. At first the network is the grid code itself.

    Args:
        circuit: What is computed.
        grid: The code to start from.
        settings: What is learned.

    Raises:
        DataError: If the code's candidates are fewer than the sums of learned phases would be.
    """

    start: Tensor

    def __init__(self, circuit: Circuit, grid: GridCode, settings: CalibrationSettings) -> None:
        super().__init__()
        self.circuit, self.grid, self.settings = circuit, grid, settings
        gates = grid.gates(circuit)
        n_wires = len(circuit.input_sizes) + len(circuit.neurons)
        n_values = max(circuit.size_of(wire) for wire in range(n_wires))
        start = torch.from_numpy(grid.codebook.phases[:n_values].copy())
        self.register_buffer("start", start, persistent=False)
        self.shift = nn.Parameter(torch.zeros(start.shape), requires_grad=settings.learn_phases)
        self.kinds = {kind: at for at, kind in enumerate(kinds_of(circuit))}
        self.decoders = nn.ModuleList(
            LearnedDecoder(kind, n_values, grid.codebook.n_modules, settings.decoder_weights)
            for kind in self.kinds
        )
        for neuron, gate in zip(circuit.neurons, gates, strict=True):
            n_candidates = len(self._decoder(circuit, neuron).values)
            if n_candidates != gate.n_symbols:
                raise DataError(
                    f"A neuron of `{circuit.name}` has {gate.n_symbols} sums, but {n_candidates} sums of learned "
                    "phases.",
                    "Take the family `analytic` for this circuit, or logical weights that keep sums apart.",
                )
        self.log_sharpness = nn.Parameter(torch.tensor(FIRST_SHARPNESS).log())

    @property
    def phases(self) -> Tensor:
        """Phases of values, cycles, float64 (values, M)."""
        return self.start + self.shift

    def logits(self, circuit: Circuit, values: Tensor, chance: Chance) -> list[Tensor]:
        """Return for each output the logits (B, V): correlations with the phases of values, weighted."""
        settings, phases = self.settings, self.phases
        choose = relaxed_choice(settings.relaxation, settings.wta_temperature, chance.gaussian)
        run = GridRun(circuit, self._gates(circuit), phases.float(), self.grid.wiring(chance.noise), choose)
        angle = 2 * math.pi * phases.float()
        readers = torch.cat([angle.cos(), angle.sin()], dim=1) * (self.log_sharpness.exp() / phases.shape[1])
        heard_of = run(values, chance)
        return [
            one.T @ readers[: circuit.size_of(wire)].T
            for wire, one in zip(circuit.outputs, heard_of, strict=True)
        ]

    def code(self) -> CalibratedCode:
        """Return the code with the present weights, winners taking all."""
        with torch.no_grad():
            gates = self._gates(self.circuit)
            learned = GridCodebook(self.phases.cpu().numpy())
        return CalibratedCode(replace(self.grid, codebook=learned), gates, self.grid.resources(self.circuit))

    def _decoder(self, circuit: Circuit, neuron: LogicalNeuron) -> LearnedDecoder:
        return self.decoders[self.kinds[kind_of(circuit, neuron)]]  # type: ignore[return-value]

    def _gates(self, circuit: Circuit) -> tuple[GridGate, ...]:
        phases = self.phases
        weights = [decoder(phases, self.grid.score_scale) for decoder in self.decoders]
        gates = []
        for neuron in circuit.neurons:
            at = self.kinds[kind_of(circuit, neuron)]
            outputs = phases[self.decoders[at].values].float()  # type: ignore[index]
            gates.append(GridGate(neuron.inputs, neuron.weights, weights[at][0], outputs, weights[at][1]))
        return tuple(gates)


def _candidates(kind: Kind, n_values: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how often each value's phase is in the sums that can occur (S, values), and the output for each (S,).

    In a grid code sums of one number have one phase; with learned phases they need not.
    """
    weights, table, sizes = kind
    found: dict[tuple[int, ...], int] = {}
    for values in product(*map(range, sizes)):
        counts = [0] * n_values
        for value, weight in zip(values, weights, strict=True):
            counts[value] += weight
        total = sum(value * weight for value, weight in zip(values, weights, strict=True))
        found.setdefault(tuple(counts), table[total])
    return np.array(list(found), dtype=np.float64), np.array(list(found.values()))
