"""Concatenated median: a ReLU as nine copies and three medians, level by level, over bundles of wires."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.noise import Site

CircuitName = Literal["N4", "L3"]
Terms = Sequence[tuple[int, Tensor]]
"""Weight and bundle (..., G, 3^level, B) of each input of G neurons that are alike."""

MEDIAN_COPIES = ((0, 4, 8), (1, 5, 6), (2, 3, 7))
"""Copies that each of the three medians reads.

Copy 3 g + s reads third s of the bundle (R, G, B) in group g. Every median reads every third once, each through a
copy of its own. Source: fault_tolerant.md section 3.1.2 [paper: figure].
"""

_A, _B, _C, _R, _U, _V = range(6)
_MEDIAN_NEURONS = (((1, _A), (-1, _B)), ((1, _C), (-1, _A), (1, _R)), ((1, _C), (-1, _B), (-1, _R)))
"""r = R(a - b), u = R(c - a + r), v = R(c - b - r)."""
_MEDIAN_SUM = ((1, _A), (-1, _R), (1, _U), (-1, _V))
"""The median: a neuron of N4, a noiseless sum in L3."""


class Neuron(Protocol):
    """G physical neurons and their chance."""

    def relu(self, terms: Terms, sites: Tensor) -> Tensor:
        """Return the ReLU (..., G, 1, B) of the sum of terms; `sites` (G,) is the first site of each neuron."""
        ...

    def sum(self, terms: Terms) -> Tensor:
        """Return the sum of terms as wires alone form it, without noise."""
        ...


@dataclass(frozen=True)
class MedianCircuit:
    """How a median is built from ReLU neurons, and what fails in it.

    Sites are numbered in the order in which neurons would be evaluated one after the other: the copies of a gadget,
    group by group, then its medians; in a neuron the synapses in the order of its terms.

    Args:
        name: `N4`, four neurons, all sums physical; `L3`, without the last one, whose sum is formed noiselessly.
        site: What fails, `synapse` or `neuron`.

    Raises:
        ValueError: If there is no such circuit or site.

    Source:
        fault_tolerant.md section 3.1.3 [inferred]: the paper's median circuit is not known.
    """

    name: CircuitName = "N4"
    site: Site = "synapse"

    def __post_init__(self) -> None:
        for name, kinds in (("name", CircuitName), ("site", Site)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(
                    f"`{name}` is {getattr(self, name)!r}, but must be one of {', '.join(get_args(kinds))}."
                )

    @property
    def _neurons(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        return (*_MEDIAN_NEURONS, _MEDIAN_SUM) if self.name == "N4" else _MEDIAN_NEURONS

    def neurons(self, level: int) -> int:
        """Count physical neurons of a ReLU: 21^level for N4, 18^level for L3."""
        return (9 + 3 * len(self._neurons)) ** level

    def depth(self, level: int) -> int:
        """Count layers of a ReLU: 4^level for N4, 3^level for L3, in which v reads r as u does."""
        return (len(self._neurons) if self.name == "N4" else 3) ** level

    @lru_cache(maxsize=1024)  # noqa: B019  # hashable and small; the recursion branches fivefold at each level
    def synapses(self, level: int, n_terms: int) -> int:
        """Count input synapses of all neurons of a ReLU of `n_terms` bundles: 45 and 1161 for N4, levels 1 and 2."""
        if level == 0:
            return n_terms
        medians = sum(self.synapses(level - 1, len(terms)) for terms in self._neurons)
        return 9 * self.synapses(level - 1, n_terms) + 3 * medians

    def sites(self, level: int, n_terms: int) -> int:
        """Count what can fail by itself in a ReLU of `n_terms` bundles."""
        return self.synapses(level, n_terms) if self.site == "synapse" else self.neurons(level)

    def relu(self, level: int, terms: Terms, sites: Tensor, neuron: Neuron) -> Tensor:
        """Compute G coded ReLUs of weighted sums of bundles.

        Args:
            level: Of the code; 0 is the bare neuron.
            terms: Weights and bundles, (..., G, 3^level, B).
            sites: First site of each ReLU, (G,).
            neuron: Physical neurons.

        Returns:
            Bundles, (..., G, 3^level, B).
        """
        if level == 0:
            return neuron.relu(terms, sites)
        below, n_copies = level - 1, self.sites(level - 1, len(terms))
        copies = self.relu(
            below,
            [(weight, _copies(bundle)) for weight, bundle in terms],
            _spread(sites, 9, n_copies),
            neuron,
        )
        copies = copies.unflatten(-3, (-1, 9))
        n_medians = [self.sites(below, len(one)) for one in self._neurons]
        sites = _spread(sites + 9 * n_copies, 3, sum(n_medians))
        wires = [_pick(copies, at) for at in zip(*MEDIAN_COPIES, strict=True)]
        for one, n_sites in zip(self._neurons, n_medians, strict=True):
            wires.append(self.relu(below, [(weight, wires[at]) for weight, at in one], sites, neuron))
            sites = sites + n_sites
        median = wires[-1]
        if self.name == "L3":
            median = neuron.sum([(weight, wires[at]) for weight, at in _MEDIAN_SUM])
        return median.unflatten(-3, (-1, 3)).flatten(-3, -2)


def decode(bundle: Tensor) -> Tensor:
    """Read a bundle (..., 3^level, B) by ideal medians of medians, (..., B)."""
    while bundle.shape[-2] > 1:
        bundle = bundle.unflatten(-2, (-1, 3)).median(dim=-2).values
    return bundle.squeeze(-2)


def _copies(bundle: Tensor) -> Tensor:
    """Give every third of a bundle (..., G, 3 W, B) to the copies of three groups, (..., 9 G, W, B)."""
    thirds = bundle.unflatten(-2, (3, -1)).unsqueeze(-4)
    return thirds.expand(*thirds.shape[:-4], 3, *thirds.shape[-3:]).flatten(-5, -3)


def _pick(copies: Tensor, which: Sequence[int]) -> Tensor:
    """Return one copy (..., G, 9, W, B) for each of three medians, (..., 3 G, W, B)."""
    return copies.index_select(-3, torch.tensor(which, device=copies.device)).flatten(-4, -3)


def _spread(sites: Tensor, n: int, step: int) -> Tensor:
    """Return the first sites of n equal parts of each gadget, (n G,)."""
    return (sites.unsqueeze(1) + step * torch.arange(n, device=sites.device)).flatten()
