"""A searched code is judged by errors that can be worked out, and its sealed noise is never the search's."""

import math
from typing import Any, get_args

import optuna
import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.fault_tolerant.codes_by_name import CodeSettings
from lightning_modules.fault_tolerant.data import FaultData, TruthTableDataModule, circuit_of, load_task
from lightning_modules.fault_tolerant.evaluation import MORE_TRIALS, SealedNoise
from lightning_modules.fault_tolerant.module import Family, FaultTolerantNetwork
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.parts.errors import DataError
from neurosweep.experiments import FAULT_TOLERANT
from neurosweep.search.pinned import sample_space
from search_spaces.fault_tolerant.space import BIT_TASKS, MANY_VALUED_TASKS, fault_tolerant_space

UNCODED = {"code": "average", "n_copies": 1}


def validate(data: FaultData, **settings: Any) -> dict[str, float]:
    """Return what a code logs."""
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    module = FaultTolerantNetwork(task=data.task, **settings)
    (found,) = trainer.validate(module, TruthTableDataModule(data), verbose=False)
    return {name.removeprefix("val/"): value for name, value in found.items()}


@pytest.fixture(scope="module")
def failing() -> FaultData:
    """A NAND gate whose synapses fail with p = .2, and nothing else."""
    return load_task(task="nand", failure=0.2, sd=0.0, n_trials=2000)


def test_the_uncoded_gate_errs_as_often_as_a_synapse_fails(failing: FaultData) -> None:
    """Input (1, 1) is lost with 1 - (1 - p)^2 = .36, the other three never."""
    found = validate(failing, **UNCODED)
    assert found["worst_error_low"] <= 0.36 <= found["worst_error_high"]
    assert found["worst_error"] == pytest.approx(0.36, abs=0.04)
    assert found["mean_error"] == pytest.approx(found["worst_error"] / 4)
    assert found["log10_error"] == pytest.approx(math.log10(found["worst_error_high"]))
    assert (found["neurons"], found["synapses"], found["depth"], found["is_bound"]) == (1, 2, 1, 0)


def test_without_noise_errors_are_bounded_by_the_rule_of_three_and_not_zero() -> None:
    data = load_task(task="nand", failure=0.0, sd=0.0, n_trials=100)
    found = validate(data, n_modules=8)
    assert found["is_bound"] == 1
    assert found["log10_error"] == pytest.approx(math.log10(-math.log(0.05) / 100), abs=1e-6)
    # Section 7.9: M (4 + S) neurons of a private decoder; as many copies average.
    assert found["neurons"] == found["averaging_neurons"] == 8 * (4 + 3)
    assert found["log10_neurons"] == pytest.approx(math.log10(56))


def test_all_codes_see_the_same_noise_of_the_search(failing: FaultData) -> None:
    found = validate(failing, n_modules=4)
    assert validate(failing, n_modules=4) == found
    other = load_task(task="nand", failure=0.2, sd=0.0, n_trials=2000, evaluation_seed=1)
    assert validate(other, n_modules=4)["mean_error"] != found["mean_error"]


def test_tasks_of_the_space_are_those_of_the_module() -> None:
    """Codes of bits carry those circuits alone whose wires carry bits."""
    assert {*BIT_TASKS, *MANY_VALUED_TASKS} == set(TASKS)
    for name, circuit in TASKS.items():
        wires = range(len(circuit.input_sizes) + len(circuit.neurons))
        assert (max(map(circuit.size_of, wires)) == 2) is (name in BIT_TASKS)


@pytest.mark.parametrize("task", ["xor", "multiplier_16way"])
def test_every_point_of_the_space_can_be_built(task: str) -> None:
    points = sample_space(fault_tolerant_space, {"data.task": task}, draws=90)
    assert {point["model.family"] for point in points} == set(get_args(Family))
    codes = {point["model.code"] for point in points if point["model.family"] == "analytic"}
    assert codes == ({"average", "majority", "median", "grid"} if task == "xor" else {"average", "grid"})
    for point in points:
        settings = {name.removeprefix("model."): value for name, value in point.items()}
        assert FaultTolerantNetwork(task=task, **settings).resources.neurons > 0


def test_the_space_asks_for_the_settings_of_its_code_alone() -> None:
    for point in sample_space(fault_tolerant_space, {"data.task": "xor"}, draws=60):
        family, code = point["model.family"], point.get("model.code")
        assert (code is not None) is (family == "analytic")
        assert ("model.n_modules" in point) is (code == "grid" or family == "calibrated")
        assert ("model.level" in point) is (code == "median")
        assert ("model.n_copies" in point) is (code in ("average", "majority"))
        assert ("model.gate_neurons" in point) is (family == "free")
        assert ("model.wta_temperature" in point) is (family == "calibrated")
        assert ("model.learning_rate" in point) is (family != "analytic")
        crt = point.get("model.spacing") == "crt"
        assert not crt or point["model.moduli"] in ("coprime", "prime")


