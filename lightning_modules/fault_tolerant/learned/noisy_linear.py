"""A layer of weights whose synapses fail, in training and whenever else it is computed."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.codes.grid_scores import decoder_scores

SynapseMode = Literal["exact", "moment"]
LEAST_VARIANCE = 1e-12
"""Of a sum in moment mode: a square root has no slope at 0."""


class NoisyLinear(nn.Module):
    """Weighted sums and a bias, through synapses each of which fails by itself.

    The noise comes with the call and belongs to the network: `eval()` changes nothing. The bias is a synapse from a
    constant 1 that never fails, as in the median code. Sums are not divided by 1 - p: weights can learn that.

    Args:
        n_inputs: Inputs of every neuron.
        n_outputs: Neurons.
        gain: Standard deviation of a weight times the root of `n_inputs`, at first.

    Shapes:
        B evaluations; they are the last dimension, as everywhere among the codes.

    Source:
        fault_tolerant.md section 7.1.
    """

    def __init__(self, n_inputs: int, n_outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_outputs, n_inputs) * (gain / math.sqrt(n_inputs)))
        # Activities lie around a half: sums then lie around 0.
        self.bias = nn.Parameter(-0.5 * self.weight.detach().sum(dim=1))

    def forward(self, inputs: Tensor, chance: Chance, mode: SynapseMode = "exact") -> Tensor:
        """Return the sums (n_outputs, B) of inputs (n_inputs, B).

        Args:
            inputs: Activities.
            chance: Draws of these evaluations.
            mode: See `failing_sums`.
        """
        return failing_sums(inputs, self.weight, chance, mode) + self.bias.unsqueeze(1)


def failing_sums(inputs: Tensor, weights: Tensor, chance: Chance, mode: SynapseMode) -> Tensor:
    """Return W x in which every synapse of every evaluation fails with probability p.

    `exact` draws the synapses that fail. `moment` draws a Gaussian of the same mean (1 - p) W x and variance
    p (1 - p) W² x² for each sum: as good where many synapses contribute, and no memory for masks. Both can be
    differentiated by weights and inputs.

    Args:
        inputs: x, (n_inputs, B).
        weights: W, (n_outputs, n_inputs).
        chance: Draws of these evaluations.
        mode: `exact` or `moment`.

    Returns:
        (n_outputs, B).
    """
    if mode == "exact":
        return decoder_scores(inputs.contiguous(), weights, 1, chance).squeeze(1)
    p = chance.noise.failure if chance.noise.site == "synapse" else 0.0
    mean = (1 - p) * (weights @ inputs)
    if p == 0:
        return mean
    variance = p * (1 - p) * (weights.square() @ inputs.square())
    return mean + variance.clamp_min(LEAST_VARIANCE).sqrt() * chance.normal(mean.shape, 1.0)
