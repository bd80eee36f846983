"""What is impossible is refused before a sweep starts; noise that only some codes model acts as it should."""

import pytest
import torch

from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.data import load_task
from lightning_modules.fault_tolerant.module import FaultTolerantNetwork
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.parts.errors import DataError

NAND = TASKS["nand"]


@pytest.mark.parametrize(
    ("task", "noise", "fixed", "problem"),
    [
        ("nand", {}, {"model.moduli": (3, 6), "model.spacing": "crt"}, "3, 6 have one"),
        (
            "chain_16x4",
            {},
            {"model.code": "grid", "model.moduli": (3, 4)},
            "16 symbols are beyond the code's range",
        ),
        (
            "nand",
            {},
            {"model.level": 9},
            "Level 9 takes 17.3 GiB for a single evaluation, more than the 2 GiB",
        ),
        ("nand", {"block": 4}, {}, "not in blocks of 4"),
        (
            "nand",
            {"block": 4},
            {"model.code": "majority", "model.family": "analytic"},
            "in blocks, here of 4",
        ),
        ("nand", {"block": 4}, {"model.family": "free"}, "not in blocks of 4"),
        (
            "chain_16x4",
            {},
            {"model.code": "majority", "model.family": "analytic"},
            "a majority votes on bits",
        ),
        ("nand", {}, {"model.n_modules": 0}, "`n_modules` is 0"),
    ],
)
def test_what_no_trial_could_do_is_refused_before_the_start(task, noise, fixed, problem):
    with pytest.raises(DataError, match=problem):
        load_task(task=task, **noise).check(fixed)


def test_refusal_of_noise_says_which_codes_model_it():
    with pytest.raises(DataError, match=r"search --model\.family analytic --model\.code average"):
        load_task(task="nand", block=4).check({})


@pytest.mark.parametrize(
    ("task", "noise", "fixed"),
    [
        ("nand", {}, {}),
        ("chain_16x4", {}, {}),
        ("nand", {"block": 4}, {"model.code": "average", "model.family": "analytic"}),
        ("nand", {"persistence": "frozen"}, {}),
        ("nand", {"noisy_wta": True}, {"data.task": "nand", "trainer.max_epochs": 1}),
        ("nand", {}, {"model.level": 3, "model.n_copies": 255}),
    ],
)
def test_what_some_trials_can_do_is_not_refused(task, noise, fixed):
    load_task(task=task, **noise).check(fixed)


@pytest.mark.parametrize("value", [-0.1, 1.2, float("nan")])
def test_no_probability_is_no_failure(value: float):
    with pytest.raises(DataError, match="a probability, from 0 to 1"):
        load_task(failure=value)


def errors(code, noise: NoiseSpec, n_trials: int) -> list[float]:
    rows = NAND.rows()
    found = code.simulate(NAND, noise, rows, n_trials, torch.Generator().manual_seed(0))
    return (found != NAND.evaluate(rows)).any(axis=2).mean(axis=0).tolist()


@pytest.mark.parametrize("persistence", ["transient", "frozen"])
def test_synapses_of_a_block_fail_together(persistence):
    """Two copies whose synapses all fail with their neighbour's: (1, 1) is lost if any of four blocks is."""
    noise = NoiseSpec(0.2, block=2, persistence=persistence)
    if persistence == "transient":
        found = errors(RepetitionCode(2), noise, 20_000)
        assert found == pytest.approx([0, 0, 0, 1 - 0.8**4], abs=0.015)
        # Each by itself: of two synapses of an input, one may fail and the sum still rounds to 2 or to less.
        assert errors(RepetitionCode(2), NoiseSpec(0.2), 20_000)[3] != pytest.approx(1 - 0.8**4, abs=0.03)
        return
    rows = NAND.rows()[3:]
    frozen = [
        int(RepetitionCode(2).simulate(NAND, noise, rows, 1, torch.Generator().manual_seed(seed))[0, 0, 0])
        for seed in range(600)
    ]
    assert sum(frozen) / len(frozen) == pytest.approx(1 - 0.8**4, abs=0.07)


def test_the_last_block_may_be_smaller():
    """Three copies in blocks of two: a whole reader is lost only with both of its blocks."""
    found = errors(RepetitionCode(3), NoiseSpec(1.0, block=2), 50)
    assert found == [0, 0, 0, 1]


def test_noise_of_winners_comes_with_the_data_and_their_cost_with_the_model():
    """Check 22 and section 7.9: S more neurons a decoder."""
    plain, noisy = (
        NoiseSpec.common(0.1, 0.05),
        NoiseSpec(0.1, "synapse", 0.05, 0.05, 0.05, 0.05, noisy_wta=True),
    )
    book = GridCodebook.of_moduli((3,) * 8, 3)
    found = errors(GridCode(book), noisy, 2000)
    assert found == errors(GridCode(book, noisy_wta=True), plain, 2000)
    assert found != errors(GridCode(book), plain, 2000)
    assert load_task(task="nand", noisy_wta=True).noise.noisy_wta
    costs = [
        FaultTolerantNetwork(task="nand", n_modules=8, wta_cost=one).resources.neurons
        for one in (False, True)
    ]
    assert costs == [8 * (4 + 3), 8 * (4 + 3 + 3)]


def test_frozen_failures_are_said_to_be_of_one_network():
    assert any("meet one network" in note for note in load_task(persistence="frozen").notes)
    assert not any("meet one network" in note for note in load_task().notes)
