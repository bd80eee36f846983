"""Grid code with infinitely many modules: error rates of wires from gate to gate, and the noise that they survive.

Every output module has a decoder of its own, whose scores are divided by the number of modules. The law of large
numbers then leaves of a score its mean and the noise of its own neuron; noise of cosines and sines averages out, and
`output_sd` has no part in it. The inputs of a gate come from formulas of the same gate.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from lightning_modules.fault_tolerant.circuit import LogicalNeuron
from lightning_modules.fault_tolerant.noise import NoiseSpec

NAND = LogicalNeuron(inputs=(0, 1), weights=(1, 1), table=(1, 1, 0))
THIRD = 1 / 3
"""Phase step between sums, in cycles, that keeps three sums farthest apart."""
_SETTLED = 1e-10
MOST_LAYERS = 2000
"""So near to the boundary that it does not settle in so many layers, a code counts as protecting."""
_NODES = np.linspace(-8.5, 8.5, 69)
_WEIGHTS = np.exp(-(_NODES**2) / 2) / math.sqrt(2 * math.pi) * (_NODES[1] - _NODES[0])
"""Trapezoids: of a Gaussian they are exact to rounding."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class GateFormula:
    """A deep formula of one gate, all of whose wires carry zeros and ones.

    Args:
        gate: A table of zeros and ones over a weighted sum of its inputs.
        phase_step: u, cycles between neighbouring sums.
        n_layers: Gates that a value passes through; None for any number.

    Raises:
        ValueError: If the gate has other values or weights; all problems at once.
    """

    gate: LogicalNeuron = NAND
    phase_step: float = THIRD
    n_layers: int | None = None

    def __post_init__(self) -> None:
        problems = []
        if not set(self.gate.table) <= {0, 1}:
            problems.append(f"its table is {self.gate.table}; wires must carry zeros and ones.")
        if min(self.gate.weights) < 0:
            problems.append(f"its weights are {self.gate.weights}; give weights of 0 or more.")
        elif sum(self.gate.weights) >= self.gate.n_symbols:
            problems.append(f"sums reach {sum(self.gate.weights)}, but its table has {self.gate.n_symbols}.")
        if problems:
            raise ValueError("The mean field does not describe this gate:\n  " + "\n  ".join(problems))


NAND_FORMULA = GateFormula()


@dataclass(frozen=True)
class WireErrors:
    """Shares of a wire's modules that carry the other value.

    Args:
        of_zero: e0, a logical 0 read as 1.
        of_one: e1, a logical 1 read as 0; a lost synapse leaves phase 0, which is a 0.
        wrong_winners: d_s, probability that a decoder's output is wrong at each sum s, its worst input.
    """

    of_zero: float
    of_one: float
    wrong_winners: tuple[float, ...]

    @property
    def worst(self) -> float:
        """The larger share."""
        return max(self.of_zero, self.of_one)


def win_probabilities(means: Numbers, score_sd: float) -> Numbers:
    """Return the probability that each score is the largest, (..., S), by quadrature.

    Args:
        means: Mean scores, (..., S).
        score_sd: Of the independent Gaussian noise of each.
    """
    if score_sd == 0:
        highest = means >= means.max(axis=-1, keepdims=True) - 1e-12
        return highest / highest.sum(axis=-1, keepdims=True)
    # (..., winner, other, node); a score always beats itself.
    gaps = (means[..., :, None] - means[..., None, :]) / score_sd
    beats = ndtr(_NODES + gaps[..., None])
    own = np.arange(means.shape[-1])
    beats[..., own, own, :] = 1.0
    return beats.prod(axis=-2) @ _WEIGHTS


