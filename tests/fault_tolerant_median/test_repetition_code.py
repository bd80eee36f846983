"""Averaging and majority repetition against binomial sums and the numbers of section 5.5."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.estimates.error_estimate import wilson
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS, identity_chain
from lightning_modules.parts.errors import DataError


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def errors(code: RepetitionCode, name: str, noise: NoiseSpec, n_trials: int, seed: int = 0) -> np.ndarray:
    """Return the share of wrong results of each row."""
    task = TASKS[name]
    found = code.simulate(task, noise, task.rows(), n_trials, torch.Generator().manual_seed(seed))
    return (found != task.evaluate(task.rows())).any(axis=2).mean(axis=0)


def within(share: float, expected: float, n_trials: int) -> bool:
    low, high = wilson(round(share * n_trials), n_trials, 0.999)
    return low <= expected <= high


def test_a_bare_nand_fails_if_either_synapse_does_and_only_for_two_ones():
    found = errors(RepetitionCode(1), "nand", NoiseSpec(0.02), 40_000)
    assert found[:3].tolist() == [0, 0, 0]
    assert within(found[3], 1 - 0.98**2, 40_000)


def test_fourteen_bare_nands_fail_less_than_the_union_bound():
    assert errors(RepetitionCode(1), "multiplier_nand", NoiseSpec(0.02), 2000).mean() < 0.43


@pytest.mark.parametrize("p", [0.1, 0.3])
def test_an_averaging_nand_fails_as_binomial_sums_say(p: float):
    n, n_trials = 5, 20_000
    # Of 2n synapses that carry ones so many have to work; the read-out takes 1 if the mean is half or more.
    silent = 1 - binom.cdf(math.ceil(1.5 * (1 - p) * n - 1e-9) - 1, 2 * n, 1 - p)
    expected = float(1 - binom.cdf(math.ceil(n / 2) - 1, n, 1 - silent))
    found = errors(RepetitionCode(n), "nand", NoiseSpec(p), n_trials)
    assert within(found[3], expected, n_trials)


@pytest.mark.parametrize(("p", "n"), [(0.15, 3), (0.25, 5)])
def test_a_majority_nand_fails_as_binomial_sums_say(p: float, n: int):
    n_trials = 20_000
    wrong_one = 1 - (1 - p) ** 2
    counts = np.arange(n + 1)
    # Inputs 1 1: an executive neuron says 1 if it lost an input; a restoring one if it hears a majority of ones.
    hears = binom.sf(n // 2, counts, 1 - p)
    expected = float(binom.pmf(counts, n, wrong_one) @ binom.sf(n // 2, n, hears))
    found = errors(RepetitionCode(n, "majority"), "nand", NoiseSpec(p), n_trials)
    assert within(found[3], expected, n_trials)


def test_failing_neurons_are_silent_to_all_readers():
    n, p, n_trials = 3, 0.2, 20_000
    # Inputs 0 0: executives all say 1 unless they fail, and so does the majority.
    hears = binom.sf(n // 2, n, 1 - p)
    expected = float(1 - hears * binom.sf(n // 2, n, 1 - p))
    found = errors(RepetitionCode(n, "majority"), "nand", NoiseSpec(p, "neuron"), n_trials)
    assert within(found[0], expected, n_trials)


def test_averaging_of_equal_size_beats_the_grid_code_on_bits():
    """Section 5.5: no error in 300 trials where the grid code of 4 modules and 392 neurons has .22."""
    code = RepetitionCode.of_size(392, TASKS["multiplier_nand"])
    assert code.n_copies == 7 * 4
    assert errors(code, "multiplier_nand", NoiseSpec(0.04, output_sd=0.03), 20).max() == 0


@pytest.mark.parametrize(("n_copies", "n_layers"), [(160, 64), (240, 64), (40, 16)])
def test_averaging_forgets_an_analog_value_as_a_random_walk(n_copies: int, n_layers: int):
    sd, n_trials = 0.03, 1500
    chain = identity_chain(16, n_layers)
    rows = np.full((1, 1), 7)
    generator = torch.Generator().manual_seed(1)
    noise = NoiseSpec(output_sd=sd)
    found = RepetitionCode(n_copies).simulate(chain, noise, rows, n_trials, generator)
    # Every layer adds the mean of n independent Gaussians; half a step is 1/32.
    expected = float(2 * norm.sf(1 / 32 / (sd * math.sqrt(n_layers / n_copies))))
    assert within(float((found != 7).mean()), expected, n_trials)


@pytest.mark.slow
def test_the_depth_test_of_section_five_five_comes_out():
    noise = NoiseSpec(0.01, output_sd=0.03)
    found = errors(RepetitionCode(240), "chain_16x64", noise, 250).mean()
    assert found == pytest.approx(0.045, abs=3 * math.sqrt(0.045 * 2 / 4000))


def test_thresholds_for_a_wrong_p_still_work():
    for factor in (0.5, 1.5):
        code = RepetitionCode(28, assumed_failure=0.04 * factor)
        assert errors(code, "multiplier_nand", NoiseSpec(0.04), 20).max() == 0


@pytest.mark.parametrize(
    "code",
    [RepetitionCode(1), RepetitionCode(6), RepetitionCode(1, "majority"), RepetitionCode(5, "majority")],
)
def test_without_noise_every_truth_table_of_repetition_comes_out(code: RepetitionCode):
    for name, task in TASKS.items():
        if code.rule == "average" or max(task.input_sizes) == 2:
            assert errors(code, name, NoiseSpec(), 2).max() == 0, name


def test_neurons_and_synapses_of_repetition_are_the_counted_ones():
    task = TASKS["multiplier_nand"]
    average = RepetitionCode(28).resources(task)
    assert (average.neurons, average.synapses, average.depth) == (392, 14 * 28 * 56, 4)
    majority = RepetitionCode(5, "majority").resources(task)
    assert (majority.neurons, majority.synapses, majority.depth) == (140, 14 * (10 + 25), 8)
    assert RepetitionCode.of_size(392, task, "majority").n_copies == 13


def test_frozen_failures_of_repetition_are_the_same_in_all_trials(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lightning_modules.fault_tolerant.codes.repetition.SYNAPSES_PER_CHUNK", 9 * 7)
    task = TASKS["multiplier_nand"]
    for rule in ("average", "majority"):
        noise = NoiseSpec(0.3, persistence="frozen")
        found = RepetitionCode(3, rule).simulate(task, noise, task.rows(), 5, generator)
        assert (found == found[0]).all()
        fresh = RepetitionCode(3, rule).simulate(task, NoiseSpec(0.3), task.rows(), 5, generator)
        assert (fresh != fresh[0]).any()


def test_repetition_that_cannot_be_is_refused(generator: torch.Generator):
    with pytest.raises(ValueError, match="odd number"):
        RepetitionCode(4, "majority")
    with pytest.raises(ValueError, match="at least 1"):
        RepetitionCode(0)
    with pytest.raises(DataError, match="a majority votes on bits"):
        RepetitionCode(3, "majority").resources(TASKS["chain_16x4"])
    with pytest.raises(DataError, match="One copy of `nand` takes 1 neurons"):
        RepetitionCode.of_size(0, TASKS["nand"])
    with pytest.raises(DataError, match="here of 2"):
        RepetitionCode(3, "majority").simulate(
            TASKS["nand"], NoiseSpec(block=2), TASKS["nand"].rows(), 1, generator
        )