def test_a_pinned_family_is_searched_alone() -> None:
    points = sample_space(
        fault_tolerant_space, {"data.task": "chain_16x16", "model.family": "free"}, draws=20
    )
    assert all("model.gate_neurons" in point and "model.trained_gates" in point for point in points)
    assert not any("model.code" in point or "model.n_modules" in point for point in points)


def test_a_pinned_code_that_cannot_carry_the_task_is_refused_before_the_start() -> None:
    pins = {"data.task": "chain_16x4", "model.family": "analytic", "model.code": "median"}
    with pytest.raises(ValueError, match="wires of `chain_16x4` carry more than a bit"):
        sample_space(fault_tolerant_space, pins, draws=1)


def test_the_noise_is_never_searched() -> None:
    points = sample_space(fault_tolerant_space, {"data.task": "xor"}, draws=20)
    assert all(name.startswith("model.") for point in points for name in point)
    first = FAULT_TOLERANT.published_values()[0]
    trial: Any = optuna.trial.FixedTrial(first)
    fault_tolerant_space(trial)
    assert trial.params == first


def test_impossible_settings_of_the_data_are_refused() -> None:
    with pytest.raises(DataError, match="Did you mean `multiplier_nand`"):
        load_task(task="multiplier_nan")
    with pytest.raises(DataError, match=r"`failure` is 1.2[\s\S]*`phase_sd` is -1"):
        load_task(failure=1.2, phase_sd=-1.0)
    with pytest.raises(DataError, match="0 trials"):
        load_task(n_trials=0)


def test_impossible_codes_are_refused() -> None:
    with pytest.raises(DataError, match="3, 6 have one"):
        FaultTolerantNetwork(task="nand", moduli=(3, 6), spacing="crt")
    with pytest.raises(DataError, match="16 symbols are beyond"):
        FaultTolerantNetwork(task="chain_16x4", moduli=(3, 4))
    with pytest.raises(ValueError, match=r"`code` is 'grod'[\s\S]*`n_modules` is 0"):
        CodeSettings(code="grod", n_modules=0)  # type: ignore[arg-type]


def test_the_spacing_of_the_specification_comes_out_of_names() -> None:
    """Section 2.9: 8.54 with the spacing 1283 of coprime moduli; six of them from 3 on."""
    code: Any = CodeSettings(moduli=(3, 4, 5, 7, 11, 13), spacing="crt").build(circuit_of("nand"))
    named: Any = CodeSettings(moduli="coprime", n_modules=6, spacing="crt").build(circuit_of("nand"))
    apart = 1 - torch.cos(2 * math.pi * torch.from_numpy(code.codebook.phases[1]))
    assert float(apart.sum()) == pytest.approx(8.54, abs=0.01)
    assert (named.codebook.phases == code.codebook.phases).all()


def test_sealed_noise_is_of_other_seeds_and_more_of_it(failing: FaultData) -> None:
    models = [FaultTolerantNetwork(task="nand", **UNCODED)] * 2
    sealed = SealedNoise(failing, {})
    found = sealed.score(models)
    first, second = found.scores
    assert first != second
    assert found.references["uncoded"] == first
    # Wilson's interval of 5 * 2000 draws of .36 is .0094 wide on either side.
    upper = 0.36 + 1.96 * math.sqrt(0.36 * 0.64 / (2000 * MORE_TRIALS))
    assert 10 ** first["test/log10_error"] == pytest.approx(upper, abs=0.015)
    row = found.tables["errors under sealed noise"][0]
    assert (row["worst input"], row["neurons"]) == ("(1, 1)", "1")
    assert row["its error"].startswith("0.3")


def test_sealed_noise_does_not_depend_on_the_seed_of_the_search(failing: FaultData) -> None:
    other = load_task(task="nand", failure=0.2, sd=0.0, n_trials=2000, evaluation_seed=7)
    model = FaultTolerantNetwork(task="nand", n_modules=4)
    mine, theirs = SealedNoise(failing, {}), SealedNoise(other, {})
    assert mine.score([model]).scores == theirs.score([model]).scores
    assert mine.sealed == theirs.sealed
    assert mine.sealed != SealedNoise(load_task(task="nand", failure=0.1, sd=0.0), {}).sealed
