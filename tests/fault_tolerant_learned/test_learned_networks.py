"""Networks that learn under noise compute what they are to, err less than before, and come back from a checkpoint."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_faults import Chance
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes_by_name import CodeSettings, grid_of_size
from lightning_modules.fault_tolerant.data import TruthTableDataModule, load_task
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors, over_inputs
from lightning_modules.fault_tolerant.evaluation import SealedNoise
from lightning_modules.fault_tolerant.learned.calibrated_grid import CalibratedGrid, CalibrationSettings
from lightning_modules.fault_tolerant.learned.free_network import FreeNetwork, FreeSettings
from lightning_modules.fault_tolerant.learned.lesson import Lesson, LessonSettings
from lightning_modules.fault_tolerant.module import FaultTolerantNetwork
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS

NAND = TASKS["nand"]
LOUD = NoiseSpec.common(0.1, 0.1)
"""Noise in which the reference of 8 modules errs in 3 of 10 evaluations of (1, 1)."""


def count(code: Code, circuit: Circuit, noise: NoiseSpec, n_trials: int, seed: int = 0) -> InputErrors:
    """Count wrong results of every row."""
    rows = circuit.rows()
    found = code.simulate(circuit, noise, rows, n_trials, torch.Generator().manual_seed(seed))
    wrong = (found != circuit.evaluate(rows)).any(axis=2).sum(axis=0)
    return over_inputs([int(one) for one in wrong], n_trials)


def teach(
    network: CalibratedGrid | FreeNetwork,
    circuit: Circuit,
    noise: NoiseSpec,
    n_steps: int,
    settings: LessonSettings,
) -> None:
    """Take so many steps of AdamW."""
    lesson = Lesson(circuit, noise, settings)
    learned = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(0)
    for step in range(n_steps):
        optimizer.zero_grad()
        lesson.loss(network, step, generator).backward()
        optimizer.step()


def free(circuit: Circuit, **settings) -> FreeNetwork:
    torch.manual_seed(0)
    return FreeNetwork(circuit, FreeSettings(**settings))


def test_free_gates_without_noise_learn_the_truth_table():
    """Check 9; the second NAND reads the first, so that wires inside the circuit have to carry bits too."""
    circuit = replace(NAND, neurons=(*NAND.neurons, replace(NAND.neurons[0], inputs=(0, 2))), outputs=(2, 3))
    network = free(circuit, gate_neurons=8)
    before = network.code().simulate(circuit, NoiseSpec(), circuit.rows(), 1, torch.Generator())
    teach(network, circuit, NoiseSpec(), 60, LessonSettings(learning_rate=0.02, n_draws=1))
    after = network.code().simulate(circuit, NoiseSpec(), circuit.rows(), 1, torch.Generator())
    assert not np.array_equal(before[0], circuit.evaluate(circuit.rows()))
    assert np.array_equal(after[0], circuit.evaluate(circuit.rows()))


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("multiplier_nand", {}),
        ("xor", {"decoders": "shared", "score_norm": "none", "representation": "phasor"}),
        ("multiplier_16way", {"moduli": "coprime", "smallest_modulus": 5, "spacing": "crt"}),
        ("chain_16x4", {"moduli": "prime", "score_norm": "root", "representation": "population"}),
    ],
)
def test_nothing_learned_yet_is_the_analytic_code_itself(task, settings):
    circuit = TASKS[task]
    grid = CodeSettings(n_modules=6, **settings).build(circuit)
    network = CalibratedGrid(circuit, grid, CalibrationSettings())
    noise, rows = NoiseSpec.common(0.05, 0.05), circuit.rows()
    one, other = (
        code.simulate(circuit, noise, rows, 40, torch.Generator().manual_seed(5))
        for code in (grid, network.code())
    )
    assert np.array_equal(one, other)
    assert network.code().resources(circuit) == grid.resources(circuit)


@pytest.fixture(scope="module")
def analytic() -> InputErrors:
    """Errors of the reference under loud noise."""
    return count(CodeSettings(n_modules=8).build(NAND), NAND, LOUD, 3000)


def test_calibration_makes_the_worst_input_err_less_often(analytic):
    network = CalibratedGrid(
        NAND,
        CodeSettings(n_modules=8).build(NAND),
        CalibrationSettings(relaxation="softmax", wta_temperature=0.2),
    )
    settings = LessonSettings(learning_rate=0.02, n_draws=16, ramp_epochs=0, noise_factor=1.0, loss="tail")
    teach(network, NAND, LOUD, 60, settings)
    assert count(network.code(), NAND, LOUD, 3000).worst.high < analytic.worst.low


def test_free_gates_of_as_many_neurons_make_the_worst_input_err_less_often(analytic):
    network = free(NAND)
    assert network.resources(NAND).neurons == CodeSettings(n_modules=8).build(NAND).resources(NAND).neurons
    teach(network, NAND, LOUD, 150, LessonSettings(learning_rate=0.01, n_draws=8, steps_per_epoch=25))
    assert count(network.code(), NAND, LOUD, 3000).worst.high < analytic.worst.low


@pytest.mark.parametrize("relaxation", ["softmax", "straight_through", "gumbel"])
def test_every_relaxation_has_a_slope_for_phases_weights_and_biases(relaxation):
    circuit = TASKS["multiplier_nand"]
    settings = CalibrationSettings(relaxation=relaxation)
    network = CalibratedGrid(circuit, CodeSettings(n_modules=4).build(circuit), settings)
    Lesson(circuit, LOUD, LessonSettings(n_draws=4, ramp_epochs=0)).loss(
        network, 0, torch.Generator().manual_seed(0)
    ).backward()
    decoder = network.decoders[0]
    for one in (network.shift, decoder.change, decoder.bias):
        assert one.grad is not None
        assert float(one.grad.abs().max()) > 0


def test_learned_scores_are_never_more_active_than_the_code_s_own():
    """Noise of score neurons is fixed: louder weights would outgrow it."""
    network = CalibratedGrid(NAND, CodeSettings(n_modules=8).build(NAND), CalibrationSettings())
    with torch.no_grad():
        network.decoders[0].change.normal_(0, 5)
        network.decoders[0].bias.normal_(0, 5)
    (gate,) = network.code().gates
    cosines, sines = gate.decoder.chunk(2, dim=1)
    most = torch.hypot(cosines, sines).sum(dim=1) + gate.bias.abs()
    assert most.numpy() == pytest.approx(np.ones(3), rel=1e-5)


def test_neurons_and_synapses_of_a_free_gate_are_counted_layer_by_layer():
    """56 neurons, 20 of them in two hidden layers: 2 * 36 inputs of 10, 10 of 10, 36 of 10."""
    network = free(NAND, hidden_layers=2, hidden_share=20 / 56)
    assert network.settings.widths == (10, 10, 36)
    found = network.resources(TASKS["multiplier_nand"])
    assert (found.neurons, found.depth) == (14 * 56, 3 * 4)
    assert found.synapses == 14 * (72 * 10 + 10 * 10 + 10 * 36)
    assert free(NAND, hidden_layers=0).settings.widths == (56,)


@torch.no_grad()
def test_activities_stay_between_0_and_1_however_large_weights_are():
    network = free(NAND, activation="clip")
    for one in network.gates.parameters():
        one.mul_(100)
    generator = torch.Generator().manual_seed(0)
    (bundle,) = network._bundles(
        NAND, torch.tensor(NAND.rows().T), Chance(NoiseSpec(0.1), generator, generator), "exact"
    )
    assert 0 <= float(bundle.min()) <= float(bundle.max()) <= 1


def test_grids_of_equal_size_are_those_of_the_specification():
    """Section 4.2: 784 neurons are 8 modules; section 5.5: 240 a layer are 12 modules."""
    grid = grid_of_size(784, TASKS["multiplier_nand"])
    assert grid is not None
    assert (grid.codebook.n_modules, grid.decoders) == (8, "local")
    deep = grid_of_size(4 * 250, TASKS["chain_16x4"])
    assert deep is not None
    assert deep.codebook.n_modules == 12
    assert grid_of_size(13, TASKS["multiplier_nand"]) is None


def trained(family: str, folder: Path, **settings) -> tuple[FaultTolerantNetwork, FaultTolerantNetwork]:
    """Train a module for two epochs; return it, and what its checkpoint gives."""
    data = load_task(task="nand", failure=0.1, sd=0.1, n_trials=100)
    module = FaultTolerantNetwork(task="nand", family=family, steps_per_epoch=4, ramp_epochs=0, **settings)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, TruthTableDataModule(data))
    trainer.save_checkpoint(folder / "kept.ckpt")
    return module, FaultTolerantNetwork.load_from_checkpoint(folder / "kept.ckpt", weights_only=True).eval()


@pytest.mark.parametrize("family", ["calibrated", "free"])
def test_a_network_from_a_checkpoint_errs_in_the_same_evaluations(family, tmp_path):
    module, again = trained(family, tmp_path, learning_rate=0.02)
    rows = NAND.rows()
    fresh = FaultTolerantNetwork(task="nand", family=family)
    one, other, untrained = (
        net.code.simulate(NAND, LOUD, rows, 300, torch.Generator().manual_seed(2))
        for net in (module, again, fresh)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, untrained)
    # Check 8: other noise, other errors, in eval mode too.
    assert not np.array_equal(
        one, again.code.simulate(NAND, LOUD, rows, 300, torch.Generator().manual_seed(3))
    )


def test_frozen_failures_are_the_same_in_all_evaluations():
    network = free(NAND)
    noise = NoiseSpec(0.3, persistence="frozen")
    found = network.simulate(NAND, noise, NAND.rows(), 50, torch.Generator().manual_seed(0))
    assert (found == found[0]).all()


def test_sealed_noise_puts_grid_codes_of_equal_size_beside_learned_networks():
    """What has not learned yet errs exactly as the code that it starts from, 8 modules as section 4.2 has them."""
    sealed = SealedNoise(load_task(task="nand", failure=0.1, sd=0.1, n_trials=100), {})
    calibrated = sealed.score([FaultTolerantNetwork(task="nand", family="calibrated")])
    assert set(calibrated.references) == {"uncoded", "averaging", "grid", "uncalibrated"}
    assert calibrated.scores[0] == calibrated.references["uncalibrated"] == calibrated.references["grid"]
    free = sealed.score([FaultTolerantNetwork(task="nand", family="free", gate_neurons=60)])
    assert set(free.references) == {"uncoded", "averaging", "grid"}
    assert free.references["grid"] == calibrated.references["grid"]
    neurons = {row["code"]: row["neurons"] for row in free.tables["errors under sealed noise"]}
    assert neurons == {"model 0": "60", "uncoded": "1", "averaging": "60", "grid": "56"}
