"""SABLE keeps to the contract of every experiment."""

from typing import ClassVar

from neurosweep.testing import ExperimentConformance


class TestSable(ExperimentConformance):
    """The laptop family, at the size of smoke.yaml."""

    experiment = "sable"
    epochs = 2
    settings: ClassVar = {
        "data": {
            "n_sessions": 4,
            "trials_per_session": 16,
            "n_units": 12,
            "n_bins": 10,
            "generated_bin_width_s": 0.07,
        },
        "model": {
            "encoder_hidden": 8,
            "generator_hidden": 8,
            "behaviour_hidden": 8,
            "factor_dim": 4,
            "latent_dim": 4,
        },
    }
