"""Noise-trained networks of a given number of neurons, in which only the circuit's wires are given."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.codes.chunks import in_chunks
from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.codes.grid_simulator import last_reads
from lightning_modules.fault_tolerant.codes.repetition import sent
from lightning_modules.fault_tolerant.learned.network import kind_of, kinds_of
from lightning_modules.fault_tolerant.learned.noisy_linear import NoisyLinear, SynapseMode
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources
from lightning_modules.parts.arguments import is_whole, outside
from lightning_modules.parts.errors import DataError

Activation = Literal["sigmoid", "clip"]
SYNAPSES_PER_CHUNK = 2**22
"""Most synapses of one layer of one logical neuron at a time."""
FIRST_GAIN = 4.0
"""Of weights: with less, activities shrink towards a half from layer to layer."""
FIRST_SHARPNESS = 20.0
"""Of logits: a bundle differs from a wrong codeword by some tenths of its neurons at first."""


@dataclass(frozen=True)
class FreeSettings:
    """Shape of the multilayer perceptron that stands for a logical neuron.

    Args:
        gate_neurons: Neurons of a logical neuron, its output bundle among them.
        hidden_share: Of them, those in hidden layers.
        hidden_layers: Layers before the output bundle, of equal size.
        activation: `sigmoid`, or `clip`, which cuts to 0 and 1.
        synapse_mode: Of training, see `failing_sums`; what is evaluated fails synapse by synapse.

    Raises:
        ValueError: If a setting is out of range, or a layer would be empty; all problems at once.

    Source:
        fault_tolerant.md section 7.2 [inferred].
    """

    gate_neurons: int = 56
    hidden_share: float = 0.5
    hidden_layers: int = 1
    activation: Activation = "sigmoid"
    synapse_mode: SynapseMode = "moment"

    def __post_init__(self) -> None:
        given = vars(self)
        problems = outside(given, ("gate_neurons",), "1 or more, and whole", lambda one: is_whole(one, 1))
        problems += outside(given, ("hidden_layers",), "0 or more, and whole", lambda one: is_whole(one, 0))
        problems += outside(given, ("hidden_share",), "above 0 and below 1", lambda one: 0 < one < 1)
        problems += [
            f"`{name}` is {given[name]!r}, but must be one of {', '.join(get_args(kinds))}."
            for name, kinds in (("activation", Activation), ("synapse_mode", SynapseMode))
            if given[name] not in get_args(kinds)
        ]
        if not problems and min(self.widths) < 1:
            problems.append(
                f"{self.gate_neurons} neurons with {self.hidden_share} of them in {self.hidden_layers} hidden layers "
                f"give layers of {', '.join(map(str, self.widths))}; take more neurons or fewer layers."
            )
        if problems:
            raise ValueError("There is no such free network:\n  " + "\n  ".join(problems))

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each layer, the output bundle last; all of them together are `gate_neurons`."""
        if self.hidden_layers == 0:
            return (self.gate_neurons,)
        hidden = round(self.hidden_share * self.gate_neurons / self.hidden_layers)
        return (*[hidden] * self.hidden_layers, self.gate_neurons - self.hidden_layers * hidden)


class FreeGate(nn.Module):
    """A logical neuron as a multilayer perceptron: from bundles of its inputs to the bundle of its output.

    Every activity lies between 0 and 1 before its noise is added: without a bound, weights could grow until Gaussian
    noise of fixed size no longer matters.

    Args:
        n_inputs: Bundles that are read.
        settings: Widths and activation.
    """

    def __init__(self, n_inputs: int, settings: FreeSettings) -> None:
        super().__init__()
        widths = (n_inputs * settings.widths[-1], *settings.widths)
        self.layers = nn.ModuleList(
            NoisyLinear(before, after, FIRST_GAIN) for before, after in pairwise(widths)
        )
        self.activation = settings.activation

    def forward(self, bundles: list[Tensor], chance: Chance, mode: SynapseMode) -> Tensor:
        """Return the output's bundle (n, B) of the inputs' bundles, each (n, B)."""
        activity = torch.cat(bundles)
        for layer in self.layers:
            sums = layer(activity, chance, mode)
            activity = sent(sums.sigmoid() if self.activation == "sigmoid" else sums.clamp(0, 1), chance)
        return activity

    @property
    def n_synapses(self) -> int:
        """Synapses that can fail: all but those of biases."""
        return sum(layer.weight.numel() for layer in self.layers)  # type: ignore[union-attr,operator]


