"""Estimates on the N4 median code, written out synapse by synapse, against the numbers of the specification."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lightning_modules.fault_tolerant.estimates.fault_sets import Harmful, enumerate_faults
from lightning_modules.fault_tolerant.estimates.strata import sample_strata

MEDIANS = ((0, 4, 8), (1, 5, 6), (2, 3, 7))
"""Copies that each median reads; copies 0, 3, 6 are of one third of the bundle, and so on."""
N_SITES = {1: 45, 2: 1161}
Terms = list[tuple[int, list[Tensor]]]
"""Weight and bundle of each input of a ReLU."""


def coded_relu(level: int, terms: Terms, kept: Iterator[Tensor]) -> list[Tensor]:
    """Return the bundle of a coded ReLU of a weighted sum, all of whose synapses take the next of `kept`."""
    if level == 0:
        total = sum((weight * next(kept) * wires[0] for weight, wires in terms), torch.zeros(()))
        return [total.relu()]
    third = 3 ** (level - 1)
    copies = [
        coded_relu(
            level - 1, [(weight, wires[third * part : third * (part + 1)]) for weight, wires in terms], kept
        )
        for _ in range(3)
        for part in range(3)
    ]
    outputs = []
    for top, middle, bottom in MEDIANS:
        a, b, c = copies[top], copies[middle], copies[bottom]
        r = coded_relu(level - 1, [(1, a), (-1, b)], kept)
        u = coded_relu(level - 1, [(1, c), (-1, a), (1, r)], kept)
        v = coded_relu(level - 1, [(1, c), (-1, b), (-1, r)], kept)
        outputs += coded_relu(level - 1, [(1, a), (-1, r), (1, u), (-1, v)], kept)
    return outputs


def decode(wires: list[Tensor]) -> Tensor:
    while len(wires) > 1:
        wires = [torch.stack(wires[at : at + 3]).median(dim=0).values for at in range(0, len(wires), 3)]
    return wires[0]


def gadget(level: int) -> Harmful:
    """Return whether a ReLU of ones is not read as 1, from lost synapses (B, sites)."""

    def is_wrong(faults: Tensor) -> Tensor:
        kept = iter((~faults).float().T.contiguous())
        ones = [torch.ones(len(faults))] * 3**level
        wrong = decode(coded_relu(level, [(1, ones)], kept)) != 1
        assert next(kept, None) is None, "not all sites were used"
        return wrong

    return is_wrong


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_level_one_has_no_harmful_single_fault_and_fifteen_harmful_pairs():
    single, pairs = (enumerate_faults(gadget(1), N_SITES[1], k) for k in (1, 2))
    assert (single.n_sets, single.hits) == (45, (0,))
    assert (pairs.n_sets, pairs.hits) == (990, (15,))
    # All of them are of two medians, and none touches a copy of the input.
    medians = (pairs.harmful - 9) // 12
    assert bool((pairs.harmful >= 9).all())
    assert bool((medians[:, 0] != medians[:, 1]).all())


def test_level_one_error_is_fifteen_p_squared_within_a_tenth(generator: torch.Generator):
    strata = sample_strata(gadget(1), N_SITES[1], [0.005], 2000, generator)
    assert [one.is_exhaustive for one in strata.strata[:4]] == [True] * 4
    assert strata.errors_at(0.005).worst.estimate == pytest.approx(15 * 0.005**2, rel=0.1)


@pytest.mark.parametrize(("failure", "specified"), [(0.02, 0.0060), (0.03, 0.0143), (0.05, 0.0366)])
def test_level_one_errors_are_the_specified_ones(
    failure: float, specified: float, generator: torch.Generator
):
    found = sample_strata(gadget(1), N_SITES[1], [0.02, 0.05], 20_000, generator).errors_at(failure).worst
    assert found.low * 0.95 <= specified <= found.high * 1.05


def test_no_single_fault_harms_level_two():
    assert enumerate_faults(gadget(2), N_SITES[2], 1).hits == (0,)


@pytest.mark.slow
def test_no_pair_of_faults_harms_level_two():
    pairs = enumerate_faults(gadget(2), N_SITES[2], 2)
    assert (pairs.n_sets, pairs.hits) == (673_380, (0,))


@pytest.mark.slow
def test_level_two_errors_and_their_slope_are_the_specified_ones(generator: torch.Generator):
    strata = sample_strata(gadget(2), N_SITES[2], [0.01, 0.02, 0.04], 150_000, generator)
    at = {p: strata.errors_at(p).worst for p in (0.01, 0.02, 0.04)}
    # Counted, 1961 of 120 000 and 371 of 400 000 draws of every synapse are wrong.
    assert at[0.04].estimate == pytest.approx(1961 / 120_000, rel=0.1)
    assert at[0.02].estimate == pytest.approx(371 / 400_000, rel=0.3)
    for failure, specified in ((0.04, 0.0157), (0.02, 1.08e-3), (0.01, 7e-5)):
        assert at[failure].low * 0.95 <= specified <= at[failure].high * 1.05
    assert math.log2(at[0.02].estimate / at[0.01].estimate) >= 3.5
