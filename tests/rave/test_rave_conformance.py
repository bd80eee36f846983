"""RAVE+ and RAVE keep to the contract of every experiment."""

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
    "model": {
        "latent_dim": 4,
        "width": 16,
        "layers": 2,
        "behaviour_width": 8,
        "classifier_width": 8,
        "classifier_steps": 2,
    },
}


class TestRavePlus(ExperimentConformance):
    """Trained with behaviour."""

    experiment = "rave-plus"
    epochs = 2
    settings: ClassVar = TINY


class TestRave(ExperimentConformance):
    """Trained without behaviour, which is read out of the latent."""

    experiment = "rave-plus"
    epochs = 2
    settings: ClassVar = {**TINY, "model": {**TINY["model"], "behaviour_weight": 0.0}}
