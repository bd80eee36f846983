"""Where the settings of the small adversarial generator are searched.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial


def generator_space(trial: "Trial") -> None:
    """Rates, average and shifts, neighbours and batches; from the warm start or from random weights.

    The discriminator's head start is asked for with the warm start alone: random weights have nothing to spoil.
    """
    trial.suggest_float("model.generator_rate", 1e-5, 1e-3, log=True)
    trial.suggest_float("model.discriminator_rate", 3e-5, 2e-3, log=True)
    trial.suggest_float("model.ema_decay", 0.9, 0.9995)
    trial.suggest_float("model.translation", 0.0, 0.25)
    trial.suggest_float("model.noise_sd", 0.25, 1.0)
    trial.suggest_int("data.k", 5, 20)
    trial.suggest_int("data.batch_size", 16, 64, step=16)
    if trial.suggest_categorical("data.warm", [True, False]):
        trial.suggest_int("model.head_start", 0, 100, step=20)
