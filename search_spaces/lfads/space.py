"""Where LFADS's settings are searched.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial


def lfads_space(trial: "Trial") -> None:
    """Networks around the size of the same group's runs; with a controller where one is pinned.

    The number of inferred inputs is asked for with a single choice: it is fixed by the sweep, not searched, since
    a model with a controller is another model.
    """
    trial.suggest_float("model.learning_rate", 3e-4, 2e-2, log=True)
    trial.suggest_float("model.adam_epsilon", 1e-8, 1.0, log=True)
    trial.suggest_int("model.latent_dim", 4, 64, log=True)
    trial.suggest_int("model.encoder_hidden", 32, 128, step=32)
    trial.suggest_int("model.generator_hidden", 32, 128, step=32)
    trial.suggest_int("model.factor_dim", 3, 32, log=True)
    trial.suggest_categorical("model.prior_variance", [0.1, 1.0])
    trial.suggest_float("model.kl_weight", 1e-2, 3.0, log=True)
    trial.suggest_float("model.generator_l2", 1.0, 10000.0, log=True)
    trial.suggest_int("model.warmup_steps", 200, 4000, log=True)
    trial.suggest_float("model.dropout", 0.0, 0.5)
    trial.suggest_float("model.coordinated_dropout", 0.0, 0.5)
    trial.suggest_float("model.ridge_penalty", 0.1, 1000.0, log=True)
    trial.suggest_int("data.batch_size", 16, 96, step=16)
    trial.suggest_float("trainer.gradient_clip_val", 1.0, 200.0, log=True)
    if trial.suggest_categorical("model.controller_dim", [0]):
        trial.suggest_int("model.controller_hidden", 32, 128, step=32)
        trial.suggest_int("model.input_encoder_hidden", 32, 128, step=32)
        trial.suggest_float("model.input_kl_weight", 1e-2, 3.0, log=True)
        trial.suggest_float("model.controller_l2", 1.0, 10000.0, log=True)
