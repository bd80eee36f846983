"""Where to start the descent: noise found without gradients."""

import math
from collections.abc import Callable

import numpy as np
import torch
from cmaes import CMA
from torch import Tensor

INITIAL_STEP = 0.5
"""Standard deviation of the first generation's noise, of every entry."""


def population_size(n_dimensions: int) -> int:
    """Return how many candidates a generation has: 4 + 3 ln n, the usual choice."""
    return 4 + math.floor(3 * math.log(n_dimensions))


def search_noise(
    losses: Callable[[Tensor], Tensor],
    n_dimensions: int,
    seeds: list[int],
    n_generations: int,
    *,
    bound: float,
) -> Tensor:
    """Search noise for several pictures side by side, each by a CMA-ES of its own from zero.

    Args:
        losses: Of noise (B, P, n_dimensions), (B, P): P candidates for each of B pictures.
        n_dimensions: Of the noise.
        seeds: Of each picture's search, B.
        n_generations: Of candidates.
        bound: Largest size of an entry.

    Returns:
        The best noise met, (B, n_dimensions), float32.

    Source:
        Hansen 2016, "The CMA evolution strategy", arXiv:1604.00772, by the package `cmaes`; icgan.md section 2.4.
    """
    bounds = np.tile([-bound, bound], (n_dimensions, 1))
    searches = [
        CMA(
            np.zeros(n_dimensions),
            INITIAL_STEP,
            bounds=bounds,
            seed=seed,
            population_size=population_size(n_dimensions),
        )
        for seed in seeds
    ]
    best = np.zeros((len(seeds), n_dimensions))
    lowest = np.full(len(seeds), np.inf)
    for _ in range(n_generations):
        asked = np.stack([[one.ask() for _ in range(one.population_size)] for one in searches])
        found = losses(torch.from_numpy(asked).float()).double().cpu().numpy()
        for picture, search in enumerate(searches):
            search.tell(list(zip(asked[picture], found[picture].tolist(), strict=True)))
            winner = int(found[picture].argmin())
            if found[picture, winner] < lowest[picture]:
                lowest[picture], best[picture] = found[picture, winner], asked[picture, winner]
    return torch.from_numpy(best).float()