def next_wire_errors(errors: WireErrors, noise: NoiseSpec, formula: GateFormula = NAND_FORMULA) -> WireErrors:
    """Return the errors of a gate's output wire from those of its input wires.

    Args:
        errors: Of the input wires, all alike.
        noise: Of every neuron and synapse.
        formula: What is computed.

    Source:
        fault_tolerant.md section 3.2.3 [inferred, verified]; other weights and tables than NAND's are ours.
    """
    winners = _wrong_winners(errors, noise, formula)
    of = {
        value: max(
            (d for d, output in zip(winners, formula.gate.table, strict=True) if output == value), default=0.0
        )
        for value in (0, 1)
    }
    kept = 1 - noise.failure
    return WireErrors(kept * of[0], 1 - kept * (1 - of[1]), winners)


def _wrong_winners(errors: WireErrors, noise: NoiseSpec, formula: GateFormula) -> tuple[float, ...]:
    gate, turn = formula.gate, 2j * np.pi * formula.phase_step
    rows = np.array(list(product((0, 1), repeat=len(gate.weights))))
    sums = rows @ np.array(gate.weights)
    wrong_share = np.array([errors.of_zero, errors.of_one])
    phasor = np.full(len(rows), _damping(noise.phase_sd), dtype=np.complex128)
    for column, weight in zip(rows.T, gate.weights, strict=True):
        # A weight multiplies a phase, its noise too; a lost synapse adds phase 0.
        share = wrong_share[column]
        mixed = (1 - share) * np.exp(turn * weight * column) + share * np.exp(turn * weight * (1 - column))
        carried = _damping(weight * noise.phase_sd) * mixed
        phasor = phasor * (noise.failure + (1 - noise.failure) * carried)
    candidates = np.exp(-turn * np.arange(gate.n_symbols))
    means = (1 - noise.failure) * (phasor[:, None] * candidates).real
    table = np.array(gate.table)
    is_wrong = table[None, :] != table[sums][:, None]
    chance = (win_probabilities(means, noise.score_sd) * is_wrong).sum(axis=1)
    return tuple(float(chance[sums == one].max(initial=0.0)) for one in range(gate.n_symbols))


def _damping(phase_sd: float) -> float:
    """Return the length of the mean phasor of a Gaussian phase, cycles."""
    return math.exp(-2 * (math.pi * phase_sd) ** 2)


def settled_errors(noise: NoiseSpec, formula: GateFormula = NAND_FORMULA) -> WireErrors | None:
    """Return the errors of wires deep in a formula, or None if a half of a wire's modules is lost on the way.

    Raises:
        ValueError: If the mean field does not describe the noise; all problems at once.
    """
    _check(noise)
    errors = WireErrors(0.0, 0.0, ())
    for _ in range(MOST_LAYERS if formula.n_layers is None else formula.n_layers):
        after = next_wire_errors(errors, noise, formula)
        if after.worst >= 0.5:
            return None
        moved = abs(after.of_zero - errors.of_zero) + abs(after.of_one - errors.of_one)
        errors = after
        if moved < _SETTLED:
            break
    return errors


def shared_decoder_floor(noise: NoiseSpec, formula: GateFormula = NAND_FORMULA) -> float:
    """Return the error of a gate that no number of modules removes if one decoder serves all of them.

    Where the gates before were right, its input wires have lost only their synapses; a wrong winner then makes all
    modules of the output wrong at once. Scores are divided by the number of modules.

    Source:
        fault_tolerant.md section 2.7 [inferred, verified].
    """
    _check(noise)
    return max(_wrong_winners(WireErrors(0.0, noise.failure, ()), noise, formula))


def _check(noise: NoiseSpec) -> None:
    problems = problems_of_noise(noise)
    if problems:
        raise ValueError("The mean field does not describe this noise:\n  " + "\n  ".join(problems))


def problems_of_noise(noise: NoiseSpec) -> list[str]:
    """Return what of a noise the mean field does not describe."""
    problems = []
    if noise.site != "synapse":
        problems.append(
            f"what fails is every `{noise.site}`; give `synapse`, which leaves modules independent."
        )
    if noise.block != 1:
        problems.append(f"{noise.block} neighbouring synapses fail together; give a block of 1.")
    if noise.noisy_wta:
        problems.append("winner-take-all is noisy; here it is ideal.")
    return problems
