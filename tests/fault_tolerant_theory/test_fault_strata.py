"""Enumeration and sampling by fault count against closed forms."""

import math
from itertools import combinations

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from lightning_modules.fault_tolerant.estimates.fault_sets import (
    count_harmful,
    draw_fault_sets,
    enumerate_faults,
)
from lightning_modules.fault_tolerant.estimates.strata import Strata, Stratum, sample_strata
from lightning_modules.parts.errors import DataError


def two_of_three(group: int):
    """Return a network that is wrong if two of its three groups of sites have a fault, and its error at p."""

    def harmful(faults: Tensor) -> Tensor:
        return faults.reshape(len(faults), 3, group).any(dim=2).sum(dim=1) >= 2

    def error(p: float) -> float:
        wrong = 1 - (1 - p) ** group
        return 3 * wrong**2 - 2 * wrong**3

    return harmful, error


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_every_set_of_faults_is_tried_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lightning_modules.fault_tolerant.estimates.fault_sets.MOST_MASK_ELEMENTS", 40)
    tried: list[tuple[int, ...]] = []

    def harmful(faults: Tensor) -> Tensor:
        tried.extend(tuple(torch.nonzero(row)[:, 0].tolist()) for row in faults)
        return torch.stack([faults[:, 0], faults[:, 0] & faults[:, 1]], dim=1)

    found = enumerate_faults(harmful, 7, 3)
    assert sorted(tried) == sorted(combinations(range(7), 3))
    assert found.hits == (math.comb(6, 2), 5)
    assert bool((found.harmful[:, 0] == 0).all())
    assert len(found.harmful) == 15


def test_too_many_sets_are_refused_with_their_number():
    with pytest.raises(DataError, match="260,149,140 sets of 3 faults at 1161 sites"):
        enumerate_faults(two_of_three(15)[0], 1161, 3)


def test_drawn_sets_have_the_size_and_are_equally_likely(generator: torch.Generator):
    masks = draw_fault_sets(20_000, 6, 3, generator)
    assert bool((masks.sum(dim=1) == 3).all())
    codes = (masks.long() * 2 ** torch.arange(6)).sum(dim=1).bincount(minlength=64)
    seen = codes[codes > 0]
    assert len(seen) == 20
    assert chisquare(seen.numpy()).pvalue > 1e-3
    assert bool(draw_fault_sets(3, 4, 4, generator).all())
    assert not bool(draw_fault_sets(3, 4, 0, generator).any())


def test_strata_meet_the_closed_form_at_every_failure_probability(generator: torch.Generator):
    harmful, error = two_of_three(100)
    strata = sample_strata(harmful, 300, [1e-4, 1e-3, 0.01], 30_000, generator)
    for failure in (1e-4, 3e-4, 1e-3, 3e-3, 0.01):
        found = strata.errors_at(failure).worst
        assert found.low <= error(failure) <= found.high
        assert found.high < 1.15 * found.low


def test_intervals_of_strata_cover_the_truth_as_often_as_they_say():
    harmful, error = two_of_three(20)
    covered = [
        (found := strata.errors_at(0.01).worst).low <= error(0.01) <= found.high
        for seed in range(60)
        for strata in [
            sample_strata(harmful, 60, [0.01], 400, torch.Generator().manual_seed(seed), most_enumerated=1)
        ]
    ]
    assert sum(covered) / 60 >= 0.9


def test_errors_of_strata_are_right_on_average_though_few_draws_err():
    harmful, error = two_of_three(20)
    found = [
        sample_strata(harmful, 60, [0.004], 300, torch.Generator().manual_seed(seed), most_enumerated=1)
        for seed in range(100)
    ]
    errors = torch.tensor(
        [one.errors_at(0.004).worst.estimate * (not one.errors_at(0.004).worst.is_bound) for one in found]
    )
    standard_error = errors.std() / 10
    assert float((errors.mean() - error(0.004)).abs() / standard_error) < 2.5


def test_fully_enumerated_network_has_its_error_without_an_interval(generator: torch.Generator):
    harmful, error = two_of_three(3)
    found = sample_strata(harmful, 9, [0.3], 1, generator).errors_at(0.3).worst
    assert found.method == "enumeration"
    assert found.estimate == pytest.approx(error(0.3), rel=1e-9)
    assert found.high - found.low < 1e-9


def test_strata_without_hits_leave_the_bound_of_three():
    strata = Strata(
        100, (Stratum(0, (0,), 1, is_exhaustive=True), *(Stratum(k, (0,), 1000) for k in range(1, 101)))
    )
    found = strata.errors_at(0.02).worst
    assert found.is_bound
    # Errors of 3/1000 in the likeliest stratum alone would show nothing with a probability of .05.
    assert found.high == pytest.approx(0.2734 * 3 / 1000, rel=0.01)


def test_faults_that_were_not_sampled_may_all_be_harmful():
    strata = Strata(10, (Stratum(0, (0,), 1, is_exhaustive=True), Stratum(1, (0,), 10, is_exhaustive=True)))
    found = strata.errors_at(0.1).worst
    assert found.is_bound
    assert found.high == pytest.approx(1 - 0.9**10 - 10 * 0.1 * 0.9**9)


def test_worst_input_and_mean_have_their_own_errors(generator: torch.Generator):
    def harmful(faults: Tensor) -> Tensor:
        return torch.stack([faults[:, 0], faults[:, :3].any(dim=1)], dim=1)

    found = sample_strata(harmful, 60, [0.01], 4000, generator).errors_at(0.01)
    assert found.worst_row == 1
    assert found.worst.low <= 1 - 0.99**3 <= found.worst.high
    assert found.mean.low <= (0.01 + 1 - 0.99**3) / 2 <= found.mean.high
    assert found.mean.estimate < found.worst.low


def test_small_failure_is_estimated_where_counting_would_see_nothing(generator: torch.Generator):
    harmful, error = two_of_three(100)
    strata = sample_strata(harmful, 300, [1e-5], 1000, generator, most_enumerated=50_000)
    assert error(1e-5) < 4e-6
    assert strata.errors_at(1e-5).worst.estimate == pytest.approx(error(1e-5), rel=1e-3)


def test_what_is_not_one_answer_a_network_is_refused(generator: torch.Generator):
    with pytest.raises(ValueError, match=r"bool \(5,\) or \(5, R\).*float32 \(5,\) came"):
        count_harmful(lambda faults: faults.float().sum(dim=1), 5, 10, 1, generator)
    with pytest.raises(ValueError, match="above 0 and below 1"):
        sample_strata(two_of_three(15)[0], 45, [0.0], 100, generator)
    with pytest.raises(ValueError, match="too few for"):
        sample_strata(two_of_three(15)[0], 45, [0.02], 10, generator)
