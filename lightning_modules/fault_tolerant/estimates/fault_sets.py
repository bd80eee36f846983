"""Sets of failed sites: all of them, or random ones of a given size."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations, islice

import numpy as np
import torch
from torch import Tensor

from lightning_modules.parts.errors import DataError

Harmful = Callable[[Tensor], Tensor]
"""From failed sites of B networks, bool (B, N), to whether the output is wrong, bool (B,), or (B, R) for R inputs."""
MOST_MASK_ELEMENTS = 2**24
"""Of one call: B N."""
MOST_SETS = 20_000_000
"""That are enumerated."""


@dataclass(frozen=True, eq=False)
class Enumeration:
    """What every set of so many faults does.

    Args:
        n_faults: Faults of a set, k.
        n_sets: Sets that there are.
        hits: Harmful sets for each input, (R,).
        harmful: Sites of the sets that harm any input, (H, k).
    """

    n_faults: int
    n_sets: int
    hits: tuple[int, ...]
    harmful: Tensor


def enumerate_faults(harmful: Harmful, n_sites: int, n_faults: int, device: str = "cpu") -> Enumeration:
    """Try every set of `n_faults` failed sites of `n_sites`.

    Raises:
        DataError: If there are more than `MOST_SETS`.
    """
    n_sets = math.comb(n_sites, n_faults)
    if n_sets > MOST_SETS:
        raise DataError(
            f"There are {n_sets:,} sets of {n_faults} faults at {n_sites} sites; at most {MOST_SETS:,} are enumerated.",
            "Draw sets of so many faults instead: `sample_strata`.",
        )
    found: list[Tensor] = []
    hits: list[Tensor] = []
    for sites in _all_sets(n_sites, n_faults):
        masks = torch.zeros(len(sites), n_sites, dtype=torch.bool, device=device)
        masks.scatter_(1, sites.to(device), True)
        wrong = per_input(harmful(masks), len(sites))
        found.append(sites[wrong.any(dim=1).cpu()])
        hits.append(wrong.sum(dim=0))
    return Enumeration(n_faults, n_sets, tuple(torch.stack(hits).sum(dim=0).tolist()), torch.cat(found))


def _all_sets(n_sites: int, n_faults: int) -> Iterator[Tensor]:
    """Yield sites of all sets, (B, k), in chunks."""
    sets, size = combinations(range(n_sites), n_faults), max(1, MOST_MASK_ELEMENTS // n_sites)
    left = math.comb(n_sites, n_faults)
    while left:
        n_sets = min(size, left)
        flat = chain.from_iterable(islice(sets, n_sets))
        sites = np.fromiter(flat, dtype=np.int64, count=n_sets * n_faults)
        yield torch.from_numpy(sites).reshape(n_sets, n_faults)
        left -= n_sets


def draw_fault_sets(n_sets: int, n_sites: int, n_faults: int, generator: torch.Generator) -> Tensor:
    """Draw sets of exactly `n_faults` failed sites, all equally likely, bool (n_sets, n_sites).

    Source:
        R. Floyd's algorithm (Bentley & Floyd 1987): one number a fault, however many sites there are.
    """
    device = generator.device
    masks = torch.zeros(n_sets, n_sites, dtype=torch.bool, device=device)
    rows = torch.arange(n_sets, device=device)
    for last in range(n_sites - n_faults, n_sites):
        site = torch.randint(last + 1, (n_sets,), generator=generator, device=device)
        masks[rows, torch.where(masks[rows, site], last, site)] = True
    return masks


def count_harmful(
    harmful: Harmful, n_sets: int, n_sites: int, n_faults: int, generator: torch.Generator
) -> Tensor:
    """Count harmful sets for each input, (R,), among `n_sets` random ones, in chunks."""
    size = max(1, MOST_MASK_ELEMENTS // n_sites)
    counts = [
        per_input(harmful(draw_fault_sets(n, n_sites, n_faults, generator)), n).sum(dim=0).cpu()
        for n in (min(size, n_sets - start) for start in range(0, n_sets, size))
    ]
    return torch.stack(counts).sum(dim=0)


def per_input(wrong: Tensor, n_sets: int) -> Tensor:
    """Return what a `Harmful` gave as (B, R).

    Raises:
        ValueError: If it is not bool, or not of so many networks.
    """
    if wrong.dtype != torch.bool or wrong.ndim not in (1, 2) or len(wrong) != n_sets:
        raise ValueError(
            f"Of {n_sets} networks it must be said whether each is wrong, bool ({n_sets},) or ({n_sets}, R), "
            f"but {wrong.dtype} {tuple(wrong.shape)} came."
        )
    return wrong.reshape(n_sets, -1)
