"""Exercises, the curriculum of the noise, and settings with which nothing can be learned."""

from dataclasses import replace

import pytest
import torch

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron
from lightning_modules.fault_tolerant.codes_by_name import CodeSettings
from lightning_modules.fault_tolerant.learned.calibrated_grid import CalibratedGrid, CalibrationSettings
from lightning_modules.fault_tolerant.learned.free_network import FreeNetwork, FreeSettings
from lightning_modules.fault_tolerant.learned.lesson import LessonSettings
from lightning_modules.fault_tolerant.learned.network import Exercise
from lightning_modules.fault_tolerant.module import FaultTolerantNetwork
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.parts.errors import DataError

NAND = TASKS["nand"]
LOUD = NoiseSpec.common(0.1, 0.1)


def test_exercises_are_the_beginning_of_a_circuit_with_all_kinds():
    chain = Exercise.of(TASKS["chain_16x64"], 4)
    assert chain.circuit.depth == 4
    assert chain.is_result == (False, False, False, True)
    assert (chain.truth == chain.rows).all()
    settings = LessonSettings(trained_gates=6, grows=True, ramp_epochs=2, steps_per_epoch=10)
    assert [settings.gates_at(TASKS["chain_16x64"], step) for step in (0, 10, 19, 20, 99)] == [1, 3, 6, 6, 6]
    # The first XOR of this multiplier is its fifth gate.
    assert settings.gates_at(TASKS["multiplier_gates"], 0) == 5


def test_the_noise_of_training_rises_to_more_than_the_evaluation_s():
    settings = LessonSettings(ramp_epochs=2, steps_per_epoch=10, noise_factor=1.2)
    found = [settings.noise_at(LOUD, step) for step in (0, 10, 20, 50)]
    assert [one.failure for one in found] == pytest.approx([0, 0.06, 0.12, 0.12])
    assert [one.phase_sd for one in found] == pytest.approx([0, 0.06, 0.12, 0.12])
    assert settings.noise_at(NoiseSpec(0.95), 20).failure == 1
    tail = replace(settings, loss="tail")
    assert [tail.loss_at(step) for step in (0, 19, 20)] == ["cross_entropy", "cross_entropy", "tail"]


def test_impossible_settings_of_learned_families_are_refused_all_at_once():
    with pytest.raises(
        ValueError, match=r"`gate_neurons` is 0[\s\S]*`hidden_share` is 2[\s\S]*`n_draws` is 0"
    ):
        FaultTolerantNetwork(task="nand", family="free", gate_neurons=0, hidden_share=2.0, n_draws=0)
    with pytest.raises(ValueError, match="layers of 1, 1, 1, 0; take more neurons"):
        FreeSettings(gate_neurons=3, hidden_share=0.9, hidden_layers=3)
    with pytest.raises(ValueError, match=r"`n_modules` is 0[\s\S]*`wta_temperature` is 0"):
        FaultTolerantNetwork(task="nand", family="calibrated", n_modules=0, wta_temperature=0.0)
    with pytest.raises(ValueError, match="nothing is learned"):
        CalibrationSettings(learn_phases=False, decoder_weights="fixed")
    with pytest.raises(ValueError, match="`tail` needs the spread of two draws"):
        LessonSettings(loss="tail", n_draws=1)
    with pytest.raises(ValueError, match="`family` is 'fre'"):
        FaultTolerantNetwork(task="nand", family="fre")  # type: ignore[arg-type]


def test_circuits_and_noise_that_learned_networks_cannot_bear_are_refused():
    """Sums 0 + 2 and 1 + 1 are one number, but not one phase once phases are learned."""
    sums = Circuit("sums", (3, 3), (LogicalNeuron((0, 1), (1, 1), (0, 1, 2, 1, 0)),), (2,))
    grid = CodeSettings(moduli=(5, 7)).build(sums)
    with pytest.raises(DataError, match="has 5 sums, but 6 sums of learned phases"):
        CalibratedGrid(sums, grid, CalibrationSettings())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not in blocks of 4"):
        FreeNetwork(NAND, FreeSettings()).simulate(
            NAND, NoiseSpec(0.1, block=4), NAND.rows(), 1, torch.Generator()
        )
