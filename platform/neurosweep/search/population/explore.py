"""How a copied hyperparameter is changed, within the range that the space gives it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Distributions = Mapping[str, BaseDistribution]

_SMALLEST_STEP = 0.002
"""Least perturbation as a part of the explore weight, as in lfads-torch 0.1."""
_DRAWS = 100
"""Perturbations tried before a value outside its range is clipped, as in lfads-torch 0.1."""


def resampled(distribution: BaseDistribution, random: np.random.Generator) -> Any:
    """Draw a value from its whole range: evenly, or evenly in the logarithm where the space says so."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(random.integers(len(distribution.choices)))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        return within(float(np.exp(random.uniform(np.log(low), np.log(high)))), distribution)
    if isinstance(distribution, IntDistribution) or distribution.step is not None:
        step = float(distribution.step or 1)  # every grid point is equally probable
        return within(low + step * int(random.integers(int((high - low) / step + 1e-9) + 1)), distribution)
    return within(float(random.uniform(low, high)), distribution)


def within(value: float, distribution: FloatDistribution | IntDistribution) -> float | int:
    """Bring a number to the nearest one that its distribution allows."""
    low, high = distribution.low, distribution.high
    value = min(max(value, low), high)
    if distribution.step is not None:
        value = low + distribution.step * round((value - low) / distribution.step)
    return round(value) if isinstance(distribution, IntDistribution) else float(value)


def perturbed_by_factors(
    value: Any,
    distribution: BaseDistribution,
    random: np.random.Generator,
    *,
    factors: tuple[float, ...],
    resample_probability: float,
) -> Any:
    """Explore as PBT does: draw anew with a small probability, else multiply by one of the factors.

    A category moves to a neighbouring choice where the choices are numbers, and is drawn anew elsewhere. A zero,
    which no factor moves, is drawn anew as well.

    Source:
        Jaderberg et al. 2017, "Population Based Training of Neural Networks", arXiv:1711.09846, section 4:
        'perturb' by 0.8 or 1.2 and 'resample' with a fixed probability.
    """
    if random.random() < resample_probability or value == 0:
        return resampled(distribution, random)
    if isinstance(distribution, CategoricalDistribution):
        return _other_choice(value, distribution, random)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return within(value * factors[int(random.integers(len(factors)))], distribution)


def perturbed_by_weight(
    value: Any, distribution: BaseDistribution, random: np.random.Generator, *, weight: float
) -> Any:
    """Explore as AutoLFADS does: multiply by 1 ± u, where u is even between 0.002 and 1 times the weight.

    A product outside the range is drawn again, and clipped after a hundred draws. Categories and zeros, of which
    AutoLFADS has none, are treated as in PBT.

    Source:
        Keshtkaran et al. 2022, "A large-scale neural network training framework for generalized estimation of
        single-trial population dynamics", Nature Methods, as implemented by its authors' lab in lfads-torch
        (`lfads_torch/extensions/tune.py`, `_explore`).
    """
    if isinstance(distribution, CategoricalDistribution):
        return _other_choice(value, distribution, random)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if value == 0:
        return resampled(distribution, random)
    product = float(value)
    for _ in range(_DRAWS):
        size = random.uniform(_SMALLEST_STEP * weight, weight)
        product = value * (1.0 + (size if random.random() < 0.5 else -size))
        if distribution.low <= product <= distribution.high:
            break
    return within(product, distribution)


def explored(
    parameters: Mapping[str, Any],
    distributions: Distributions,
    change: Callable[[Any, BaseDistribution], Any],
) -> dict[str, Any]:
    """Change every parameter that has a distribution; the others stay."""
    return {
        name: change(value, distributions[name]) if name in distributions else value
        for name, value in parameters.items()
    }


def _other_choice(value: Any, distribution: CategoricalDistribution, random: np.random.Generator) -> Any:
    choices = distribution.choices
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in choices):
        return resampled(distribution, random)
    order = sorted(choices, key=float)  # type: ignore[arg-type]
    index = order.index(value) + (1 if random.random() < 0.5 else -1)
    return order[min(max(index, 0), len(order) - 1)]
