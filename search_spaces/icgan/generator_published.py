"""Where every sweep of the adversarial generator starts. What comes from where: `lightning_modules/icgan/README.md`."""

from collections.abc import Mapping

SPECIFIED: Mapping[str, int | float | bool] = {
    # Our specification's for one CPU, after a warm start; rates and average are nobody's published ones.
    "model.generator_rate": 1e-4,
    "model.discriminator_rate": 2e-4,
    "model.ema_decay": 0.999,
    "model.translation": 0.125,
    "data.k": 10,
    "data.batch_size": 64,
    "data.warm": True,
    # The published configurations: noise of variance 1, both networks from the first batch on.
    "model.noise_sd": 1.0,
    "model.head_start": 0,
}

MEASURED: Mapping[str, int | float | bool] = {
    # Of the few tried on generated pictures, one run each, what lowered the warm start's distance within 100 batches.
    **SPECIFIED,
    "model.generator_rate": 2e-4,
    "model.discriminator_rate": 1e-3,
    "model.ema_decay": 0.98,
    "data.batch_size": 32,
    "model.noise_sd": 0.3,
    "model.head_start": 40,
}

START = (SPECIFIED, MEASURED)
