"""Whether learned networks beat analytic codes of as many neurons, where each is trained once: minutes long."""

from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.codes_by_name import grid_of_size
from lightning_modules.fault_tolerant.data import FaultData, TruthTableDataModule, circuit_of, load_task
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors
from lightning_modules.fault_tolerant.evaluation import sealed_seed
from lightning_modules.fault_tolerant.judging import count_errors
from lightning_modules.fault_tolerant.module import FaultTolerantNetwork
from search_spaces.fault_tolerant.published import CALIBRATED, FREE

pytestmark = pytest.mark.slow


def settings_of(published: Any, **other: Any) -> dict[str, Any]:
    """Return a published network's settings, some of them replaced."""
    plain = {name.removeprefix("model."): one for name, one in published.items() if name.startswith("model.")}
    return plain | other


def trained(data: FaultData, epochs: int, settings: dict[str, Any]) -> FaultTolerantNetwork:
    torch.manual_seed(0)
    module = FaultTolerantNetwork(task=data.task, **settings)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(module, TruthTableDataModule(data))
    return module


def judged(code: Code | None, data: FaultData, n_trials: int) -> InputErrors:
    """Count errors under noise that training has not seen."""
    assert code is not None
    table = data.table(n_trials, sealed_seed(0))
    return count_errors(code, circuit_of(data.task), table, torch.device("cpu"))


def test_on_the_multiplier_calibration_beats_its_code_and_averaging_and_free_networks_beat_both():
    """784 neurons at (.06, .06), beyond what 8 modules bear."""
    data, circuit = load_task(failure=0.06, sd=0.06), circuit_of("multiplier_nand")
    calibrated = trained(data, 4, settings_of(CALIBRATED))
    free = trained(data, 6, settings_of(FREE))
    assert calibrated.resources.neurons == free.resources.neurons == 784
    grid = judged(grid_of_size(784, circuit), data, 1000).worst
    after, learned = (judged(one.code, data, 1000).worst for one in (calibrated, free))
    average = judged(RepetitionCode.of_size(784, circuit), data, 1000).worst
    assert after.high < grid.low / 3
    assert max(learned.high, average.high) < after.low


def test_on_the_deep_chain_a_free_network_beats_the_grid_code_which_beats_averaging():
    """160 neurons a layer at (.01, .03): 8 modules, 160 copies; what is trained is 12 of the 64 layers."""
    data = load_task(task="chain_16x64", failure=0.01, sd=0.03)
    circuit = circuit_of(data.task)
    settings = settings_of(
        FREE,
        gate_neurons=160,
        learning_rate=0.005,
        n_draws=4,
        steps_per_epoch=100,
        ramp_epochs=4,
        noise_factor=2.5,
        trained_gates=12,
        grows=True,
    )
    free = trained(data, 6, settings)
    codes = free.code, grid_of_size(64 * 160, circuit), RepetitionCode.of_size(64 * 160, circuit)
    learned, grid, average = (judged(one, data, 60).mean for one in codes)
    assert learned.high < grid.low
    assert grid.high < average.low
