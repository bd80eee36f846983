"""Failing synapses of learned networks have the moments and the distribution that masks have, one by one or not."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.learned.noisy_linear import NoisyLinear, failing_sums
from lightning_modules.fault_tolerant.noise import NoiseSpec

P = 0.3
DRAWS = 40_000


def chance_of(noise: NoiseSpec, seed: int = 0) -> Chance:
    generator = torch.Generator().manual_seed(seed)
    return Chance(noise, generator, generator)


def sums_of_every_mask(weights: list[float], inputs: list[float], p: float) -> tuple[float, float]:
    """Return mean and variance of the sum over all masks, each with its probability."""
    masks = np.array(list(product((0, 1), repeat=len(weights))))
    probability = np.prod(np.where(masks == 1, 1 - p, p), axis=1)
    sums = masks @ (np.array(weights) * np.array(inputs))
    mean = probability @ sums
    return mean, probability @ (sums - mean) ** 2


@pytest.mark.parametrize("mode", ["exact", "moment"])
def test_mean_and_variance_are_those_of_all_masks(mode):
    weights, inputs = [0.5, -1.2, 2.0, 0.3], [1.0, 0.7, 0.2, -0.4]
    mean, variance = sums_of_every_mask(weights, inputs, P)
    columns = torch.tensor(inputs).unsqueeze(1).expand(-1, DRAWS)
    found = failing_sums(columns, torch.tensor([weights]), chance_of(NoiseSpec(P)), mode)[0]
    assert float(found.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / DRAWS))
    assert float(found.var()) == pytest.approx(variance, rel=0.05)


def test_exact_masks_are_binomial():
    """Of five inputs of 1 through weights of 1, a binomial number arrives, at each neuron by itself."""
    columns = torch.ones(5, DRAWS)
    found = failing_sums(columns, torch.ones(2, 5), chance_of(NoiseSpec(P)), "exact").numpy()
    expected = binom.pmf(range(6), 5, 1 - P)
    for neuron in found.round().astype(int):
        share = np.bincount(neuron, minlength=6) / DRAWS
        assert share == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(DRAWS))
    assert np.corrcoef(found)[0, 1] == pytest.approx(0, abs=5 / math.sqrt(DRAWS))


def test_whole_neurons_that_fail_leave_synapses_alone():
    columns, weights = torch.rand(5, 3), torch.rand(2, 5)
    noise = NoiseSpec(P, "neuron")
    for mode in ("exact", "moment"):
        assert torch.equal(failing_sums(columns, weights, chance_of(noise), mode), weights @ columns)


def test_synapses_fail_in_eval_too_and_never_without_noise():
    """Check 8."""
    layer = NoisyLinear(50, 4).eval()
    columns = torch.rand(50, 8)

    def passes(noise: NoiseSpec) -> tuple[Tensor, Tensor]:
        chance = chance_of(noise)
        return layer(columns, chance), layer(columns, chance)

    assert not torch.equal(*passes(NoiseSpec(0.1)))
    first, second = passes(NoiseSpec())
    assert torch.equal(first, second)
    assert torch.allclose(first, layer.weight @ columns + layer.bias.unsqueeze(1))


@pytest.mark.parametrize("mode", ["exact", "moment"])
def test_slopes_are_those_of_finite_differences(mode):
    weights = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    columns = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def sums(weights: Tensor, columns: Tensor) -> Tensor:
        return failing_sums(columns, weights, chance_of(NoiseSpec(0.1)), mode)

    assert torch.autograd.gradcheck(sums, (weights.requires_grad_(), columns.requires_grad_()))
