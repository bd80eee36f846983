"""LFADS keeps to the contract of every experiment."""

from typing import Any, ClassVar

from neurosweep.testing import ExperimentConformance

TINY: dict[str, Any] = {
    "data": {
        "n_sessions": 4,
        "trials_per_session": 16,
        "n_units": 12,
        "n_bins": 10,
        "generated_bin_width_s": 0.07,
    },
    "model": {"encoder_hidden": 8, "generator_hidden": 8, "latent_dim": 4, "factor_dim": 3},
}


class TestLfads(ExperimentConformance):
    """Without a controller, as published."""

    experiment = "lfads"
    epochs = 2
    settings: ClassVar = TINY


class TestLfadsWithController(ExperimentConformance):
    """With a controller that infers two inputs."""

    experiment = "lfads"
    epochs = 2
    settings: ClassVar = {**TINY, "model": {**TINY["model"], "controller_dim": 2}}