class FreeNetwork(nn.Module):
    """A circuit of multilayer perceptrons that are trained together, under the noise of all their neurons.

    A wire is a bundle of n neurons. Values enter as codewords in [0, 1]^n, which are learned, one table for each number
    of values; a result is read as the nearest codeword. Both are ideal, as in averaging. What wires between logical
    neurons carry is left to learning. Logical neurons of one kind share their weights, so that an identity chain is one
    perceptron unrolled; each has synapses, and noise, of its own.

    Args:
        circuit: What is computed.
        settings: Of each logical neuron.

    Source:
        fault_tolerant.md section 7.2, family `free` [inferred].
    """

    def __init__(self, circuit: Circuit, settings: FreeSettings) -> None:
        super().__init__()
        self.settings = settings
        self.kinds = {kind: at for at, kind in enumerate(kinds_of(circuit))}
        self.gates = nn.ModuleList(FreeGate(len(inputs), settings) for _, _, inputs in self.kinds)
        n_wires = len(circuit.input_sizes) + len(circuit.neurons)
        sizes = sorted({circuit.size_of(wire) for wire in range(n_wires)})
        self.codewords = nn.ParameterDict(
            {str(size): nn.Parameter(2 * torch.randn(size, settings.widths[-1])) for size in sizes}
        )
        self.log_sharpness = nn.Parameter(torch.tensor(FIRST_SHARPNESS).log())

    def codebook(self, size: int) -> Tensor:
        """Return the codewords of wires that take so many values, (values, n)."""
        return self.codewords[str(size)].sigmoid()

    def logits(self, circuit: Circuit, values: Tensor, chance: Chance) -> list[Tensor]:
        """Return for each output the logits (B, V): mean squared distances from codewords, weighted."""
        bundles = self._bundles(circuit, values, chance, self.settings.synapse_mode)
        return [
            -self.log_sharpness.exp() * self._distances(one, circuit.size_of(wire))
            for wire, one in zip(circuit.outputs, bundles, strict=True)
        ]

    def code(self) -> "FreeNetwork":
        """Return the network itself, which is evaluated by `simulate`."""
        return self

    def resources(self, circuit: Circuit) -> Resources:
        """Count `gate_neurons` for each logical neuron; synapses of biases, which do not fail, are not counted."""
        synapses = sum(self._gate(circuit, at).n_synapses for at in range(len(circuit.neurons)))
        layers = len(self.settings.widths)
        return Resources(self.settings.gate_neurons * len(circuit.neurons), synapses, layers * circuit.depth)

    def simulate(
        self, circuit: Circuit, noise: NoiseSpec, rows: Values, n_trials: int, generator: torch.Generator
    ) -> Values:
        """Compute every row several times with fresh noise, every synapse failing by itself; see `Code`.

        Frozen failures are the same in all evaluations of a call.

        Raises:
            DataError: If synapses fail in blocks.
        """
        if noise.block != 1:
            raise DataError(
                f"Synapses of a free network fail one by one, not in blocks of {noise.block}.",
                "Set `block` to 1.",
            )
        most = max(layer.weight.numel() for gate in self.gates for layer in gate.layers)  # type: ignore[union-attr]
        # A power of two lets positions of faults be split by shifts.
        size = 2 ** (max(1, SYNAPSES_PER_CHUNK // most).bit_length() - 1)
        inputs = torch.as_tensor(rows.T, device=generator.device)
        found = []
        with torch.inference_mode():
            for numbers, masks in in_chunks(noise, n_trials * len(rows), size, generator):
                chance = Chance(noise, generator, masks)
                bundles = self._bundles(circuit, inputs[:, numbers % len(rows)], chance, "exact")
                read = [
                    self._distances(one, circuit.size_of(wire)).argmin(dim=1)
                    for wire, one in zip(circuit.outputs, bundles, strict=True)
                ]
                found.append(torch.stack(read, dim=1).cpu())
        return torch.cat(found).view(n_trials, len(rows), -1).numpy()

    def _gate(self, circuit: Circuit, at: int) -> FreeGate:
        return self.gates[self.kinds[kind_of(circuit, circuit.neurons[at])]]  # type: ignore[return-value]

    def _bundles(self, circuit: Circuit, values: Tensor, chance: Chance, mode: SynapseMode) -> list[Tensor]:
        """Return the bundles (n, B) of the circuit's outputs."""
        last = last_reads(circuit)
        wires = {at: self.codebook(circuit.input_sizes[at])[one].T for at, one in enumerate(values)}
        for at, neuron in enumerate(circuit.neurons):
            read = [wires[one] for one in neuron.inputs]
            wires[len(values) + at] = self._gate(circuit, at)(read, chance, mode)
            for wire in set(neuron.inputs):
                if last.get(wire) == at:
                    del wires[wire]
        return [wires[one] for one in circuit.outputs]

    def _distances(self, bundle: Tensor, size: int) -> Tensor:
        """Return mean squared distances (B, V) of bundles (n, B) from the codewords."""
        words = self.codebook(size)
        mixed = bundle.T @ words.T
        return (bundle.square().sum(dim=0).unsqueeze(1) - 2 * mixed + words.square().sum(dim=1)) / len(bundle)
