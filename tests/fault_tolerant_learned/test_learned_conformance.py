"""Searches of learned networks keep to the contract of every experiment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from neurosweep.testing import ExperimentConformance

SMALL = {"n_draws": 2, "steps_per_epoch": 3, "ramp_epochs": 1}
DATA = {"task": "nand", "n_trials": 40, "failure": 0.1, "sd": 0.1}


class TestCalibrated(ExperimentConformance):
    """A grid code of a single gate."""

    experiment = "fault_tolerant"
    settings: ClassVar[Mapping[str, Any]] = {
        "data": DATA,
        "model": {"family": "calibrated", "n_modules": 4, **SMALL},
    }
    epochs = 2


class TestFree(ExperimentConformance):
    """A perceptron for a single gate."""

    experiment = "fault_tolerant"
    settings: ClassVar[Mapping[str, Any]] = {
        "data": DATA,
        "model": {"family": "free", "gate_neurons": 8, "hidden_layers": 1, "hidden_share": 0.5, **SMALL},
    }
    epochs = 2
