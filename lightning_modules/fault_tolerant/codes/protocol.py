"""What every code can do."""

from typing import Protocol

import torch

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources


class Code(Protocol):
    """A way to compute a circuit with unreliable neurons.

    Only the read-out of the result is ideal, and the encoding of the inputs where a code says so.

    Source:
        fault_tolerant.md section 1.5 [inferred].
    """

    def resources(self, circuit: Circuit) -> Resources:
        """Count what the coded circuit costs.

        Raises:
            DataError: If the code cannot carry the circuit.
        """
        ...

    def simulate(
        self, circuit: Circuit, noise: NoiseSpec, rows: Values, n_trials: int, generator: torch.Generator
    ) -> Values:
        """Compute every input several times with fresh noise, on the generator's device.

        Args:
            circuit: What is computed.
            noise: How unreliable the neurons are.
            rows: Inputs, (R, n_inputs).
            n_trials: T, evaluations of each.
            generator: The only source of chance.

        Returns:
            Decoded outputs, (T, R, n_outputs).

        Raises:
            DataError: If the code cannot carry the circuit or model the noise; before anything is drawn.
        """
        ...
