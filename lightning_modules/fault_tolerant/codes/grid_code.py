"""The grid code: values as phases of many modules, corrected in every logical neuron."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_gates import GridGate, gates_of
from lightning_modules.fault_tolerant.codes.grid_modules import Representation, n_components
from lightning_modules.fault_tolerant.codes.grid_simulator import Wiring, simulate_gates
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources
from lightning_modules.parts.errors import DataError

Decoders = Literal["shared", "local"]
ScoreNorm = Literal["none", "root", "modules"]


@dataclass(frozen=True, eq=False)
class GridCode:
    """A code in which every logical neuron decodes its inputs' phases and encodes its output anew.

    Args:
        codebook: Phases of the values.
        decoders: `shared`, one for all output modules, as in the re-implementation; `local`, one for each, so that
            a wrong winner spoils one module only.
        score_norm: Scores are taken as they are (`none`, activity grows with M), by 1/√M (`root`) or 1/M (`modules`).
        representation: A module is one `phase` neuron, a `phasor` of two, or a `population` of tuned neurons. A
            failed synapse means phase 0 to the first, and a missing vote to the others.
        n_tuned: K, neurons of a population: even, or its phasor would be biased.
        trig_fails: Whether synapses into the trig neurons fail too; in the re-implementation they do not.
        noisy_wta: Whether the winner-take-all has score noise at its inputs and failing outputs; else it is ideal.
        wta_cost: Whether winner-take-all is counted as S neurons a decoder.
        noisy_encoders: Whether the circuit's inputs are encoded by unreliable neurons.
        noisy_reading: Whether input phases have noise once more in every logical neuron that reads them. Section 5.3
            needs it, with `tasks.with_encoder_neurons`; section 4.2 is without [verified].
        correlated: Whether a failure strikes all modules together: a negative control that no code survives.

    Raises:
        ValueError: If an option is none of these; all problems at once.

    Source:
        fault_tolerant.md section 2: shared decoders [from source: re-implementation]; local ones 2.7 [inferred,
        verified]; phasor and population 2.10 [inferred]. Winner-take-all without noise or cost is the
        re-implementation's.
    """

    codebook: GridCodebook
    decoders: Decoders = "local"
    score_norm: ScoreNorm = "modules"
    representation: Representation = "phase"
    n_tuned: int = 8
    trig_fails: bool = False
    noisy_wta: bool = False
    wta_cost: bool = False
    noisy_encoders: bool = True
    noisy_reading: bool = False
    correlated: bool = False

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` is {getattr(self, name)!r}, but must be one of {', '.join(get_args(kinds))}."
            for name, kinds in (
                ("decoders", Decoders),
                ("score_norm", ScoreNorm),
                ("representation", Representation),
            )
            if getattr(self, name) not in get_args(kinds)
        ]
        if self.n_tuned < 4 or self.n_tuned % 2:
            problems.append(f"`n_tuned` is {self.n_tuned}, but must be even and at least 4.")
        problems += [
            f"`{name}` is for `phase` modules, not for `{self.representation}`: only they add phases."
            for name in ("trig_fails", "noisy_reading")
            if getattr(self, name) and self.representation != "phase"
        ]
        if problems:
            raise ValueError("No grid code is built like this:\n  " + "\n  ".join(problems))

    @property
    def n_decoders(self) -> int:
        """Decoders of a logical neuron."""
        return 1 if self.decoders == "shared" else self.codebook.n_modules

    @property
    def score_scale(self) -> float:
        """What the norm multiplies scores with."""
        n_modules = self.codebook.n_modules
        return {"none": 1.0, "root": 1 / math.sqrt(n_modules), "modules": 1 / n_modules}[self.score_norm]

    def wiring(self, noise: NoiseSpec) -> Wiring:
        """Return how logical neurons are built under such noise."""
        return Wiring(
            self.n_decoders,
            self.representation,
            self.n_tuned,
            self.trig_fails,
            self.noisy_wta or noise.noisy_wta,
            self.noisy_encoders,
            self.noisy_reading,
            self.correlated,
        )

    def gates(self, circuit: Circuit) -> tuple[GridGate, ...]:
        """Return weights of every logical neuron, which may be replaced by learned ones and given to `simulate`.

        Raises:
            DataError: If the codebook cannot carry the circuit.
        """
        return gates_of(circuit, self.codebook, self.score_scale)

    def resources(self, circuit: Circuit) -> Resources:
        """Count neurons, synapses and layers.

        Phase modules: M sums, 2M trig neurons, S scores a decoder, M outputs; phasors and populations multiply
        instead of adding, and need no sums. Encoders of the circuit's inputs are reported apart.

        Source:
            fault_tolerant.md sections 2.6 and 7.9.

        Raises:
            DataError: If the codebook cannot carry the circuit.
        """
        n_modules, n_decoders = self.codebook.n_modules, self.n_decoders
        carriers = n_components(self.representation, self.n_tuned) * n_modules
        is_phase = self.representation == "phase"
        neurons = synapses = 0
        for gate in self.gates(circuit):
            scores = n_decoders * gate.n_symbols
            neurons += (3 if is_phase else 2) * n_modules + scores * (1 + self.wta_cost) + carriers
            synapses += len(gate.inputs) * carriers + (2 * n_modules if is_phase else 0)
            synapses += 2 * n_modules * scores + scores * self.wta_cost + carriers * gate.n_symbols
        layers = 3 + is_phase + self.wta_cost
        return Resources(neurons, synapses, layers * circuit.depth, len(circuit.input_sizes) * carriers)

    def simulate(
        self,
        circuit: Circuit,
        noise: NoiseSpec,
        rows: Values,
        n_trials: int,
        generator: torch.Generator,
        gates: tuple[GridGate, ...] | None = None,
    ) -> Values:
        """Compute every row several times with fresh noise; only the read-out of the result is ideal.

        Failures strike synapses of the sum, of the scores and of the winner's outputs. Frozen failures are the same
        in all trials and rows of a call.

        Args:
            circuit: What is computed.
            noise: How unreliable the neurons are.
            rows: Inputs, (R, n_inputs).
            n_trials: T, evaluations of each.
            generator: The only source of chance; its device computes.
            gates: Learned weights; None for the correlation decoder.

        Returns:
            Decoded outputs, (T, R, n_outputs).

        Raises:
            DataError: If the codebook cannot carry the circuit, or the noise fails in blocks.
        """
        if noise.block != 1:
            raise DataError(
                f"Synapses of the grid code fail one by one, not in blocks of {noise.block}.",
                "Set `block` to 1.",
            )
        gates = self.gates(circuit) if gates is None else gates
        return simulate_gates(
            circuit, gates, self.codebook, self.wiring(noise), noise, rows, n_trials, generator
        )
