"""Bits packed into words against whole numbers, and packed codes against the same codes unpacked."""

import numpy as np
import pytest
import torch

from lightning_modules.fault_tolerant.codes.median_code import MedianCode
from lightning_modules.fault_tolerant.codes.packed import Packed
from lightning_modules.fault_tolerant.codes.packed_bits import (
    add,
    at_least,
    kept_words,
    lose,
    majority,
    relu_of_difference,
    unpack,
)
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.noise import NoiseSpec, Site
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.parts.errors import DataError


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def planes(n_planes: int, n_words: int, generator: torch.Generator) -> list[torch.Tensor]:
    lowest = torch.iinfo(torch.int64).min
    return list(torch.empty(n_planes, n_words, dtype=torch.int64).random_(lowest, None, generator=generator))


def number(planes: list[torch.Tensor]) -> np.ndarray:
    return sum(unpack(one).astype(np.int64) << at for at, one in enumerate(planes))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (1, 3), (3, 1), (2, 3)])
def test_planes_add_subtract_and_compare_as_numbers_do(n_a: int, n_b: int, generator: torch.Generator):
    a, b = planes(n_a, 8, generator), planes(n_b, 8, generator)
    assert (number(add(a, b)) == number(a) + number(b)).all()
    assert (number(relu_of_difference(a, b)) == np.maximum(number(a) - number(b), 0)).all()
    for least in range(10):
        assert (unpack(at_least(a, least)) == (number(a) >= least)).all()


@pytest.mark.parametrize("n", [1, 3, 5, 21, 33])
def test_a_majority_of_words_is_that_of_their_bits(n: int, generator: torch.Generator):
    votes = torch.stack(planes(n, 6, generator))
    assert (unpack(majority(votes)) == (unpack(votes).sum(axis=0) > n / 2)).all()


@pytest.mark.parametrize("p", [0.0, 0.003, 0.2, 1.0])
def test_bits_fail_with_p_each_by_itself(p: float, generator: torch.Generator):
    words = kept_words(50, 400, p, generator, frozen=False)
    n = 64 * words.numel()
    failed = 1 - unpack(words)
    assert failed.sum() == pytest.approx(n * p, abs=4 * (n * p * (1 - p)) ** 0.5)
    neighbours = (failed[:, 1:] & failed[:, :-1]).sum()
    assert neighbours == pytest.approx(n * p**2, abs=5 * (n * p**2) ** 0.5 + 1 + 60 * p)
    by_bit = failed.reshape(-1, 64).mean(axis=0)
    assert by_bit == pytest.approx(np.full(64, p), abs=5 * (p * (1 - p) / words.numel()) ** 0.5 + 1e-12)


def test_losing_clears_set_bits_only(generator: torch.Generator):
    before = torch.stack(planes(20, 200, generator))
    after = lose(before.clone(), 0.1, generator, frozen=False)
    assert not (after & ~before).any()
    kept = unpack(after).sum() / unpack(before).sum()
    assert kept == pytest.approx(0.9, abs=4 * (0.09 / unpack(before).sum()) ** 0.5)


@pytest.mark.parametrize("site", ["synapse", "neuron"])
@pytest.mark.parametrize(
    "code",
    [
        MedianCode(0),
        MedianCode(1),
        MedianCode(2),
        RepetitionCode(1, "majority"),
        RepetitionCode(5, "majority"),
    ],
)
def test_a_packed_code_errs_as_often_as_the_code(code: MedianCode | RepetitionCode, site: Site):
    task, noise = TASKS["nand"], NoiseSpec(0.08, site)
    n_trials = 4000
    wrong = [
        (one.simulate(task, noise, task.rows(), n_trials, torch.Generator().manual_seed(seed))[..., 0])
        != task.evaluate(task.rows())[:, 0]
        for seed, one in enumerate((code, Packed(code)))
    ]
    ours, packed = (one.mean(axis=0) for one in wrong)
    both = (ours + packed) / 2
    assert (np.abs(ours - packed) <= 4 * np.sqrt(2 * both * (1 - both) / n_trials) + 1e-12).all()
    assert both.max() > 0.002


def test_results_of_packed_trials_are_independent_of_one_another():
    """The bits of a word are trials of their own: neighbours err together as often as chance says."""
    task, n_trials = TASKS["nand"], 64 * 400
    found = Packed(MedianCode(1)).simulate(
        task, NoiseSpec(0.1), task.rows()[3:], n_trials, torch.Generator().manual_seed(0)
    )[:, 0, 0]
    together, share = (found[1:] & found[:-1]).mean(), found.mean()
    assert together == pytest.approx(share**2, abs=5 * (share**2 / n_trials) ** 0.5)


@pytest.mark.parametrize("code", [MedianCode(1), RepetitionCode(3, "majority")])
def test_packed_codes_compute_every_truth_table_without_noise(
    code: MedianCode | RepetitionCode, generator: torch.Generator
):
    for name in ("nand", "xor", "multiplier_nand", "multiplier_gates", "adder_2bit"):
        task = TASKS[name]
        found = Packed(code).simulate(task, NoiseSpec(), task.rows(), 65, generator)
        assert found.shape == (65, len(task.rows()), len(task.outputs))
        assert (found == task.evaluate(task.rows())).all()


@pytest.mark.parametrize("code", [MedianCode(1), RepetitionCode(3, "majority")])
@pytest.mark.parametrize("site", ["synapse", "neuron"])
def test_frozen_failures_of_packed_codes_are_the_same_in_all_trials(
    code: MedianCode | RepetitionCode, site: Site, generator: torch.Generator
):
    task = TASKS["multiplier_nand"]
    frozen = NoiseSpec(0.1, site, persistence="frozen")
    found = Packed(code).simulate(task, frozen, task.rows(), 130, generator)
    assert (found == found[0]).all()
    fresh = Packed(code).simulate(task, NoiseSpec(0.1, site), task.rows(), 130, generator)
    assert (fresh != fresh[0]).any()


def test_what_bits_cannot_hold_is_refused(generator: torch.Generator):
    with pytest.raises(ValueError, match="L3 may be negative"):
        Packed(MedianCode(1, "L3"))
    with pytest.raises(ValueError, match="Averages are no bits"):
        Packed(RepetitionCode(3))
    task = TASKS["nand"]
    with pytest.raises(DataError, match="neither carry Gaussian noise"):
        Packed(MedianCode(1)).simulate(task, NoiseSpec(output_sd=0.1), task.rows(), 1, generator)
