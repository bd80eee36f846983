"""What a network costs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Physical neurons, connections and layers of a network that computes a circuit.

    Args:
        neurons: All neurons that correct and decode included; only what encodes the circuit's inputs is not.
        synapses: Connections into these neurons.
        depth: Layers on the longest way.
        encoders: Neurons that encode the circuit's inputs.

    Source:
        fault_tolerant.md sections 2.6, 3.1.4 and 7.9.
    """

    neurons: int
    synapses: int
    depth: int
    encoders: int = 0
