"""Where every search starts: the specification's reference and the uncoded network, then one network of each family.

The paper's own moduli and number of modules are not known. It has no learned networks.
"""

from collections.abc import Mapping, Sequence

REFERENCE: Mapping[str, str | float] = {
    # Section 4.2 of the specification: error .0025 at failure and sd of .02. On circuits of bits all moduli are 3.
    "data.task": "multiplier_nand",
    "model.family": "analytic",
    "model.code": "grid",
    "model.n_modules": 8,
    "model.moduli": "equal",
    "model.decoders": "local",
    "model.score_norm": "modules",
    "model.representation": "phase",
}

UNCODED: Mapping[str, str | float] = {
    "data.task": "multiplier_nand",
    "model.family": "analytic",
    "model.code": "average",
    "model.n_copies": 1,
}

CALIBRATED: Mapping[str, str | float | bool] = {
    # The reference, from which phases and score neurons are learned. A code that works already needs no curriculum.
    **{name: value for name, value in REFERENCE.items() if name not in ("model.family", "model.code")},
    "model.family": "calibrated",
    "model.learn_phases": True,
    "model.decoder_weights": "free",
    "model.relaxation": "softmax",
    "model.wta_temperature": 0.2,
    "model.learning_rate": 0.01,
    "model.weight_decay": 1e-6,
    "model.n_draws": 8,
    "model.ramp_epochs": 0,
    "model.noise_factor": 1.0,
    "model.loss": "tail",
    "model.cvar_alpha": 0.5,
    "model.wire_weight": 1.0,
}

FREE: Mapping[str, str | float | bool] = {
    # As many neurons as the reference: 7 of them for each of its 8 modules.
    "data.task": "multiplier_nand",
    "model.family": "free",
    "model.gate_neurons": 56,
    "model.hidden_layers": 1,
    "model.hidden_share": 0.5,
    "model.activation": "sigmoid",
    "model.synapse_mode": "moment",
    "model.learning_rate": 0.01,
    "model.weight_decay": 1e-6,
    "model.n_draws": 8,
    "model.ramp_epochs": 2,
    "model.noise_factor": 2.0,
    "model.loss": "cross_entropy",
    "model.cvar_alpha": 0.5,
    "model.wire_weight": 1.0,
}

START: Sequence[Mapping[str, str | float | bool]] = (REFERENCE, UNCODED, CALIBRATED, FREE)
